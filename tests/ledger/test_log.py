"""The ledger's write-ahead log does not grow with the time for which there is always somebody who writes."""

from __future__ import annotations

import multiprocessing
import time
from pathlib import Path

import pytest

from node.ledger import Database
from node.ledger import database as module
from node.ledger.reception import GroupCommit, known_ids
from tests.ledger.support import new_database, receive, received, sql

PAGE = 4096 + 24  # in the log
LONG = 100
PAGES = 3  # that a row changes, or more
SALT = slice(16, 20)  # of the log's head: another number each time it begins anew
WRITERS = 3


def write_without_a_pause(url: str, stop: object) -> None:
    database = Database(url)
    commits = GroupCommit(database)
    while not stop.is_set():  # type: ignore[attr-defined]
        one = received()
        commits.add(one)
        assert known_ids(database, [one.id])


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_LONG_LOG", LONG)


@pytest.mark.usefixtures("short")
def test_where_somebody_always_writes_the_log_begins_anew_all_the_same(tmp_path: Path) -> None:
    database = new_database(tmp_path)
    log = Path(f"{database.path}-wal")
    context = multiprocessing.get_context("spawn")
    stop = context.Event()
    writers = [context.Process(target=write_without_a_pause, args=(database.url, stop)) for _ in range(WRITERS)]
    for writer in writers:
        writer.start()
    try:
        largest, beginnings, until = 0, set[bytes](), time.monotonic() + 60
        while sql(database, "SELECT count(*) FROM instances") < [(10 * LONG,)] and time.monotonic() < until:
            time.sleep(0.02)
            database.checkpoint()
            if log.exists():  # not yet where nobody has it open
                largest = max(largest, log.stat().st_size)
                beginnings.add(log.read_bytes()[SALT])
        (rows,) = sql(database, "SELECT count(*) FROM instances")[0]
    finally:
        stop.set()
        for writer in writers:
            writer.join(30)
    assert [writer.exitcode for writer in writers] == [0] * WRITERS
    assert len(beginnings) > 3, "it began anew while they wrote"
    assert largest < rows * PAGES / 2 * PAGE, "half of what was written stood in it at most"
    assert database.version() is not None
    assert sql(database, "PRAGMA integrity_check") == [("ok",)]
    database.close()


@pytest.mark.usefixtures("short")
def test_whoever_reads_for_long_is_not_waited_for(tmp_path: Path) -> None:
    database = new_database(tmp_path)
    receive(database)
    with database.read() as reader:
        count = reader.driver.execute("SELECT count(*) FROM instances").fetchone()
        for n in range(LONG):
            receive(database, uid=f"1.2.{n}")
        began = time.monotonic()
        for _ in range(20):
            database.checkpoint()
        assert time.monotonic() - began < 5, "a writer would have waited as long"
        receive(database, uid="1.3")
        assert reader.driver.execute("SELECT count(*) FROM instances").fetchone() == count
    receive(database, uid="1.4")
    size = Path(f"{database.path}-wal").stat().st_size
    database.checkpoint()
    for n in range(LONG // 10):
        receive(database, uid=f"1.5.{n}")
    assert Path(f"{database.path}-wal").stat().st_size == size, "it began anew"
    database.close()
