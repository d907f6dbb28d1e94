"""The spool's disk: how much is free, whether it can be written, and when it would be full.

Guarantees
    The state has a name: `ok`, `low` (less than `warn_free_disk`), `full` (less than `min_free_disk`: C-STORE answers
    A700H), `read-only`, `failing`. It is looked at anew whenever somebody asks. A change is logged once, and so is its
    end. Nothing is ever left in the spool by a look: what is written has no name.

How fast it fills is measured by the node (`Watch`), over the last minutes, and told in a small file beside the spool's
lock; what a node has told that does not run any more counts for nothing.
"""

from __future__ import annotations

import errno
import logging
import math
import os
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from node import jotting
from node.config import Config
from node.log import event

LOGGER = logging.getLogger("node.disk")

_NAME = "disk.json"
_LOOK_SECONDS = 1.0
_TELL_SECONDS = 5.0
_PROBE_SECONDS = 30.0  # while all is well; else at each look
_WINDOW_SECONDS = 600.0  # over which the rate is measured
_LEAST_SECONDS = 10.0  # of samples, before there is a rate
_LEAST_BYTES = 1 << 20  # that are gone meanwhile; less comes and goes by itself
_FRESH_SECONDS = 60.0  # for which what the node has told counts
_LONGEST = 365 * 86400.0  # what fills later than that does not fill
_LOW_TIMES = 3
_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT})
_UNKNOWN = frozenset({errno.EACCES, errno.EPERM, errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL, errno.ENOENT})
_TEXTS = {
    "low": "less than warn_free_disk is free: make room, or C-STORE will soon be answered A700H",
    "full": "less than min_free_disk is free: C-STORE is answered A700H, until there is room",
    "read-only": "the spool is mounted read-only: C-STORE is answered A700H, until it can be written again",
    "failing": "the disk of the spool refuses to write: C-STORE is answered A700H; look at the system's log",
}


@dataclass(frozen=True, slots=True)
class Disk:
    """Bytes that are free, the floor and the mark in front of it; the state, since when (seconds, UTC).

    `seconds_to_full` is when the floor would be reached at the rate of the last minutes; None where it does not fill.
    """

    free: int
    floor: int
    warn: int
    state: str
    since: float
    seconds_to_full: float | None = None

    @property
    def text(self) -> str:
        """What is wrong, and what to do; empty where nothing is."""
        return _TEXTS.get(self.state, "")


def look(config: Config, folder: Path | None = None) -> Disk:
    """Look at the spool's disk. Raises OSError where there is no spool."""
    folder = folder or config.node.spool
    now, told = time.time(), jotting.read(folder / _NAME)
    state, (free, floor, warn) = _state(config, folder, probe=True)
    since = float(told.get("since", now)) if told.get("state") == state else now
    fresh = now - float(told.get("at", 0.0)) < _FRESH_SECONDS
    samples = [(float(at), int(free_then)) for at, free_then in told.get("samples", [])] if fresh else []
    return Disk(free, floor, warn, state, since, seconds_to_full([*samples, (now, free)], floor))


def seconds_to_full(samples: Sequence[tuple[float, int]], floor: int) -> float | None:
    """Return when the floor is reached at the rate between the first and the last sample: (seconds, free bytes)."""
    if not samples:
        return None
    (began, before), (at, free) = samples[0], samples[-1]
    if free <= floor:
        return 0.0
    if at - began < _LEAST_SECONDS or before - free < _LEAST_BYTES:
        return None
    seconds = (free - floor) * (at - began) / (before - free)
    return round(seconds) if math.isfinite(seconds) and seconds < _LONGEST else None


def marks(config: Config, total: int) -> tuple[int, int]:
    """Return the floor and the mark in front of it, in bytes, on a disk of `total` bytes."""
    floor = config.node.min_free_disk.bytes_of(total)
    warn = config.node.warn_free_disk
    return floor, max(floor, floor * _LOW_TIMES if warn is None else warn.bytes_of(total))


def _state(config: Config, folder: Path, *, probe: bool) -> tuple[str, tuple[int, int, int]]:
    disk = os.statvfs(folder)
    free = disk.f_bavail * disk.f_frsize
    floor, warn = marks(config, disk.f_blocks * disk.f_frsize)
    problem = "read-only" if disk.f_flag & os.ST_RDONLY else _probe(folder / "incoming") if probe else ""
    if not problem:
        full = free < floor or disk.f_favail == 0 < disk.f_files
        problem = "full" if full else "low" if free < warn else "ok"
    return problem, (free, floor, warn)


def _probe(folder: Path) -> str:
    """Write a byte into a file without a name; return what state it shows, empty where it went well."""
    try:
        file = os.open(folder, os.O_TMPFILE | os.O_WRONLY | os.O_CLOEXEC, 0o600)
        try:
            os.write(file, b"\0")
            os.fdatasync(file)
        finally:
            os.close(file)
    except OSError as error:
        if error.errno in _UNKNOWN:
            return ""  # it cannot be tried so: as another user, or on this file system
        if error.errno == errno.EROFS:
            return "read-only"
        return "full" if error.errno in _NO_ROOM else "failing"
    return ""


@dataclass(slots=True)
class Watch:
    """The node's own look at the disk, again and again; it remembers how much was free."""

    config: Config
    folder: Path
    _state: str = "ok"
    _since: float = field(default_factory=time.time)
    _samples: deque[tuple[float, int]] = field(default_factory=deque)
    _looked: float = -math.inf
    _probed: float = -math.inf
    _told: float = -math.inf

    def look(self) -> None:
        """Look where it is time to."""
        now = time.monotonic()
        if now - self._looked < _LOOK_SECONDS:
            return
        self._looked = now
        probe = self._state not in ("ok", "low") or now - self._probed >= _PROBE_SECONDS
        if probe:
            self._probed = now
        try:
            state, (free, floor, _) = _state(self.config, self.folder, probe=probe)
        except OSError:
            state, free, floor = "failing", 0, 0
        changed = state != self._state
        if changed or now - self._told >= _TELL_SECONDS:
            self._told = now
            self._note(state, free, floor)
            self._tell()

    def _note(self, state: str, free: int, floor: int) -> None:
        at = time.time()
        while self._samples and not 0 <= at - self._samples[0][0] <= _WINDOW_SECONDS:
            self._samples.popleft()
        self._samples.append((at, free))
        if state == self._state:
            return
        if state == "ok":
            event(LOGGER, "disk-well", before=self._state, free=free)
        else:
            level = logging.WARNING if state == "low" else logging.ERROR
            event(LOGGER, f"disk-{state}", level=level, free=free, floor=floor, error=_TEXTS[state])
        self._state, self._since = state, at

    def _tell(self) -> None:
        told = {"at": time.time(), "state": self._state, "since": self._since, "samples": list(self._samples)}
        jotting.replace(self.folder / _NAME, told)
