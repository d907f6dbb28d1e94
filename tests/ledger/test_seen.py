"""What the spool knows of the ledger: an exchanged or damaged one is noticed, one that was left well costs no check."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from node.ledger import Database
from node.ledger.seen import damage, note, note_end, note_start, older
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


def test_the_look_at_a_large_ledger_ends_in_time(database: Database, tmp_path: Path) -> None:
    fill(database.path, 3000)
    assert damage(database, tmp_path, seconds=0.0) == "", "what could be seen of it was well"
    assert damage(database, tmp_path) == ""


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
