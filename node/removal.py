"""Removes files beside the work that goes on.

Giving back a file's blocks can take longer than writing them, and syncs wait for it (a disk mounted with `discard`). So
files go when it is calm, and soon in any case: at once where the disk is short of room. Until then what comes may be
written over them (`node.spare`): all but tiny ones at once, and where it does not get calm these too, before they would
have to go. What a death leaves behind is the sweeper's.
"""

from __future__ import annotations

import contextlib
import os
import queue
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from node.spare import LARGEST, Spares

_CALM_SECONDS = 0.5  # without anything new
_LONGEST_SECONDS = 10.0  # that a file waits
_MOST_BYTES = 256 << 20  # that wait together
_WORTH_IT = 8 << 10  # bytes, from which on it pays to write over a file at once


@dataclass(frozen=True, slots=True)
class _Waiting:
    path: str
    size: int
    reusable: bool = False
    until: float = field(default_factory=lambda: time.monotonic() + _LONGEST_SECONDS)


class Remover:
    """A thread that removes what it is given; it starts with the first file. `is_tight` says that room is short."""

    def __init__(self, is_tight: Callable[[], bool], spares: Spares) -> None:
        self._is_tight = is_tight
        self._spares = spares
        self._given: queue.Queue[str | None] = queue.Queue()
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()
        self._waiting: deque[_Waiting] = deque()
        self._bytes = 0

    def remove_soon(self, path: str) -> None:
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
            tight = self._is_tight()
            self._take(path, tight=tight)
            while self._waiting and (tight or self._is_time()):
                self._remove(late=not tight)
            if self._given.empty() or self._spares.is_full():
                self._spares.release()

    def _is_time(self) -> bool:
        return self._bytes > _MOST_BYTES or time.monotonic() > self._waiting[0].until

    def _take(self, path: str, *, tight: bool) -> None:
        with contextlib.suppress(OSError):
            size = os.stat(path).st_size
            reusable = not tight and size <= LARGEST
            if reusable and size >= _WORTH_IT:
                path, reusable = self._keep(path, size), False
            self._wait(_Waiting(path, size, reusable))

    def _keep(self, path: str, size: int) -> str:
        try:
            return self._spares.keep(path, size)
        except OSError:
            return path

    def _wait(self, one: _Waiting) -> None:
        self._waiting.append(one)
        self._bytes += one.size

    def _remove(self, *, late: bool = False) -> None:
        self._spares.release()
        one = self._waiting.popleft()
        self._bytes -= one.size
        if late and one.reusable:
            self._wait(_Waiting(self._keep(one.path, one.size), one.size))
            return
        # A disk that refuses now is the sweeper's to try again.
        with contextlib.suppress(OSError):
            os.unlink(one.path)
