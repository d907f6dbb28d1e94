"""Requests for storage commitment, as people look at them: a list, one of them, and answering one once more.

Guarantees that no original UID, and no Transaction UID of a sender's, is shown to somebody who has not asked for it, or
without an entry of the audit trail.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from sqlalchemy import bindparam, func, select, text, update

from node.audit import kinds
from node.ledger.commitments import DECIDED, UNANSWERED, WAITING
from node.ledger.names import SOP_INSTANCE_UID, TRANSACTION_UID
from node.ledger.schema import instances
from node.ledger.schema_commitment import commitment_questions, commitment_references, commitments
from node.ledger.times import iso

if TYPE_CHECKING:
    from node.ledger.audit import Trail
    from node.ledger.database import Database
    from node.ledger.transactions import Row, Transaction

MEANING = {
    0x0110: "processing failure: held, excluded, taken back, not confirmed, or not in time",
    0x0112: "no such object instance: it never came, or nothing is known of it any more",
    0x0119: "class / instance conflict: it came as another SOP class",
}
"""What the failure reasons mean that the node gives (PS3.3 C.14-1)."""
_FAILING_TRIES = 3
_MOST = 1000


def listed(database: Database, *, every: bool = False, limit: int = _MOST) -> list[dict[str, Any]]:
    """Return requests, latest first, as `commitment list --json` prints them; `every` includes those answered well."""
    query = select(commitments).order_by(commitments.c.seq.desc()).limit(limit)
    if not every:
        query = query.where(text("(state <> 'answered' OR failed > 0)"))
    with database.read() as connection:
        return [_told(row) for row in connection.execute(query)]


def shown(
    database: Database, number: int, *, identity: bool = False, trail: Trail | None = None
) -> dict[str, Any] | None:
    """Return one request with its instances, as `commitment show --json` prints it; None where there is no such number.

    `identity` adds the original UIDs, and the sender's Transaction UID; that is written to the trail first.
    """
    with database.read() as connection:
        row = connection.execute(_ONE, {"the_seq": number}).first()
        if row is None:
            return None
        found = _told(row) | {"questions": [_question(one) for one in connection.execute(_ASKED, {"the_seq": number})]}
        rows = connection.execute(_REFERENCED, {"the_seq": number}).all()
        new = {one.sop_instance_uid: _newest(connection, row.project, one.sop_instance_uid) for one in rows}
    if identity and trail is not None:
        uids = [uid for uid in new.values() if uid]
        trail.record(database, *kinds.identities_seen(trail.by, uids, row.project))
    opened = database.columns.open
    told = []
    for one in rows:
        entry = {"sop_instance_uid": new[one.sop_instance_uid], "result": _result(one.result)}
        if identity:
            entry["original"] = opened(SOP_INSTANCE_UID, row.project, one.sop_instance_uid)
        told.append(entry)
    if identity:
        found["transaction_uid"] = opened(TRANSACTION_UID, row.project, row.transaction_uid)
    return found | {"references": told}


def answer_again(database: Database, number: int, trail: Trail | None = None) -> bool:
    """Let the answer to a request be given at the next look, or once more where that was given up; False where there is
    no such request, or it is answered.
    """
    now = time.time()
    with database.write(durable=True) as connection:
        row = connection.execute(_ONE, {"the_seq": number}).first()
        if row is None or row.state not in (WAITING, DECIDED, UNANSWERED):
            return False
        values: dict[str, Any] = {"due_at": now, "tries": 0}
        if row.state == UNANSWERED:
            values |= {"state": DECIDED, "decided_at": now, "ended_at": None}
        connection.execute(_SET, {"the_seq": number, **values})
        if trail is not None:
            said = f"storage commitment {number} is answered again"
            trail.append(connection, kinds.restricted(trail.source, trail.by, said))
    return True


def troubles(database: Database, peers: set[str]) -> Iterator[tuple[float, str]]:
    """Give the answers that cannot be given: since when (seconds, UTC), and a sentence with names of `peers` alone."""
    with database.read() as connection:
        rows = connection.execute(_FAILING, {"the_tries": _FAILING_TRIES}).all()
    for row in rows:
        whom = f"'{row.calling_ae_title}'" if row.calling_ae_title in peers else "a sender"
        what = "given up" if row.state == UNANSWERED else "tried again"
        text_of_it = f"{row.n} requests for storage commitment of {whom} cannot be answered, and are {what}"
        yield row.since, f"{text_of_it}: deid-node commitment list"


def _told(row: Row) -> dict[str, Any]:
    return {
        "id": row.seq,
        "state": row.state,
        "since": iso(row.at),
        "route": row.route,
        "calling_ae_title": row.calling_ae_title,
        "called_ae_title": row.called_ae_title,
        "address": row.address,
        "instances": row.instances,
        "failed": row.failed,
        "until": iso(row.until),
        "decided": iso(row.decided_at),
        "ended": iso(row.ended_at),
        "tries": row.tries,
        "next": iso(row.due_at) if row.ended_at is None else None,
        "last_error": row.last_error,
    }


def _question(row: Row) -> dict[str, Any]:
    return {"destination": row.destination, "asked": iso(row.asked_at), "answered": iso(row.answered_at)}


def _result(result: int | None) -> str | None:
    return None if result is None else "committed" if result == 0 else f"{result:04X}H"


def _newest(connection: Transaction, project: str, key: str) -> str | None:
    """The replaced UID that the latest copy of an original went out under; None where none did."""
    uid: str | None = connection.execute(_NEW_UID, {"the_project": project, "the_key": key}).scalar()
    return uid


_ONE = select(commitments).where(commitments.c.seq == bindparam("the_seq"))
_SET = update(commitments).where(commitments.c.seq == bindparam("the_seq"))
_ASKED = (
    select(commitment_questions)
    .where(commitment_questions.c.request == bindparam("the_seq"))
    .order_by(commitment_questions.c.seq)
)
_REFERENCED = (
    select(commitment_references)
    .where(commitment_references.c.request == bindparam("the_seq"))
    .order_by(commitment_references.c.place)
)
_NEW_UID = (
    select(instances.c.clean_sop_instance_uid)
    .where(instances.c.project == bindparam("the_project"), instances.c.sop_instance_uid == bindparam("the_key"))
    .where(text("repeat < 2"), instances.c.clean_sop_instance_uid.is_not(None))
    .order_by(instances.c.seq.desc())
    .limit(1)
)
_FAILING = (
    select(
        commitments.c.calling_ae_title,
        commitments.c.state,
        func.count().label("n"),
        func.min(commitments.c.decided_at).label("since"),
    )
    .where(
        text("((state = 'decided' AND tries >= :the_tries) OR state = 'unanswered')"),
        commitments.c.decided_at.is_not(None),
    )
    .group_by(commitments.c.calling_ae_title, commitments.c.state)
)
