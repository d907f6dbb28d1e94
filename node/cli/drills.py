"""`stop`, `go`, `impact` and `recall`: what to do when something wrong went out (docs/drills.md)."""

from __future__ import annotations

import csv
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from node.cli.common import WRONG, add_row, ago, config_option, console, opened_ledger, print_json, quiet_config
from node.cli.moments import MOMENT

if TYPE_CHECKING:
    from node.ledger import Ledger
    from node.ledger.impact import Filters, Item

_Command = TypeVar("_Command", bound=Callable[..., Any])
_FILTERS = (
    click.option("--recipe", metavar="HASH", help="By which recipe: its hash, or the beginning of it."),
    click.option("--project", metavar="NAME", help="Of which project."),
    click.option("--route", metavar="NAME", help="By which route."),
    click.option("--model", metavar="M", help="Made by which device: Manufacturer's Model Name."),
    click.option("--modality", metavar="CS", help="Of which modality, such as CT."),
    click.option("--since", type=MOMENT, metavar="T", help="Delivered since: 2h, 7d, 2026-03-14T09:00 (UTC)."),
    click.option("--until", type=MOMENT, metavar="T", help="Delivered before."),
    click.option("--destination", metavar="NAME", help="To which destination."),
    click.option("--study", metavar="UID", help="Of which study: the Study Instance UID that was sent."),
)


def filtered(command: _Command) -> _Command:
    """Add the options by which deliveries are chosen."""
    for option in reversed(_FILTERS):
        command = option(command)
    return command


def _filters(said: dict[str, Any]) -> Filters:
    from node.ledger.impact import Filters

    recipe = said.get("recipe")
    if recipe is not None and not (4 <= len(recipe) <= 64 and all(one in "0123456789abcdefABCDEF" for one in recipe)):
        raise click.UsageError("--recipe is a hash, or at least the first 4 of its hexadecimal digits.")
    return Filters(**said)


@click.command()
@click.option("--reason", default="", metavar="TEXT", help="Why, for whoever looks at `status`.")
@config_option
def stop(reason: str) -> None:
    """Stop all forwarding, to every destination; reception and cleaning go on."""
    from node.ledger.halt import stop as halt

    with opened_ledger(quiet_config(), readonly=False) as ledger:
        done = halt(ledger.database, ledger.trail, reason)
    said = "Nothing is sent any more but what is in hand" if done else "Forwarding was stopped already"
    click.echo(f"{said}; `deid-node go` lets it go on.")


@click.command()
@config_option
def go() -> None:
    """Let forwarding go on that was stopped; a destination that is paused stays so."""
    from node.ledger.halt import go as let_go

    with opened_ledger(quiet_config(), readonly=False) as ledger:
        done = let_go(ledger.database, ledger.trail)
    click.echo("Forwarding goes on." if done else "Forwarding was not stopped.")


@click.command()
@filtered
@click.option("--json", "as_json", is_flag=True, help="For machines: counts, and every delivery.")
@click.option("--csv", "as_csv", is_flag=True, help="Every delivery, one line each.")
@click.option("--devices", is_flag=True, help="List the devices that --model and --modality may ask for.")
@config_option
def impact(as_json: bool, as_csv: bool, devices: bool, **said: Any) -> None:
    """List what was delivered, to whom, under which new UIDs."""
    from node.ledger import impact as of
    from node.recalling import counted

    filters = _filters(said)
    with opened_ledger(quiet_config()) as ledger:
        if devices:
            _show_devices(of.known_devices(ledger.database), as_json=as_json)
            return
        if as_csv:
            writer = csv.DictWriter(sys.stdout, of.COLUMNS, lineterminator="\n")
            writer.writeheader()
            for item in of.find(ledger.database, filters):
                writer.writerow(item.told())
            return
        items = list(of.find(ledger.database, filters))
        untold = of.unknown(ledger.database, filters)
    found = counted(items) | {"device_not_known": untold}
    if as_json:
        print_json(found | {"studies_of": of.summed(items), "deliveries": [item.told() for item in items]})
        return
    _show(items, found)


def _show(items: list[Item], found: dict[str, Any]) -> None:
    from rich.table import Table

    from node.ledger.impact import summed

    table = Table("destination", "Study Instance UID (new)", "recipe", "state", "series", "instances", "first", "last")
    for one in summed(items):
        keys = ("study_instance_uid", "recipe", "state", "series", "instances")
        row = [one[key][:12] if key == "recipe" else one[key] for key in keys]
        add_row(table, one["destination"], *row, ago(one["first"]), ago(one["last"]))
    if items:
        console().print(table)
    _show_counts(found)
    if found["device_not_known"]:
        click.echo(
            f"{found['device_not_known']} more fit but for the device, which is not known: an earlier version cleaned "
            f"them. Without --model and --modality they are listed too."
        )


def _show_counts(found: dict[str, Any]) -> None:
    where = ", ".join(f"{count} to {name}" for name, count in found["destinations"].items()) or "nothing"
    click.echo(
        f"delivered: {where}; {found['instances']} instances of {found['studies']} studies; "
        f"{found['waiting']} deliveries wait"
    )


def _show_devices(found: list[dict[str, Any]], *, as_json: bool) -> None:
    if as_json:
        print_json(found)
        return
    from rich.table import Table

    keys = ("project", "modality", "manufacturer", "model")
    table = Table(*keys)
    for one in found:
        add_row(table, *(one[key] for key in keys))
    console().print(table)


@click.command()
@filtered
@click.option(
    "--from",
    "listed",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="What `impact --csv` wrote, in place of these.",
)
@click.option(
    "--out",
    "folder",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    default=Path(),
    metavar="FOLDER",
    help="Where the lists go; by default here.",
)
@click.option("--send-again", "again", is_flag=True, help="Clean again what is still there, and send it.")
@click.option(
    "--rejection-note",
    "title",
    type=click.Choice(["113001", "113037"]),
    help="Send each destination a Key Object Selection too: rejected for quality, or for patient safety.",
)
@click.option("--dry-run", is_flag=True, help="Count only.")
@click.option("--yes", is_flag=True, help="Needed: what waits is stopped, what went is recalled.")
@click.option("--list", "list_all", is_flag=True, help="List the recalls.")
@click.option("--done", type=int, metavar="N", help="Recall N is over: the destinations have deleted what it lists.")
@click.option("--lists-of", "write", type=int, metavar="N", help="Write the lists of recall N again.")
@click.option("--json", "as_json", is_flag=True, help="For machines.")
@config_option
def recall(list_all: bool, done: int | None, write: int | None, **options: Any) -> int:
    """Take back what was delivered: lists of what to delete, and, if wanted, the same instances again."""
    if list_all:
        return _list_recalls(as_json=options["as_json"])
    if done is not None or write is not None:
        return _one_recall(done, write, options["folder"])
    return _recall(**options)


def _recall(  # noqa: PLR0913 -- the options of one command
    *,
    listed: Path | None,
    folder: Path,
    again: bool,
    title: str | None,
    dry_run: bool,
    yes: bool,
    as_json: bool,
    **said: Any,
) -> int:
    from node.opening import make_spool
    from node.recalling import counted
    from node.recalling import recall as carry_out

    asked = {key: value for key, value in said.items() if value is not None}
    if (listed is None) == (not asked):
        raise click.UsageError("say what to recall: by options as those of `impact`, or with --from FILE.")
    if again and title == "113037":
        raise click.UsageError(
            "an archive that keeps to IHE takes nothing again that was rejected for patient safety: "
            "113001, or without --send-again."
        )
    if not (yes or dry_run):
        raise click.UsageError("a recall stops what waits, and tells others to delete: --dry-run counts; then --yes.")
    filters, config = _filters(said), quiet_config()
    with opened_ledger(config, readonly=False) as ledger:
        selection = _selection(ledger, filters, listed)
        if dry_run:
            found: dict[str, Any] = counted(selection)
        else:
            spool = make_spool(config)
            told = {"listed": len(selection)} if listed is not None else asked
            found = carry_out(
                config, ledger.database, spool, ledger.trail, selection, told, folder=folder, again=again, title=title
            )
    if as_json:
        print_json(found)
    else:
        _show_counts(found)
        if not dry_run:
            _show_recall(found)
    return WRONG if found.get("in_hand") else 0


def _selection(ledger: Ledger, filters: Filters, listed: Path | None) -> list[Item]:
    from node.ledger import impact as of
    from node.recalling import read_pairs

    if listed is not None:
        return list(of.of_pairs(ledger.database, read_pairs(listed), waiting=True))
    return list(of.find(ledger.database, filters, waiting=True))


def _show_recall(found: dict[str, Any]) -> None:
    click.echo(f"recall {found['recall']}; when the destinations are done: deid-node recall --done {found['recall']}")
    if found["sent_again"] or found["gone"]:
        click.echo(
            f"{found['sent_again']} instances are cleaned and sent again; of {found['gone']} the original is gone: "
            f"their senders have to send them again"
        )
    for path in found["files"]:
        click.echo(f"wrote {path}")
    for note in found["rejection_notes"]:
        click.echo(f"rejection note to {note['destination']} ({note['instances']} instances): {note['status']}")
    if found["in_hand"]:
        click.echo(f"deid-node: {found['in_hand']} are just being sent: recall these again.", err=True)


def _list_recalls(*, as_json: bool) -> int:
    from node.ledger.recalls import listed

    with opened_ledger(quiet_config()) as ledger:
        found = listed(ledger.database)
    if as_json:
        print_json([{key: value for key, value in one.items() if key != "at"} for one in found])
        return 0
    from rich.table import Table

    counts = ("delivered", "waited", "to_clean", "sent_again", "not_yet", "gone")
    table = Table("recall", "since", "done", "destinations", *(name.replace("_", " ") for name in counts))
    for one in found:
        names = ", ".join(one["destinations"])
        add_row(table, one["recall"], ago(one["since"]), ago(one["done"]), names, *(one[name] for name in counts))
    console().print(table)
    return 0


def _one_recall(done: int | None, write: int | None, folder: Path) -> int:
    from node.ledger.recalls import done as end
    from node.recalling import write_lists

    with opened_ledger(quiet_config(), readonly=False) as ledger:
        if done is not None:
            end(ledger.database, ledger.trail, done)
            click.echo(f"recall {done} is done.")
        if write is not None:
            for path in write_lists(ledger.database, write, folder):
                click.echo(f"wrote {path}")
    return 0
