"""Texts that left the node as they came, or cleaned, and what a person says of them (`projects.NAME.review`).

Guarantees that each text of a project and tag path is kept once, counted, and tied to the instances that it left with
(about the first `MOST_INSTANCES`); that no more than `MOST_TEXTS` are kept of a project; that a text, which may be a
name, is sealed where the ledger is, and shown to nobody without an entry of the audit trail in the same commit. What is
said to identify leaves no more from the commit on that says so (`node.ledger.decided`); what waits with it is held.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from sqlalchemy import bindparam, delete, func, insert, select, update

from node.audit import kinds
from node.errors import HoldReason
from node.ledger.decided import HARMLESS, IDENTIFYING, count_decision
from node.ledger.leases import is_free
from node.ledger.names import KEPT_TEXT
from node.ledger.remembered import Remembered
from node.ledger.schema import deliveries, instances
from node.ledger.schema_upkeep import kept_in, kept_texts
from node.ledger.times import iso
from node.recipe.known.attributes import SAID
from node.recipe.known.decided import LONGEST
from node.vocabulary import folded, words_of

if TYPE_CHECKING:
    from node.ledger.audit import Trail
    from node.ledger.database import Database
    from node.ledger.transactions import Transaction

MOST_TEXTS = 20_000
MOST_INSTANCES = 10_000
_NONE = -1  # the number of a text that is not kept: the project has too many

Text = tuple[str, str]
"""Tag path without the numbers of items, and text."""


def number_of_text(connection: Transaction, project: str, text: Text) -> int:
    """Return the number of a project's text, which is written where the ledger does not have it and has room."""
    path, written = text
    sealed = connection.columns.seal(KEPT_TEXT, project, written)
    found = connection.execute(_KNOWN, {"the_project": project, "the_path": path, "the_text": sealed}).scalar()
    if found is not None:
        return int(found)
    if connection.execute(_TOO_MANY, {"the_project": project}).first() is not None:
        return _NONE
    now = time.time()
    row = {"project": project, "path": path, "text": sealed, "n": 0, "first_at": now, "last_at": now}
    return int(connection.execute(_NEW, row).scalar())


def note_texts(
    connection: Transaction, numbers: Remembered[Text], left: Sequence[tuple[str, int, Sequence[Text]]]
) -> None:
    """Count the texts of instances, each given by project, number and texts, in the commit that makes them sendable."""
    counted: dict[int, list[int]] = {}
    for project, seq, texts in left:
        for text in dict.fromkeys((path, text[:LONGEST]) for path, text in texts):
            number = numbers.number(connection, project, text)
            if number != _NONE:
                counted.setdefault(number, []).append(seq)
    if not counted:
        return
    now = time.time()
    connection.driver.executemany(_COUNT, [(len(seqs), now, number) for number, seqs in counted.items()])
    links = [(seq, number, MOST_INSTANCES) for number, seqs in counted.items() for seq in seqs]
    connection.driver.executemany(_LINK, links)


def forget_texts(connection: Transaction, project: str) -> None:
    """Delete what is kept of a project, in the caller's transaction."""
    count_decision(connection)
    mine = select(kept_texts.c.seq).where(kept_texts.c.project == project)
    connection.execute(delete(kept_in).where(kept_in.c.kept_text.in_(mine)))
    connection.execute(delete(kept_texts).where(kept_texts.c.project == project))


def texts_of(database: Database, project: str, tag: str = "", trail: Trail | None = None) -> list[dict[str, Any]]:
    """Return the texts of a project, the most frequent first by tag path; the look is written to the trail.

    `tag` is one of the tags of a path, such as (0008,103E); empty is any.
    """
    query = select(kept_texts).where(kept_texts.c.project == project)
    if tag:
        query = query.where(kept_texts.c.path.contains(tag, autoescape=True))
    if trail is not None:
        trail.record(database, kinds.restricted(trail.source, trail.by, f"kept texts of project {project} shown"))
    with database.read() as connection:
        rows = connection.execute(query.order_by(kept_texts.c.path, kept_texts.c.n.desc(), kept_texts.c.seq)).all()
    return [
        {
            "id": row.seq,
            "tag": row.path,
            "text": database.columns.open(KEPT_TEXT, project, row.text),
            "instances": row.n,
            "first": iso(row.first_at),
            "last": iso(row.last_at),
            "decision": row.decision,
            "decided_by": row.decided_by,
        }
        for row in rows
    ]


def decide(
    database: Database, project: str, ids: Sequence[int], decision: str, trail: Trail | None = None
) -> list[int]:
    """Write down what a person says of texts, `harmless` or `identifying`; return the ids that the project has.

    What waits for a destination with an identifying one is held; what a lane is just sending goes.
    """
    by = trail.by.participant().user if trail is not None else None
    mine = kept_texts.c.project == project, kept_texts.c.seq.in_(list(ids))
    with database.write(durable=True) as connection:
        found = [row.seq for row in connection.execute(select(kept_texts.c.seq).where(*mine))]
        values = {"decision": decision, "decided_by": by, "decided_at": time.time()}
        connection.execute(update(kept_texts).where(*mine).values(**values))
        count_decision(connection)
        if decision == IDENTIFYING:
            _hold_what_waits(connection, found)
        if found and trail is not None:
            numbers = ", ".join(map(str, found))
            text = f"kept texts of project {project} said to be {decision}: {numbers}"
            trail.append(connection, kinds.restricted(trail.source, trail.by, text))
    return found


def _hold_what_waits(connection: Transaction, ids: Sequence[int]) -> None:
    now = time.time()
    for row in connection.execute(select(kept_texts.c.seq, kept_texts.c.path).where(kept_texts.c.seq.in_(list(ids)))):
        held = {"detail": f"{SAID} in {row.path}", "changed_at": now}
        connection.execute(_HOLD, {"the_text": row.seq, "the_owner": "", "now": now, **held})


def impact(database: Database, ids: Sequence[int]) -> list[dict[str, Any]]:
    """Return the instances that left, or wait to leave, with one of these texts, and where they went."""
    query = (
        select(
            instances.c.id,
            instances.c.route,
            instances.c.clean_sop_instance_uid,
            deliveries.c.destination,
            deliveries.c.state,
            deliveries.c.changed_at,
        )
        .join(deliveries, deliveries.c.instance == instances.c.seq)
        .where(instances.c.seq.in_(select(kept_in.c.instance).where(kept_in.c.kept_text.in_(list(ids)))))
        .order_by(instances.c.seq, deliveries.c.seq)
    )
    with database.read() as connection:
        rows = connection.execute(query).all()
    return [
        {
            "id": row.id,
            "route": row.route,
            "sop_instance_uid": row.clean_sop_instance_uid,
            "destination": row.destination,
            "state": row.state,
            "at": iso(row.changed_at),
        }
        for row in rows
    ]


def vocabulary_lines(database: Database, project: str, trail: Trail | None = None) -> list[str]:
    """Return what was decided of a project's texts as lines of a vocabulary: words that stay, `-word` that goes.

    A word that stands in a text of both kinds stays: the other words of that text are what identified.
    """
    found: dict[str, set[str]] = {HARMLESS: set(), IDENTIFYING: set()}
    for one in texts_of(database, project, trail=trail):
        if one["decision"] is not None:
            text = str(one["text"])
            words = (text[start:end] for start, end in words_of(text))
            found[one["decision"]] |= {folded(word) for word in words if not word.isdecimal()}
    gone = sorted(found[IDENTIFYING] - found[HARMLESS])
    return [*sorted(found[HARMLESS]), *(f"-{word}" for word in gone)]


def still_kept(database: Database) -> Iterator[tuple[str, int, float]]:
    """Give projects whose texts were said to identify and have left since; how many, and since when (seconds, UTC)."""
    query = (
        select(kept_texts.c.project, func.count(), func.min(kept_texts.c.decided_at))
        .where(kept_texts.c.decision == IDENTIFYING, kept_texts.c.last_at > kept_texts.c.decided_at)
        .group_by(kept_texts.c.project)
    )
    with database.read() as connection:
        yield from ((row[0], row[1], row[2]) for row in connection.execute(query).all())


_KNOWN = select(kept_texts.c.seq).where(
    kept_texts.c.project == bindparam("the_project"),
    kept_texts.c.path == bindparam("the_path"),
    kept_texts.c.text == bindparam("the_text"),
)
_TOO_MANY = (
    select(kept_texts.c.seq).where(kept_texts.c.project == bindparam("the_project")).offset(MOST_TEXTS - 1).limit(1)
)
_NEW = insert(kept_texts).returning(kept_texts.c.seq)
_COUNT = "UPDATE kept_texts SET n = n + ?, last_at = ? WHERE seq = ?"
_LINK = "INSERT OR IGNORE INTO kept_in (kept_text, instance) SELECT seq, ? FROM kept_texts WHERE seq = ? AND n <= ?"
_HOLD = (
    update(deliveries)
    .where(
        deliveries.c.instance.in_(select(kept_in.c.instance).where(kept_in.c.kept_text == bindparam("the_text"))),
        deliveries.c.state == "due",
        is_free(deliveries.c.lease_owner, deliveries.c.lease_until),
    )
    .values(state="held", reason=str(HoldReason.LEAK))
)
