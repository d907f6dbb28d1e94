"""Digests of contents: BLAKE3, 32 bytes, of what was received; SHA-256 of what goes out, for receipts.

Every byte that comes in goes through the one in front of the answer, so that it has to be fast. It is no protection
against anybody: only the node itself makes it and compares it. The other is for whoever has what was sent.
"""

from __future__ import annotations

import hashlib
import os

from blake3 import blake3

_PIECE = 1 << 20  # bytes of a file that are in memory at once


def new_digest(data: bytes = b"") -> blake3:
    """Return a new digest (with `update` and `digest`, as of hashlib) that has seen `data`."""
    return blake3(data)


def file_sha256(descriptor: int, offset: int) -> bytes:
    """Return the SHA-256 of an open file from `offset` to its end; its position is not used. Raises OSError."""
    digest = hashlib.sha256()
    while piece := os.pread(descriptor, _PIECE, offset):
        digest.update(piece)
        offset += len(piece)
    return digest.digest()
