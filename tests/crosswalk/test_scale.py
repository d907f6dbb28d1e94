"""Who waits is found by an index: many who wait cost nothing to let one patient go."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable

import pytest

from node.identity import PatientKey, ProjectKeys
from node.ledger.waiting import release_of
from tests.copies.support import SECRET
from tests.crosswalk.support import HEADING, Counter
from tests.ledger.support import fill

KEYS = ProjectKeys(SECRET, "p")
_STEPS = 100  # of SQLite's machine, between two calls of a progress handler


def let_wait(desk: Counter, count: int) -> None:
    """Fill the ledger with instances that wait, two of each patient."""
    desk.database.close()
    fill(desk.database.path, count, unsettled=0)
    with sqlite3.connect(desk.database.path) as connection:
        connection.execute("PRAGMA synchronous=OFF")
        triggers = connection.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'").fetchall()
        for name, _ in triggers:  # `fill` counts for itself; what is counted here is not looked at
            connection.execute(f"DROP TRIGGER {name}")
        whose = ((KEYS.whose(PatientKey("", f"MRN{n // 2:06d}"), "1.2"), n) for n in range(1, count + 1))
        connection.executemany(
            "UPDATE instances SET state = 'held', outcome = 'held', reason = 'no-mapping', whose = ? WHERE seq = ?",
            whose,
        )
        for _, statement in triggers:
            connection.execute(statement)
    connection.close()


def steps(desk: Counter, patient: str) -> int:
    """How much SQLite does to let a patient go."""
    calls = 0

    def count() -> int:
        nonlocal calls
        calls += 1
        return 0

    with desk.database.write(durable=False) as connection:
        connection.driver.set_progress_handler(count, _STEPS)
        assert release_of(connection, "p", [KEYS.whose(PatientKey("", patient), "")]) == 2
        connection.driver.set_progress_handler(None, 0)
    return calls


def test_to_let_one_patient_go_reads_no_others(make_desk: Callable[[str], Counter]) -> None:
    few, many = make_desk("few"), make_desk("many")
    let_wait(few, 40)
    let_wait(many, 2000)
    assert steps(many, "MRN000007") <= steps(few, "MRN000007") + 1
    assert many.bring(HEADING + "MRN000012;S;\r\n")["released"] == 2
    assert many.sql("SELECT seq FROM instances WHERE state = 'received' ORDER BY seq") == [(14,), (15,), (24,), (25,)]


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_hundred_thousand_wait_and_go_in_one_commit(desk: Counter) -> None:
    count = 100_000
    let_wait(desk, count)
    lines = "".join(f"MRN{number:06d};S-{number};-40\r\n" for number in range(count))
    done = desk.bring(HEADING + lines)
    assert (done["new"], done["released"]) == (count, count)
    assert desk.sql("SELECT count(*) FROM instances WHERE state = 'held'") == [(0,)]
    claimed = desk.cleaner.ledger.claim(16)
    assert [one.seq for one in claimed] == list(range(1, 17)), "in the order of reception"
    assert len(desk.refused(HEADING + lines.replace("-40", "-41"))) == count
