"""What follows from a ledger that was put back: what the next start does, what is lost, and what a person has to do."""

from __future__ import annotations

from itertools import islice
from typing import Any

from sqlalchemy import func, select

from node import jotting
from node.config import Config
from node.ledger.database import Database
from node.ledger.reception import known_ids
from node.ledger.schema import instances
from node.spool import Spool

_BATCH = 500
_SINCE = (
    "What was delivered since the backup is not known: a sender that repeats is served again, with the same UIDs and "
    "bytes. Imported pairs, releases and other decisions since then have to be made again, and withdrawals of consent "
    "that withdrawn.json in the data folder does not have: deid-node revoke --list"
)


def what_follows(config: Config, database: Database, closed_again: list[str], to_do: list[str]) -> dict[str, Any]:
    """Compare the ledger with the spool; nothing is changed.

    Returns
    -------
    dict
        `instances` that the ledger has; `newer`: how many were received since, at least; `adopted`: files that the next
        start takes in; `missing`: instances in flight or held without a file; `closed_again`; `to_do`: sentences.
    """
    spool = Spool(config.node.spool)
    with database.read() as connection:
        count = int(connection.execute(select(func.count()).select_from(instances)).scalar() or 0)
        last = int(connection.execute(select(func.max(instances.c.seq))).scalar() or 0)
    newer = max(0, int(jotting.read(spool.root / "ledger.json").get("reached", 0)) - last)
    adopted, missing = _unknown(spool, database), _without_file(spool, database)
    steps = [*to_do, "start the node"]
    if adopted:
        steps.append(f"{adopted} files of the spool that the ledger does not know are adopted by the start")
    if missing:
        steps.append(
            f"{missing} instances that are in flight or held have no file any more: they come to be held as "
            f"file-missing. Look whether their destinations have them; ask the senders for the others; discard"
        )
    steps.append(_SINCE)
    if closed_again:
        steps.append(f"closed since, and destroyed again: {', '.join(closed_again)}")
    return {
        "instances": count,
        "newer": newer,
        "adopted": adopted,
        "missing": missing,
        "closed_again": closed_again,
        "to_do": steps,
    }


def _unknown(spool: Spool, database: Database) -> int:
    found = 0
    for files in (spool.list_originals(), spool.list_cleaned()):
        names = (name for name, _ in files)
        while batch := list(islice(names, _BATCH)):
            found += len(set(batch) - known_ids(database, batch))
    return found


def _without_file(spool: Spool, database: Database) -> int:
    waits = select(instances.c.id).where(instances.c.outcome.in_(("in_flight", "held")))
    with database.read() as connection:
        names = connection.execute(waits).scalars()
        return sum(not spool.original(name).exists() and not spool.cleaned_file(name).exists() for name in names)
