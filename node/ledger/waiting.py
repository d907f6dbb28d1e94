"""Instances that wait for a pair from outside (`no-mapping`): whose they are, and letting them go.

Guarantees
    They are found by a keyed number of whose they are, through an index of those that wait: to let those of one patient
    go reads no others. They go in the order in which they were received. Many go a few hundred at a time, between which
    others have their turn; that they are to go is noted in the commit of their pairs, so that a death of whoever lets
    them go is made good by the keeper (`finish_letting_go`). Nothing here holds a value of a data set.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Set
from dataclasses import dataclass
from typing import Any

from node.ledger.database import Database
from node.ledger.releases import REBUILT
from node.ledger.times import iso
from node.ledger.transactions import Transaction

_MANY = 1000  # patients, from which on one look at all who wait costs less than a look for each
_AT_ONCE = 1000  # instances that are let go in one commit
_PAUSE_SECONDS = 0.005  # in which others take their turn at the ledger
_GIVEN_UP_SECONDS = 60.0
_LETTING_GO = "letting_go:"  # with the project a key of `meta`; its value is when somebody was last at it
_BEHIND = "0"  # the character after the slash that ends the patient's number


@dataclass(frozen=True, slots=True)
class Waiting:
    """Who waits in a project.

    Parameters
    ----------
    patients, instances
        How many; patients without an id are none of them.
    without_id
        Instances that no pair can ever name.
    since
        When the first began to wait, in seconds since 1970, UTC.
    """

    project: str
    patients: int
    instances: int
    without_id: int
    since: float

    def told(self) -> dict[str, Any]:
        """As `crosswalk waiting --json` prints it."""
        return {
            "project": self.project,
            "patients": self.patients,
            "instances": self.instances,
            "without_id": self.without_id,
            "since": iso(self.since),
        }


@dataclass(frozen=True, slots=True)
class WaitingPatient:
    """One who waits: the keyed number, how many instances, since when, and the id of the first of them."""

    who: str
    instances: int
    since: float
    first: str
    route: str


def waiting(database: Database) -> list[Waiting]:
    """Return who waits, by project."""
    with database.read() as connection:
        rows = connection.driver.execute(_COUNTED).fetchall()
    return [Waiting(*row) for row in rows]


def waiting_patients(database: Database, project: str) -> list[WaitingPatient]:
    """Return each patient of a project who waits, longest first; instances without an id are left out."""
    with database.read() as connection:
        rows = connection.driver.execute(_PATIENTS, (project,)).fetchall()
        firsts = [connection.driver.execute(_FIRST, (project, who + "/", who + _BEHIND)).fetchone() for who, *_ in rows]
    found = [WaitingPatient(*row, *first) for row, first in zip(rows, firsts, strict=True)]
    return sorted(found, key=lambda one: one.since)


def who_waits(connection: Transaction, project: str, asked: int) -> Callable[[str], bool] | None:
    """Return what says whether a patient waits, by what its instances have (`ProjectKeys.whose`); None: nobody does.

    `asked` is how many are asked for: only for many all of those are read who wait.
    """
    find = connection.driver.execute
    if find(_ANY, (project,)).fetchone() is None:
        return None
    if asked > _MANY:
        every = {row[0] for row in find(_PATIENTS, (project,))}
        return lambda whose: whose.partition("/")[0] in every

    def waits(whose: str) -> bool:
        who = whose.partition("/")[0]
        return find(_ONE, (project, f"{who}/", f"{who}{_BEHIND}")).fetchone() is not None

    return waits


def anybody_waits(connection: Transaction, project: str) -> bool:
    """Whether any instance of a project waits for a pair."""
    return connection.driver.execute(_ANY, (project,)).fetchone() is not None


def count_waiting(connection: Transaction, project: str, whose: Set[str]) -> int:
    """Return how many instances wait of patients, given by their keyed numbers (`ProjectKeys.whose_patient`)."""
    if len(whose) > _MANY:
        return sum(row[1] for row in connection.driver.execute(_PATIENTS, (project,)) if row[0] in whose)
    places = ((project, f"{who}/", f"{who}{_BEHIND}") for who in whose)
    return sum(int(connection.driver.execute(_COUNT_OF, place).fetchone()[0]) for place in places)


def begin_to_let_go(connection: Transaction, project: str) -> None:
    """Note, in the commit of their pairs, that instances of a project are to be let go from now on."""
    connection.driver.execute(_MARK, (_LETTING_GO + project, str(time.time())))


def let_go(database: Database, project: str, whose: Set[str] | None = None) -> int:
    """Let what waits be cleaned, some at a time; return how many instances.

    `whose` are keyed numbers of patients; None lets all go who wait, of whom those without a pair are held again.
    """
    with database.read() as connection:
        rows = connection.driver.execute(_EVERY, (project,))
        found = [seq for seq, who in rows if whose is None or (who or "").partition("/")[0] in whose]
    done = 0
    for start in range(0, len(found), _AT_ONCE):
        now = time.time()
        with database.write(durable=False) as connection:
            some = json.dumps(found[start : start + _AT_ONCE])
            done += int(connection.driver.execute(_RELEASE_SOME, (now, now, some)).rowcount)
            connection.driver.execute(_MARK, (_LETTING_GO + project, str(now)))
        time.sleep(_PAUSE_SECONDS)
    with database.write(durable=False) as connection:
        connection.driver.execute(_UNMARK, (_LETTING_GO + project,))
    return done


def finish_letting_go(database: Database) -> int:
    """Let go what somebody had begun to and has not gone on with for a while; return how many instances."""
    with database.read() as connection:
        found = connection.driver.execute(_MARKS, (_LETTING_GO, _LETTING_GO + "\U0010ffff")).fetchall()
    left = [key.removeprefix(_LETTING_GO) for key, at in found if abs(time.time() - float(at)) > _GIVEN_UP_SECONDS]
    return sum(let_go(database, project) for project in left)


def release_of(connection: Transaction, project: str, whose: Iterable[str]) -> int:
    """Let what waits of patients be cleaned, at once; return how many instances.

    `whose` is what instances of the patient have (`ProjectKeys.whose`), of whatever study.
    """
    now = time.time()
    rows = [(now, now, project, f"{who}/", f"{who}{_BEHIND}") for who in (one.partition("/")[0] for one in whose)]
    if not rows:
        return 0
    return int(connection.driver.executemany(_RELEASE, rows).rowcount)


_WHO = "substr(whose, 1, instr(whose, '/') - 1)"
_MINE = "state = 'held' AND reason = 'no-mapping'"
_COUNTED = f"""
    SELECT project, count(DISTINCT {_WHO}), count(*), sum(whose IS NULL), min(changed_at)
    FROM instances WHERE {_MINE} GROUP BY project
"""  # noqa: S608 -- our own names
_ANY = f"SELECT 1 FROM instances WHERE {_MINE} AND project = ? LIMIT 1"  # noqa: S608
_ONE = f"SELECT 1 FROM instances WHERE {_MINE} AND project = ? AND whose > ? AND whose < ? LIMIT 1"  # noqa: S608
_PATIENTS = f"""
    SELECT {_WHO}, count(*), min(changed_at) FROM instances
    WHERE {_MINE} AND project = ? AND whose IS NOT NULL GROUP BY 1
"""  # noqa: S608
_FIRST = (
    f"SELECT id, route FROM instances WHERE {_MINE} AND project = ? AND whose > ? AND whose < ? ORDER BY seq LIMIT 1"  # noqa: S608
)
_COUNT_OF = f"SELECT count(*) FROM instances WHERE {_MINE} AND project = ? AND whose > ? AND whose < ?"  # noqa: S608
_EVERY = f"SELECT seq, whose FROM instances WHERE {_MINE} AND project = ? ORDER BY seq"  # noqa: S608
_LET_GO = f"""
    UPDATE instances SET state = 'received', outcome = 'in_flight', reason = NULL,
        detail = CASE WHEN detail LIKE '%{REBUILT}%' THEN substr(detail, instr(detail, '{REBUILT}'))
            ELSE 'a pair was imported' END,
        strikes = 0, due_at = ?, changed_at = ?, lease_owner = NULL
"""  # noqa: S608
_RELEASE = f"{_LET_GO} WHERE {_MINE} AND project = ? AND whose > ? AND whose < ?"
_RELEASE_SOME = f"{_LET_GO} WHERE {_MINE} AND seq IN (SELECT value FROM json_each(?))"  # noqa: S608
_MARK = "INSERT INTO meta (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value"
_UNMARK = "DELETE FROM meta WHERE key = ?"
_MARKS = "SELECT key, value FROM meta WHERE key >= ? AND key < ?"
