"""What the processes of one node share beside the ledger: a few numbers, and bells.

Nothing here is a promise: the numbers limit associations and name the instance that a worker has in hand; a bell only
says "look now". All of it is gone when the node ends, and nothing is missed.
"""

from __future__ import annotations

import contextlib
import fcntl
import mmap
import os
import select
import struct
import threading
import time

_SLOT = struct.Struct("=q")


class Numbers:
    """Signed 64-bit numbers in memory that is shared with every process forked later."""

    def __init__(self, count: int) -> None:
        self._memory = mmap.mmap(-1, max(count, 1) * _SLOT.size)
        self.count = count

    def __getitem__(self, index: int) -> int:
        return int(_SLOT.unpack_from(self._memory, index * _SLOT.size)[0])

    def __setitem__(self, index: int, value: int) -> None:
        _SLOT.pack_into(self._memory, index * _SLOT.size, value)

    def total(self) -> int:
        """The sum of all slots."""
        return sum(self[index] for index in range(self.count))


class Places:
    """The places for associations in the whole node: never more than `limit` are taken.

    Each process counts in a slot of its own, so that the supervisor can empty the slot of one that died.
    """

    def __init__(self, limit: int, processes: int) -> None:
        self._limit = limit
        self.taken = Numbers(processes)
        # A file lock and not a semaphore: it ends with its holder, however that dies.
        self._turn = os.memfd_create("places", os.MFD_CLOEXEC)
        self._thread_turn = threading.Lock()

    def take(self, slot: int) -> bool:
        """Take one place for the process of `slot`; False when all are taken."""
        with self._thread_turn:
            fcntl.lockf(self._turn, fcntl.LOCK_EX)
            try:
                if self.taken.total() >= self._limit:
                    return False
                self.taken[slot] += 1
                return True
            finally:
                fcntl.lockf(self._turn, fcntl.LOCK_UN)

    def give_back(self, slot: int) -> None:
        """Give a place back."""
        with self._thread_turn:
            self.taken[slot] -= 1

    def forget(self, slot: int) -> None:
        """Give back whatever a dead process held."""
        self.taken[slot] = 0


class Bell:
    """Rings from any process to those that wait: a hint that there is work, never the work itself."""

    def __init__(self) -> None:
        self._reader, self._writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)

    def ring(self) -> None:
        """Wake one who waits; a bell that still rings is not rung again."""
        try:  # noqa: SIM105 — on the way of every instance
            os.write(self._writer, b"!")
        except BlockingIOError:
            pass

    def wait(self, seconds: float) -> bool:
        """Return True when the bell rings, False after `seconds`."""
        poll = select.poll()
        poll.register(self._reader, select.POLLIN)
        until = time.monotonic() + seconds
        while poll.poll(max(0.0, until - time.monotonic()) * 1000):
            # Several wake up; the one that gets to read looks for work, the others go back to sleep.
            with contextlib.suppress(BlockingIOError):
                os.read(self._reader, 65536)
                return True
        return False


class Company:
    """Lets one of several processes wait a moment for more to come, while the others sleep on: it takes all of it."""

    def __init__(self) -> None:
        self._times = Numbers(2)  # nanoseconds of a clock that all processes share: until when, and since when

    def found(self) -> None:
        """Somebody has found work."""
        self._times[1] = time.monotonic_ns()

    def wait_for(self, seconds: float, busy: float) -> float | None:
        """Return how long the caller is to wait; None where another one waits (who dies doing so blocks nobody).

        `seconds`, but nothing at all where nobody has found work for `busy` seconds.
        """
        now = time.monotonic_ns()
        if now < self._times[0]:
            return None
        if now - self._times[1] > busy * 1e9:
            return 0.0
        self._times[0] = now + int(seconds * 1e9)
        return seconds


class Stop:
    """Set when a process is to end; `patient` while it may wait for its associations to end by themselves.

    A signal handler may set it at any point of any thread, for which `threading.Event` is not made: its lock may be
    held by the very thread that the handler interrupts.
    """

    def __init__(self) -> None:
        self.patient = False
        self._set = False
        self._flag = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)

    def is_set(self) -> bool:
        """Whether it is time to end."""
        return self._set

    def set(self) -> None:
        """End soon."""
        self.patient = False
        self._raise()

    def when_done(self) -> None:
        """Take nothing new, and end when everything open has ended."""
        self.patient = not self._set
        self._raise()

    def wait(self, seconds: float) -> bool:
        """Return when it is set, or after `seconds`; say whether it is set."""
        poll = select.poll()
        poll.register(self._flag, select.POLLIN)
        poll.poll(max(0.0, seconds) * 1000)
        return self._set

    def _raise(self) -> None:
        self._set = True
        os.eventfd_write(self._flag, 1)
