"""Copies of the ledger, made while others write: each is the whole as it was at one moment.

Guarantees that a copy which is to be encrypted has no name on the disk while it is there, is for its owner alone, and
is overwritten before it is let go of. A copy that stays appears under its name complete and durable, or not at all.
Refuses to take the room that senders are to have.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import tempfile
from collections.abc import Iterator
from pathlib import Path

from node.durable import sync_folder
from node.errors import LedgerError
from node.ledger.database import Database

_PIECE = 1 << 20


@contextlib.contextmanager
def nameless_copy(database: Database, floor: int = 0) -> Iterator[int]:
    """Give the descriptor of a copy; `floor` bytes stay free on the disk.

    Raises
    ------
    LedgerError
        There is no room for it, or the ledger cannot be read.
    """
    _require_room(database.path, floor)
    try:
        descriptor, name = tempfile.mkstemp(prefix=".copy-", dir=database.path.parent)
    except OSError as error:
        raise LedgerError(f"the ledger cannot be copied ({error.strerror})") from None
    try:
        _fill(database, Path(name), unlink=True)
        yield descriptor
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name)
        with contextlib.suppress(OSError):
            _overwrite(descriptor)
        os.close(descriptor)


def copy_to(database: Database, target: Path, floor: int = 0) -> None:
    """Copy the ledger to a file, which is replaced where it is there; raises LedgerError as `nameless_copy`."""
    _require_room(database.path, floor)
    draft = target.with_name(f"{target.name}.new")
    try:
        with contextlib.suppress(FileNotFoundError):
            draft.unlink()
        os.close(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        _fill(database, draft, unlink=False)
        with draft.open("rb") as file:
            os.fsync(file.fileno())
        draft.replace(target)
        sync_folder(target.parent)
    except OSError as error:
        with contextlib.suppress(OSError):
            draft.unlink()
        raise LedgerError(f"the ledger cannot be copied to {target} ({error.strerror})") from None


def _require_room(path: Path, floor: int) -> None:
    disk = os.statvfs(path.parent)
    needed = sum(one.stat().st_size for one in (path, Path(f"{path}-wal")) if one.exists())
    if disk.f_bavail * disk.f_frsize < needed + floor:
        raise LedgerError(
            f"there is no room for a copy of the ledger beside it ({needed} bytes, and node.min_free_disk): free some"
        )


def _fill(database: Database, path: Path, *, unlink: bool) -> None:
    try:
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as copy:
            # Nothing of it counts before it is complete: no journal, which would have a name of its own.
            copy.execute("PRAGMA journal_mode=OFF")
            copy.execute("PRAGMA synchronous=OFF")
            if unlink:
                os.unlink(path)
            database.copy_into(copy)
    except sqlite3.Error as error:
        kind = getattr(error, "sqlite_errorname", None) or type(error).__name__
        raise LedgerError(f"the ledger cannot be copied ({kind})") from None


def _overwrite(descriptor: int) -> None:
    """Overwrite what stands in a file, and wait for the disk: it names persons."""
    size, zeros = os.fstat(descriptor).st_size, bytes(_PIECE)
    for place in range(0, size, _PIECE):
        os.pwrite(descriptor, zeros[: min(_PIECE, size - place)], place)
    os.fdatasync(descriptor)
