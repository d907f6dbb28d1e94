"""The ledger's file: made by migrations, refused where it is not safe or not known."""

from __future__ import annotations

import re
import sqlite3
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine

import node.ledger.database as module
from node.errors import NotReachable, StartError
from node.ledger import (
    Database,
    schema_commitment,  # noqa: F401 -- as the next one
    schema_upkeep,  # noqa: F401 -- its tables are of the same metadata
)
from node.ledger.migrate import MIGRATIONS
from node.ledger.schema import VERSION, metadata
from tests.ledger.support import new_database, receive, sql


def described(path: Path) -> dict[str, str]:
    """Tables and indexes as SQLite keeps them, without what is a matter of taste."""
    connection = sqlite3.connect(path)
    rows = connection.execute(
        "SELECT name, sql FROM sqlite_master WHERE type IN ('table', 'index') AND sql IS NOT NULL"
    ).fetchall()
    connection.close()
    found = {}
    for name, text in rows:
        if name.startswith(("alembic", "sqlite")):
            continue
        plain = re.sub(r'["\s]+', "", text).lower()
        # Order of constraints in a table, and an index's own name, say nothing.
        found[name] = "".join(sorted(plain.replace("references", "foreignkeyreferences")))
    return found


def columns(path: Path) -> dict[str, list[tuple[object, ...]]]:
    connection = sqlite3.connect(path)
    tables = [row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    found = {
        table: connection.execute(f"PRAGMA table_info({table})").fetchall()
        for table in tables
        if not table.startswith(("alembic", "sqlite"))
    }
    connection.close()
    return found


def checks(path: Path) -> dict[str, set[str]]:
    """Every named CHECK and UNIQUE constraint with its text."""
    connection = sqlite3.connect(path)
    rows = connection.execute("SELECT name, sql FROM sqlite_master WHERE type = 'table' AND sql IS NOT NULL").fetchall()
    connection.close()
    found: dict[str, set[str]] = {}
    for name, text in rows:
        if not name.startswith(("alembic", "sqlite")):
            plain = re.sub(r"\s+", "", text)
            found[name] = {part.rstrip(",)") for part in plain.split("CONSTRAINT")[1:]}
    return found


def test_the_migrations_make_what_the_queries_expect(database: Database, tmp_path: Path) -> None:
    engine = create_engine(f"sqlite:///{database.path}")
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
    engine.dispose()
    other = tmp_path / "other.db"
    engine = create_engine(f"sqlite:///{other}")
    metadata.create_all(engine)
    engine.dispose()
    assert columns(database.path) == columns(other)
    mine, theirs = described(database.path), described(other)
    assert mine.keys() == theirs.keys()
    for name in mine:
        if "index" in name or name in ("instances_received", "instances_held_at", "deliveries_due"):
            assert mine[name] == theirs[name]


def test_partial_indexes_have_the_condition_that_the_queries_expect(database: Database, tmp_path: Path) -> None:
    other = tmp_path / "other.db"
    engine = create_engine(f"sqlite:///{other}")
    metadata.create_all(engine)
    engine.dispose()
    for path in (database.path, other):
        connection = sqlite3.connect(path)
        found = dict(connection.execute("SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL"))
        connection.close()
        assert "WHERE state = 'received'" in found["instances_received"]
        assert "WHERE state = 'due'" in found["deliveries_due"]
        assert "WHERE state = 'held'" in found["deliveries_held_at"]
        assert "WHERE lease_owner IS NOT NULL" in found["deliveries_leased"]


def test_the_program_knows_its_own_version_of_the_tables(database: Database) -> None:
    assert ScriptDirectory(str(MIGRATIONS)).get_current_head() == VERSION == database.version()


def test_opening_again_changes_nothing(database: Database) -> None:
    receive(database)
    before = database.version()
    database.migrate()
    database.require()
    assert database.version() == before
    assert sql(database, "SELECT count(*) FROM instances") == [(1,)]


def test_a_ledger_of_a_newer_program_is_refused(database: Database) -> None:
    sql(database, "UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(StartError, match="newer deid-node"):
        database.migrate()
    with pytest.raises(NotReachable, match="another version"):
        database.require()


def test_no_ledger_is_not_reachable_and_none_is_made(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'none.db'}")
    with pytest.raises(NotReachable, match="no ledger"):
        database.require()
    database.close()
    assert not (tmp_path / "none.db").exists()


def test_a_file_that_is_no_ledger_is_refused_with_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    path.write_bytes(b"this is no database at all, but it is long enough to be read as one\n" * 50)
    database = Database(f"sqlite:///{path}")
    with pytest.raises(StartError, match="cannot be opened"):
        database.migrate()
    database.close()


def test_the_file_system_is_found_by_the_deepest_mount() -> None:
    assert module._file_system(Path("/proc/self")) == "proc"
    assert module._file_system(Path("/")) not in ("", "proc")


def test_a_network_file_system_is_refused_before_anything_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The file system of this folder counts as one of the network for the time of the test.
    monkeypatch.setattr(module, "_NETWORK_FILE_SYSTEMS", frozenset({module._file_system(tmp_path)}))
    with pytest.raises(StartError, match="network file system"):
        new_database(tmp_path)
    assert not list(tmp_path.iterdir())
    assert {"nfs", "nfs4", "cifs"} <= frozenset(
        {"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "ceph", "glusterfs", "fuse.sshfs", "afs"}
    )


def test_the_ledger_is_for_its_owner_alone(database: Database) -> None:
    assert database.path.stat().st_mode & 0o077 == 0


def test_a_write_that_raises_leaves_nothing(database: Database) -> None:
    with pytest.raises(ZeroDivisionError), database.write(durable=True) as connection:
        connection.driver.execute("INSERT INTO meta VALUES ('a', 'b')").rowcount // 0
    assert database.get("a") is None


def test_a_reader_cannot_write(database: Database) -> None:
    from node.errors import LedgerError

    with pytest.raises(LedgerError, match="cannot be read"), database.read() as connection:
        connection.driver.execute("INSERT INTO meta VALUES ('a', 'b')")
    assert database.get("a") is None


def test_errors_name_no_value(database: Database) -> None:
    from node.errors import LedgerError

    with pytest.raises(LedgerError) as caught, database.write(durable=True) as connection:
        connection.driver.execute("INSERT INTO meta VALUES (?, NULL)", ("PLANTED^NAME",))
    assert "PLANTED" not in repr(caught.value) + str(caught.value.__cause__)
