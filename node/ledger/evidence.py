"""What the ledger says of each instance, read for a proof: in short transactions, in the order in which they came.

Guarantees
    A transaction sees a thousand rows or so, so that no checkpoint waits for it, and memory does not grow with the
    ledger. Nothing is changed. SOP Instance UIDs are only compared with what the caller brings.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Executable, bindparam, func, select, text

from node.errors import HoldReason
from node.ledger.database import Database
from node.ledger.names import SOP_INSTANCE_UID
from node.ledger.releases import REBUILT_DELIVERED
from node.ledger.schema import deliveries, delivery_tallies, derivations, events, instances, tallies
from node.ledger.transactions import Row, Transaction

Tally = Counter[tuple[object, ...]]
"""How many rows there are, by (route, state, outcome, repeat) or by (destination, state)."""


@dataclass(frozen=True, slots=True)
class Sent:
    """A delivery: `status` is what the destination answered last (PS3.7 annex C), `assumed` that a person decided."""

    destination: str
    state: str
    status: int | None
    assumed: bool = False


@dataclass(frozen=True, slots=True)
class Known:
    """An instance as the ledger has it; sizes in bytes, times in seconds, UTC.

    `size` and `digest` are of the data set as it was received, `clean_size` of what is sent (with its file meta
    information where that is a file). `derived` says what is sent of the original, where nothing else is kept: the
    bytes before the range, its offset in the original's file, its length, the bytes behind it.
    """

    seq: int
    id: str
    route: str
    state: str
    outcome: str
    size: int
    digest: bytes
    clean_size: int | None
    changed_at: float
    sent: tuple[Sent, ...]
    derived: tuple[int, int, int, int] | None


@dataclass(frozen=True, slots=True)
class Place:
    """Where an instance stands, for a file that was found."""

    state: str
    changed_at: float
    is_open: bool
    is_derived: bool


@dataclass(frozen=True, slots=True)
class Evidence:
    """Reads the ledger for a proof."""

    database: Database

    def after(self, seq: int, limit: int) -> list[Known]:
        """Up to `limit` instances that came after the one of number `seq`, in their order."""
        with self.database.read() as connection:
            rows = connection.execute(_AFTER, {"the_seq": seq, "the_limit": limit}).all()
            return _known(connection, rows)

    def of(self, ids: Sequence[str]) -> list[Known]:
        """The instances of these ids, as they are now."""
        with self.database.read() as connection:
            return _known(connection, connection.execute(_WITH.where(instances.c.id.in_(ids))).all())

    def places(self, ids: Sequence[str]) -> dict[str, Place]:
        """Where the instances of these ids stand; those that the ledger does not know are left out."""
        query = select(instances.c.id, instances.c.state, instances.c.changed_at, _IS_OPEN, _IS_DERIVED).where(
            instances.c.id.in_(ids)
        )
        with self.database.read() as connection:
            return {name: Place(*rest) for name, *rest in connection.execute(query)}

    def outcomes(self, uids: Iterable[str]) -> dict[str, list[str]]:
        """What became of each reception of these SOP Instance UIDs; of unknown ones there is nothing."""
        found: dict[str, list[str]] = {}
        wanted = list(set(uids))
        with self.database.read() as connection:
            for project in projects_of(connection):
                sealed = {connection.columns.seal(SOP_INSTANCE_UID, project, uid): uid for uid in wanted}
                query = select(instances.c.sop_instance_uid, instances.c.outcome).where(
                    instances.c.project == project, instances.c.sop_instance_uid.in_(list(sealed))
                )
                for text, outcome in connection.execute(query):
                    found.setdefault(sealed[text], []).append(outcome)
        return found


class Recount:
    """Counts every row, in ranges, and tells in the end whether the tallies say the same.

    What changes meanwhile is counted again: an event is written with each change of a state, so that the events which
    are new since a range was counted name the ranges to be counted anew. The last ones are counted in the transaction
    in which the tallies are read.
    """

    _FEW = 8  # ranges, which are counted in one transaction
    _ROUNDS = 20

    def __init__(self, database: Database, size: int) -> None:
        self._database = database
        self._size = size
        self._ranges = 0
        self._counted: dict[int, tuple[Tally, Tally]] = {}
        self.instances: Tally = Counter()
        self.deliveries: Tally = Counter()
        self.tallies: Tally = Counter()
        self.delivery_tallies: Tally = Counter()

    def run(self) -> None:
        """Count, until instances, deliveries and tallies are of one and the same state of the ledger."""
        with self._database.read() as connection:
            mark = _newest_event(connection)
            self._ranges = int(connection.execute(_LAST).scalar() or 0) // self._size
        stale = set(range(self._ranges))
        for left in reversed(range(self._ROUNDS)):
            if left and len(stale) > self._FEW:
                for number in sorted(stale):
                    with self._database.read() as connection:
                        self._count(connection, number)
                stale = set()
            with self._database.read() as connection:
                newest = _newest_event(connection)
                stale |= self._touched(connection, mark)
                mark = newest
                if len(stale) <= self._FEW or not left:
                    self._finish(connection, stale)
                    return

    def _touched(self, connection: Transaction, mark: int) -> set[int]:
        """The ranges of whose instances something changed since the event of number `mark`."""
        changed = connection.execute(_CHANGED, {"the_mark": mark}).scalars()
        return {number for seq in changed if (number := (seq - 1) // self._size) < self._ranges}

    def _count(self, connection: Transaction, number: int) -> None:
        self._counted[number] = _counts(connection, number * self._size, (number + 1) * self._size)

    def _finish(self, connection: Transaction, stale: Iterable[int]) -> None:
        for number in stale:
            self._count(connection, number)
        newest = _counts(connection, self._ranges * self._size, None)
        for some_instances, some_deliveries in (*self._counted.values(), newest):
            self.instances += some_instances
            self.deliveries += some_deliveries
        self.tallies = Counter({tuple(row)[:-1]: row.n for row in connection.execute(_TALLIES)})
        self.delivery_tallies = Counter({tuple(row)[:-1]: row.n for row in connection.execute(_DELIVERY_TALLIES)})


def _newest_event(connection: Transaction) -> int:
    return int(connection.execute(_NEWEST).scalar() or 0)


def _counts(connection: Transaction, after: int, last: int | None) -> tuple[Tally, Tally]:
    """The tallies of the instances from behind `after` to `last`, or to the end."""
    bound = {"the_seq": after, "the_last": (1 << 63) - 1 if last is None else last}
    found = [
        Counter({tuple(row)[:-1]: row.n for row in connection.execute(query, bound)})
        for query in (_COUNT_INSTANCES, _COUNT_DELIVERIES)
    ]
    return found[0], found[1]


def projects_of(connection: Transaction) -> list[str]:
    """Every project, from the index of projects and UIDs: each by one step, and not by a walk over all of it."""
    found: list[str] = []
    name = connection.execute(_FIRST_PROJECT).scalar()
    while name is not None:
        found.append(name)
        name = connection.execute(_NEXT_PROJECT, {"the_project": name}).scalar()
    return found


def _known(connection: Transaction, rows: Sequence[Row]) -> list[Known]:
    sent: dict[int, list[Row]] = {row.seq: [] for row in rows}
    for one in connection.execute(select(*_SENT).where(deliveries.c.instance.in_(list(sent)))):
        sent[one.instance].append(one)
    untold = [seq for seq, some in sent.items() if any(one.state == "delivered" and one.status is None for one in some)]
    assumed = _assumed(connection, untold) | {row.seq for row in rows if row.detail == REBUILT_DELIVERED}
    return [
        Known(
            **{name: getattr(row, name) for name in _PLAIN},
            sent=tuple(Sent(one.destination, one.state, one.status, row.seq in assumed) for one in sent[row.seq]),
            derived=None if row.start is None else (row.before, row.start, row.length, row.after),
        )
        for row in rows
    ]


def _assumed(connection: Transaction, seqs: Sequence[int]) -> set[int]:
    """Those of which a rebuild did not know whether they were delivered: then a person said that they were."""
    if not seqs:
        return set()
    query = (
        select(events.c.instance)
        .where(events.c.instance.in_(seqs), events.c.event == "held")
        .where(events.c.detail.like(f"%: {HoldReason.REBUILT}%"))
    )
    return set(connection.execute(query).scalars())


_PLAIN = ("seq", "id", "route", "state", "outcome", "size", "digest", "clean_size", "changed_at")
_WITH = select(
    *(instances.c[name] for name in (*_PLAIN, "detail")),
    func.length(derivations.c.before).label("before"),
    derivations.c.start,
    derivations.c.length,
    func.length(derivations.c.after).label("after"),
).join(derivations, derivations.c.instance == instances.c.seq, isouter=True)
_AFTER = _WITH.where(instances.c.seq > bindparam("the_seq")).order_by(instances.c.seq).limit(bindparam("the_limit"))
_SENT = (deliveries.c.instance, deliveries.c.destination, deliveries.c.state, deliveries.c.status)
_IS_OPEN: ColumnElement[bool] = (
    select(deliveries.c.seq)
    .where(deliveries.c.instance == instances.c.seq, deliveries.c.state.in_(("due", "held")))
    .exists()
    .label("is_open")
)
_IS_DERIVED: ColumnElement[bool] = (
    select(derivations.c.instance).where(derivations.c.instance == instances.c.seq).exists().label("is_derived")
)
_FIRST_PROJECT = select(func.min(instances.c.project)).where(text("repeat < 2"))  # as the index has it
_NEXT_PROJECT = _FIRST_PROJECT.where(instances.c.project > bindparam("the_project"))
_LAST = select(func.max(instances.c.seq))
_NEWEST = select(func.max(events.c.seq))
_CHANGED = select(events.c.instance).distinct().where(events.c.seq > bindparam("the_mark"))


def _counted(*columns: ColumnElement[object], by: ColumnElement[int]) -> Executable:
    return (
        select(*columns, func.count().label("n"))
        .where(by > bindparam("the_seq"), by <= bindparam("the_last"))
        .group_by(*columns)
    )


_BY = (instances.c.route, instances.c.state, instances.c.outcome, instances.c.repeat)
_COUNT_INSTANCES = _counted(*_BY, by=instances.c.seq)
_COUNT_DELIVERIES = _counted(deliveries.c.destination, deliveries.c.state, by=deliveries.c.instance)
_TALLIES = select(tallies.c.route, tallies.c.state, tallies.c.outcome, tallies.c.repeat, tallies.c.n).where(
    tallies.c.n != 0
)
_DELIVERY_TALLIES = select(delivery_tallies.c.destination, delivery_tallies.c.state, delivery_tallies.c.n).where(
    delivery_tallies.c.n != 0
)
