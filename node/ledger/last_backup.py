"""When the node last made a backup by itself, and what went wrong since: a small file in the data folder.

Guarantees that a backup which failed, or is overdue, is told until one succeeds.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

from node import jotting
from node.config import Config
from node.ledger.times import iso

_NAME = "backup.json"
_GRACE = 3600.0  # seconds beyond `every`, for a backup to be made in


@dataclass(frozen=True, slots=True)
class LastBackup:
    """`since`: the first look; `at`: the last one that was made, `size` in bytes; `failed_at`: a failure after it.

    Times in seconds, UTC; 0 is never. `error` is why it failed.
    """

    since: float = 0.0
    at: float = 0.0
    size: int = 0
    failed_at: float = 0.0
    error: str = ""


def last_backup(config: Config) -> LastBackup:
    """Return what is known; all of it is 0 where there is nothing."""
    found = jotting.read(config.node.data / _NAME)
    try:
        return LastBackup(
            float(found.get("since", 0)),
            float(found.get("at", 0)),
            int(found.get("size", 0)),
            float(found.get("failed_at", 0)),
            str(found.get("error", "")),
        )
    except (TypeError, ValueError):
        return LastBackup()


def note_made(config: Config, size: int) -> None:
    """Note that a backup was made now, of so many bytes."""
    before = last_backup(config)
    jotting.replace(config.node.data / _NAME, {"since": before.since or time.time(), "at": time.time(), "size": size})


def note_failed(config: Config, error: str) -> None:
    """Note that a backup failed now, and why."""
    before = last_backup(config)
    known = {"since": before.since, "at": before.at, "size": before.size}
    jotting.replace(config.node.data / _NAME, {**known, "failed_at": time.time(), "error": error})


def note_expected(config: Config) -> LastBackup:
    """Note, where nothing is known, that backups are made from now on; return what is known."""
    known = last_backup(config)
    if not known.since:
        jotting.replace(config.node.data / _NAME, {"since": time.time(), "at": known.at, "size": known.size})
        known = last_backup(config)
    return known


def trouble(config: Config, now: float) -> Iterator[tuple[str, float, str]]:
    """Tell of a backup that failed, and of one that is overdue: kind of alert, since when, a sentence."""
    every, known = config.backup.every, last_backup(config)
    if every is None:
        return
    made = f"the last one was made {iso(known.at)}" if known.at else "none was made yet"
    if known.failed_at > known.at:
        yield "backup-failed", known.failed_at, f"the backup failed ({known.error}); {made}"
    due = (known.at or known.since) + every + min(every, _GRACE)
    if known.since and now > due:
        yield "backup-overdue", due, f"no backup was made for longer than backup.every; {made}"
