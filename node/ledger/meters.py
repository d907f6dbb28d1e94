"""What the node has done since its ledger began, in numbers that only grow: for metrics, and to know who is silent.

Guarantees
    Nothing is written on the way of an instance. What the ledger's events tell (received, cleaned, held, excluded,
    delivered; bytes, and how long it took) is added up behind a cursor, in the transaction that moves it: each event
    counts once, whatever dies. What only a process knows it counts in its memory and adds now and then (`Counts`); its
    death loses the last seconds of that. Labels are names of routes and destinations and kinds of refusals: nothing
    that a peer chooses.
"""

from __future__ import annotations

import threading
import time
from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from sqlalchemy import Select, bindparam, func, select, update
from sqlalchemy.dialects.sqlite import insert as upsert

from node.errors import LedgerError
from node.ledger.database import Database
from node.ledger.schema import meta
from node.ledger.schema_upkeep import meters
from node.ledger.transactions import Transaction

RECEIVED, CLEANED, HELD, EXCLUDED, DELIVERED = "received", "cleaned", "held", "excluded", "delivered"
REFUSED = "refused"
"""By kind, as `refusals` has them; besides, `out-of-resources`: instances that were answered A700H."""
NOTIFIED, NOT_NOTIFIED = "notified", "not-notified"
UNAVAILABLE = "out-of-resources"
RECEPTION, CLEANING, SENDING, WHOLE = "reception", "cleaning", "sending", "whole"
STAGES = {RECEPTION: "", CLEANING: "route", SENDING: "destination", WHOLE: "destination"}
"""The stages whose seconds are measured, and what their label is."""
BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0, 7200.0, 86400.0)
"""The upper bounds of a histogram's buckets, in seconds; one more bucket has what took longer."""

_CURSOR = "meters_events"
_AT_ONCE = 20_000
_FLUSH_SECONDS = 5.0
_LONG = 30  # seconds

Key = tuple[str, str, int]


class Meter(NamedTuple):
    """How often, how much of it in all (bytes or seconds), and when last (seconds, UTC; 0.0 where that is not kept)."""

    n: int = 0
    total: float = 0.0
    last_at: float = 0.0


class Sums:
    """Adds up in memory, by the key: what is done for each event is a few steps of the interpreter."""

    __slots__ = ("_found",)

    def __init__(self) -> None:
        self._found: dict[Key, list[float]] = {}

    def __bool__(self) -> bool:
        return bool(self._found)

    def put(self, key: Key, n: int, total: float, at: float) -> None:
        """Add to one of the numbers."""
        one = self._found.get(key)
        if one is None:
            self._found[key] = [n, total, at]
        else:
            one[0] += n
            one[1] += total
            if at > one[2]:  # noqa: PLR1730 — a call of `max` costs as much as all else here
                one[2] = at

    def took(self, stage: str, seconds: float, label: str) -> None:
        """Count something that took so long; a clock that was set back took no time."""
        self.put((stage, label, bisect_left(BOUNDS, seconds)), 1, max(0.0, seconds), 0.0)

    def meters(self) -> dict[Key, Meter]:
        """Return the numbers."""
        return {key: Meter(int(n), total, at) for key, (n, total, at) in self._found.items()}


@dataclass(slots=True)
class Counts:
    """What one process counts, for any number of its threads, until it is added to the ledger."""

    _sums: Sums = field(default_factory=Sums)
    _guard: threading.Lock = field(default_factory=threading.Lock)
    _flushed: float = field(default_factory=time.monotonic)

    def count(self, name: str, label: str) -> None:
        """Count one."""
        with self._guard:
            self._sums.put((name, label, 0), 1, 0.0, 0.0)

    def took(self, stage: str, seconds: float, label: str = "") -> None:
        """Count something that took so long."""
        with self._guard:
            self._sums.took(stage, seconds, label)

    def flush(self, database: Database, *, now: bool = False) -> None:
        """Add to the ledger, where it is time to or `now`; what it does not take stays for the next time."""
        if not self._sums or (not now and time.monotonic() - self._flushed < _FLUSH_SECONDS):
            return
        with self._guard:
            sums, self._sums = self._sums, Sums()
        self._flushed = time.monotonic()
        found = sums.meters()
        try:
            with database.write(durable=False) as connection:
                add(connection, found)
        except LedgerError:
            # The ledger's trouble is told by whoever it keeps from working.
            with self._guard:
                for key, one in found.items():
                    self._sums.put(key, *one)


def add(connection: Transaction, found: Mapping[Key, Meter]) -> None:
    """Add to the numbers, in the caller's transaction."""
    if found:
        connection.execute(
            _ADDED,
            [
                {"name": name, "label": label, "bucket": bucket, **one._asdict()}
                for (name, label, bucket), one in found.items()
            ],
        )


def fold(database: Database, limit: int = _AT_ONCE) -> bool:
    """Add up what at most `limit` further events tell; whether there are more of them. Raises LedgerError."""
    with database.read() as connection:
        since = int(connection.execute(_VALUE).scalar() or 0)
        newest = int(connection.driver.execute("SELECT max(seq) FROM events").fetchone()[0] or 0)
        upto = min(newest, since + limit)
        found = _found(connection, since, upto) if upto > since else {}
    if upto == since:
        return False
    # Numbers of events begin anew where all of them were removed by age.
    moved = {"the_key": _CURSOR, "was": str(since), "value": str(upto)}
    with database.write(durable=False) as connection:
        if connection.execute(_MOVE, moved).rowcount:
            add(connection, found)
    return upto < newest


def _found(connection: Transaction, since: int, upto: int) -> dict[Key, Meter]:
    sums = Sums()
    for event, at, came, route, size, held_up, destination, sent, cleaned in connection.driver.execute(
        _TOLD, (since, upto)
    ):
        if event == RECEIVED:
            if at == came:  # else it is cleaned again
                sums.put((RECEIVED, route, 0), 1, size, at)
        elif event != DELIVERED:
            sums.put((event, route, 0), 1, 0.0, at)
            if event == CLEANED and not held_up:
                sums.took(CLEANING, at - came, route)
        elif destination is not None:
            sums.put((DELIVERED, destination, 0), 1, sent, at)
            if not held_up:
                sums.took(SENDING, at - cleaned, destination)
                sums.took(WHOLE, at - came, destination)
    return sums.meters()


def read(connection: Transaction) -> dict[Key, Meter]:
    """Return all numbers, by name, label and bucket."""
    rows = connection.execute(select(meters))
    return {(row.name, row.label, row.bucket): Meter(row.n, row.total, row.last_at) for row in rows}


def of(name: str) -> Select[Any]:
    """Return the query for the labels of a name and their numbers."""
    return select(meters.c.label, func.sum(meters.c.n).label("n")).where(meters.c.name == name).group_by(meters.c.label)


def last(connection: Transaction, name: str) -> dict[str, float]:
    """Return when something was counted last under a name, by label, in seconds, UTC."""
    rows = connection.execute(select(meters.c.label, meters.c.last_at).where(meters.c.name == name))
    return {row.label: row.last_at for row in rows}


# What a person has held up says nothing of the node's pace, and is asked only where it took long. Of what was delivered
# the detail is the destination's name, then the status of its answer; without one nothing was sent, but somebody said
# that it had been.
_TOLD = f"""
    SELECT e.event, e.at, i.received_at, i.route, i.size,
        e.at - i.received_at > {_LONG} AND EXISTS (
            SELECT 1 FROM events f WHERE f.instance = e.instance AND f.event = 'held' AND f.seq < e.seq),
        d.destination, i.clean_size, d.created_at
    FROM events e JOIN instances i ON i.seq = e.instance
        LEFT JOIN deliveries d ON e.event = 'delivered' AND d.instance = e.instance
            AND d.destination = substr(e.detail, 1, instr(e.detail, ' (status ') - 1)
    WHERE e.seq > ?1 AND e.seq <= ?2 AND e.event <> 'discarded'
"""  # noqa: S608 — the program's own text
_NEW = upsert(meters)
_ADDED = _NEW.on_conflict_do_update(
    index_elements=list(meters.primary_key),
    set_={
        "n": meters.c.n + _NEW.excluded.n,
        "total": meters.c.total + _NEW.excluded.total,
        # Of two values: the scalar function of SQLite.
        "last_at": func.max(meters.c.last_at, _NEW.excluded.last_at),
    },
)
_VALUE = select(meta.c.value).where(meta.c.key == _CURSOR)
_MOVE = update(meta).where(meta.c.key == bindparam("the_key"), meta.c.value == bindparam("was"))
