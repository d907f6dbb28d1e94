"""`held`: what was set aside for a person, and what the person decides."""

from __future__ import annotations

from collections.abc import Callable, Collection
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from node.cli.common import WRONG, add_row, ago, config_option, console, opened_ledger, print_json, quiet_config
from node.errors import HoldReason
from node.overview import with_age

if TYPE_CHECKING:
    from node.config import Config
    from node.ledger import Ledger
    from node.story.views import View

ALL = 1_000_000_000
_LEAK = (
    "deid-node: {0} still shows identity (held show says where). Mend the recipe, `reload`, or look at it and take the "
    "responsibility; then: deid-node held release --despite-leak {0}"
)
_KEPT = {
    HoldReason.LEAK: _LEAK,
    HoldReason.PATIENT_CORRECTED: "deid-node: {0} is of another patient or study than what came before under its UID "
    "(held show says what was delivered). Have that put right, and take the responsibility; then: deid-node held "
    "release --despite-correction {0}",
    HoldReason.REJECTION_NOTE: "deid-node: {0} says that images are not to be used (held show says which were "
    "delivered). Have them taken away, then discard it; or send it on: deid-node held release --despite-rejection {0}",
}


@click.group()
@config_option
def held() -> None:
    """List, show, preview, release or discard what is held."""


@held.command("list")
@click.option("--json", "as_json", is_flag=True, help="For machines.")
@click.option("--limit", type=click.IntRange(1), default=1000, show_default=True, help="Show the oldest so many.")
@click.option("--reason", type=click.Choice([str(reason) for reason in HoldReason]), help="Only what is held for it.")
@config_option
def list_held(as_json: bool, limit: int, reason: str | None) -> None:
    """List what is held, oldest first."""
    config = quiet_config()
    with opened_ledger(config) as ledger:
        entries = with_age(ledger.held(limit, reason), config.retention.held)
        counts = {} if as_json else ledger.held_by_reason()
    if as_json:
        print_json(entries)
        return
    if not entries:
        click.echo("Nothing is held.")
        return
    from rich.table import Table

    table = Table("id", "since", "route", "destination", "reason", "detail")
    for entry in entries:
        keys = ("route", "destination", "reason", "detail")
        since = ago(entry["since"]) + " (too long)" * entry["overdue"]
        add_row(table, entry["id"], since, *(entry[key] for key in keys))
    screen = console()
    screen.print(table)
    if len(entries) >= limit:
        every = ", ".join(f"{count} {name}" for name, count in counts.items())
        screen.print(f"The oldest {limit} are shown (--limit, --reason). Held are: {every}", soft_wrap=True)


@held.command()
@click.argument("instance")
@click.option("--json", "as_json", is_flag=True, help="For machines.")
@config_option
def show(instance: str, as_json: bool) -> int:
    """Show all that the ledger knows of one instance."""
    with opened_ledger(quiet_config(), readonly=False) as ledger:
        detail = ledger.held_detail(instance)
        if detail is not None:
            ledger.looked_at(detail["id"])
    if detail is None:
        return _unknown(instance)
    if as_json:
        print_json(detail)
    else:
        _print_detail(detail)
    return 0


def _print_detail(detail: dict[str, Any]) -> None:
    from rich.table import Table

    screen = console()
    table = Table(show_header=False)
    for key, value in detail.items():
        if not isinstance(value, list):
            add_row(table, key.replace("_", " "), value)
    screen.print(table)
    for section in ("deliveries", "concerns", "events"):
        rows = detail.get(section) or []
        if rows:
            part = Table(*(key.replace("_", " ") for key in rows[0]), title=section)
            for row in rows:
                add_row(part, *row.values())
            screen.print(part)


def _choice(command: Any) -> Any:
    """Add what `release` and `discard` share: ids, or all of one reason."""
    command = config_option(command)
    command = click.option("--reason", type=click.Choice([str(reason) for reason in HoldReason]))(command)
    command = click.option("--all", "everything", is_flag=True, help="All that is held for --reason.")(command)
    return click.argument("instances", nargs=-1)(command)


@held.command()
@click.argument("instance")
@click.option("--recipe", "recipes", metavar="RECIPE", multiple=True, help="Beside the recipe of now; repeatable.")
@click.option("--values", is_flag=True, help="With values, before and after: whose it is; this is recorded.")
@click.option("--all", "everything", is_flag=True, help="Also elements that stay as they are.")
@click.option("--json", "as_json", is_flag=True, help="For machines.")
@config_option
def preview(instance: str, recipes: tuple[str, ...], values: bool, everything: bool, as_json: bool) -> int:
    """Show what its route's recipe of now does to a held instance, or what another would do otherwise."""
    from dataclasses import replace

    from node.cli.preview import show, show_differences
    from node.story.recleaning import look_at
    from node.story.views import masked

    config = quiet_config()
    with opened_ledger(config, readonly=False) as ledger:
        looked = look_at(config, ledger.database, instance, _entries(recipes))
        if looked is None:
            return _unknown(instance)
        ledger.looked_at(instance)
        if values:
            _identity_shown(ledger, instance)
    if looked.other is not None:
        show_differences(looked.now, looked.other, mask=not values, note="", as_json=as_json)
        return WRONG if _stays(looked.other, looked.gate) else 0
    rows = [row for row in looked.now.rows if everything or row.what != "kept" or row.before != row.after]
    show(replace(looked.now, rows=rows if values else [masked(row) for row in rows]), "", as_json)
    return WRONG if _stays(looked.now, looked.gate) else 0


def _entries(recipes: tuple[str, ...]) -> list[str]:
    """Recipes as the configuration has them: a path counts from the folder where the command runs."""
    from node.config.model import is_recipe_path

    return [str(Path(one).resolve()) if is_recipe_path(one) else one for one in recipes]


def _stays(view: View, gate: str) -> bool:
    """Whether the instance would be held again."""
    return view.held is not None or (bool(view.leaks) and gate != "report")


def _identity_shown(ledger: Ledger, instance: str) -> None:
    from node.audit import kinds
    from node.ledger.finding import find

    assert ledger.trail is not None, "opened for writing"
    study = find(ledger.database, instance, lambda _project: None, identity=False).studies[0]
    shown = study["pseudonym"] or study["study"] or instance
    ledger.record(*kinds.identities_seen(ledger.trail.by, [shown], study["project"]))


@held.command()
@_choice
@click.option("--recipe", "recipes", metavar="RECIPE", multiple=True, help="Clean it with another recipe; recorded.")
@click.option("--despite-leak", is_flag=True, help="Let go what shows identity, as it was found; this is recorded.")
@click.option(
    "--despite-pixel-risk", is_flag=True, help="Let go images that show nobody: you looked at them; this is recorded."
)
@click.option(
    "--despite-correction", is_flag=True, help="Let go what is of another patient or study than before; recorded."
)
@click.option("--despite-rejection", is_flag=True, help="Send a rejection note on, cleaned; this is recorded.")
@click.option("--study", metavar="UID", help="All of a study that waits for release (commissioning), by its new UID.")
@click.option(
    "--as", "way", type=click.Choice(["replace", "both"]), help="Let go what is held as changed; this is recorded."
)
def release(
    instances: tuple[str, ...],
    everything: bool,
    reason: str | None,
    way: str | None,
    study: str | None,
    recipes: tuple[str, ...],
    **despite: bool,
) -> int:
    """Run the step again that held them; nothing uncleaned is ever sent."""
    if study is not None:
        return _release_study(study, alone=not (instances or everything or reason or way or any(despite.values())))
    chosen_flag = _despite(despite)
    if chosen_flag and way:
        raise click.UsageError("an instance is held for one reason: say --as or one --despite.")
    if chosen_flag and everything:
        raise click.UsageError(f"--despite-{chosen_flag} takes ids: each instance has to be looked at.")
    if recipes and (chosen_flag or way):
        raise click.UsageError("--recipe cleans it again: say nothing else of it.")
    config = quiet_config()
    with opened_ledger(config, readonly=False) as ledger:
        let_go = _with_recipe(config, ledger, recipes) if recipes else _letting_go(ledger, chosen_flag, way)
        chosen = _chosen(ledger, instances, everything, reason)
        failed = [one for one in chosen if not let_go(one)]
        kept = (
            {} if chosen_flag or way or recipes else {one: text for one in failed if (text := _why_kept(ledger, one))}
        )
    for instance, text in kept.items():
        click.echo(text.format(instance), err=True)
    return _report("released", chosen, failed, said=kept)


def _release_study(study: str, *, alone: bool) -> int:
    from node.ledger.commissioning import release_study

    if not alone:
        raise click.UsageError("--study stands alone.")
    with opened_ledger(quiet_config(), readonly=False) as ledger:
        count = release_study(ledger.database, study, ledger.trail)
    click.echo(f"{count} released")
    return 0 if count else _unknown(study)


def _despite(flags: dict[str, bool]) -> str:
    """Return what a person takes the responsibility for: a word of the option, or nothing."""
    given = [name.removeprefix("despite_").replace("_", "-") for name, is_given in flags.items() if is_given]
    if len(given) > 1:
        said = " or ".join(f"--despite-{name}" for name in given)
        raise click.UsageError(f"an instance is held for one reason: say {said}.")
    return given[0] if given else ""


def _letting_go(ledger: Ledger, despite: str, way: str | None) -> Callable[[str], bool]:
    if despite in (HoldReason.LEAK, HoldReason.PIXEL_RISK):
        return partial(ledger.release_despite, HoldReason(despite))
    return partial(ledger.release_as, way or despite) if way or despite else ledger.release


def _with_recipe(config: Config, ledger: Ledger, recipes: tuple[str, ...]) -> Callable[[str], bool]:
    from node.story.recleaning import Recleaner

    return Recleaner(config, ledger, _entries(recipes)).release


def _why_kept(ledger: Ledger, instance: str) -> str:
    detail = ledger.held_detail(instance)
    return "" if detail is None else _KEPT.get(detail["reason"], "")


@held.command()
@_choice
@click.option("--yes", is_flag=True, help="Needed: what is discarded is gone.")
def discard(instances: tuple[str, ...], everything: bool, reason: str | None, yes: bool) -> int:
    """Delete the files of what is held, for good; a row of each stays."""
    from node.spool import Spool

    if not yes:
        raise click.UsageError("discarding cannot be undone; say --yes.")
    config = quiet_config()
    spool = Spool(config.node.spool)
    with opened_ledger(config, readonly=False) as ledger:
        chosen = _chosen(ledger, instances, everything, reason)
        failed = [instance for instance in chosen if not ledger.discard(instance, spool)]
    return _report("discarded", chosen, failed)


def _chosen(ledger: Ledger, instances: tuple[str, ...], everything: bool, reason: str | None) -> list[str]:
    if everything == bool(instances):
        raise click.UsageError("name ids, or --all with --reason.")
    if everything != (reason is not None):
        raise click.UsageError("--all and --reason belong together.")
    if instances:
        return list(dict.fromkeys(instances))
    return list(dict.fromkeys(entry["id"] for entry in ledger.held(ALL, reason)))


def _report(done: str, chosen: list[str], failed: list[str], said: Collection[str] = ()) -> int:
    click.echo(f"{len(chosen) - len(failed)} {done}")
    for instance in failed:
        if instance not in said:
            _unknown(instance)
    return WRONG if failed else 0


def _unknown(instance: str) -> int:
    from node.log import clean_text

    click.echo(f"deid-node: nothing under the id '{clean_text(instance, 64)}' allows that.", err=True)
    return WRONG
