"""Requests for storage commitment: taken, waited for, decided, answered.

Guarantees
    A request is on stable storage when `take` returns, and one that is decided or answered is, too. The same request of
    the same peer, by its Transaction UID, is one request; after its end it begins anew, since an answer has to be true
    when it is given. Nobody fills the ledger with them: a peer has at most `MOST_OPEN` at a time, and what has ended
    goes after `KEPT_SECONDS`. Original UIDs are sealed where those of instances are, and stand nowhere else.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import bindparam, delete, func, insert, select, text, update

from node.ledger.database import Database
from node.ledger.names import SOP_INSTANCE_UID, TRANSACTION_UID
from node.ledger.schema_commitment import commitment_questions, commitment_references, commitments
from node.ledger.transactions import Row, Transaction

WAITING, DECIDED, ANSWERED, UNANSWERED = "waiting", "decided", "answered", "unanswered"
STATES = (WAITING, DECIDED, ANSWERED, UNANSWERED)
MOST_OPEN = 100
KEPT_SECONDS = 30 * 86400.0
_SEVERAL = 100
_MOST_DUE = 5000
_LONGEST_ERROR = 200


class Taking(StrEnum):
    """What became of a request that came."""

    TAKEN = "taken"
    KNOWN = "known"  # it is under way already
    ANOTHER = "another"  # its Transaction UID is that of a request for other instances
    TOO_MANY = "too-many"  # the peer has `MOST_OPEN` under way


@dataclass(frozen=True, slots=True)
class Asked:
    """A request as it came: (SOP class UID, SOP Instance UID) of each instance; `within` seconds to decide it."""

    project: str
    route: str
    calling_ae_title: str
    called_ae_title: str
    address: str
    transaction_uid: str
    references: tuple[tuple[str, str], ...]
    within: float


@dataclass(frozen=True, slots=True)
class Request:
    """A request that is open; times in seconds, UTC. Its Transaction UID is `sealed` as it stands in the ledger."""

    seq: int
    project: str
    route: str
    calling_ae_title: str
    called_ae_title: str
    sealed: str
    state: str
    until: float
    tries: int
    decided_at: float | None


@dataclass(frozen=True, slots=True)
class Referenced:
    """An instance of a request; `key` is its SOP Instance UID as it stands in the ledger's columns."""

    place: int
    sop_class_uid: str
    key: str
    result: int | None


def take(database: Database, asked: Asked) -> Taking:
    """Write a request down, durably. Raises LedgerError."""
    seal = database.columns.seal
    transaction = seal(TRANSACTION_UID, asked.project, asked.transaction_uid)
    rows = [
        {"place": place, "sop_class_uid": kind, "sop_instance_uid": seal(SOP_INSTANCE_UID, asked.project, uid)}
        for place, (kind, uid) in enumerate(dict.fromkeys(asked.references))
    ]
    peer = {"the_project": asked.project, "the_title": asked.calling_ae_title}
    now = time.time()
    fresh = {
        "at": now,
        "route": asked.route,
        "called_ae_title": asked.called_ae_title,
        "address": asked.address,
        "instances": len(rows),
        "state": WAITING,
        "until": now + asked.within,
        "due_at": now,
        "tries": 0,
        "decided_at": None,
        "failed": None,
        "ended_at": None,
        "last_error": None,
    }
    with database.write(durable=True) as connection:
        known = connection.execute(_KNOWN, {**peer, "the_transaction": transaction}).first()
        if known is not None and known.state in (WAITING, DECIDED):
            return Taking.KNOWN if _is_same(connection, known, asked.route, rows) else Taking.ANOTHER
        if known is not None and not _is_same(connection, known, asked.route, rows):
            return Taking.ANOTHER
        if connection.execute(_OPEN_OF, {"the_title": asked.calling_ae_title}).scalar() >= MOST_OPEN:
            return Taking.TOO_MANY
        if known is not None:
            connection.execute(_SET, {"the_seq": known.seq, **fresh})
            connection.execute(_NO_RESULTS, {"the_request": known.seq})
            connection.execute(_NO_QUESTIONS, {"the_request": known.seq})
            return Taking.TAKEN
        row = {"project": asked.project, "calling_ae_title": asked.calling_ae_title, "transaction_uid": transaction}
        seq = connection.execute(_NEW, {**row, **fresh}).scalar()
        connection.execute(_NEW_REFERENCE, [{"request": seq, **one} for one in rows])
    return Taking.TAKEN


def _is_same(connection: Transaction, known: Row, route: str, rows: Sequence[Mapping[str, Any]]) -> bool:
    if known.route != route or known.instances != len(rows):
        return False
    before = {
        (row.sop_class_uid, row.sop_instance_uid) for row in connection.execute(_REFERENCES, {"the_request": known.seq})
    }
    return before == {(row["sop_class_uid"], row["sop_instance_uid"]) for row in rows}


def due(database: Database, now: float) -> list[Request]:
    """Return the requests that something can be done about at `now` (seconds, UTC), longest due first."""
    with database.read() as connection:
        return [_request(row) for row in connection.execute(_DUE, {"now": now, "the_limit": _MOST_DUE})]


def _request(row: Row) -> Request:
    return Request(
        row.seq,
        row.project,
        row.route,
        row.calling_ae_title,
        row.called_ae_title,
        row.transaction_uid,
        row.state,
        row.until,
        row.tries,
        row.decided_at,
    )


def references(connection: Transaction, request: int) -> list[Referenced]:
    """Return the instances of a request, in the order in which it names them."""
    return [
        Referenced(row.place, row.sop_class_uid, row.sop_instance_uid, row.result)
        for row in connection.execute(_REFERENCES, {"the_request": request})
    ]


def decide(database: Database, request: int, results: Mapping[int, int]) -> None:
    """Write down, durably, what became of each instance of a request, by its place: 0 or the failure reason."""
    now = time.time()
    failed = sum(1 for result in results.values() if result)
    with database.write(durable=True) as connection:
        connection.execute(
            _RESULT, [{"the_request": request, "the_place": place, "result": one} for place, one in results.items()]
        )
        decided = {"state": DECIDED, "decided_at": now, "due_at": now, "tries": 0, "failed": failed, "last_error": None}
        connection.execute(_SET, {"the_seq": request, **decided})
        connection.execute(_FORGET_ANSWERS, {"the_request": request})


def again(database: Database, request: int, tries: int, seconds: float, error: str | None = None) -> None:
    """Note that a request is looked at, or answered, again in so many seconds."""
    values = {"due_at": time.time() + seconds, "tries": tries, "last_error": error and error[:_LONGEST_ERROR]}
    with database.write(durable=False) as connection:
        connection.execute(_AGAIN, {"the_seq": request, **values})


def end(database: Database, request: int, state: str, error: str | None = None, *, failed: int | None = None) -> None:
    """Note, durably, that a request is answered, with so many instances that failed, or is never to be."""
    values = {"state": state, "ended_at": time.time(), "last_error": error and error[:_LONGEST_ERROR]}
    values |= {} if failed is None else {"failed": failed}
    with database.write(durable=True) as connection:
        connection.execute(_SET, {"the_seq": request, **values})


def forget(database: Database, seconds: float = KEPT_SECONDS) -> int:
    """Delete what has ended so many seconds ago, up to a hundred requests; return how many."""
    old = select(commitments.c.seq).where(
        commitments.c.ended_at.is_not(None), commitments.c.ended_at < bindparam("old")
    )
    with database.read() as connection:
        rows = connection.execute(old.limit(_SEVERAL), {"old": time.time() - seconds}).all()
    if rows:
        with database.write(durable=False) as connection:
            _delete(connection, [row.seq for row in rows])
    return len(rows)


def forget_project(connection: Transaction, project: str) -> None:
    """Delete every request of a project, in the caller's transaction."""
    mine = select(commitments.c.seq).where(commitments.c.project == project)
    _delete(connection, list(connection.execute(mine).scalars()))


def _delete(connection: Transaction, seqs: Iterable[int]) -> None:
    for seq in seqs:
        for statement in (_NO_QUESTIONS, _NO_REFERENCES, _NO_REQUEST):
            connection.execute(statement, {"the_request": seq})


def counts(database: Database) -> dict[str, int]:
    """Return how many requests there are in each state."""
    query = select(commitments.c.state, func.count().label("n")).group_by(commitments.c.state)
    with database.read() as connection:
        found = {row.state: row.n for row in connection.execute(query)}
    return {state: found.get(state, 0) for state in STATES}


_OPEN = text("state IN ('waiting', 'decided')")
_KNOWN = select(commitments.c.seq, commitments.c.state, commitments.c.route, commitments.c.instances).where(
    commitments.c.project == bindparam("the_project"),
    commitments.c.calling_ae_title == bindparam("the_title"),
    commitments.c.transaction_uid == bindparam("the_transaction"),
)
_OPEN_OF = (
    select(func.count()).select_from(commitments).where(_OPEN, commitments.c.calling_ae_title == bindparam("the_title"))
)
_NEW = insert(commitments).returning(commitments.c.seq)
_NEW_REFERENCE = insert(commitment_references)
_DUE = (
    select(commitments)
    .where(_OPEN, commitments.c.due_at <= bindparam("now"))
    .order_by(commitments.c.due_at)
    .limit(bindparam("the_limit"))
)
_REFERENCES = (
    select(commitment_references)
    .where(commitment_references.c.request == bindparam("the_request"))
    .order_by(commitment_references.c.place)
)
_RESULT = update(commitment_references).where(
    commitment_references.c.request == bindparam("the_request"),
    commitment_references.c.place == bindparam("the_place"),
)
_NO_RESULTS = (
    update(commitment_references).where(commitment_references.c.request == bindparam("the_request")).values(result=None)
)
_SET = update(commitments).where(commitments.c.seq == bindparam("the_seq"))
_AGAIN = update(commitments).where(commitments.c.seq == bindparam("the_seq"), _OPEN)
_FORGET_ANSWERS = (
    update(commitment_questions)
    .where(commitment_questions.c.request == bindparam("the_request"))
    .values(confirmed=None)
)
_NO_QUESTIONS = delete(commitment_questions).where(commitment_questions.c.request == bindparam("the_request"))
_NO_REFERENCES = delete(commitment_references).where(commitment_references.c.request == bindparam("the_request"))
_NO_REQUEST = delete(commitments).where(commitments.c.seq == bindparam("the_request"))
