"""A ledger of another program: an older one is copied and migrated, a newer one refused."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config as Alembic
from sqlalchemy import create_engine

from node.audit.actor import this_person
from node.cli import run
from node.errors import StartError
from node.ledger.database import Database
from node.ledger.migrate import MIGRATIONS
from node.ledger.schema import VERSION
from node.opening import make_spool, open_node
from node.restore import restore
from tests.backup.support import Site, manifest
from tests.config.support import GOOD
from tests.ledger.support import sql

OLD = "0007"


@pytest.fixture(scope="module")
def old_ledger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ledger of an earlier version, of nobody's yet."""
    path = tmp_path_factory.mktemp("old") / "ledger.db"
    alembic = Alembic()
    alembic.set_main_option("script_location", str(MIGRATIONS))
    engine = create_engine(f"sqlite:///{path}")
    with engine.connect() as connection:
        alembic.attributes["connection"] = connection
        command.upgrade(alembic, OLD)
        connection.commit()
    engine.dispose()
    return path


def make_old(site: Site, old_ledger: Path) -> None:
    """Put a ledger of an earlier version in the place of the site's, with its identity and a patient."""
    known = {str(key): value for key, value in sql(site.database, "SELECT key, value FROM meta")}
    site.database.close()
    for path in site.config.node.data.glob("ledger.db*"):
        path.unlink()
    shutil.copy(old_ledger, site.database.path)
    site.database.path.chmod(0o600)
    with sqlite3.connect(site.database.path) as ledger:
        ledger.execute("PRAGMA journal_mode=WAL")
        for key in ("spool_id", "secret_fingerprint"):
            ledger.execute("INSERT INTO meta VALUES (?, ?)", (key, known[key]))
        ledger.execute(
            "INSERT INTO patient_map (project, epoch, issuer, patient_id, pseudonym, shift_days, origin)"
            " VALUES ('research', 1, '', 'MRN-4711', 'SAME', -100, 'computed')"
        )
    ledger.close()


def test_an_older_ledger_is_copied_before_it_is_migrated_and_the_copy_is_the_owners_alone(
    site: Site, old_ledger: Path
) -> None:
    make_old(site, old_ledger)
    open_node(site.config, make_spool(site.config))
    assert Database(site.config.node.ledger).version() == VERSION
    copy = site.config.node.data / f"ledger.db.before-{VERSION}"
    assert copy.stat().st_mode & 0o777 == 0o600
    with sqlite3.connect(copy) as connection:
        assert connection.execute("SELECT version_num FROM alembic_version").fetchone() == (OLD,)
        assert connection.execute("SELECT pseudonym FROM patient_map").fetchone() == ("SAME",)
    connection.close()
    assert sql(site.database, "SELECT pseudonym FROM patient_map") == [("SAME",)]
    assert sql(site.database, "SELECT count(*) FROM audit WHERE message LIKE '%migrated from version 0007%'") == [(1,)]
    # The next start migrates nothing and copies nothing.
    copy.unlink()
    open_node(site.config, make_spool(site.config))
    assert not copy.exists()


def test_with_keys_for_backups_the_copy_is_an_encrypted_backup_that_can_be_restored(
    site: Site, old_ledger: Path, tmp_path: Path
) -> None:
    make_old(site, old_ledger)
    site.configure(GOOD + f"backup: {{ to: [{site.public}] }}\n")
    open_node(site.config, make_spool(site.config))
    (copy,) = site.config.node.data.glob("ledger.db.before-*")
    assert copy.name == f"ledger.db.before-{VERSION}.age"
    assert manifest(copy, site.key)["ledger_version"] == OLD
    restore(copy, site.key, this_person(), site.config.file, tmp_path / "before")
    with sqlite3.connect(tmp_path / "before" / "var" / "ledger.db") as connection:
        assert connection.execute("SELECT version_num FROM alembic_version").fetchone() == (OLD,)
    connection.close()


def test_a_ledger_that_cannot_be_copied_is_not_migrated(site: Site, old_ledger: Path) -> None:
    make_old(site, old_ledger)
    (site.config.node.data / f"ledger.db.before-{VERSION}").mkdir()
    with pytest.raises(StartError, match=r"of an older program .* cannot be"):
        open_node(site.config, make_spool(site.config))
    assert Database(site.config.node.ledger).version() == OLD


def test_an_older_program_refuses_the_ledger_of_a_newer_one_and_says_what_to_do(
    site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    sql(site.database, "UPDATE alembic_version SET version_num = '9999'")
    site.database.close()
    before = site.database.path.read_bytes()
    with pytest.raises(StartError, match=r"newer deid-node \(version 9999.*install that one.*before-\*"):
        open_node(site.config, make_spool(site.config))
    assert run(["status", "--config", str(site.config.file)]) == 4
    assert "install that one" in capsys.readouterr().err
    assert site.database.path.read_bytes() == before
    assert not list(site.config.node.data.glob("ledger.db.before-*"))
