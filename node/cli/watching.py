"""`metrics`, `health`, `refused` and `notify`: what monitors and people ask of a node beside `status`."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from node.cli.common import (
    NOT_REACHABLE,
    WRONG,
    add_row,
    ago,
    config_option,
    console,
    opened_ledger,
    print_json,
    quiet_config,
)

if TYPE_CHECKING:
    from node.config import Config
    from node.health import Health


@click.command()
@click.option("--output", metavar="FILE", type=click.Path(path_type=Path), help="Write there, replaced whole.")
@config_option
def metrics(output: Path | None) -> int:
    """Print the node's metrics in Prometheus' text format."""
    from node.errors import FileError
    from node.metrics import render

    text = render(quiet_config())
    if output is None:
        sys.stdout.buffer.write(text)
        sys.stdout.buffer.flush()
        return 0
    new = output.with_name(f"{output.name}.{os.getpid()}")
    try:
        new.write_bytes(text)
        new.chmod(0o644)  # the collector is another user
        new.replace(output)
    except OSError as error:
        raise FileError(f"cannot be written ({error.strerror})", str(output)) from None
    return 0


@click.command()
@click.option("--live", is_flag=True, help="Only whether the node runs and looks after its processes.")
@click.option("--json", "as_json", is_flag=True, help="For machines.")
@config_option
def health(live: bool, as_json: bool) -> int:
    """Say whether the node lives and can take instances; else exit with 1, or with 4 where none is running."""
    from node.health import live as lives
    from node.health import ready

    config = quiet_config()
    found = lives(config) if live else ready(config)
    if as_json:
        print_json(found.told())
    else:
        for check in found.checks:
            click.echo(f"{'ok' if check.ok else 'NOT OK':6}  {check.name}: {check.text}")
    return _exit_code(found)


def _exit_code(found: Health) -> int:
    if found.ok:
        return 0
    return WRONG if found.checks[0].ok else NOT_REACHABLE


@click.command()
@click.option("--json", "as_json", is_flag=True, help="For machines.")
@config_option
def refused(as_json: bool) -> None:
    """List what senders and the node itself asked for and did not get, and what to change."""
    from node.refused import refused as found_refused

    config = quiet_config()
    with opened_ledger(config) as ledger:
        found = found_refused(ledger.database, config)
    if as_json:
        print_json(found)
        return
    if not any(found.values()):
        click.echo("Nothing was refused.")
    for sender in found["senders"]:
        _print_sender(sender)
    for destination in found["destinations"]:
        _print_destination(destination)


def _print_sender(sender: dict[str, Any]) -> None:
    from rich.table import Table

    name = _plain(sender["calling_ae_title"] or "a sender without a name")
    if sender["contexts"]:
        table = Table("SOP class", "transfer syntaxes", "times", "since", "last", "why", "what to change")
        for one in sender["contexts"]:
            syntaxes = ", ".join(one["transfer_syntaxes"] or ["not known"])
            lost = " (its images never came)" if one["images_lost"] else ""
            times = ago(one["since"]), ago(one["last"])
            add_row(table, one["name"], syntaxes, one["times"], *times, one["why"] + lost, one["change"])
        _print(f"Presentation contexts refused to {name}", table)
    if sender["others"]:
        table = Table("kind", "called AE", "address", "times", "since", "last", "what to change")
        for one in sender["others"]:
            keys = ("kind", "called_ae_title", "address", "times")
            add_row(table, *(one[key] for key in keys), ago(one["since"]), ago(one["last"]), one["change"])
        _print(f"Else refused to {name}", table)


def _print_destination(destination: dict[str, Any]) -> None:
    from rich.table import Table

    table = Table("SOP class", "transfer syntax", "reason", "instances", "since", "what to change")
    for one in destination["classes"]:
        keys = ("name", "transfer_syntax", "reason", "instances")
        add_row(table, *(one[key] for key in keys), ago(one["since"]), one["change"])
    _print(f"Refused by {destination['destination']}", table)


def _print(title: str, table: Any) -> None:
    screen = console()
    screen.print(title, markup=False)
    screen.print(table)


def _plain(text: str) -> str:
    from node.log import clean_text

    return clean_text(text)


@click.command()
@click.option("--test", "is_test", is_flag=True, help="Send a test message by each way, now.")
@config_option
def notify(is_test: bool) -> int:
    """Say by which ways people are told, and how that goes; with --test try each."""
    from node.errors import NetworkError
    from node.notifier.messages import test_message
    from node.notifier.worker import channels, name_of

    config = quiet_config()
    ways = channels(config.notify)
    if not ways:
        click.echo("Nobody is told: the configuration has neither notify.mail nor notify.webhook.")
        return WRONG if is_test else 0
    if not is_test:
        return _print_ways(config, [way.name for way in ways])
    wrong = 0
    for way in ways:
        try:
            way.send(test_message(name_of(config)))
        except NetworkError as error:
            wrong = WRONG
            click.echo(f"{way.name}: {error}", err=True)
        else:
            click.echo(f"{way.name}: a test message was taken.")
    return wrong


def _print_ways(config: Config, names: list[str]) -> int:
    from node.ledger.notices import troubles

    with opened_ledger(config) as ledger, ledger.database.read() as connection:
        failing = {one.channel: one for one in troubles(connection)}
    for name in names:
        click.echo(f"{name}: {failing[name].error}" if name in failing else f"{name}: no trouble is known")
    return WRONG if failing else 0


COMMANDS = (metrics, health, refused, notify)
