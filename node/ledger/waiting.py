"""Instances that wait for a pair from outside (`no-mapping`): whose they are, and letting them go.

Guarantees
    They are found by a keyed number of whose they are, through an index of those that wait: to let those of one patient
    go reads no others. They go in the order in which they were received. Nothing here holds a value of a data set.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from node.ledger.database import Database
from node.ledger.releases import REBUILT
from node.ledger.times import iso
from node.ledger.transactions import Transaction

_MANY = 1000  # patients, from which on one look at all who wait costs less than a look for each
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
_RELEASE = f"""
    UPDATE instances SET state = 'received', outcome = 'in_flight', reason = NULL,
        detail = CASE WHEN detail LIKE '%{REBUILT}%' THEN substr(detail, instr(detail, '{REBUILT}'))
            ELSE 'a pair was imported' END,
        strikes = 0, due_at = ?, changed_at = ?, lease_owner = NULL
    WHERE {_MINE} AND project = ? AND whose > ? AND whose < ?
"""  # noqa: S608
