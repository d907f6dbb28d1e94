"""Removes files beside the work that goes on.

Giving back a file's blocks can take longer than writing them, and syncs wait for it (a disk mounted with `discard`). So
files go when it is calm, and soon in any case: at once where the disk is short of room. What a death leaves behind is
the sweeper's.
"""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path

_CALM_SECONDS = 0.5  # without anything new
_LONGEST_SECONDS = 10.0  # that a file waits
_MOST_BYTES = 256 << 20  # that wait together


class Remover:
    """A thread that removes what it is given; it starts with the first file. `is_tight` says that room is short."""

    def __init__(self, is_tight: Callable[[], bool]) -> None:
        self._is_tight = is_tight
        self._given: queue.Queue[Path | None] = queue.Queue()
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()
        self._waiting: deque[tuple[Path, int, float]] = deque()
        self._bytes = 0

    def remove_soon(self, path: Path) -> None:
        """Remove a file that nothing needs any more."""
        with self._starting:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="remove", daemon=True)
                self._thread.start()
        self._given.put(path)

    def finish(self) -> None:
        """Return when everything that was given is gone."""
        if self._thread is not None:
            self._given.put(None)
            self._thread.join()
            self._thread = None

    def _run(self) -> None:
        while True:
            try:
                path = self._given.get(timeout=_CALM_SECONDS if self._waiting else None)
            except queue.Empty:
                while self._waiting and self._given.empty():
                    self._remove()
                continue
            if path is None:
                while self._waiting:
                    self._remove()
                return
            self._take(path)
            tight = self._is_tight()
            while self._waiting and (tight or self._bytes > _MOST_BYTES or time.monotonic() > self._waiting[0][2]):
                self._remove()

    def _take(self, path: Path) -> None:
        with contextlib.suppress(OSError):
            size = path.stat().st_size
            self._waiting.append((path, size, time.monotonic() + _LONGEST_SECONDS))
            self._bytes += size

    def _remove(self) -> None:
        path, size, _ = self._waiting.popleft()
        self._bytes -= size
        # A disk that refuses now is the sweeper's to try again.
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)
