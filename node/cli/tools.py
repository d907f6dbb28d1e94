"""`echo`, `sink`, `rebuild` and `version`."""

from __future__ import annotations

from pathlib import Path

import click

from node.cli.common import add_row, config_option, console, opened_ledger, print_json, quiet_config, refuse_root
from node.config.units import Endpoint, parse_ae_title, parse_endpoint, parse_positive_duration


class _Parsed(click.ParamType[object]):
    """A value that one of the configuration's parsers reads."""

    def __init__(self, name: str, parse: object) -> None:
        self.name = name
        self._parse = parse

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> object:
        if not isinstance(value, str) or not callable(self._parse):
            return value
        try:
            return self._parse(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


AE_TITLE = _Parsed("AE", parse_ae_title)
DURATION = _Parsed("duration", parse_positive_duration)
ENDPOINT = _Parsed("HOST:PORT", parse_endpoint)


@click.command()
@click.argument("host")
@click.argument("port", type=click.IntRange(1, 65535))
@click.option("--called-ae", type=AE_TITLE, default="ANY-SCP", show_default=True)
@click.option("--calling-ae", type=AE_TITLE, default="DEIDNODE", show_default=True)
@click.option("--timeout", type=DURATION, default="10s", show_default=True)
@config_option
def echo(host: str, port: int, called_ae: str, calling_ae: str, timeout: float) -> None:
    """Ask a DICOM node whether it answers (C-ECHO)."""
    from node.dicomnet import echo as send
    from node.log import setup_logging

    setup_logging("human", "warning", "deid-node")
    send(host, port, calling_ae, called_ae, timeout)
    click.echo(f"{Endpoint(host, port)} answers.")


@click.command()
@click.argument("listen", type=ENDPOINT)
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@click.option("--ae-title", type=AE_TITLE, default="ARCHIVE", show_default=True)
@config_option
def sink(listen: Endpoint, folder: Path, ae_title: str) -> int:
    """Receive instances at LISTEN (host:port) and keep each as a file in FOLDER."""
    from node.log import setup_logging
    from node.sink import run

    setup_logging("human", "info", "sink")
    return run(listen, ae_title, folder)


@click.command()
@click.option("--send", is_flag=True, help="Send again all whose delivery is not known.")
@click.option("--assume-delivered", "assume", is_flag=True, help="Count all whose delivery is not known as delivered.")
@click.option(
    "--imported-from",
    metavar="LEDGER",
    type=click.Path(path_type=Path),
    help="A backup of the ledger, or the damaged one: imported pairs come back from it alone.",
)
@click.option("--json", "as_json", is_flag=True, help="For machines.")
@config_option
def rebuild(send: bool, assume: bool, imported_from: Path | None, as_json: bool) -> None:
    """Make the ledger again from the files in the spool."""
    if send and assume:
        raise click.UsageError("--send and --assume-delivered exclude one another.")
    from node.rebuild import rebuild as run

    config = quiet_config()
    refuse_root(config)
    result = run(config, send=send, assume_delivered=assume, imported_from=imported_from)
    with opened_ledger(config, readonly=False) as ledger:
        ledger.record_rebuild({key: value for key, value in result.items() if isinstance(value, int)})
    if as_json:
        print_json(result)
        return
    from rich.table import Table

    table = Table(show_header=False)
    for key, value in result.items():
        add_row(table, str(key).replace("_", " "), value)
    console().print(table)


@click.command()
@config_option
def version() -> None:
    """Print the versions of the node and of what it is built on."""
    import platform
    import sqlite3
    from importlib.metadata import version as installed

    from node import __version__

    click.echo(f"deid-node {__version__}")
    for name in ("pynetdicom", "pydicom", "SQLAlchemy"):
        click.echo(f"{name} {installed(name)}")
    click.echo(f"SQLite {sqlite3.sqlite_version}")
    click.echo(f"Python {platform.python_version()}")
