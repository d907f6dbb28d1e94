"""What the spool knows of the ledger: an exchanged or damaged one is noticed, one that was left well costs no check."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

import pytest
from sqlalchemy import select

from node.errors import LedgerError
from node.ledger import Database
from node.ledger.schema import instances
from node.ledger.seen import check, damage, is_unchecked, note, note_end, note_start, older
from tests.ledger.support import fill, receive


def overwrite(path: Path) -> None:
    """Spoil every second page, and nothing of what a file system tells of the file."""
    state = path.stat()
    with path.open("r+b") as file:
        for at in range(4096, state.st_size, 8192):
            file.seek(at)
            file.write(b"\xa5" * 4096)
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))


def test_a_ledger_is_looked_at_unless_it_is_just_as_it_was_left_in_good_order(
    database: Database, tmp_path: Path
) -> None:
    receive(database)
    note(database, tmp_path)
    assert damage(database, tmp_path) == "", "whole"
    note_end(database, tmp_path)
    assert damage(database, tmp_path) == ""
    database.close()
    copy = tmp_path / "copy.db"
    shutil.copy2(database.path, copy)
    overwrite(database.path)
    assert damage(database, tmp_path) == "", "nothing has touched it since: a check of millions of rows is saved"
    overwrite(copy)
    copy.replace(database.path)
    database.close()
    assert damage(database, tmp_path) != "", "another file"


def test_damage_that_is_met_while_the_node_runs_says_what_to_do_and_the_next_start_looks_at_every_page(
    database: Database, tmp_path: Path
) -> None:
    fill(database.path, 3000)
    note(database, tmp_path)
    note_end(database, tmp_path)
    assert damage(database, tmp_path) == ""
    whole = tmp_path / "whole.db"
    shutil.copy2(database.path, whole)
    overwrite(database.path)
    told = r"SQLITE_\w+\)\. The ledger is damaged: .*deid-node rebuild"
    with pytest.raises(LedgerError, match=told), database.read() as one:
        one.execute(select(instances)).all()
    database.close()
    seen = database.damage_seen()
    assert seen is not None
    assert time.time() - 60 < seen <= time.time()
    for _ in range(2):
        assert damage(database, tmp_path) != "", "although the file is as it was left"
        assert database.damage_seen() == seen, "the first time"
    database.close()
    shutil.copy2(whole, database.path)
    assert damage(database, tmp_path, seconds=0.0) == ""
    assert database.damage_seen() is None, "every page was looked at"


def test_what_a_start_has_no_time_for_is_looked_at_while_the_node_runs(database: Database, tmp_path: Path) -> None:
    fill(database.path, 3000)
    assert damage(database, tmp_path, seconds=0.0) == "", "what could be seen of it was well"
    assert is_unchecked(tmp_path)
    assert check(database, tmp_path, lambda: True) == "", "told to end"
    assert is_unchecked(tmp_path)
    assert check(database, tmp_path, lambda: False) == ""
    assert not is_unchecked(tmp_path)
    assert database.damage_seen() is None

    assert damage(database, tmp_path, seconds=0.0) == ""
    database.close()
    overwrite(database.path)
    assert is_damaged(database, tmp_path)
    assert database.damage_seen() is not None
    assert is_unchecked(tmp_path)


def is_damaged(database: Database, spool: Path) -> bool:
    """SQLite tells it by an answer or by an error, as the pages are."""
    try:
        return check(database, spool, lambda: False) != ""
    except LedgerError:
        return True


def test_a_ledger_that_has_fewer_instances_than_the_spool_has_seen_is_told_until_the_next_start(
    database: Database, tmp_path: Path
) -> None:
    for number in range(3):
        receive(database, uid=f"1.2.{number}")
    assert note_start(database, tmp_path) == 0
    database.close()
    yesterday = tmp_path / "yesterday.db"
    shutil.copy2(database.path, yesterday)
    for number in range(3, 5):
        receive(database, uid=f"1.2.{number}")
    note(database, tmp_path)
    database.close()
    yesterday.replace(database.path)
    assert note_start(database, tmp_path) == 2
    found = older(tmp_path)
    assert found is not None
    assert found[1] == 2
    receive(database, uid="1.2.9")
    note(database, tmp_path)
    assert older(tmp_path) == found, "while it runs"
    note_end(database, tmp_path)
    assert note_start(database, tmp_path) == 0
    assert older(tmp_path) is None
