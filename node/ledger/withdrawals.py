"""Who has withdrawn consent, and what the ledger still has of them.

Guarantees
    From the commit of `withdraw` on, nothing of the subject becomes sendable: a cleaner that has not heard of it asks
    again in the transaction that would make it so. A subject stands here as a keyed number of project, issuer and
    Patient ID, which survives the maps, and from which nobody finds the id without the secret. What is discarded is
    marked first, so that a death between the removal of its files and the commit that says so leaves no riddle.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from sqlalchemy import bindparam, func, or_, select, update
from sqlalchemy.dialects.sqlite import insert as upsert

from node.ledger.database import Database
from node.ledger.leases import LEASE_SECONDS
from node.ledger.schema import deliveries, derivations, instances, study_map
from node.ledger.schema_upkeep import withdrawals
from node.ledger.times import iso
from node.ledger.transactions import Transaction
from node.spool import Spool

WITHDRAWN = "consent-withdrawn"
"""The reason of what was discarded because its subject has withdrawn consent; and the decision that marks it before."""

_PAGE = 5000
_BATCH = 200


@dataclass(slots=True)
class Withdrawals:
    """The subjects of now, as one process knows them: read anew where a number says that they have changed."""

    _version: tuple[int, int] = (0, 0)
    _subjects: frozenset[tuple[str, str]] = frozenset()
    _projects: frozenset[str] = field(default_factory=frozenset)

    def refresh(self, connection: Transaction) -> None:
        """Take up what was withdrawn, or taken back, since the last time."""
        row = connection.execute(_VERSION).one()
        version = (int(row[0]), int(row[1] or 0))
        if version != self._version:
            self._subjects = frozenset((one.project, one.subject) for one in connection.execute(_ACTIVE))
            self._projects = frozenset(project for project, _ in self._subjects)
            self._version = version

    def any_in(self, project: str) -> bool:
        """Whether anybody of a project has withdrawn."""
        return project in self._projects

    def blocks(self, project: str, whose: str | None) -> bool:
        """Whether an instance is of somebody who has; `whose` is that of its row (`ProjectKeys.whose`)."""
        return bool(self._subjects) and whose is not None and (project, subject_of(whose)) in self._subjects


def is_withdrawn(connection: Transaction, project: str, whose: str | None) -> bool:
    """Whether an instance is of somebody who has withdrawn consent: for whoever would send it once more."""
    if whose is None:
        return False
    row = connection.execute(_ONE, {"the_project": project, "the_subject": subject_of(whose)}).first()
    return row is not None and row.undone_at is None


def subject_of(whose: str) -> str:
    """Return the patient's half of what a row says of whose it is."""
    return whose.partition("/")[0]


class Change(NamedTuple):
    """The row of a subject, as it is kept in the data folder too; times in seconds, UTC."""

    project: str
    subject: str
    at: float
    undone_at: float | None
    changes: int


def changes(database: Database) -> list[Change]:
    """Return every row, also of those that were taken back."""
    with database.read() as connection:
        return [Change(*row) for row in connection.execute(_ALL)]


def next_change(database: Database, project: str, subject: str, *, undo: bool) -> Change | None:
    """Return what the row of a subject is to be; None where it is so already, or there is nothing to take back."""
    now = time.time()
    with database.read() as connection:
        row = connection.execute(_ONE, {"the_project": project, "the_subject": subject}).first()
    if row is None:
        return None if undo else Change(project, subject, now, None, 1)
    known = Change(*row)
    if undo == (known.undone_at is not None):
        return None
    if undo:
        return known._replace(undone_at=now, changes=known.changes + 1)
    return Change(project, subject, now, None, known.changes + 1)


def write(connection: Transaction, found: Iterable[Change]) -> int:
    """Write rows where the ledger has none, or has an earlier state of them; return how many."""
    return sum(connection.execute(_WRITE, one._asdict()).rowcount for one in found)


@dataclass(frozen=True, slots=True)
class Found:
    """An instance that is to be looked at: `whose` is None where the ledger does not know."""

    seq: int
    id: str
    state: str
    whose: str | None
    route: str


def instances_of(
    database: Database, project: str, subjects: Sequence[str], pseudonyms: Sequence[str]
) -> Iterator[Found]:
    """Give every instance of a project that is the subject's, and those that wait and may be.

    `subjects` are the keyed numbers of the subject's ids.

    Instances that an earlier version of the program cleaned do not say whose they are; they are found by the studies
    that came under the subject's pseudonyms.
    """
    with database.read() as connection:
        query = select(study_map.c.study).where(study_map.c.project == project)
        studies = set(connection.execute(query.where(study_map.c.pseudonym.in_(list(pseudonyms)))).scalars())
    last = 0
    while True:
        with database.read() as connection:
            rows = connection.execute(_IN_PROJECT, {"the_project": project, "the_seq": last}).all()
        for row in rows:
            whose = row.whose or (f"{subjects[0]}/" if row.study in studies else None)
            waits = whose is None and row.state in ("received", "held")
            if waits or (whose is not None and subject_of(whose) in subjects):
                yield Found(row.seq, row.id, row.state, whose, row.route)
        if len(rows) < _PAGE:
            return
        last = rows[-1].seq


def discard(database: Database, spool: Spool, found: Sequence[Found]) -> dict[str, int]:
    """Discard what waits of instances, with all their files; return how many, by what became of them.

    `discarded` instances; `in_hand` ones that a cleaner or a lane just has, to be asked for again; `removed` files of
    others. What was delivered keeps its row.

    Raises
    ------
    LedgerError, SpoolError
        The rest is still there: ask again.
    """
    counts = {"discarded": 0, "in_hand": 0, "removed": 0}
    for start in range(0, len(found), _BATCH):
        batch = found[start : start + _BATCH]
        with database.write(durable=True) as connection:
            connection.execute(_MARK, [{"the_seq": one.seq} for one in batch])
        _discard_batch(database, spool, batch, counts)
    return counts


def _discard_batch(database: Database, spool: Spool, batch: Sequence[Found], counts: dict[str, int]) -> None:
    now = time.time()
    with database.write(durable=True) as connection:
        rows = {one.seq: connection.execute(_STATE, {"the_seq": one.seq}).one() for one in batch}
        busy = {seq for seq, row in rows.items() if row.state == "received" and _is_leased(row, now)}
        counts["in_hand"] += len(busy)
        mine = [one for one in batch if one.seq not in busy]
        # In front of the commit that says so, and durably.
        counts["removed"] += spool.remove_now([one.id for one in mine])
        for one in mine:
            counts["discarded"] += _discard_row(connection, one, rows[one.seq].state, now)
            counts["in_hand"] += bool(connection.execute(_LEASED, {"the_instance": one.seq, "now": now}).first())


def _is_leased(row: Any, now: float) -> bool:
    return row.lease_owner is not None and now <= (row.lease_until or 0.0) <= now + 2 * LEASE_SECONDS


def _discard_row(connection: Transaction, one: Found, state: str, now: float) -> int:
    gone = {"reason": WITHDRAWN, "detail": None, "changed_at": now}
    if state in ("received", "held"):
        values = {**gone, "state": "discarded", "outcome": "discarded", "whose": one.whose, "lease_owner": None}
        return connection.execute(_INSTANCE, {"the_seq": one.seq, **values}).rowcount
    # A lane that is just sending it keeps its lease, so that what the destination answers is written down.
    waiting = connection.execute(_WAITING, {"the_instance": one.seq, "state": "discarded", **gone}).rowcount
    connection.execute(_NOT_DERIVED, {"the_instance": one.seq})
    if waiting:
        connection.execute(_INSTANCE_OF, {"the_seq": one.seq, "reason": WITHDRAWN})
    return int(waiting > 0)


def busy(database: Database, seqs: Sequence[int]) -> int:
    """Return how many of these instances somebody still has in hand."""
    now, count = time.time(), 0
    with database.read() as connection:
        for seq in seqs:
            row = connection.execute(_STATE, {"the_seq": seq}).one()
            lane = connection.execute(_LEASED, {"the_instance": seq, "now": now}).first()
            count += lane is not None or (row.state == "received" and _is_leased(row, now))
    return count


def listed(database: Database) -> list[dict[str, Any]]:
    """Return every withdrawal with what was discarded for it, as `revoke --list --json` prints them."""
    with database.read() as connection:
        counted: Mapping[tuple[str, str], int] = {
            (row.project, row.subject): row.n for row in connection.execute(_DISCARDED)
        }
        rows = connection.execute(_ALL).all()
    return [
        {
            "project": row.project,
            "subject": row.subject,
            "since": iso(row.at),
            "undone": iso(row.undone_at),
            "discarded": counted.get((row.project, row.subject), 0),
        }
        for row in rows
    ]


_VERSION = select(func.count(), func.sum(withdrawals.c.changes))
_ACTIVE = select(withdrawals.c.project, withdrawals.c.subject).where(withdrawals.c.undone_at.is_(None))
_COLUMNS = tuple(withdrawals.c[name] for name in Change._fields)
_ALL = select(*_COLUMNS).order_by(withdrawals.c.at)
_ONE = select(*_COLUMNS).where(
    withdrawals.c.project == bindparam("the_project"), withdrawals.c.subject == bindparam("the_subject")
)
_NEW = upsert(withdrawals)
_WRITE = _NEW.on_conflict_do_update(
    index_elements=list(withdrawals.primary_key),
    set_={name: _NEW.excluded[name] for name in ("at", "undone_at", "changes")},
    where=withdrawals.c.changes < _NEW.excluded.changes,
)
_IN_PROJECT = (
    select(
        instances.c.seq,
        instances.c.id,
        instances.c.state,
        instances.c.whose,
        instances.c.study,
        instances.c.route,
    )
    .where(instances.c.project == bindparam("the_project"), instances.c.seq > bindparam("the_seq"))
    .order_by(instances.c.seq)
    .limit(_PAGE)
)
_MARK = (
    update(instances)
    .where(instances.c.seq == bindparam("the_seq"), or_(instances.c.state == "received", instances.c.state == "held"))
    .values(decision=WITHDRAWN)
)
_STATE = select(instances.c.state, instances.c.lease_owner, instances.c.lease_until).where(
    instances.c.seq == bindparam("the_seq")
)
_INSTANCE = update(instances).where(
    instances.c.seq == bindparam("the_seq"), or_(instances.c.state == "received", instances.c.state == "held")
)
_INSTANCE_OF = update(instances).where(instances.c.seq == bindparam("the_seq"))
_WAITING = update(deliveries).where(
    deliveries.c.instance == bindparam("the_instance"), or_(deliveries.c.state == "due", deliveries.c.state == "held")
)
_LEASED = (
    select(deliveries.c.seq)
    .where(deliveries.c.instance == bindparam("the_instance"), deliveries.c.lease_owner.is_not(None))
    .where(deliveries.c.lease_until >= bindparam("now"))
    .limit(1)
)
_NOT_DERIVED = derivations.delete().where(derivations.c.instance == bindparam("the_instance"))
_SUBJECT = func.substr(instances.c.whose, 1, func.instr(instances.c.whose, "/") - 1)
_DISCARDED = (
    select(instances.c.project, _SUBJECT.label("subject"), func.count().label("n"))
    .where(instances.c.reason == WITHDRAWN, instances.c.outcome == "discarded", instances.c.whose.is_not(None))
    .group_by(instances.c.project, _SUBJECT)
)
