"""Backups that the node makes by itself, every so often.

Guarantees that one is made in a process of its own, which alone reads the secret; that one which fails is tried again
within the hour and told until one succeeds; that only backups of this node, made in this way, are ever deleted, and
only once a newer one is complete.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import subprocess
import sys
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from node.config import Config
from node.ledger.last_backup import last_backup, note_expected, note_failed
from node.log import event

LOGGER = logging.getLogger("node.backups")

_AGAIN = 3600.0  # seconds after one that failed, at most
_SUFFIX = ".age"


@dataclass(slots=True)
class Schedule:
    """Starts backups when they are due; asked again and again by the keeper."""

    config: Config
    _process: subprocess.Popen[bytes] | None = field(default=None, init=False)

    def look(self, now: float | None = None) -> None:
        """Start a backup if one is due at `now` (seconds, UTC; None is now), and note one that died."""
        every = self.config.backup.every
        if every is None or self._is_running():
            return
        now, known = time.time() if now is None else now, note_expected(self.config)
        last = known.at or (known.since - every)  # the first one at once
        due = last + every if known.failed_at <= known.at else known.failed_at + min(every, _AGAIN)
        if due <= now or due > now + max(every, _AGAIN):  # a clock that was set back keeps nothing waiting
            self._start()

    def _start(self) -> None:
        # A process of its own, not a child that shares: it has the secret, and open databases must not be forked.
        command = [sys.executable, "-m", "node", "backup", "--scheduled", "--config", str(self.config.file)]
        try:
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        except OSError as error:
            note_failed(self.config, f"no process could be started: {os.strerror(error.errno or 0)}")

    def _is_running(self) -> bool:
        if self._process is None:
            return False
        code = self._process.poll()
        if code is None:
            return True
        self._process = None
        known = last_backup(self.config)
        if code and known.failed_at <= known.at:
            note_failed(self.config, f"the process that made it ended with {code}; the log tells why")
            known = last_backup(self.config)
        if code:
            event(LOGGER, "backup-failed", level=logging.ERROR, error=known.error)
        else:
            event(LOGGER, "backed-up", size=known.size)
        return False


def scheduled_name(config: Config, at: float) -> Path:
    """Return where a backup made at a time (seconds, UTC) goes; `backup.folder` must be set."""
    assert config.backup.folder is not None
    moment = datetime.fromtimestamp(at, UTC).strftime("%Y%m%dT%H%M%SZ")
    return config.backup.folder / f"{_prefix(config)}{moment}{_SUFFIX}"


def let_go(config: Config) -> int:
    """Delete the oldest of the node's own backups beyond `backup.keep`, and half ones; return how many went."""
    folder, gone = config.backup.folder, 0
    assert folder is not None
    mine = sorted(folder.glob(f"{_prefix(config)}*Z{_SUFFIX}"))
    for path in mine[: -config.backup.keep]:
        with contextlib.suppress(OSError):
            path.unlink()
            gone += 1
    for path in folder.glob(f".{_prefix(config)}*{_SUFFIX}.part"):
        _remove_dead(path)
    return gone


def _remove_dead(draft: Path) -> None:
    """Remove what a backup left that died; one that is being written is locked."""
    with contextlib.suppress(OSError), draft.open("rb") as file:
        fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
        draft.unlink()


def _prefix(config: Config) -> str:
    """What the names of this node's backups begin with: others may share the folder."""
    try:
        mine = (config.node.spool / "id").read_text(encoding="ascii").strip()[:8]
    except OSError:
        mine = "unknown"
    return f"deid-node-{mine}-"
