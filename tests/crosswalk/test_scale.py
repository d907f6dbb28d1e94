"""Who waits is found by an index: many who wait cost nothing to let one patient go; many go some at a time."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable, Iterator

import pytest

from node.errors import PairsRefused
from node.identity import PatientKey, ProjectKeys
from node.ledger.crosswalk import _Import
from node.ledger.maps import new_patient
from node.ledger.transactions import Transaction
from node.ledger.waiting import _AT_ONCE, begin_to_let_go, finish_letting_go, let_go, release_of
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


def commits(desk: Counter, do: Callable[[], object]) -> list[int]:
    """How many rows each commit of the ledger lets go, while something is done."""
    counts, write = list[int](), desk.database.write

    @contextlib.contextmanager
    def counting(*, durable: bool) -> Iterator[Transaction]:
        with write(durable=durable) as connection:
            before = connection.driver.total_changes
            yield connection
            counts.append(connection.driver.total_changes - before)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(desk.database, "write", counting)
        do()
    return counts


def test_many_go_some_at_a_time_after_the_commit_of_their_pairs(desk: Counter) -> None:
    count = 3 * _AT_ONCE
    let_wait(desk, count)
    patients = count // 2 + 1
    lines = "".join(f"MRN{number:06d};S-{number};-40\r\n" for number in range(patients))
    done: dict[str, int] = {}
    rows = commits(desk, lambda: done.update(desk.bring(HEADING + lines)))
    assert (done["new"], done["released"]) == (patients, count)
    assert len(rows) == 1 + 3 + 1, "the pairs; those who waited; that it is over"
    assert f"{patients} pairs imported, 0 known; {count} instances that waited go on" in desk.told()[-1]
    assert desk.sql("SELECT count(*) FROM instances WHERE state = 'held'") == [(0,)]
    assert desk.sql("SELECT 1 FROM meta WHERE key LIKE 'letting_go%'") == []
    assert [one.seq for one in desk.cleaner.ledger.claim(16)] == list(range(1, 17)), "in the order of reception"


def test_what_an_importer_did_not_come_to_is_done_by_the_keeper(desk: Counter) -> None:
    let_wait(desk, 40)
    with desk.database.write(durable=True) as connection:
        begin_to_let_go(connection, "p")
    assert finish_letting_go(desk.database) == 0, "somebody may be at it"
    desk.sql("UPDATE meta SET value = '1' WHERE key = 'letting_go:p'")
    assert finish_letting_go(desk.database) == 40
    assert desk.sql("SELECT count(*) FROM instances WHERE state = 'received'") == [(40,)]
    assert finish_letting_go(desk.database) == 0


def test_only_those_go_who_have_a_pair(desk: Counter) -> None:
    let_wait(desk, 40)
    whose = {KEYS.whose_patient(PatientKey("", f"MRN{number:06d}")) for number in (3, 5)}
    assert let_go(desk.database, "p", whose) == 4
    assert desk.sql("SELECT seq FROM instances WHERE state = 'received' ORDER BY seq") == [(6,), (7,), (10,), (11,)]


def test_what_others_write_between_the_check_and_the_commit_is_met_by_the_check_once_more(
    desk: Counter, monkeypatch: pytest.MonkeyPatch
) -> None:
    place, checked = ("p", 1, "", "MRN-9"), _Import.prepare

    def meanwhile(work: _Import) -> None:
        checked(work)
        monkeypatch.undo()
        with desk.database.write(durable=True) as connection:
            new_patient(connection, place, ("THEIRS", -3), "computed")

    monkeypatch.setattr(_Import, "prepare", meanwhile)
    with pytest.raises(PairsRefused) as refusal:
        desk.bring(HEADING + "MRN-8;S-8;\r\nMRN-9;S-9;-40\r\n")
    assert [fault.line for fault in refusal.value.faults] == [3]
    assert desk.sql("SELECT pseudonym FROM patient_map") == [("THEIRS",)], "and nothing of the file is written"


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_hundred_thousand_wait_and_go(desk: Counter) -> None:
    count = 100_000
    let_wait(desk, count)
    lines = "".join(f"MRN{number:06d};S-{number};-40\r\n" for number in range(count))
    done = desk.bring(HEADING + lines)
    assert (done["new"], done["released"]) == (count, count)
    assert desk.sql("SELECT count(*) FROM instances WHERE state = 'held'") == [(0,)]
    claimed = desk.cleaner.ledger.claim(16)
    assert [one.seq for one in claimed] == list(range(1, 17)), "in the order of reception"
    assert len(desk.refused(HEADING + lines.replace("-40", "-41"))) == count
