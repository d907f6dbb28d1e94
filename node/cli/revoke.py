"""`revoke`: consent that was withdrawn, and what it means for what waits, what comes and what went out."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from node.cli.common import WRONG, add_row, ago, config_option, console, opened_ledger, print_json, quiet_config

if TYPE_CHECKING:
    from node.config import Config
    from node.ledger import Ledger
    from node.ledger.impact import Item
    from node.withdrawing import Subject


@click.command()
@click.argument("subject", required=False)
@click.option("--project", metavar="NAME", help="In which project; needed, but for --list.")
@click.option("--issuer", metavar="TEXT", help="The Issuer of Patient ID, where there are several.")
@click.option("--pseudonym", "is_pseudonym", is_flag=True, help="SUBJECT is a pseudonym, not a Patient ID.")
@click.option("--even-unknown", is_flag=True, help="Even though the maps know nobody of this Patient ID.")
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE", help="Write what went where.")
@click.option("--undo", is_flag=True, help="Take it back: what comes from now on is sent again.")
@click.option("--list", "list_all", is_flag=True, help="List the withdrawals.")
@click.option("--dry-run", is_flag=True, help="Count only.")
@click.option("--yes", is_flag=True, help="Needed: what is discarded is gone.")
@click.option("--json", "as_json", is_flag=True, help="For machines.")
@config_option
def revoke(subject: str | None, list_all: bool, as_json: bool, **options: Any) -> int:
    """Consent was withdrawn: discard what waits of SUBJECT, block what comes, list what went where.

    SUBJECT is a Patient ID, as scanners send it; `-` reads it from standard input, so that no process list shows it.
    """
    if list_all:
        return _list(as_json=as_json)
    if subject is None or options["project"] is None:
        raise click.UsageError("say SUBJECT and --project; or --list.")
    if not (options["yes"] or options["dry_run"]):
        raise click.UsageError("discarding cannot be undone: --dry-run counts; then --yes.")
    text = sys.stdin.readline().strip() if subject == "-" else subject
    return _revoke(text, as_json=as_json, **options)


def _revoke(  # noqa: PLR0913 -- the options of one command
    text: str,
    *,
    project: str,
    issuer: str | None,
    is_pseudonym: bool,
    even_unknown: bool,
    out: Path | None,
    undo: bool,
    dry_run: bool,
    yes: bool,  # noqa: ARG001 -- looked at before
    as_json: bool,
) -> int:
    from node import withdrawing
    from node.errors import DrillError

    if out is not None and out.exists():
        raise DrillError(f"{out} is there already, and nothing is overwritten: name another file")
    config = quiet_config()
    with opened_ledger(config, readonly=False) as ledger:
        subject = withdrawing.find_subject(
            config,
            ledger.database,
            project,
            text,
            issuer=issuer,
            is_pseudonym=is_pseudonym,
            even_unknown=even_unknown,
        )
        if undo:
            return _undo(config, ledger, subject, dry_run=dry_run)
        told, went = _carry_out(config, ledger, subject, dry_run=dry_run)
    if out is not None and not dry_run:
        _write(out, went)
        told["file"] = str(out)
    if as_json:
        print_json(told | {"deliveries": [item.told() for item in went]})
    else:
        _show(told, went)
    return WRONG if told.get("in_hand") or told.get("unreadable") else 0


def _undo(config: Config, ledger: Ledger, subject: Subject, *, dry_run: bool) -> int:
    from node import withdrawing

    if dry_run:
        known = withdrawing.withdrawn(ledger.database, subject)
        click.echo("It would be taken back; nothing was changed." if known else "This subject has not withdrawn.")
        return 0 if known else WRONG
    withdrawing.undo(config, ledger.database, ledger.trail, subject)
    click.echo("Taken back: what comes from now on is sent. What was discarded has to be sent again.")
    return 0


def _carry_out(config: Config, ledger: Ledger, subject: Subject, *, dry_run: bool) -> tuple[dict[str, Any], list[Item]]:
    from node import withdrawing
    from node.opening import make_spool

    if dry_run:
        return withdrawing.foretell(ledger.database, subject)
    return withdrawing.withdraw(config, ledger.database, make_spool(config), ledger.trail, subject)


def _write(path: Path, went: list[Item]) -> None:
    from node.ledger.impact import COLUMNS
    from node.recalling import write_csv

    write_csv(path, COLUMNS, (item.told() for item in went))


def _show(told: dict[str, Any], went: list[Item]) -> None:
    from rich.table import Table

    from node.ledger.impact import summed

    if went:
        keys = ("destination", "study_instance_uid", "state", "series", "instances")
        table = Table("destination", "Study Instance UID (new)", "state", "series", "instances", "first", "last")
        for one in summed(went):
            add_row(table, *(one[key] for key in keys), ago(one["first"]), ago(one["last"]))
        console().print(table)
    counts = (f"{value} {key.replace('_', ' ')}" for key, value in told.items() if type(value) is int)
    click.echo(f"project {told['project']}, pseudonym {', '.join(told['pseudonyms'])}: {'; '.join(counts)}")
    for name in told.get("unreadable", ()):
        click.echo(f"deid-node: whose {name} is cannot be read; look at it: deid-node held show {name}", err=True)
    if told.get("in_hand"):
        click.echo(f"deid-node: {told['in_hand']} are just being worked on: run it again.", err=True)


def _list(*, as_json: bool) -> int:
    from node.ledger.withdrawals import listed

    with opened_ledger(quiet_config()) as ledger:
        found = listed(ledger.database)
    if as_json:
        print_json(found)
        return 0
    from rich.table import Table

    table = Table("project", "subject (keyed)", "since", "taken back", "instances discarded")
    for one in found:
        add_row(table, one["project"], one["subject"], ago(one["since"]), ago(one["undone"]), one["discarded"])
    console().print(table)
    return 0
