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
import weakref
from collections.abc import Iterator
from enum import Enum

_SLOT = struct.Struct("=q")
_PACES = 1024  # peers whose speed is limited at the same time; more share what the limit gives
_TRIES = 16


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

    def all(self) -> tuple[int, ...]:
        """What is in all slots."""
        return struct.unpack_from(f"={self.count}q", self._memory)


class Turn:
    """One at a time, of all threads of all processes that were forked later; it ends with its holder, however that
    dies: a file lock, which a semaphore is not.
    """

    def __init__(self, name: str) -> None:
        self._file = os.memfd_create(name, os.MFD_CLOEXEC)
        self._thread_turn = threading.Lock()

    @contextlib.contextmanager
    def taken(self) -> Iterator[None]:
        """Have the turn in the block."""
        with self._thread_turn:
            fcntl.lockf(self._file, fcntl.LOCK_EX)
            try:
                yield
            finally:
                fcntl.lockf(self._file, fcntl.LOCK_UN)


class Full(Enum):
    """Whose places are all taken."""

    NODE = "node"
    PEER = "peer"


class Places:
    """The places for associations in the whole node: never more than `limit` are taken, nor of a peer more than it may.

    Each process counts in a slot of its own, so that the supervisor can empty the slot of one that died. `paces` is how
    fast the peers on them may send.
    """

    def __init__(self, limit: int, processes: int) -> None:
        self._limit = limit
        self.taken = Numbers(processes)
        self.paces = Paces()
        # Of those places that somebody has whose associations are limited: slot + 1 (0: free), and which peer.
        self._owners, self._peers = Numbers(limit), Numbers(limit)
        self._turn = Turn("places")
        self._giving_back = threading.Lock()

    def take(self, slot: int, peer: int = 0, most: int | None = None) -> Full | None:
        """Take one place for the process of `slot`; return None, or why there is none.

        `peer` is the number of a peer that may have `most` places in the whole node; None: as many as there are.
        """
        with self._turn.taken(), self._giving_back:
            if self.taken.total() >= self._limit:
                return Full.NODE
            if most is not None:
                owners = self._owners.all()
                had = sum(1 for owner, of in zip(owners, self._peers.all(), strict=True) if owner and of == peer)
                if had >= most:
                    return Full.PEER
                free = owners.index(0)  # there is one: not all places are taken
                self._peers[free] = peer
                self._owners[free] = slot + 1
            self.taken[slot] += 1
            return None

    def give_back(self, slot: int, peer: int = 0, most: int | None = None) -> None:
        """Give a place back that was taken with the same arguments."""
        with self._giving_back:
            if most is not None:
                pairs = zip(self._owners.all(), self._peers.all(), strict=True)
                mine = next((index for index, pair in enumerate(pairs) if pair == (slot + 1, peer)), None)
                if mine is not None:
                    self._owners[mine] = 0
            self.taken[slot] -= 1

    def forget(self, slot: int) -> None:
        """Give back whatever a dead process held."""
        for index, owner in enumerate(self._owners.all()):
            if owner == slot + 1:
                self._owners[index] = 0
        self.taken[slot] = 0


class Paces:
    """How fast peers may send, over all processes: for each peer the moment at which all that it has sent is paid for.

    A peer whose moment has passed owes nothing: its row can be given to another one, so the table never fills with
    peers that are gone, and one that comes back on a new association finds no more than it left.
    """

    def __init__(self) -> None:
        self._peers, self._paid = Numbers(_PACES), Numbers(_PACES)  # nanoseconds of a clock that all processes share
        self._turn = Turn("paces")

    def charge(self, peer: int, count: int, rate: int, ahead: float = 1.0) -> float:
        """Put `count` bytes to the account of a peer that may send `rate` a second; return the seconds to wait.

        It may be `ahead` by so many seconds.
        """
        with self._turn.taken():
            now = time.monotonic_ns()
            row = self._row(peer)
            paid = max(now, self._paid[row]) + count * 1_000_000_000 // rate
            self._peers[row], self._paid[row] = peer, paid
        return max(0.0, (paid - now) / 1e9 - ahead)

    def _row(self, peer: int) -> int:
        """Return the peer's row, or the one that owes least of those that it could have."""
        rows = [(peer + number) % _PACES for number in range(_TRIES)]
        own = [row for row in rows if self._peers[row] == peer]
        return own[0] if own else min(rows, key=self._paid.__getitem__)


def close_with(owner: object, *descriptors: int) -> None:
    """Close descriptors when their owner is gone; at the end of a process the system does."""
    for one in descriptors:
        weakref.finalize(owner, os.close, one).atexit = False


class Bell:
    """Rings from any process to those that wait: a hint that there is work, never the work itself."""

    def __init__(self) -> None:
        self._reader, self._writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        close_with(self, self._reader, self._writer)

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
        close_with(self, self._flag)

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
