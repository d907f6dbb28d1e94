"""How each destination is: what waits for it and since when, what it has, whether it answers.

Guarantees one consistent state of the ledger, from tallies and from the index of what is due, so that it stays quick
with millions of deliveries. Nothing here holds a value of a data set.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sqlalchemy import bindparam, func, select, text

from node.ledger.database import Database
from node.ledger.operation import Ledger
from node.ledger.schema import deliveries, destinations
from node.ledger.times import iso
from node.ledger.transactions import Transaction

PAUSED, UNREACHABLE, SENDING, IDLE, GONE = "paused", "unreachable", "sending", "idle", "gone"
"""The states of a destination, in the order in which they are found out; `gone` are those that are not configured."""


def destinations_of(database: Database, configured: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Return every destination of the configuration, and those that the ledger knows beside them, by name.

    Each has `state`, `waiting`, `oldest_waiting` (when its delivery was made), `delivered`, `held`, `discarded`,
    `next_try`, `last_success`, `last_error`, `last_error_at`, `failures`; times are ISO 8601, UTC. Raises LedgerError.
    """
    names = list(configured)
    with database.read() as connection:
        found = Ledger.destinations_in(connection)
        known = {row.name: row for row in connection.execute(select(destinations))}
        for name in dict.fromkeys([*names, *found]):
            one = found.setdefault(name, Ledger.no_deliveries())
            row = known.get(name)
            one["failures"] = 0 if row is None else row.failures
            one["last_error_at"] = None if row is None else iso(row.last_error_at)
            one["oldest_waiting"] = _oldest(connection, name) if one["waiting"] else None
            one["state"] = GONE if name not in names else _state(one)
    return {name: found[name] for name in dict.fromkeys([*names, *found])}


def _state(one: dict[str, Any]) -> str:
    if one["paused"]:
        return PAUSED
    if one["failures"]:
        return UNREACHABLE
    return SENDING if one["waiting"] else IDLE


def _oldest(connection: Transaction, name: str) -> str | None:
    first = connection.execute(_FIRST, {"the_destination": name}).scalar()
    return iso(connection.execute(_CREATED, {"the_seq": first}).scalar()) if first is not None else None


# Numbers of deliveries grow with time, and the index of what is due has them.
_FIRST = select(func.min(deliveries.c.seq)).where(
    deliveries.c.destination == bindparam("the_destination"), text("state = 'due'")
)
_CREATED = select(deliveries.c.created_at).where(deliveries.c.seq == bindparam("the_seq"))
