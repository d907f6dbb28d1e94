"""A recall: what went out wrongly is listed for its destinations, what waits of it is held, what can be is sent again.

Guarantees
    Nothing of the selection is sent any more, as it is, when `recall` returns. Each destination gets a list of its own,
    of replaced UIDs only, readable by the node's user alone, that is never written over another. What is sent again
    goes under the same UIDs, by the recipe that the route has now.

Refuses
    (DrillError) to send again where the route still has the recipe that is recalled and no text was said to identify
    since, or is gone; a rejection note while forwarding is stopped. Nothing was changed then.
"""

from __future__ import annotations

import contextlib
import csv
import os
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from node import __version__
from node.audit import kinds
from node.config import Config
from node.durable import sync_folder
from node.errors import DrillError
from node.ledger import impact, recalls
from node.ledger.audit import Trail
from node.ledger.database import Database
from node.ledger.decided import decided_since
from node.ledger.halt import stopped
from node.ledger.impact import DELIVERED, PERHAPS, Item
from node.rejecting import send_notes
from node.routing import compile_routes
from node.spool import Spool

LIST_COLUMNS = (
    "study_instance_uid",
    "series_instance_uid",
    "sop_instance_uid",
    "sop_class_uid",
    "state",
    "at",
    "recipe",
)
_WAIT_SECONDS = 60.0
_LOOK_SECONDS = 0.1


def counted(items: Iterable[Item]) -> dict[str, Any]:
    """Return what a selection is: how many deliveries, instances, studies, by destination; what `--dry-run` shows."""
    found = list(items)
    went = [item for item in found if item.state in (DELIVERED, PERHAPS)]
    return {
        "delivered": len(went),
        "waiting": sum(item.waits for item in found),
        "instances": len({item.instance for item in found}),
        "studies": len({(item.project, item.study_instance_uid) for item in found}),
        "destinations": {
            name: sum(item.destination == name for item in went) for name in sorted({item.destination for item in went})
        },
        "recipes": sorted({item.recipe for item in found}),
    }


def recall(  # noqa: PLR0913 -- what a person says of a recall
    config: Config,
    database: Database,
    spool: Spool,
    trail: Trail | None,
    selection: Sequence[Item],
    asked: Mapping[str, Any],
    *,
    folder: Path,
    again: bool = False,
    title: str | None = None,
) -> dict[str, Any]:
    """Carry out a recall of a selection; return its number, the files, and what became of it.

    Parameters
    ----------
    asked
        What the selection was made by, for the record.
    folder
        Where the lists go, one for each destination.
    again
        Whether originals that are still there are cleaned and sent again.
    title
        The code of a rejection note to be sent to each destination; None for none.

    Raises
    ------
    DrillError
        As said above, or nothing was selected.
    LedgerError, SpoolError
        The ledger or the disk refused: what was held stays held; recall again.
    StartError
        The key of sealed originals cannot be read, with which they would be cleaned again.
    """
    if not selection:
        raise DrillError("nothing that fits was delivered, or waits")
    if again:
        _refuse_same_recipe(config, database, selection)
        if config.node.sealing is not None:
            config.node.sealing.key  # noqa: B018 -- raises, with what is wrong: none of it could be cleaned
        # What else waits of the same instances would go out by the recipe that is recalled, too.
        others = impact.of_instances(database, {item.instance for item in selection}, waiting=True)
        chosen = {item.delivery for item in selection}
        selection = [*selection, *(item for item in others if item.waits and item.delivery not in chosen)]
    if title is not None and _is_stopped(database):
        raise DrillError("forwarding is stopped, and a rejection note is sent: deid-node go, or leave it out")
    number = recalls.begin(database, trail, asked, selection, send_again=again)
    in_hand = _wait(database, selection)
    found = _as_it_is(database, selection)
    recalls.note(database, number, found)
    files = write_lists(database, number, folder)
    # In front of what is sent again under the same UIDs, which a note that came later would reject.
    went = [item for item in found if item.state in (DELIVERED, PERHAPS)]
    notes = [] if title is None else send_notes(config, database, number, went, title, folder)
    if trail is not None and notes:
        said = (f"recall {number}: rejection note {title} to {one['destination']}: {one['status']}" for one in notes)
        trail.record(database, *(kinds.restricted(trail.source, trail.by, text) for text in said))
    counts = {"again": 0, "gone": 0, "in_hand": 0}
    gone: list[Item] = []
    if again:
        named = {(item.instance, item.id) for item in found if item.waits or item.state == DELIVERED}
        counts = recalls.clean_again(database, spool, number, sorted(named))
        gone = _gone(database, number, found)
        files += _write_gone(number, gone, folder)
    return {
        "recall": number,
        **counted(found),
        "in_hand": in_hand + counts["in_hand"],
        "sent_again": counts["again"],
        "gone": counts["gone"],
        "files": [str(path) for path in files],
        "rejection_notes": notes,
    }


def _refuse_same_recipe(config: Config, database: Database, selection: Sequence[Item]) -> None:
    now = {name: recipe.hash for name, recipe in compile_routes(config).items()}
    for item in selection:
        if item.route not in now:
            raise DrillError(f"route {item.route} is gone from the configuration: put it back, or recall without it")
        same = (item.recipe, item.engine) == (now[item.route], __version__)
        if same and not decided_since(database, item.project, item.at):
            raise DrillError(
                f"route {item.route} still has the recipe {item.recipe[:12]}: mend it, deid-node reload, then recall; "
                f"or recall without --send-again"
            )


def _is_stopped(database: Database) -> bool:
    with database.read() as connection:
        return stopped(connection) is not None


def _wait(database: Database, selection: Sequence[Item]) -> int:
    """Wait until no lane has anything of it in hand; return how many one still has."""
    waiting = [item for item in selection if item.waits]
    deadline = time.monotonic() + _WAIT_SECONDS
    while (left := recalls.leased(database, waiting)) and time.monotonic() < deadline:
        time.sleep(_LOOK_SECONDS)
    return left


def _as_it_is(database: Database, selection: Sequence[Item]) -> list[Item]:
    """The same deliveries, with what became of them meanwhile."""
    chosen = {item.delivery for item in selection}
    now = impact.of_instances(database, {item.instance for item in selection}, waiting=True)
    return [item for item in now if item.delivery in chosen]


def _gone(database: Database, number: int, found: Sequence[Item]) -> list[Item]:
    gone = recalls.gone(database, number)
    return [item for item in found if (item.instance, item.destination) in gone]


# -- files -----------------------------------------------------------------------------------------------------------


def write_lists(database: Database, number: int, folder: Path) -> list[Path]:
    """Write the list of each destination; return the files. Raises DrillError."""
    by_destination: dict[str, list[dict[str, Any]]] = {}
    for row in recalls.written(database, number):
        by_destination.setdefault(row["destination"], []).append(row)
    return [
        write_csv(folder / f"recall-{number}-{name}.csv", LIST_COLUMNS, rows)
        for name, rows in sorted(by_destination.items())
    ]


def _write_gone(number: int, gone: Sequence[Item], folder: Path) -> list[Path]:
    if not gone:
        return []
    path = folder / f"recall-{number}-to-be-sent-by-their-senders.csv"
    columns = ("id", "route", "destination", *LIST_COLUMNS)
    return [write_csv(path, columns, (item.told() for item in gone))]


def write_csv(path: Path, columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> Path:
    """Write a file that only its user can read, durably, and over no other. Raises DrillError."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, columns, extrasaction="ignore")
            writer.writeheader()
            writer.writerows(rows)
            file.flush()
            os.fsync(file.fileno())
        sync_folder(path.parent)
    except OSError as error:
        raise DrillError(f"{path} cannot be written ({error.strerror})") from None
    return path


def read_pairs(path: Path) -> list[tuple[str, str]]:
    """Return (id, destination) of each line of what `impact --csv` wrote. Raises DrillError."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = csv.DictReader(file)
            if not {"id", "destination"} <= set(rows.fieldnames or ()):
                raise DrillError(f"{path} has no columns `id` and `destination`: it is not what impact --csv writes")
            with contextlib.suppress(csv.Error):
                return [(row["id"] or "", row["destination"] or "") for row in rows]
    except (OSError, UnicodeDecodeError) as error:
        raise DrillError(f"{path} cannot be read ({type(error).__name__})") from None
    raise DrillError(f"{path} is no CSV file")
