"""Following studies: what something happened to, when it is to be looked at, whom to ask about it.

Guarantees
    Nothing of it is on the way of an instance but what it refers to and how many its source counts, in the commit that
    makes it sendable, and only where `completeness` is on. What happened is taken from the ledger's events behind a
    cursor that moves in the same transaction, some at a time: no table of instances is searched, nothing counts twice,
    and a death loses nothing. It begins with what was not quiet yet when it was turned on.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Float, bindparam, insert, or_, select, update
from sqlalchemy.dialects.sqlite import insert as upsert

from node.config.canary import PREFIX
from node.instances import Followed, Place
from node.ledger.database import Database
from node.ledger.schema import meta
from node.ledger.schema_studies import studies, study_answers, study_expected, study_references
from node.ledger.transactions import Transaction

_CURSOR = "completeness_events"
_AT_ONCE = 10_000
LONGEST_PAUSE = 6 * 3600.0  # seconds until a destination that does not answer is asked again
_GRACE = 60.0  # seconds


@dataclass(frozen=True, slots=True)
class FollowedStudy:
    """A study that is followed: its row, its project, the key's replacement of its UID; when it changed, and is due."""

    seq: int
    project: str
    study: str
    changed_at: float
    due_at: float | None


def note_followed(connection: Transaction, project: str, place: Place, found: Followed) -> None:
    """Write what a cleaned instance says of its study, in the commit that makes it sendable."""
    if found.references:
        rows = [{"project": project, "study": place.study, "uid": uid} for uid in found.references]
        connection.execute(_REFERENCES, rows)
    for series, number in (("", found.expected_study), (place.series, found.expected_series)):
        if number is not None:
            connection.execute(_EXPECTED, {"project": project, "study": place.study, "series": series, "n": number})


def follow(database: Database, quiet: float, limit: int = _AT_ONCE) -> bool:
    """Note what happened to which study since the last time, to be looked at `quiet` seconds after it.

    At most `limit` events are read; returns whether there are more. Raises LedgerError.
    """
    now = time.time()
    with database.read() as connection:
        newest = int(connection.driver.execute("SELECT max(seq) FROM events").fetchone()[0] or 0)
        known = connection.execute(_VALUE).scalar()
        since = _begin(connection, newest, now - quiet) if known is None else int(known)
        upto = min(newest, since + limit)
        if known is not None and upto == since:
            return False
        found = connection.driver.execute(_HAPPENED, (since, upto, f"{PREFIX}*")).fetchall()
    rows = [
        {"project": project, "study": study, "changed_at": at, "due_at": min(at, now) + quiet}
        for project, study, at in found
    ]
    # Numbers of events begin anew where all of them were removed by age.
    with database.write(durable=False) as connection:
        if known is None:
            connection.execute(insert(meta), [{"key": _CURSOR, "value": str(upto)}])
        elif not connection.execute(_MOVE, {"was": known, "value": str(upto)}).rowcount:
            return True  # another process has read them
        if rows:
            connection.execute(_CHANGED, rows)
    return upto < newest


def _begin(connection: Transaction, newest: int, after: float) -> int:
    """Return the number of the last event before a time (seconds, UTC), or of one of the last that there are."""
    first = connection.driver.execute(_RECENT, (newest - _AT_ONCE, after)).fetchone()[0]
    return newest if first is None else int(first) - 1


def due_studies(database: Database, limit: int, quiet: float) -> list[FollowedStudy]:
    """Return studies that are to be looked at now, at most `limit`, longest due first.

    What is due later than `quiet` seconds from now was written before the clock was set back, and is due now.
    """
    now = time.time()
    bound = {"now": now, "later": now + quiet + _GRACE, "the_limit": limit}
    with database.read() as connection:
        rows = connection.execute(_DUE, bound).all()
    return [FollowedStudy(*row) for row in rows]


def study_to_ask_about(database: Database, destination: str) -> FollowedStudy | None:
    """Return the study about which a destination is to be asked next; None where there is none now."""
    now = time.time()
    bound = {"the_destination": destination, "now": now, "later": now + LONGEST_PAUSE + _GRACE}
    with database.read() as connection:
        row = connection.execute(_QUESTION, bound).first()
    return None if row is None else FollowedStudy(*row)


def study_of(connection: Transaction, seq: int) -> FollowedStudy:
    """Return a study by its row."""
    return FollowedStudy(*connection.execute(_ONE, {"the_seq": seq}).one())


def look_again(database: Database, seq: int) -> None:
    """Let a study be looked at now, and its destinations be asked once more."""
    now = time.time()
    with database.write(durable=False) as connection:
        connection.execute(update(studies).where(studies.c.seq == seq).values(due_at=now))
        mine = update(study_answers).where(study_answers.c.study == seq)
        connection.execute(mine.values(ask_at=now, tries=0, problem=None))


def references_of(connection: Transaction, project: str, study: str) -> Iterator[str]:
    """Give the UIDs of the instances that a study's instances refer to."""
    mine = study_references.c.project == project, study_references.c.study == study
    return connection.execute(select(study_references.c.uid).where(*mine)).scalars()


def expected_of(connection: Transaction, project: str, study: str) -> dict[str, int]:
    """Return how many instances the source counts, by the key's replacement of the series; empty for the study."""
    mine = study_expected.c.project == project, study_expected.c.study == study
    rows = connection.execute(select(study_expected.c.series, study_expected.c.n).where(*mine))
    return {row.series: row.n for row in rows}


def _is_due(column: ColumnElement[float | None]) -> ColumnElement[bool]:
    return or_(column <= bindparam("now", type_=Float), column > bindparam("later", type_=Float))


_REFERENCES = upsert(study_references).on_conflict_do_nothing()
_MORE = upsert(study_expected)
_EXPECTED = _MORE.on_conflict_do_update(index_elements=list(study_expected.primary_key), set_={"n": _MORE.excluded.n})
_VALUE = select(meta.c.value).where(meta.c.key == _CURSOR)
_MOVE = update(meta).where(meta.c.key == _CURSOR, meta.c.value == bindparam("was"))
_RECENT = "SELECT min(seq) FROM events WHERE seq > ? AND at >= ?"
_HAPPENED = """
    SELECT s.project, s.study, max(e.at)
    FROM events e CROSS JOIN instances i ON i.seq = e.instance CROSS JOIN series s ON s.seq = i.series
    WHERE e.seq > ?1 AND e.seq <= ?2 AND s.study > '' AND NOT i.route GLOB ?3
    GROUP BY s.project, s.study
"""
_NEW = upsert(studies)
_CHANGED = _NEW.on_conflict_do_update(
    index_elements=[studies.c.project, studies.c.study],
    set_={"changed_at": _NEW.excluded.changed_at, "due_at": _NEW.excluded.due_at},
)
_COLUMNS = (studies.c.seq, studies.c.project, studies.c.study, studies.c.changed_at, studies.c.due_at)
_DUE = (
    select(*_COLUMNS)
    .where(studies.c.due_at.is_not(None), _is_due(studies.c.due_at))
    .order_by(studies.c.due_at)
    .limit(bindparam("the_limit"))
)
_ONE = select(*_COLUMNS).where(studies.c.seq == bindparam("the_seq"))
_QUESTION = (
    select(*_COLUMNS)
    .join(study_answers, study_answers.c.study == studies.c.seq)
    .where(study_answers.c.destination == bindparam("the_destination"))
    .where(study_answers.c.ask_at.is_not(None), _is_due(study_answers.c.ask_at))
    .order_by(study_answers.c.ask_at)
    .limit(1)
)
