"""What the spool knows of the ledger: how far it had come, and how it was left.

Small files in the spool, so that a ledger that was exchanged for an older one is noticed, and one that was left in
good order needs no check of its pages at the start. A check that would keep the start waiting is done to its end while
the node runs (`check`).
"""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path

from sqlalchemy import func, select

from node import jotting
from node.errors import LedgerError
from node.ledger.database import Database
from node.ledger.schema import instances

CHECK_SECONDS = 1.5
_NAME = "ledger.json"
_UNCHECKED = "ledger-unchecked.json"
_STEPS = 100_000  # of SQLite's virtual machine, between looks at the clock


def damage(database: Database, spool: Path, seconds: float = CHECK_SECONDS) -> str:
    """Return what is wrong with the pages of a ledger, empty where nothing was found.

    One that is as the last node left it, in good order, is not looked at: nothing has touched it since. Else its pages
    are, for about `seconds`, and what is left is for `check`; all of them, however long it takes, where SQLite has met
    damage since the last look.
    """
    left, marked = jotting.read(spool / _NAME).get("left"), database.damage_seen() is not None
    if not database.exists() or (left is not None and left == _state_of(database.path) and not marked):
        return ""
    until = time.monotonic() + seconds
    try:
        found = _wrong(database, lambda: not marked and time.monotonic() > until)
    except LedgerError as error:
        return str(error).partition(". ")[0]
    if found is None:
        jotting.replace(spool / _UNCHECKED, {"at": time.time()})
    elif not found:
        _is_whole(database, spool)
    return found or ""


def is_unchecked(spool: Path) -> bool:
    """Whether `damage` has left pages to `check`."""
    return (spool / _UNCHECKED).exists()


def check(database: Database, spool: Path, enough: Callable[[], bool]) -> str:
    """Look at every page while the node runs, until `enough` says so; return what is wrong, which is marked as damage.

    Raises LedgerError where the ledger cannot be read, which is marked too where it is by damage.
    """
    found = _wrong(database, enough)
    if found:
        database.note_damage()
    elif found is not None:
        _is_whole(database, spool)
    return found or ""


def _wrong(database: Database, enough: Callable[[], bool]) -> str | None:
    """Return what is wrong with a ledger's pages, empty for nothing; None where it was `enough` before the end."""
    with database.read() as connection:
        driver = connection.driver
        driver.set_progress_handler(lambda: int(enough()), _STEPS)
        try:
            found = driver.execute("PRAGMA quick_check(1)").fetchone()
        except sqlite3.OperationalError as error:
            if getattr(error, "sqlite_errorname", "") != "SQLITE_INTERRUPT":
                raise
            return None
        finally:
            driver.set_progress_handler(None, 0)
    # SQLite names tables, pages and columns here, and no values.
    return "" if found is None or found[0] == "ok" else "its pages do not fit together"


def _is_whole(database: Database, spool: Path) -> None:
    database.damage_mended()
    with contextlib.suppress(OSError):
        (spool / _UNCHECKED).unlink(missing_ok=True)


def note_start(database: Database, spool: Path) -> int:
    """Compare the ledger with what the spool has seen; return, and note, how many instances it has fewer, at least."""
    before, now = jotting.read(spool / _NAME), _reached(database)
    missing = max(0, int(before.get("reached", 0)) - now)
    jotting.replace(spool / _NAME, {"reached": now, "older": [time.time(), missing] if missing else None})
    return missing


def note(database: Database, spool: Path) -> None:
    """Note how far the ledger has come, while the node runs."""
    known, now = jotting.read(spool / _NAME), _reached(database)
    if known.get("reached") != now or known.get("left"):
        jotting.replace(spool / _NAME, {"reached": now, "older": known.get("older")})


def note_end(database: Database, spool: Path) -> None:
    """Note how the ledger is left, with no process of the node alive; closes the database."""
    known, now = jotting.read(spool / _NAME), _reached(database)
    database.close()
    if not Path(f"{database.path}-wal").exists():
        jotting.replace(spool / _NAME, {"reached": now, "older": known.get("older"), "left": _state_of(database.path)})


def older(spool: Path) -> tuple[float, int] | None:
    """When the ledger was found to be older than the spool, and how many instances it has fewer; None where it is not.

    From a start to the next one.
    """
    found = jotting.read(spool / _NAME).get("older")
    return (float(found[0]), int(found[1])) if found else None


def _reached(database: Database) -> int:
    with database.read() as connection:
        return int(connection.execute(select(func.max(instances.c.seq))).scalar() or 0)


def _state_of(path: Path) -> list[int]:
    try:
        state = path.stat()
    except OSError:
        return []
    return [state.st_ino, state.st_size, state.st_mtime_ns]
