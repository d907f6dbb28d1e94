"""What destinations were asked to commit, under Transaction UIDs of the node's own, and what they said.

Guarantees that a question is on stable storage before it is asked, and a report before it is answered. A Transaction
UID is a random one: whoever names it, and is the one that was asked, has got the question.
"""

from __future__ import annotations

import hashlib
import time
import uuid
from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import bindparam, delete, insert, select, update

from node.ledger.database import Database
from node.ledger.schema_commitment import commitment_questions, commitments


@dataclass(frozen=True, slots=True)
class Question:
    """What a destination was asked last for a request; `confirmed` is None until it has said what it has.

    `content` tells which instances it was asked for; times in seconds, UTC.
    """

    seq: int
    transaction_uid: str
    content: str
    asked_at: float
    confirmed: frozenset[str] | None


def content_of(uids: Collection[str]) -> str:
    """Return what tells which instances a question is about."""
    return hashlib.sha256("\n".join(sorted(uids)).encode()).hexdigest()


def last_question(database: Database, request: int, destination: str) -> Question | None:
    """Return what the destination was asked last for a request; None where nothing."""
    with database.read() as connection:
        row = connection.execute(_LAST, {"the_request": request, "the_destination": destination}).first()
    if row is None:
        return None
    confirmed = None if row.confirmed is None else frozenset(row.confirmed.split())
    return Question(row.seq, row.transaction_uid, row.content, row.asked_at, confirmed)


def new_question(database: Database, request: int, destination: str, ae_title: str, uids: Collection[str]) -> Question:
    """Write down, durably, that a destination is about to be asked."""
    row = {
        "request": request,
        "destination": destination,
        "ae_title": ae_title,
        "transaction_uid": f"2.25.{uuid.uuid4().int}",
        "content": content_of(uids),
        "asked_at": time.time(),
    }
    with database.write(durable=True) as connection:
        seq = int(connection.execute(_NEW, row).scalar())
    return Question(seq, str(row["transaction_uid"]), str(row["content"]), time.time(), None)


def withdraw(database: Database, question: Question) -> None:
    """Forget a question that the destination did not take."""
    with database.write(durable=False) as connection:
        connection.execute(_GONE, {"the_seq": question.seq})


def reported(database: Database, ae_title: str, transaction_uid: str, confirmed: Collection[str]) -> bool:
    """Write down, durably, which instances a destination has; False where it was not asked under this UID."""
    now = time.time()
    with database.write(durable=True) as connection:
        row = connection.execute(_ASKED, {"the_transaction": transaction_uid, "the_title": ae_title}).first()
        if row is None:
            return False
        values = {"answered_at": now, "confirmed": "\n".join(sorted(confirmed))}
        connection.execute(_ANSWERED, {"the_seq": row.seq, **values})
        connection.execute(_WAKE, {"the_request": row.request, "due_at": now})
    return True


_LAST = (
    select(commitment_questions)
    .where(
        commitment_questions.c.request == bindparam("the_request"),
        commitment_questions.c.destination == bindparam("the_destination"),
    )
    .order_by(commitment_questions.c.seq.desc())
    .limit(1)
)
_NEW = insert(commitment_questions).returning(commitment_questions.c.seq)
_GONE = delete(commitment_questions).where(commitment_questions.c.seq == bindparam("the_seq"))
_ASKED = select(commitment_questions.c.seq, commitment_questions.c.request).where(
    commitment_questions.c.transaction_uid == bindparam("the_transaction"),
    commitment_questions.c.ae_title == bindparam("the_title"),
)
_ANSWERED = update(commitment_questions).where(commitment_questions.c.seq == bindparam("the_seq"))
_WAKE = update(commitments).where(commitments.c.seq == bindparam("the_request"), commitments.c.state == "waiting")
