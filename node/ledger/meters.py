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
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from sqlalchemy import Select, bindparam, func, select, update
from sqlalchemy.dialects.sqlite import insert as upsert

from node.errors import LedgerError
from node.ledger.database import Database
from node.ledger.schema import meta, meters
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

Key = tuple[str, str, int]


class Meter(NamedTuple):
    """How often, how much of it in all (bytes or seconds), and when last (seconds, UTC; 0.0 where that is not kept)."""

    n: int = 0
    total: float = 0.0
    last_at: float = 0.0

    def __add__(self, other: object) -> Meter:
        if not isinstance(other, Meter):
            return NotImplemented
        return Meter(self.n + other.n, self.total + other.total, max(self.last_at, other.last_at))


_NOTHING = Meter()


@dataclass(slots=True)
class Counts:
    """What one process counts, for any number of its threads, until it is added to the ledger."""

    _found: dict[Key, Meter] = field(default_factory=dict)
    _guard: threading.Lock = field(default_factory=threading.Lock)
    _flushed: float = field(default_factory=time.monotonic)

    def count(self, name: str, label: str) -> None:
        """Count one."""
        self._add((name, label, 0), Meter(1))

    def took(self, stage: str, seconds: float, label: str = "") -> None:
        """Count something that took so long; a clock that was set back took no time."""
        seconds = max(0.0, seconds)
        self._add((stage, label, bisect_left(BOUNDS, seconds)), Meter(1, seconds))

    def _add(self, key: Key, one: Meter) -> None:
        with self._guard:
            self._found[key] = self._found.get(key, _NOTHING) + one

    def flush(self, database: Database, *, now: bool = False) -> None:
        """Add to the ledger, where it is time to or `now`; what it does not take stays for the next time."""
        if not self._found or (not now and time.monotonic() - self._flushed < _FLUSH_SECONDS):
            return
        with self._guard:
            found, self._found = self._found, {}
        self._flushed = time.monotonic()
        try:
            with database.write(durable=False) as connection:
                add(connection, found)
        except LedgerError:
            # The ledger's trouble is told by whoever it keeps from working.
            for key, one in found.items():
                self._add(key, one)


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
    found: dict[Key, Meter] = {}
    for key, one in (*_handled(connection, since, upto), *_sent(connection, since, upto)):
        found[key] = found.get(key, _NOTHING) + one
    return found


def _handled(connection: Transaction, since: int, upto: int) -> Iterator[tuple[Key, Meter]]:
    for event, at, route, size, seconds, came, waited in connection.driver.execute(_HANDLED, (since, upto)):
        if event == RECEIVED:
            if came:
                yield (RECEIVED, route, 0), Meter(1, size, at)
            continue
        yield (event, route, 0), Meter(1, 0.0, at)
        if event == CLEANED and not waited:
            yield _took(CLEANING, route, seconds)


def _sent(connection: Transaction, since: int, upto: int) -> Iterator[tuple[Key, Meter]]:
    for at, destination, size, seconds, whole, waited in connection.driver.execute(_DELIVERED, (since, upto)):
        yield (DELIVERED, destination, 0), Meter(1, size or 0, at)
        if not waited:
            yield _took(SENDING, destination, seconds or 0.0)
            yield _took(WHOLE, destination, whole)


def _took(stage: str, label: str, seconds: float) -> tuple[Key, Meter]:
    seconds = max(0.0, seconds)
    return (stage, label, bisect_left(BOUNDS, seconds)), Meter(1, seconds)


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


# What a person has held up says nothing of the node's pace: instances that were held before do not count in seconds.
_WAITED = "EXISTS (SELECT 1 FROM events f WHERE f.instance = e.instance AND f.event = 'held' AND f.seq < e.seq)"
# An instance is received by its first event; later ones of the kind say that it is cleaned again.
_HANDLED = f"""
    SELECT e.event, e.at, i.route, i.size, e.at - i.received_at,
        e.event = 'received' AND NOT EXISTS (SELECT 1 FROM events f WHERE f.instance = e.instance AND f.seq < e.seq),
        e.event = 'cleaned' AND {_WAITED}
    FROM events e JOIN instances i ON i.seq = e.instance
    WHERE e.seq > ?1 AND e.seq <= ?2 AND e.event IN ('received', 'cleaned', 'held', 'excluded')
"""  # noqa: S608 — the program's own text
# The detail is the destination's name, then the status of its answer; without one nothing was sent, but somebody said
# that it had been.
_DELIVERED = f"""
    SELECT e.at, substr(e.detail, 1, instr(e.detail, ' ') - 1), i.clean_size, e.at - d.created_at,
        e.at - i.received_at, {_WAITED}
    FROM events e JOIN instances i ON i.seq = e.instance
        LEFT JOIN deliveries d ON d.instance = e.instance
            AND d.destination = substr(e.detail, 1, instr(e.detail, ' ') - 1)
    WHERE e.seq > ?1 AND e.seq <= ?2 AND e.event = 'delivered' AND e.detail LIKE '% (status %'
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
