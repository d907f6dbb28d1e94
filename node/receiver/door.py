"""What one peer may take of the node: associations, bytes a second, bytes of an instance (the section `limits`).

Guarantees
    Associations are counted exactly over all processes, and a speed is that of all associations of a peer in all of
    them. Who sends too fast is read more slowly, never refused. An instance that is too large leaves nothing, from the
    byte on that is too much; the rest is read and thrown away, and it is answered C000H (PS3.4 B.2.3), which is final.
    A peer without limits costs nothing of this.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from node.config import Caller, Limit
from node.config.limits import amount
from node.dicomnet import InstanceWriter, Peer, StoreAnswer
from node.receiver.writer import CANNOT_UNDERSTAND
from node.shared import Full, Paces, Places

Wait = Callable[[float], object]


@dataclass(frozen=True, slots=True)
class Limited:
    """An association with a limit: which one, and the number by which all processes know its peer."""

    limit: Limit
    number: int


class Door:
    """Lets peers in at most as many times, and at most as fast, as they may; one for each process.

    Parameters
    ----------
    limits
        The configuration's; the first that is for a peer counts.
    place
        The places for associations in the whole node, and this process's slot of them.
    wait
        Waits for so many seconds; at once back when the process is to end, so that nothing is kept from being finished.
    """

    def __init__(self, limits: Sequence[Limit], place: tuple[Places, int], wait: Wait) -> None:
        self._limits = limits
        self._places, self._slot = place
        self._wait = wait
        self._limited: dict[str, Limited] = {}  # by association; those without limit are not in it

    def enter(self, peer: Peer) -> Full | None:
        """Take a place for an association, until it `leave`s; or say whose places are all taken."""
        limited = self._of(peer)
        if limited is None:
            return self._places.take(self._slot)
        full = self._places.take(self._slot, limited.number, limited.limit.associations)
        if full is None:
            self._limited[peer.association] = limited
        return full

    def leave(self, peer: Peer) -> None:
        """Give the place of an association back."""
        limited = self._limited.pop(peer.association, None)
        if limited is None:
            self._places.give_back(self._slot)
        else:
            self._places.give_back(self._slot, limited.number, limited.limit.associations)

    def within(
        self, peer: Peer, given: InstanceWriter | StoreAnswer, too_large: Callable[[Peer, str], StoreAnswer]
    ) -> InstanceWriter | StoreAnswer:
        """Return what takes the next instance of an association within its limits: `given`, where it has none.

        `too_large` is called with the peer and the size that it may have where an instance is; it returns the answer.
        """
        limited = self._limited.get(peer.association)
        if limited is None:
            return given
        return LimitedWriter(given, limited, self._places.paces, self._wait, partial(too_large, peer))

    def _of(self, peer: Peer) -> Limited | None:
        if not self._limits:
            return None
        caller = Caller.of(peer.calling_ae_title, peer.address, peer.certificate_names)
        limit = next((limit for limit in self._limits if limit.is_meant(caller)), None)
        if limit is None:
            return None
        # Of whom the entry is for, and not of its place in the list: a reload may move it.
        of = f"{limit.calling_ae} {limit.address} {limit.certificate} {caller.address}"
        return Limited(limit, int.from_bytes(hashlib.blake2b(of.encode(), digest_size=7).digest()))


class LimitedWriter:
    """Takes an instance as `given` would, but no faster and no more than a peer may send; or throws it away."""

    __slots__ = ("_answer", "_limited", "_paces", "_size", "_too_large", "_wait", "_writer")

    def __init__(
        self,
        given: InstanceWriter | StoreAnswer,
        limited: Limited,
        paces: Paces,
        wait: Wait,
        too_large: Callable[[str], StoreAnswer],
    ) -> None:
        self._writer = None if isinstance(given, StoreAnswer) else given
        self._answer = given if isinstance(given, StoreAnswer) else StoreAnswer(CANNOT_UNDERSTAND)
        self._limited = limited
        self._paces = paces
        self._wait = wait
        self._too_large = too_large
        self._size = 0

    def write(self, fragment: memoryview) -> None:
        """Take the next fragment, and the time for it."""
        self._size += len(fragment)
        limit = self._limited.limit
        if self._writer is not None:
            if limit.instance_size is not None and self._size > limit.instance_size:
                self.abandon()
                self._answer = self._too_large(amount(limit.instance_size))
            else:
                self._writer.write(fragment)
        if limit.bytes_per_second is not None:
            seconds = self._paces.charge(self._limited.number, len(fragment), limit.bytes_per_second)
            if seconds > 0:
                self._wait(seconds)

    def finish(self) -> StoreAnswer:
        """Conclude after the last fragment."""
        return self._answer if self._writer is None else self._writer.finish()

    def abandon(self) -> None:
        """Leave no trace."""
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.abandon()
