"""`audit`: what the audit trail says, and whether it is as the node wrote it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import click

from node.cli.common import WRONG, add_row, config_option, console, opened_ledger, print_json, quiet_config
from node.cli.tools import DURATION

if TYPE_CHECKING:
    from node.ledger import Ledger
    from node.ledger.audit import Trail


@click.group()
@config_option
def audit() -> None:
    """List the audit trail, or verify that nobody has changed it."""


@audit.command("list")
@click.option("--since", type=DURATION, metavar="DURATION", help="Only what is not older, such as 7d.")
@click.option("--limit", type=click.IntRange(1), default=1000, show_default=True, help="Show the newest so many.")
@click.option("--json", "as_json", is_flag=True, help="For machines, with the messages themselves.")
@config_option
def list_audit(since: float | None, limit: int, as_json: bool) -> None:
    """List the audit messages, oldest first; that somebody did is one too."""
    from node.audit import kinds
    from node.audit.reading import told
    from node.ledger.audit import entries

    config = quiet_config()
    with opened_ledger(config, readonly=False) as ledger:
        trail = _trail(ledger)
        while trail.collect(ledger.database, config, everything=True):
            pass
        begin = 0.0 if since is None else time.time() - since
        found = [told(entry) for entry in entries(ledger.database, since=begin, newest=limit)]
        ledger.record(kinds.log_used(trail.source, trail.by))
    if as_json:
        print_json(found)
        return
    from rich.table import Table

    table = Table("entry", "at", "event", "outcome", "who", "what")
    for one in found:
        add_row(table, one["seq"], one["at"], _event(one), one.get("outcome"), _who(one), _what(one))
    console().print(table)


@audit.command()
@click.option("--expect", metavar="SEQ:HASH", help="An end of the chain that was noted before: it must still be in it.")
@click.option("--json", "as_json", is_flag=True, help="For machines.")
@config_option
def verify(expect: str | None, as_json: bool) -> int:
    """Find entries of the audit trail that were changed, removed, moved or inserted since they were written."""
    from node.ledger.audit import chain_head, has, problems

    with opened_ledger(quiet_config(), readonly=False) as ledger:
        wrong = problems(ledger.database, _trail(ledger).key)
        if expect is not None and not has(ledger.database, *_expected(expect)):
            wrong.append(f"entry {expect.partition(':')[0]} is not the one that was noted")
        head = chain_head(ledger.database)
    end = f"{head.seq}:{head.mac.hex()}"
    if as_json:
        print_json({"entries": head.seq, "end": end, "problems": wrong})
    elif not wrong:
        click.echo(f"{head.seq} entries, none changed. The chain ends with {end}")
    else:
        for one in wrong:
            click.echo(f"deid-node: audit trail: {one}.", err=True)
    return WRONG if wrong else 0


def _expected(text: str) -> tuple[int, bytes]:
    seq, _, mac = text.partition(":")
    try:
        return int(seq), bytes.fromhex(mac)
    except ValueError:
        raise click.UsageError("--expect takes what `audit verify` printed: SEQ:HASH.") from None


def _trail(ledger: Ledger) -> Trail:
    assert ledger.trail is not None, "opened for writing"
    return ledger.trail


def _event(one: dict[str, Any]) -> str:
    kind = one.get("type")
    return f"{one['event']}: {kind}" if kind else str(one["event"])


def _who(one: dict[str, Any]) -> str:
    return ", ".join(
        f"{who['user']} ({who['role'] or who['name']})" if who["role"] or who["name"] else str(who["user"])
        for who in one.get("who", ())
    )


def _what(one: dict[str, Any]) -> str:
    parts = [one["description"]] if one.get("description") else []
    for what in one.get("what", ()):
        count = "" if what["instances"] is None else f" ({what['instances']} instances)"
        parts.append(f"{what['name']} {what['id']}{count}")
    return "; ".join(parts)
