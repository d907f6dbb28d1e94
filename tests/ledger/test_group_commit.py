"""Reception's rows: one commit for all that wait, and the truth to each of them."""

from __future__ import annotations

import fcntl
import os
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from node.errors import LedgerError
from node.ledger import Database
from node.ledger.reception import GroupCommit, known_ids
from node.spool import new_id
from tests.ledger.support import new_database, receive, received, sql, trace, when_opened
from tests.support import wait_for


def commits_of(database: Database) -> list[int]:
    counted: list[int] = []
    trace(database, lambda statement: counted.append(1) if statement == "COMMIT" else None)
    return counted


def add_together(commit: GroupCommit, count: int, between: Callable[[], object]) -> list[BaseException | None]:
    """Let `count` threads add a row each, all of them before `between` returns."""
    outcomes: list[BaseException | None] = []

    def add() -> None:
        try:
            commit.add(received())
            outcomes.append(None)
        except LedgerError as error:
            outcomes.append(error)

    threads = [threading.Thread(target=add) for _ in range(count)]
    for thread in threads:
        thread.start()
    between()
    for thread in threads:
        thread.join(30)
    return outcomes


def test_threads_that_wait_share_a_commit(database: Database) -> None:
    receive(database)
    counted, commit = commits_of(database), GroupCommit(database)
    # Another process has the turn to write, until all of them wait.
    turn = os.open(f"{database.path}.turn", os.O_RDWR)
    fcntl.flock(turn, fcntl.LOCK_EX)
    try:
        started = threading.Event()

        def release() -> None:
            wait_for(lambda: commit.group.waiting() >= 14, "all but the first one wait")
            started.set()
            fcntl.flock(turn, fcntl.LOCK_UN)

        outcomes = add_together(commit, 16, release)
    finally:
        os.close(turn)
    assert outcomes == [None] * 16
    assert len(counted) <= 3
    assert sql(database, "SELECT count(*) FROM instances") == [(17,)]


def fill(commit: GroupCommit) -> int:
    """Add rows until there is no room; return how many there are."""
    for filled in range(1000):
        try:
            commit.add(received())
        except LedgerError as error:
            assert "SQLITE_FULL" in str(error)  # noqa: PT017 -- the first rows still have room
            return filled
    raise AssertionError("the disk never was full")


def test_a_full_disk_is_told_to_everybody_and_nothing_is_written(tmp_path: Path) -> None:
    database = new_database(tmp_path)
    limit = [True]

    def opened(connection: sqlite3.Connection) -> None:
        if limit[0]:
            connection.execute("PRAGMA max_page_count=1")

    when_opened(database, opened)
    commit = GroupCommit(database)
    filled = fill(commit)
    outcomes = add_together(commit, 8, lambda: None)
    assert all(isinstance(outcome, LedgerError) for outcome in outcomes)
    assert sql(database, "SELECT count(*) FROM instances") == [(filled,)]
    assert sql(database, "SELECT coalesce(sum(n), 0) FROM tallies") == [(filled,)]
    limit[0] = False
    database._forget_writer()
    assert add_together(commit, 8, lambda: None) == [None] * 8
    assert sql(database, "SELECT count(*) FROM instances") == [(filled + 8,)]
    database.close()


def test_a_row_that_is_there_already_is_an_error(database: Database) -> None:
    name, commit = new_id(), GroupCommit(database)
    commit.add(received(name=name))
    with pytest.raises(LedgerError):
        commit.add(received(name=name))
    commit.add(received())
    assert sql(database, "SELECT count(*) FROM instances") == [(2,)]
    assert known_ids(database, [name, new_id()]) == {name}


def test_a_row_is_durable_when_add_returns(database: Database) -> None:
    """The commit in front of an answer is a synced one."""

    def mode() -> int:
        assert database._writer is not None
        return int(database._writer.execute("PRAGMA synchronous").fetchone()[0])

    full, normal = 2, 1
    GroupCommit(database).add(received())
    assert mode() == full
    with database.write(durable=False):
        assert mode() == normal
    GroupCommit(database).add(received())
    assert mode() == full
