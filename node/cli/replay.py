"""`replay`: send a study to a destination once more, with the bytes of then."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from node.cli.common import WRONG, add_row, config_option, console, opened_ledger, print_json, quiet_config
from node.cli.tools import DURATION

if TYPE_CHECKING:
    from node.config import Config
    from node.ledger import Ledger
    from node.story.replaying import Replay


_MOST = 1_000_000  # instances that a term may name


@dataclass(frozen=True, slots=True)
class _Asked:
    """What the command line says; `since` and `until` in seconds before now."""

    terms: tuple[str, ...]
    destination: str
    since: float | None
    until: float | None
    route: str | None


@click.command()
@click.argument("terms", metavar="[STUDY]...", nargs=-1)
@click.option("--to", "destination", metavar="DEST", required=True, help="A destination of the route that it came by.")
@click.option("--since", type=DURATION, metavar="DURATION", help="What was delivered there in that time, such as 2d.")
@click.option("--until", type=DURATION, metavar="DURATION", help="But not what was delivered after that, such as 1d.")
@click.option("--route", metavar="NAME", help="Only what came by this route.")
@click.option("--dry-run", is_flag=True, help="Say what would be sent, and what cannot be; change nothing.")
@click.option("--json", "as_json", is_flag=True, help="For machines.")
@config_option
def replay(terms: tuple[str, ...], dry_run: bool, as_json: bool, **asked: Any) -> int:
    """Send studies to a destination once more: the same UIDs, the same bytes, by the recipe of then.

    STUDY is whatever `explain` finds studies by. What cannot be made again is named, with the reason.
    """
    chosen = _Asked(terms, **asked)
    destination = chosen.destination
    if not terms and chosen.since is None and chosen.route is None:
        raise click.UsageError("name studies, or --since or --route.")
    config = quiet_config()
    if destination not in config.destinations:
        raise click.UsageError(f"the configuration has no destination '{destination}'.")
    with opened_ledger(config, readonly=False) as ledger:
        ids = _ids(config, ledger, chosen)
        if not as_json:
            click.echo(f"{len(ids)} instances", err=True)
        result = _run(config, ledger, ids, destination, dry_run)
    _show(result, dry_run, as_json)
    if not ids:
        click.echo("deid-node: nothing is known by that.", err=True)
    return WRONG if result.missing or not ids else 0


def _ids(config: Config, ledger: Ledger, asked: _Asked) -> list[str]:
    from node.cli.explain import search
    from node.story.replaying import ids_delivered

    now, route = time.time(), asked.route
    named: dict[str, None] = {}
    for term in asked.terms:
        studies = search(config, ledger, term, _MOST).studies
        named |= {one["id"]: None for study in studies for one in study["instances"] if route in (None, one["route"])}
    if asked.terms and asked.since is None and asked.until is None:
        return list(named)
    since, until = (None if age is None else now - age for age in (asked.since, asked.until))
    delivered = ids_delivered(ledger, asked.destination, since=since, until=until, route=route)
    return [one for one in delivered if one in named] if asked.terms else delivered


def _run(config: Config, ledger: Ledger, ids: list[str], destination: str, dry_run: bool) -> Replay:
    from node.story.replaying import replay as run

    return run(config, ledger, ids, destination, dry_run=dry_run)


def _show(result: Replay, dry_run: bool, as_json: bool) -> None:
    from dataclasses import asdict

    if as_json:
        print_json(asdict(result) | {"dry_run": dry_run})
        return
    verb = "would be sent" if dry_run else "are sent"
    told: dict[str, Any] = {
        f"{verb} again": result.again,
        f"{verb} for the first time": result.first,
        "wait already": result.waiting,
        "cannot be sent": result.missing,
    }
    click.echo("; ".join(f"{len(some)} {words}" for words, some in told.items()))
    if result.missing:
        from rich.table import Table

        table = Table("id", "reason", "detail")
        for one in result.missing:
            add_row(table, one["id"], one["reason"], one["detail"])
        console().print(table)
