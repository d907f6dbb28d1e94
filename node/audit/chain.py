"""The chain of audit messages: each entry has a keyed hash over itself and the entry before.

Guarantees that whoever has not the key cannot change, remove, reorder or insert an entry, or cut the chain's end off,
without `verify` naming the place. The end is a record of its own (`Head`), with a keyed hash too. What no chain can
show by itself is that it was replaced by an earlier state of it as a whole: for that its head is kept elsewhere.
"""

from __future__ import annotations

import hashlib
import hmac
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

ZERO = bytes(32)


class Entry(NamedTuple):
    """A message in the chain: its number from 1, when it was written (seconds, UTC), the XML, the keyed hash."""

    seq: int
    at: float
    message: str
    mac: bytes


@dataclass(frozen=True, slots=True)
class Head:
    """Where the chain ends: the last entry's number and hash; `seal` is the keyed hash of both."""

    seq: int = 0
    mac: bytes = ZERO
    seal: bytes = b""

    def is_sealed(self, key: bytes) -> bool:
        """Whether the node wrote it; an empty chain needs no seal."""
        return (self.seq == 0 and not self.seal) or hmac.compare_digest(self.seal, _seal(key, self.seq, self.mac))

    def text(self) -> str:
        """As the ledger keeps it."""
        return f"{self.seq}:{self.mac.hex()}:{self.seal.hex()}"


def head_of(text: str | None) -> Head:
    """Return the head that the ledger keeps; one that nobody sealed where its text was changed."""
    if text is None:
        return Head()
    try:
        seq, mac, seal = text.split(":")
        return Head(int(seq), bytes.fromhex(mac), bytes.fromhex(seal) or b"?")
    except ValueError:
        return Head(0, ZERO, b"?")


def next_entry(key: bytes, head: Head, at: float, message: str) -> tuple[Entry, Head]:
    """Return the entry that follows, and the head after it."""
    seq = head.seq + 1
    mac = _mac(key, head.mac, seq, at, message)
    return Entry(seq, at, message, mac), Head(seq, mac, _seal(key, seq, mac))


def verify(key: bytes, entries: Iterable[Entry], head: Head) -> Iterator[str]:
    """Give what is wrong with a chain, in its order; nothing where it is as it was written.

    Parameters
    ----------
    key
        The key that it was written with.
    entries
        All that there are, by number.
    head
        As it is kept.
    """
    if not head.is_sealed(key):
        yield "the record of the chain's end was changed"
    last, before = 0, ZERO
    for entry in entries:
        missing = entry.seq - last - 1
        if missing:
            yield _missing(last + 1, entry.seq - 1)
        # After a gap the entry before is not known, and an entry cannot be told from one that was changed.
        elif not hmac.compare_digest(entry.mac, _mac(key, before, entry.seq, entry.at, entry.message)):
            yield f"entry {entry.seq} was changed, moved or inserted, or the one before it was"
        last, before = entry.seq, entry.mac
        if entry.seq == head.seq and not hmac.compare_digest(entry.mac, head.mac):
            yield f"entry {entry.seq} is not the one that the chain ended with"
    if last < head.seq:
        yield _missing(last + 1, head.seq)
    elif last > head.seq and head.is_sealed(key):
        yield f"entry {head.seq + 1} was added behind the end of the chain"


def _missing(first: int, last: int) -> str:
    return f"entry {first} is missing" if first == last else f"entries {first} to {last} are missing"


def _mac(key: bytes, before: bytes, seq: int, at: float, message: str) -> bytes:
    return _keyed(key, before + struct.pack(">Qd", seq, at) + message.encode("utf-8", "surrogatepass"))


def _seal(key: bytes, seq: int, mac: bytes) -> bytes:
    return _keyed(key, b"head" + struct.pack(">Q", seq) + mac)


def _keyed(key: bytes, content: bytes) -> bytes:
    return hmac.digest(key, content, hashlib.sha256)
