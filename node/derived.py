"""A cleaned data set that is no file of its own: a few bytes, and a range of the original that goes out as it came.

Most of an image is pixel data that no recipe touches. Copying it costs more than everything else that is done with an
instance; so the ledger keeps what is new, and the original stays until it is delivered: also where nothing is taken
from it, since from it a lost ledger is rebuilt.

Guarantees that the pieces, one after the other, are the bytes that a cleaned file would hold. Refuses (None) what has
too much that is new: that becomes a file.
"""

from __future__ import annotations

import hashlib
import mmap
from collections.abc import Iterable
from dataclasses import dataclass

from node.recipe import Segment

_LITERAL = 64 << 10  # bytes beside the range, above which a file is better than a row of the ledger
_WORTH_IT = 4 << 10  # bytes of a range, below which it is kept with the rest


@dataclass(frozen=True, slots=True)
class Derived:
    """What stands before and after a range of the original; `start` and `length` are in bytes of its file."""

    before: bytes
    start: int
    length: int
    after: bytes

    @property
    def size(self) -> int:
        """The bytes of the data set."""
        return len(self.before) + self.length + len(self.after)

    @property
    def segments(self) -> list[Segment]:
        """Its pieces: literal bytes, and (offset, length) of the original."""
        pieces: list[Segment] = [self.before] if self.before else []
        if self.length:
            pieces.append((self.start, self.length))
        if self.after:
            pieces.append(self.after)
        return pieces

    def sha256(self, original: mmap.mmap) -> bytes:
        """Return the SHA-256 of the data set; the range is read where it lies."""
        digest = hashlib.sha256(self.before)
        with memoryview(original) as whole, whole[self.start : self.start + self.length] as kept:
            digest.update(kept)
        digest.update(self.after)
        return digest.digest()


def derive(segments: Iterable[Segment], original: mmap.mmap) -> Derived | None:
    """Return the data set of these segments, whose ranges are of `original`; None where a file is better."""
    pieces = list(segments)
    place, kept = -1, 0
    for number, piece in enumerate(pieces):
        if isinstance(piece, tuple) and piece[1] >= max(kept + 1, _WORTH_IT):
            place, kept = number, piece[1]
    total = sum(piece[1] if isinstance(piece, tuple) else len(piece) for piece in pieces)
    if total - kept > _LITERAL:
        return None
    if place < 0:
        return Derived(_joined(pieces, original), 0, 0, b"")
    kept_range = pieces[place]
    assert isinstance(kept_range, tuple)
    return Derived(_joined(pieces[:place], original), *kept_range, _joined(pieces[place + 1 :], original))


def _joined(pieces: Iterable[Segment], original: mmap.mmap) -> bytes:
    return b"".join(original[piece[0] : piece[0] + piece[1]] if isinstance(piece, tuple) else piece for piece in pieces)
