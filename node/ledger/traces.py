"""What recipes did to instances, as the ledger keeps it (`node.effects`): each different note once, for ever.

Guarantees that a note is in the ledger with the commit that makes the first instance sendable that it tells of, and
that an instance is told by a note of its own recipe alone. A note has nobody's identity, so it is never erased.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import Any

from sqlalchemy import bindparam, select
from sqlalchemy.dialects.sqlite import insert

from node.effects import Noted, unpack
from node.errors import LedgerError
from node.ledger.database import Database
from node.ledger.schema import instances, traces
from node.ledger.transactions import Transaction


@dataclass(frozen=True, slots=True)
class Told:
    """What changed in an instance, as `node.effects.changed` gives it, and what was masked.

    `more` is of how many elements beside these it is not kept; `alike` the id of the instance that this was found out
    with, None where that is the instance itself.
    """

    changes: list[dict[str, Any]]
    pixels: list[str]
    more: int
    alike: str | None


def number_of_trace(connection: Transaction, _project: str, note: Noted) -> int:
    """Return the number of a note, which is written where the ledger does not have it; projects share them."""
    row = {"digest": note.digest, "recipe_hash": note.recipe, "content": note.content}
    connection.execute(_NEW, row)
    return int(connection.execute(_NUMBER, {"the_digest": note.digest}).scalar())


def trace_of(database: Database, instance_id: str) -> Told | None:
    """Return what is kept of what changed in an instance; None where nothing is. Raises LedgerError."""
    with database.read() as connection:
        row = connection.execute(_KEPT, {"the_id": instance_id}).first()
    if row is None:
        return None
    try:
        changes, pixels, more = unpack(row.content)
    except (ValueError, LookupError, TypeError, zlib.error):
        raise LedgerError(f"the ledger {database.path} is damaged: traces {row.trace}") from None
    return Told(changes, pixels, more, row.alike)


_OTHER = instances.alias("other")
_NEW = insert(traces).on_conflict_do_nothing()
_NUMBER = select(traces.c.seq).where(traces.c.digest == bindparam("the_digest"))
_KEPT = (
    select(traces.c.content, instances.c.trace, _OTHER.c.id.label("alike"))
    .select_from(instances)
    .join(traces, (traces.c.seq == instances.c.trace) & (traces.c.recipe_hash == instances.c.recipe_hash))
    .join(_OTHER, _OTHER.c.seq == instances.c.trace_of, isouter=True)
    .where(instances.c.id == bindparam("the_id"))
)
