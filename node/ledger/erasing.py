"""What goes by age: events, and the way back from replacements to originals; and the record of it.

Guarantees
    Nothing of an instance that is in flight or held goes. Imported pairs never go: from nothing else could they be
    made again. Each batch is one durable commit, with the record that counts it; a record holds nobody's identity.
    What goes is overwritten in the database's file (`node.ledger.database`).
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import delete, func, insert, select, update

from node.ledger.database import Database
from node.ledger.maps import today
from node.ledger.schema import deliveries, erasures, events, instances, meta
from node.ledger.transactions import Transaction

BATCH = 500
BLANK = {"sop_instance_uid": "", "digest": b""}
"""The values of an instance's row whose original nobody can find any more."""
_OPEN = frozenset({"in_flight", "held"})
_DATED_SINCE = "maps_dated_since"
_ERASED_ON = "maps_erased_on"

Pause = Callable[[], bool]
"""Lets others have their turn; returns whether to end here."""


class Record:
    """The record of one round of one kind; its row is written with, or before, the first of what goes."""

    def __init__(self, database: Database, kind: str) -> None:
        self.n = 0
        self._database = database
        self._kind = kind
        self._seq: int | None = None

    def begin(self) -> None:
        """Write the row, durably, before something goes that is not in the ledger."""
        with self._database.write(durable=True) as connection:
            self.count(connection, 0)

    def count(self, connection: Transaction, n: int) -> None:
        """Count what goes in this transaction."""
        if self._seq is None:
            row = {"at": time.time(), "kind": self._kind, "n": 0}
            self._seq = connection.execute(insert(erasures).values(**row).returning(erasures.c.seq)).scalar()
        connection.execute(update(erasures).where(erasures.c.seq == self._seq).values(n=erasures.c.n + n))
        self.n += n

    def end(self, detail: Mapping[str, Any] | None = None) -> int:
        """Note that the round is over; return how many went."""
        if self._seq is not None:
            text = json.dumps(dict(detail), sort_keys=True) if detail else None
            with self._database.write(durable=True) as connection:
                connection.execute(
                    update(erasures).where(erasures.c.seq == self._seq).values(ended_at=time.time(), detail=text)
                )
        return self.n


def erased(database: Database) -> dict[str, int]:
    """Return how much has gone by age, by its kind."""
    with database.read() as connection:
        rows = connection.execute(select(erasures.c.kind, func.sum(erasures.c.n)).group_by(erasures.c.kind))
        return {row[0]: int(row[1]) for row in rows}


def erase_events(database: Database, before: float, pause: Pause) -> int:
    """Delete the events older than `before` (seconds, UTC) of instances that are done with; return how many."""
    record, last = Record(database, "events"), 0
    while True:
        with database.read() as connection:
            rows = connection.execute(_next_events(last)).all()
            told = int(connection.execute(_AUDITED).scalar() or 0)
        old = [row for row in rows if row.at < before and row.seq <= told]
        gone = [row.seq for row in old if row.outcome not in _OPEN]
        if gone:
            with database.write(durable=True) as connection:
                connection.execute(delete(events).where(events.c.seq.in_(gone)))
                record.count(connection, len(gone))
        if not old or pause():
            return record.end()
        last = rows[-1].seq


_AUDITED = select(meta.c.value).where(meta.c.key == "audit_events")  # up to where the audit trail has them


def _next_events(last: int) -> Any:
    return (
        select(events.c.seq, events.c.at, instances.c.outcome)
        .join(instances, instances.c.seq == events.c.instance)
        .where(events.c.seq > last)
        .order_by(events.c.seq)
        .limit(BATCH)
    )


@dataclass(frozen=True, slots=True)
class _Map:
    """One of the maps: its table, its keys behind project and epoch."""

    table: str
    keys: tuple[str, ...]

    @property
    def key(self) -> tuple[str, ...]:
        return ("project", "epoch", *self.keys)

    def page(self) -> str:
        """SQL of the next rows behind a key: the key, whether imported, the day of the last use."""
        names, places = ", ".join(self.key), ", ".join("?" * len(self.key))
        return (
            f"SELECT {names}, origin = 'imported', coalesce(used_day, ?) FROM {self.table} "  # noqa: S608 -- our names
            f"WHERE ({names}) > ({places}) ORDER BY {names} LIMIT {BATCH}"
        )

    def gone(self) -> str:
        """SQL that deletes a computed row that was not used meanwhile."""
        same = " AND ".join(f"{name} = ?" for name in self.key)
        return f"DELETE FROM {self.table} WHERE {same} AND origin = 'computed' AND coalesce(used_day, ?) < ?"  # noqa: S608


_MAPS = (_Map("uid_map", ("original",)), _Map("patient_map", ("issuer", "patient_id")))


def maps_are_due(database: Database) -> bool:
    """Whether this day's round over the maps is still to come; entries are dated by the day."""
    return database.get(_ERASED_ON) != str(today())


def erase_maps(database: Database, days: int, pause: Pause) -> int:
    """Erase the way back of all that was last used more than `days` days ago; return how many entries went.

    What is in flight or held keeps its project's entries since it came.
    """
    before = today() - days
    opened = _open_since(database)
    since = int(database.get(_DATED_SINCE) or 0)
    record, kept = Record(database, "maps"), 0
    for one in _MAPS:
        last: tuple[Any, ...] = ("", 0, *("" for _ in one.keys))
        while rows := _page(database, one, since, last):
            limits = {row[0]: min(before, opened.get(row[0], before)) for row in rows}
            kept += sum(bool(row[-2]) and row[-1] < before for row in rows)
            old = [(*row[:-2], since, limits[row[0]]) for row in rows if not row[-2] and row[-1] < limits[row[0]]]
            _delete(database, one, old, record)
            last = rows[-1][:-2]
            if pause():
                return record.end({"before_day": before, "interrupted": True})
    blanked = _blank_instances(database, before, pause)
    with database.write(durable=False) as connection:
        connection.execute(delete(meta).where(meta.c.key == _ERASED_ON))
        connection.execute(insert(meta).values(key=_ERASED_ON, value=str(today())))
    return record.end({"before_day": before, "imported_kept": kept, "instances_without_original_uid": blanked})


def _page(database: Database, one: _Map, since: int, last: Sequence[Any]) -> list[tuple[Any, ...]]:
    with database.read() as connection:
        return connection.driver.execute(one.page(), (since, *last)).fetchall()


def _delete(database: Database, one: _Map, old: list[tuple[Any, ...]], record: Record) -> None:
    if old:
        with database.write(durable=True) as connection:
            count = connection.driver.executemany(one.gone(), old).rowcount
            record.count(connection, count)


def _open_since(database: Database) -> dict[str, int]:
    """By project, the day on which the first of what is in flight or held came, or was cleaned."""
    found: dict[str, int] = {}
    sent = select(instances.c.project, func.min(deliveries.c.created_at)).join(
        instances, instances.c.seq == deliveries.c.instance
    )
    queries = [sent.where(deliveries.c.state == state) for state in ("due", "held")]
    came = select(instances.c.project, func.min(instances.c.received_at))
    queries += [came.where(instances.c.state == state) for state in ("received", "held")]
    with database.read() as connection:
        for query in queries:
            for project, first in connection.execute(query.group_by(instances.c.project)):
                day = int(first // 86400) - 1  # the commit may have come just before midnight
                found[project] = min(day, found.get(project, day))
    return found


def _blank_instances(database: Database, before: int, pause: Pause) -> int:
    """Take the original UID and the content's digest out of the rows of old instances that are done with."""
    last, total = 0, 0
    while True:
        with database.read() as connection:
            rows = connection.execute(_next_instances(last)).all()
        old = [row.seq for row in rows if row.sop_instance_uid and row.changed_at < before * 86400]
        gone = [row.seq for row in rows if row.seq in set(old) and row.outcome not in _OPEN]
        if gone:
            with database.write(durable=True) as connection:
                connection.execute(update(instances).where(instances.c.seq.in_(gone)).values(**BLANK))
            total += len(gone)
        if not rows or pause():
            return total
        last = rows[-1].seq


def _next_instances(last: int) -> Any:
    return (
        select(instances.c.seq, instances.c.sop_instance_uid, instances.c.changed_at, instances.c.outcome)
        .where(instances.c.seq > last)
        .order_by(instances.c.seq)
        .limit(10 * BATCH)
    )
