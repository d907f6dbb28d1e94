"""What the spool knows of the ledger: how far it had come, and how it was left.

A small file in the spool, so that a ledger that was exchanged for an older one is noticed, and one that was left in
good order needs no check of its pages at the start.
"""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path

from sqlalchemy import func, select

from node import jotting
from node.errors import LedgerError
from node.ledger.database import Database
from node.ledger.schema import instances

CHECK_SECONDS = 20.0
_NAME = "ledger.json"
_STEPS = 100_000  # of SQLite's virtual machine, between looks at the clock


def damage(database: Database, spool: Path, seconds: float = CHECK_SECONDS) -> str:
    """Return what is wrong with the pages of a ledger, empty where nothing was found.

    One that is as the last node left it, in good order, is not looked at: nothing has touched it since. Else its pages
    are, for at most `seconds`.
    """
    left = jotting.read(spool / _NAME).get("left")
    if not database.exists() or (left is not None and left == _state_of(database.path)):
        return ""
    until = time.monotonic() + seconds
    try:
        with database.read() as connection:
            driver = connection.driver
            driver.set_progress_handler(lambda: int(time.monotonic() > until), _STEPS)
            try:
                found = driver.execute("PRAGMA quick_check(1)").fetchone()
            except sqlite3.OperationalError as error:
                if getattr(error, "sqlite_errorname", "") != "SQLITE_INTERRUPT":
                    raise
                return ""
            finally:
                driver.set_progress_handler(None, 0)
    except LedgerError as error:
        return str(error)
    # SQLite names tables, pages and columns here, and no values.
    return "" if found is None or found[0] == "ok" else "its pages do not fit together"


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
