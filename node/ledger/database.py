"""The ledger's database: opening, transactions, versions.

Guarantees
    A write is one `BEGIN IMMEDIATE` transaction: whole or not at all. A durable write is on stable storage when `write`
    returns (`synchronous=FULL`: in front of an answer and in front of a deletion); any other may be lost in a power
    cut, which only moves an instance back to a state whose file still exists. Writers of all processes take turns by
    a file lock, so that none starves in SQLite's back-off. Errors carry no parameter, so no value of a data set.

Refuses
    A network file system, where SQLite's locks and shared memory do not hold; a ledger made by a newer program.
    A full disk is a LedgerError, and nothing was changed. Pages that do not fit together are a LedgerError that says
    what to do, and leave a mark beside the ledger for whoever looks later (`damage_seen`).
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import sqlite3
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote

from sqlalchemy import select
from sqlalchemy.engine import make_url

from node import jotting
from node.errors import Collision, LedgerError, LedgerUncertain, NotReachable, StartError
from node.ledger.schema import VERSION, meta
from node.ledger.transactions import Transaction
from node.sealing import PLAIN, Columns

_BUSY_SECONDS = 60
_LONG_LOG = 2000  # pages of the write-ahead log: at full load what comes within a second
_LONGEST_RESTART = 20  # milliseconds for which writers wait until no reader needs the log
_DAMAGE = ("SQLITE_CORRUPT", "SQLITE_NOTADB")
DAMAGED = (
    "The ledger is damaged: end the node, put a backup of the ledger back, or make it again from the spool with "
    "`deid-node rebuild`; the disk needs to be looked at, too"
)
_NETWORK_FILE_SYSTEMS = frozenset(
    {"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "ceph", "glusterfs", "fuse.sshfs", "afs"}
)


class Database:
    """One process's way to the ledger at `url` (`sqlite:///…`); `columns` seals what names a person in it."""

    def __init__(self, url: str, columns: Columns = PLAIN) -> None:
        self.columns = columns
        self.path = Path(make_url(url).database or "")
        self.url = url
        self._writing = threading.Lock()
        self._readers: list[sqlite3.Connection] = []  # those that nobody uses
        self._writer: sqlite3.Connection | None = None
        self._turn: int | None = None
        self._close_turn: Callable[[], object] = lambda: None
        self._full = True
        self._log_pages = 0  # of the log, when it was last prepared to begin anew

    def exists(self) -> bool:
        """Whether a ledger file is there."""
        return self.path.exists() and self.path.stat().st_size > 0

    @contextlib.contextmanager
    def read(self, *, once: bool = False) -> Iterator[Transaction]:
        """A transaction that sees one consistent state of the ledger and cannot change it.

        `once` is for one statement of which one row is taken: it needs no transaction around it.
        """
        try:
            connection = self._reader()
        except sqlite3.Error as error:
            raise LedgerError(self._told("cannot be read", error)) from None
        try:
            if once:
                yield Transaction(connection, self.columns)
            else:
                connection.execute("BEGIN")
                yield Transaction(connection, self.columns)
                connection.execute("ROLLBACK")
        except sqlite3.Error as error:
            _close(connection)
            raise LedgerError(self._told("cannot be read", error)) from None
        except BaseException:
            _close(connection)
            raise
        self._readers.append(connection)

    @contextlib.contextmanager
    def write(self, *, durable: bool) -> Iterator[Transaction]:
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
                connection = self._begin(durable)
            except sqlite3.Error as error:
                self._forget_writer()
                raise LedgerError(self._told("cannot be written", error)) from None
            try:
                yield Transaction(connection, self.columns)
            except sqlite3.IntegrityError as error:
                self._forget_writer()
                raise Collision(f"the ledger refused a row ({_kind(error)})") from None
            except sqlite3.Error as error:
                self._forget_writer()
                raise LedgerError(self._told("cannot be written", error)) from None
            except BaseException:
                self._forget_writer()
                raise
            try:
                connection.execute("COMMIT")
            except sqlite3.Error as error:
                self._forget_writer()
                if _kind(error) == "SQLITE_FULL":
                    raise LedgerError("the ledger's disk is full") from None  # SQLite has rolled it back
                raise LedgerUncertain(self._told("failed in a commit", error)) from None

    def damage_seen(self) -> float | None:
        """When SQLite first met pages of the ledger that do not fit together (seconds, UTC); None where it has not."""
        at = jotting.read(self._mark).get("at")
        return float(at) if isinstance(at, int | float) else None

    def note_damage(self) -> None:
        """Leave the mark that `damage_seen` reads."""
        if self.damage_seen() is None:
            jotting.replace(self._mark, {"at": time.time()})

    def damage_mended(self) -> None:
        """Forget what `damage_seen` tells: the pages were looked at, and are whole."""
        with contextlib.suppress(OSError):
            self._mark.unlink(missing_ok=True)

    @property
    def _mark(self) -> Path:
        return self.path.with_name(f"{self.path.name}.damaged")

    def _told(self, what: str, error: sqlite3.Error) -> str:
        """Return what to say of an error; where it tells of damage, that is noted too."""
        kind = _kind(error)
        if not kind.startswith(_DAMAGE):
            return f"the ledger {what} ({kind})"
        self.note_damage()
        return f"the ledger {what} ({kind}). {DAMAGED}"

    def checkpoint(self) -> None:
        """Move what the write-ahead log holds into the database file; one process alone does so.

        SQLite begins the log anew only where all of it was moved and nobody reads it. Where there is always a writer
        that never comes by itself: once the log is long, writers and readers wait some milliseconds for it.
        """
        with contextlib.suppress(sqlite3.Error), contextlib.closing(self._connect(read_only=False)) as connection:
            _, pages, _ = connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
            if pages <= _LONG_LOG or pages == self._log_pages:
                return
            connection.execute(f"PRAGMA busy_timeout={_LONGEST_RESTART}")
            with self._writing, self._take_turn():
                _, self._log_pages, _ = connection.execute("PRAGMA wal_checkpoint(RESTART)").fetchone()

    def compact(self) -> None:
        """Write the database anew and empty its log, so that nothing stays of what was deleted or changed.

        Only for a ledger that nobody else has open. Raises LedgerError.
        """
        try:
            with contextlib.closing(self._connect(read_only=False)) as connection:
                connection.execute("VACUUM")
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        except sqlite3.Error as error:
            raise LedgerError(f"the ledger cannot be written anew ({_kind(error)})") from None

    def copy_into(self, target: sqlite3.Connection) -> None:
        """Write the whole, as it is at one moment, into another database, while others go on. Raises LedgerError."""
        try:
            with contextlib.closing(self._connect(read_only=True)) as connection:
                connection.backup(target)
        except sqlite3.Error as error:
            raise LedgerError(f"the ledger cannot be copied ({_kind(error)})") from None

    def shrink(self) -> None:
        """Empty the write-ahead log, so that what was overwritten is in no file; it may fail, and comes later then."""
        with contextlib.suppress(sqlite3.Error), contextlib.closing(self._connect(read_only=False)) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def close(self) -> None:
        """Close every connection of this process."""
        self._forget_writer()
        while self._readers:
            self._readers.pop().close()
        if self._turn is not None:
            self._close_turn()
            self._turn = None

    def get(self, key: str) -> str | None:
        """One value of the ledger's `meta` table."""
        with self.read() as connection:
            value: str | None = connection.execute(select(meta.c.value).where(meta.c.key == key)).scalar()
        return value

    def version(self) -> str | None:
        """The migration that the ledger stands at; None for a new one."""
        if not self.exists():
            return None
        with self.read() as connection:
            driver = connection.driver
            if driver.execute("SELECT 1 FROM sqlite_master WHERE name = 'alembic_version'").fetchone() is None:
                return None
            row = driver.execute("SELECT version_num FROM alembic_version").fetchone()
            return None if row is None else str(row[0])

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
        try:
            version = self.version()
            if version != VERSION:
                self._upgrade(version)
        except (sqlite3.Error, LedgerError) as error:
            kind = _kind(error) if isinstance(error, sqlite3.Error) else str(error)
            raise StartError(f"the ledger {self.path} cannot be opened ({kind})") from None

    def _upgrade(self, version: str | None) -> None:
        # Only here, where a ledger is made or changed: its import takes longer than many a command.
        from node.ledger.migrate import upgrade

        self.path.touch(mode=0o600)
        upgrade(self.url, self.path, version)

    def require(self) -> None:
        """Raise NotReachable unless a ledger of the program's version is there."""
        if not self.exists():
            raise NotReachable(f"no ledger at {self.path}: has the node been started with this configuration?")
        if self.version() != VERSION:
            raise NotReachable(
                f"the ledger {self.path} is of another version ({self.version()}, this program's is {VERSION}): one of "
                f"an older program is migrated when the node starts; for one of a newer program install that one"
            )

    def _reader(self) -> sqlite3.Connection:
        try:
            return self._readers.pop()
        except IndexError:
            return self._connect(read_only=True)

    def _begin(self, durable: bool) -> sqlite3.Connection:
        connection = self._writer or self._connect(read_only=False)
        self._writer = connection
        if durable != self._full:
            connection.execute(f"PRAGMA synchronous={'FULL' if durable else 'NORMAL'}")
            self._full = durable
        connection.execute("BEGIN IMMEDIATE")
        return connection

    def _forget_writer(self) -> None:
        if self._writer is not None:
            _close(self._writer)
            self._writer = None
        self._full = True

    @contextlib.contextmanager
    def _take_turn(self) -> Iterator[None]:
        if self._turn is None:
            self._turn = os.open(f"{self.path}.turn", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            self._close_turn = weakref.finalize(self, os.close, self._turn)
        fcntl.flock(self._turn, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.flock(self._turn, fcntl.LOCK_UN)

    def _connect(self, *, read_only: bool) -> sqlite3.Connection:
        # Never `rwc`: a ledger that was moved away must not come back as an empty file.
        connection = sqlite3.connect(
            f"file:{quote(str(self.path))}?mode=rw",
            uri=True,
            timeout=_BUSY_SECONDS,
            check_same_thread=False,
            isolation_level=None,
        )
        connection.execute("PRAGMA foreign_keys=ON")
        # One connection alone checkpoints (`checkpoint`): no commit in front of an answer ever pays for it.
        connection.execute("PRAGMA wal_autocheckpoint=0")
        connection.execute(f"PRAGMA {'query_only=ON' if read_only else 'synchronous=FULL'}")
        connection.execute("PRAGMA cache_size=-8192")
        # What is deleted is overwritten: rows of the maps name persons.
        connection.execute("PRAGMA secure_delete=ON")
        return connection


def _close(connection: sqlite3.Connection) -> None:
    """Roll back what is open and close; by closing alone it might stay open as long as a cursor lives."""
    with contextlib.suppress(sqlite3.Error):
        if connection.in_transaction:
            connection.execute("ROLLBACK")
    with contextlib.suppress(sqlite3.Error):
        connection.close()


def _kind(error: sqlite3.Error) -> str:
    """What SQLite calls the error; its text names tables and columns, never values."""
    return str(getattr(error, "sqlite_errorname", None) or type(error).__name__)


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
