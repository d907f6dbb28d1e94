"""The content of a backup: a compressed tar stream, whose first member says what the others are.

Guarantees that it is written and read in pieces, in constant memory, and that a member is given only under a name that
the stream's own writer could have made. `age -d -i KEY FILE | tar xz` opens it without the node.
"""

from __future__ import annotations

import tarfile
import zlib
from collections.abc import Iterable, Iterator
from typing import NamedTuple, Protocol

from node.errors import FileError

MANIFEST = "manifest.json"
_BLOCK = 512
_LEVEL = 1  # most of a ledger's weight is in UIDs and hashes: more work saves little
_GZIP = 31  # zlib's window bits for the format of gzip


class Member(NamedTuple):
    """One file of the stream: its name, its size in bytes, and its content in pieces."""

    name: str
    size: int
    pieces: Iterable[bytes]


class Taker(Protocol):
    """Who takes what is unpacked."""

    def begin(self, name: str, size: int) -> None:
        """Hear of a member."""

    def take(self, piece: bytes) -> None:
        """Take some of its content."""

    def end(self) -> None:
        """Hear that it is complete."""


def packed(members: Iterable[Member], at: float) -> Iterator[bytes]:
    """Give the stream; `at` is the time of all members (seconds, UTC)."""
    squeeze = zlib.compressobj(_LEVEL, zlib.DEFLATED, _GZIP)
    for piece in _tar(members, at):
        squeezed = squeeze.compress(piece)
        if squeezed:
            yield squeezed
    yield squeeze.flush()


def _tar(members: Iterable[Member], at: float) -> Iterator[bytes]:
    for member in members:
        info = tarfile.TarInfo(member.name)
        info.size, info.mtime, info.mode = member.size, int(at), 0o600
        yield info.tobuf(tarfile.GNU_FORMAT)
        given = 0
        for piece in member.pieces:
            given += len(piece)
            yield piece
        if given != member.size:
            raise FileError("it changed while it was copied", member.name)
        yield bytes(-given % _BLOCK)
    yield bytes(2 * _BLOCK)


class Unpacker:
    """Takes the stream piece by piece and gives its members to a `Taker`; FileError where it is no such stream."""

    def __init__(self, taker: Taker) -> None:
        self._taker = taker
        self._expand = zlib.decompressobj(_GZIP)
        self._rest = b""
        self._left = self._padding = 0
        self._ended = False

    def take(self, piece: bytes) -> None:
        """Take a piece of the stream."""
        try:
            while piece and not self._ended:
                self._took(self._expand.decompress(piece, 1 << 20))
                piece = self._expand.unconsumed_tail
        except zlib.error:
            raise FileError("it holds no backup of deid-node") from None

    def close(self) -> None:
        """Raise FileError unless the stream came to its end."""
        if not self._ended:
            raise FileError("the backup is not complete")

    def _took(self, piece: bytes) -> None:
        data = memoryview(self._rest + piece if self._rest else piece)
        place = 0
        while place < len(data) and not self._ended:
            if self._left:
                given = bytes(data[place : place + self._left])
                place, self._left = place + len(given), self._left - len(given)
                self._taker.take(given)
                if not self._left:
                    self._taker.end()
            elif self._padding:
                step = min(self._padding, len(data) - place)
                place, self._padding = place + step, self._padding - step
            elif len(data) - place >= _BLOCK:
                self._header(bytes(data[place : place + _BLOCK]))
                place += _BLOCK
            else:
                break
        self._rest = bytes(data[place:])

    def _header(self, block: bytes) -> None:
        if block == bytes(_BLOCK):
            self._ended = True
            return
        try:
            info = tarfile.TarInfo.frombuf(block, "utf-8", "strict")
        except (tarfile.HeaderError, UnicodeDecodeError):
            raise FileError("it holds no backup of deid-node") from None
        if not info.isreg():
            raise FileError("it holds no backup of deid-node")
        self._left, self._padding = info.size, -info.size % _BLOCK
        self._taker.begin(info.name, info.size)
        if not info.size:
            self._taker.end()
