"""`commissioning`: the studies that wait until somebody has looked at them."""

from __future__ import annotations

from pathlib import Path

import click

from node.cli.common import WRONG, add_row, ago, config_option, console, opened_ledger, print_json, quiet_config


@click.group()
@config_option
def commissioning() -> None:
    """List the studies that wait for a look, and write them as files; `held release --study` lets one go."""


@commissioning.command("list")
@click.option("--json", "as_json", is_flag=True, help="For machines.")
@config_option
def list_waiting(as_json: bool) -> None:
    """List what waits, and how far each route is."""
    from node.ledger.commissioning import progress, waiting

    config = quiet_config()
    with opened_ledger(config) as ledger:
        routes, studies = progress(ledger.database, config), waiting(ledger.database)
    if as_json:
        print_json({"routes": routes, "waiting": studies})
        return
    from rich.table import Table

    screen = console()
    table = Table("route", "of the first", "released", "of the sample", "released")
    for one in routes:
        first = f"{one['first']} of {one['commissioning']}"
        add_row(table, one["route"], first, one["first_released"], one["share"], one["share_released"])
    screen.print(table)
    table = Table("study", "route", "why", "since", "instances")
    for one in studies:
        add_row(table, one["study"], one["route"], one["kind"], ago(one["since"]), one["instances"])
    screen.print(table if studies else "Nothing waits.")


@commissioning.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@click.option("--study", metavar="UID", required=True, help="As `commissioning list` names it.")
@config_option
def export(folder: Path, study: str) -> int:
    """Write what waits of a study into FOLDER, just as it would be sent."""
    from node.ledger.commissioning import note_seen
    from node.opening import make_spool
    from node.viewing import export as write

    config = quiet_config()
    with opened_ledger(config, readonly=False) as ledger:
        note_seen(ledger.database, study, ledger.trail)
        count = write(ledger.database, make_spool(config), study, folder)
    click.echo(f"{count} written")
    return 0 if count else WRONG
