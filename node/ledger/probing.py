"""What the ledger says of the instances of one route, to be compared with what was sent and arrived (`node.probe`).

Original UIDs are in it: it is for a study that is nobody's, and never printed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import select

from node.ledger.database import Database
from node.ledger.names import SOP_INSTANCE_UID
from node.ledger.schema import deliveries, destinations, instances


@dataclass(frozen=True, slots=True)
class Came:
    """One instance of a route: its original UID, what became of it, and its deliveries (destination, state, why)."""

    id: str
    sop_instance_uid: str
    state: str
    outcome: str
    reason: str | None
    detail: str
    clean_sop_instance_uid: str | None
    deliveries: tuple[tuple[str, str, str], ...]


def came(database: Database, route: str) -> list[Came]:
    """Return the instances of a route, oldest first. Raises LedgerError."""
    mine = select(instances.c.seq).where(instances.c.route == route)
    with database.read() as connection:
        rows = connection.execute(select(instances).where(instances.c.route == route).order_by(instances.c.seq)).all()
        sent: dict[int, list[tuple[str, str, str]]] = {}
        for one in connection.execute(select(deliveries).where(deliveries.c.instance.in_(mine))):
            why = f"{one.reason}: {one.detail or ''}" if one.state == "held" else one.last_error or ""
            sent.setdefault(one.instance, []).append((one.destination, one.state, why))
    columns = database.columns
    return [
        Came(
            row.id,
            columns.open(SOP_INSTANCE_UID, row.project, row.sop_instance_uid),
            row.state,
            row.outcome,
            row.reason,
            row.detail or "",
            row.clean_sop_instance_uid,
            tuple(sent.get(row.seq, ())),
        )
        for row in rows
    ]


def troubles(database: Database, names: Sequence[str]) -> dict[str, str]:
    """Return why destinations could not be reached, where that is so; the texts hold no value of a data set."""
    with database.read() as connection:
        rows = connection.execute(select(destinations).where(destinations.c.name.in_(list(names)))).all()
    return {row.name: row.last_error for row in rows if row.last_error}
