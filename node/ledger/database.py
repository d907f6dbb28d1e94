"""The ledger's database: opening, transactions, versions.

Guarantees
    A write is one `BEGIN IMMEDIATE` transaction: whole or not at all. A durable write is on stable storage when `write`
    returns (`synchronous=FULL`: in front of an answer and in front of a deletion); any other may be lost in a power
    cut, which only moves an instance back to a state whose file still exists. Writers of all processes take turns by
    a file lock, so that none starves in SQLite's back-off. Errors carry no parameter, so no value of a data set.

Refuses
    A network file system, where SQLite's locks and shared memory do not hold; a ledger made by a newer program.
    A full disk is a LedgerError, and nothing was changed.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config as AlembicConfig
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, create_engine, event, select
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.pool import NullPool

from node.errors import Collision, LedgerError, LedgerUncertain, NotReachable, StartError
from node.ledger.schema import meta

MIGRATIONS = Path(__file__).parent / "migrations"
_BUSY_SECONDS = 60
_NETWORK_FILE_SYSTEMS = frozenset(
    {"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "ceph", "glusterfs", "fuse.sshfs", "afs"}
)


class Database:
    """One process's way to the ledger at `url` (`sqlite:///…`)."""

    def __init__(self, url: str) -> None:
        self.path = Path(make_url(url).database or "")
        self._url = url
        self._writing = threading.Lock()
        self._reader = self._engine(read_only=True)
        self._writer_engine = self._engine(read_only=False)
        self._writer: Connection | None = None
        self._turn: int | None = None
        self._full = True

    def exists(self) -> bool:
        """Whether a ledger file is there."""
        return self.path.exists() and self.path.stat().st_size > 0

    @contextlib.contextmanager
    def read(self) -> Iterator[Connection]:
        """A connection that sees one consistent state of the ledger and cannot change it."""
        try:
            with self._reader.connect() as connection, connection.begin():
                yield connection
        except DBAPIError as error:
            raise LedgerError(f"the ledger cannot be read ({_kind(error)})") from None

    @contextlib.contextmanager
    def write(self, *, durable: bool) -> Iterator[Connection]:
        """One transaction; committed when the block ends, rolled back when it raises.

        Raises
        ------
        Collision
            A constraint of the maps was broken; nothing was changed.
        LedgerError
            The ledger refused; nothing was changed.
        LedgerUncertain
            The commit itself failed.
        """
        with self._writing, self._take_turn():
            try:
                connection = self._writer or self._writer_engine.connect()
                self._writer = connection
                if durable != self._full:
                    # On the driver's connection: SQLAlchemy would begin a transaction, inside which SQLite ignores it.
                    _driver(connection).execute(f"PRAGMA synchronous={'FULL' if durable else 'NORMAL'}")
                    self._full = durable
                transaction = connection.begin()
            except DBAPIError as error:
                self._forget_writer()
                raise LedgerError(f"the ledger cannot be written ({_kind(error)})") from None
            try:
                yield connection
            except IntegrityError as error:
                transaction.rollback()
                raise Collision(f"the ledger refused a row ({_kind(error)})") from None
            except DBAPIError as error:
                self._forget_writer()
                raise LedgerError(f"the ledger cannot be written ({_kind(error)})") from None
            except BaseException:
                transaction.rollback()
                raise
            try:
                transaction.commit()
            except DBAPIError as error:
                self._forget_writer()
                if _kind(error) == "SQLITE_FULL":
                    raise LedgerError("the ledger's disk is full") from None  # SQLite has rolled it back
                raise LedgerUncertain(f"a commit of the ledger failed ({_kind(error)})") from None

    def checkpoint(self) -> None:
        """Move what the write-ahead log holds into the database file; one process alone does so."""
        with contextlib.suppress(DBAPIError, sqlite3.Error), self._writer_engine.connect() as connection:
            _driver(connection).execute("PRAGMA wal_checkpoint(PASSIVE)")

    def close(self) -> None:
        """Close every connection of this process."""
        self._forget_writer()
        self._reader.dispose()
        self._writer_engine.dispose()
        if self._turn is not None:
            os.close(self._turn)
            self._turn = None

    def get(self, key: str) -> str | None:
        """One value of the ledger's `meta` table."""
        with self.read() as connection:
            return connection.execute(select(meta.c.value).where(meta.c.key == key)).scalar_one_or_none()

    def version(self) -> str | None:
        """The migration that the ledger stands at; None for a new one."""
        if not self.exists():
            return None
        with self.read() as connection:
            table = connection.exec_driver_sql("SELECT 1 FROM sqlite_master WHERE name = 'alembic_version'").first()
            return connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar() if table else None

    def migrate(self) -> None:
        """Bring the ledger to the program's version; make it where there is none.

        Raises
        ------
        StartError
            The ledger lies on a network file system, cannot be opened, or was made by a newer program.
        """
        system = _file_system(self.path.parent)
        if system in _NETWORK_FILE_SYSTEMS:
            raise StartError(
                f"the ledger would lie on a network file system ({system}), where SQLite is not safe: "
                f"set node.ledger to a local disk"
            )
        scripts = ScriptDirectory(str(MIGRATIONS))
        try:
            version = self.version()
            if version == scripts.get_current_head():
                return
            if version is not None and version not in {script.revision for script in scripts.walk_revisions()}:
                raise StartError(
                    f"the ledger {self.path} was made by a newer deid-node (version {version}): install that one"
                )
            self.path.touch(mode=0o600)
            alembic = AlembicConfig()
            alembic.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
            with self._writer_engine.connect() as connection:
                _driver(connection).execute("PRAGMA journal_mode=WAL")
                alembic.attributes["connection"] = connection
                command.upgrade(alembic, "head")
                connection.commit()
        except (DBAPIError, LedgerError) as error:
            kind = _kind(error) if isinstance(error, DBAPIError) else str(error)
            raise StartError(f"the ledger {self.path} cannot be opened ({kind})") from None

    def require(self) -> None:
        """Raise NotReachable unless a ledger of the program's version is there."""
        if not self.exists():
            raise NotReachable(f"no ledger at {self.path}: has the node been started with this configuration?")
        if self.version() != ScriptDirectory(str(MIGRATIONS)).get_current_head():
            raise NotReachable(f"the ledger {self.path} is of another version: start the node once to migrate it")

    def _forget_writer(self) -> None:
        if self._writer is not None:
            with contextlib.suppress(DBAPIError):
                self._writer.invalidate()
                self._writer.close()
            self._writer = None
        self._full = True

    @contextlib.contextmanager
    def _take_turn(self) -> Iterator[None]:
        if self._turn is None:
            self._turn = os.open(f"{self.path}.turn", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._turn, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.flock(self._turn, fcntl.LOCK_UN)

    def _engine(self, *, read_only: bool) -> Engine:
        arguments: dict[str, Any] = {"timeout": _BUSY_SECONDS, "check_same_thread": False, "isolation_level": None}
        pool: dict[str, Any] = {} if read_only else {"poolclass": NullPool}
        engine = create_engine(self._url, connect_args=arguments, hide_parameters=True, **pool)

        @event.listens_for(engine, "connect")
        def _opened(connection: Any, _record: object) -> None:
            cursor = connection.cursor()
            cursor.execute("PRAGMA foreign_keys=ON")
            # One connection alone checkpoints (`checkpoint`): no commit in front of an answer ever pays for it.
            cursor.execute("PRAGMA wal_autocheckpoint=0")
            cursor.execute(f"PRAGMA {'query_only=ON' if read_only else 'synchronous=FULL'}")
            cursor.execute("PRAGMA cache_size=-8192")
            cursor.close()

        @event.listens_for(engine, "begin")
        def _begun(connection: Connection) -> None:
            connection.exec_driver_sql("BEGIN" if read_only else "BEGIN IMMEDIATE")

        return engine


def _driver(connection: Connection) -> sqlite3.Connection:
    """The driver's own connection: SQLAlchemy begins a transaction for any statement, and some pragmas refuse one."""
    driver = connection.connection.dbapi_connection
    assert isinstance(driver, sqlite3.Connection)
    return driver


def _kind(error: DBAPIError) -> str:
    """What SQLite calls the error; its text names tables and columns, never values."""
    name = getattr(error.orig, "sqlite_errorname", None)
    return str(name or type(error.orig).__name__)


def _file_system(folder: Path) -> str:
    """The type of the file system that holds `folder`, or an empty text where the system does not tell."""
    folder = folder.resolve()
    best, kind = "", ""
    try:
        mounts = Path("/proc/self/mounts").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    for line in mounts:
        _, where, fstype, *_ = line.split(" ")
        where = where.replace("\\040", " ")
        if (folder == Path(where) or Path(where) in folder.parents) and len(where) >= len(best):
            best, kind = where, fstype
    return kind
