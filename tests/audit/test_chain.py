"""Nobody without the key changes the audit trail unseen, and no crash leaves half of it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from node.audit import kinds
from node.audit.chain import ZERO, Head, next_entry
from node.ledger import Database
from node.ledger.audit import chain_head, entries, has, problems
from tests.audit.support import BY, KEY, new_trail
from tests.ledger.support import new_database, sql


@pytest.fixture
def database(tmp_path: Path) -> Database:
    made = new_database(tmp_path)
    for number in range(8):
        new_trail().record(made, kinds.accessed(BY, f"{number:032x}", "R"))
    return made


def swap(database: Database) -> None:
    for name in ("message", "at", "mac"):
        (three,), (four,) = sql(database, f"SELECT {name} FROM audit WHERE seq IN (3, 4) ORDER BY seq")
        sql(database, f"UPDATE audit SET {name} = CASE seq WHEN 3 THEN ?1 ELSE ?2 END WHERE seq IN (3, 4)", four, three)


def close_the_gap(database: Database) -> None:
    sql(database, "DELETE FROM audit WHERE seq = 3")
    for seq in range(4, 9):
        sql(database, "UPDATE audit SET seq = ? WHERE seq = ?", seq - 1, seq)


def cut_and_set_back(database: Database) -> None:
    ((mac,),) = sql(database, "SELECT mac FROM audit WHERE seq = 6")
    assert isinstance(mac, bytes)
    sql(database, "DELETE FROM audit WHERE seq > 6")
    ((head,),) = sql(database, "SELECT value FROM meta WHERE key = 'audit_head'")
    seal = str(head).split(":")[2]
    sql(database, "UPDATE meta SET value = ? WHERE key = 'audit_head'", f"6:{mac.hex()}:{seal}")


def rewrite(database: Database) -> None:
    """All of it, well made, by somebody who has not the key."""
    head = Head()
    for seq, at, message in sql(database, "SELECT seq, at, message FROM audit ORDER BY seq"):
        assert isinstance(at, float)
        entry, head = next_entry(b"x" * 32, head, at, str(message).replace("R", "D"))
        sql(database, "UPDATE audit SET message = ?, mac = ? WHERE seq = ?", entry.message, entry.mac, seq)
    sql(database, "UPDATE meta SET value = ? WHERE key = 'audit_head'", head.text())


TAMPERING: dict[str, tuple[Callable[[Database], object], str]] = {
    "changed": (
        lambda one: sql(one, "UPDATE audit SET message = replace(message, '3', '4') WHERE seq = 5"),
        "entry 5 ",
    ),
    "dated back": (lambda one: sql(one, "UPDATE audit SET at = at - 1 WHERE seq = 5"), "entry 5 "),
    "hash changed": (lambda one: sql(one, "UPDATE audit SET mac = ? WHERE seq = 5", ZERO), "entry 5 "),
    "removed": (lambda one: sql(one, "DELETE FROM audit WHERE seq = 3"), "entry 3 is missing"),
    "removed, the gap closed": (close_the_gap, "entry 3 "),
    "moved": (swap, "entry 3 "),
    "first removed": (lambda one: sql(one, "DELETE FROM audit WHERE seq = 1"), "entry 1 is missing"),
    "cut off": (lambda one: sql(one, "DELETE FROM audit WHERE seq > 6"), "entries 7 to 8 are missing"),
    "cut off, the end set back": (cut_and_set_back, "the record of the chain's end"),
    "all removed": (lambda one: sql(one, "DELETE FROM audit"), "entries 1 to 8 are missing"),
    "added": (
        lambda one: sql(one, "INSERT INTO audit SELECT 9, at, message, mac FROM audit WHERE seq = 8"),
        "entry 9 ",
    ),
    "the end removed": (lambda one: sql(one, "DELETE FROM meta WHERE key = 'audit_head'"), "entry 1 was added"),
    "the end made up": (
        lambda one: sql(one, "UPDATE meta SET value = '0::' WHERE key = 'audit_head'"),
        "the record of the chain's end",
    ),
    "written anew without the key": (rewrite, "entry 1 "),
}


def test_a_chain_as_it_was_written_is_whole(database: Database) -> None:
    assert problems(database, KEY) == []
    head = chain_head(database)
    assert (head.seq, len(entries(database))) == (8, 8)
    assert has(database, 8, head.mac)
    assert not has(database, 7, head.mac)


@pytest.mark.parametrize("way", TAMPERING)
def test_tampering_is_found_and_the_entry_named_also_after_the_node_has_written_on(
    database: Database, way: str
) -> None:
    tamper, named = TAMPERING[way]
    tamper(database)
    found = problems(database, KEY)
    assert any(named in one for one in found), found
    new_trail().record(database, kinds.accessed(BY, "f" * 32, "R"))
    assert problems(database, KEY), "what is written later makes nothing whole"


def test_a_break_of_the_end_is_itself_written_down(database: Database) -> None:
    cut_and_set_back(database)
    new_trail().record(database, kinds.accessed(BY, "f" * 32, "R"))
    last = [entry.message for entry in entries(database)][-2:]
    assert "Audit Recording Started" in last[0]
    assert "f" * 32 in last[1]


def test_another_key_finds_nothing_whole(database: Database) -> None:
    assert problems(database, b"x" * 32)


def test_a_message_is_written_with_what_it_tells_or_not_at_all(database: Database) -> None:
    class Power(Exception):
        pass

    def fails() -> None:
        with database.write(durable=True) as connection:
            new_trail().append(connection, kinds.accessed(BY, "e" * 32, "D"))
            raise Power

    with pytest.raises(Power):
        fails()
    assert len(entries(database)) == 8
    assert problems(database, KEY) == []


def test_several_processes_write_one_chain(database: Database) -> None:
    def write() -> None:
        own = Database(f"sqlite:///{database.path}")
        for number in range(20):
            new_trail().record(own, kinds.accessed(BY, f"{number:032x}", "R"))
        own.close()

    threads = [threading.Thread(target=write) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(entries(database)) == 88
    assert problems(database, KEY) == []
