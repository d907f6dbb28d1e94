"""The format of a sealed file.

    header   64 bytes: magic `DEIDSEAL`, version 1, 3 bytes 0, size of a chunk (32 bits, little endian), id of the key
             (8 bytes), salt (32 bytes), 8 bytes 0
    chunks   64 KiB of the file each (the last one: 1 byte to 64 KiB, or none of an empty file), encrypted by
             AES-256-GCM, with its tag of 16 bytes

The key of the file comes from the master key and the salt by HKDF-SHA256. A chunk's nonce is its number and whether it
is the last one; header and instance id are its associated data (the STREAM construction of Hoang, Reyhanitabar, Rogaway
and Vizár, 2015). So a file that was cut, reordered, lengthened, mixed with another or renamed cannot be opened.
"""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from node.errors import SealError
from node.sealing.key import KEY_ID_BYTES, Key

MAGIC = b"DEIDSEAL"
CHUNK = 64 << 10
TAG = 16
HEADER_BYTES = 64
_VERSION = 1
_SALT_BYTES = 32
_HEADER = struct.Struct(f"<8sB3xI{KEY_ID_BYTES}s{_SALT_BYTES}s8x")
_NONCE = struct.Struct(">3xQ?")


@dataclass(frozen=True, slots=True)
class Chunks:
    """The chunks of one file: its cipher, and what is bound to each of them."""

    cipher: AESGCM
    bound: bytes

    def seal(self, number: int, data: bytes | bytearray | memoryview, *, last: bool) -> bytes:
        """Return a chunk with its tag."""
        return self.cipher.encrypt(_NONCE.pack(number, last), data, self.bound)

    def open(self, number: int, data: bytes, *, last: bool) -> bytes:
        """Return what was sealed as this chunk. Raises SealError."""
        try:
            return self.cipher.decrypt(_NONCE.pack(number, last), data, self.bound)
        except InvalidTag:
            raise SealError("a sealed file is damaged, or is not the one that was sealed under its name") from None


class Sealer:
    """Seals one file as it comes, in constant memory; `instance` is the id that it is bound to, `header` goes first."""

    __slots__ = ("_chunks", "_number", "_rest", "header")

    def __init__(self, key: Key, instance: str) -> None:
        salt = os.urandom(_SALT_BYTES)
        self.header = _HEADER.pack(MAGIC, _VERSION, CHUNK, key.id, salt)
        self._chunks = Chunks(key.of_file(salt), self.header + instance.encode("ascii"))
        self._number = 0
        self._rest = bytearray()  # up to a whole chunk: whether it is the last one shows when more comes

    def update(self, data: bytes | memoryview) -> list[bytes]:
        """Take some of the file; return the chunks that are complete."""
        view, start = memoryview(data), 0
        found: list[bytes] = []
        if self._rest:
            start = min(CHUNK - len(self._rest), len(view))
            self._rest += view[:start]
            if start == len(view):
                return found
            found.append(self._next(self._rest, last=False))
            self._rest.clear()
        while len(view) - start > CHUNK:
            found.append(self._next(view[start : start + CHUNK], last=False))
            start += CHUNK
        self._rest += view[start:]
        return found

    def finish(self) -> bytes:
        """Return the last chunk; nothing comes after it."""
        return self._next(self._rest, last=True)

    def _next(self, data: bytearray | memoryview, *, last: bool) -> bytes:
        number, self._number = self._number, self._number + 1
        return self._chunks.seal(number, data, last=last)


@dataclass(frozen=True, slots=True)
class Layout:
    """Where the chunks of a sealed file lie.

    Parameters
    ----------
    chunks
        Its cipher.
    chunk
        Bytes of each but the last, before they were sealed.
    count
        How many chunks there are.
    size
        Bytes of the file before it was sealed.
    """

    chunks: Chunks
    chunk: int
    count: int
    size: int

    @classmethod
    def of(cls, header: bytes, file_size: int, key: Key, instance: str) -> Layout:
        """Read the header of a file of `file_size` bytes. Raises SealError where it is none, or of another key."""
        if len(header) != HEADER_BYTES:
            raise SealError("a sealed file is cut short")
        magic, version, chunk, key_id, salt = _HEADER.unpack(header)
        if magic != MAGIC or version != _VERSION or not 0 < chunk <= 1 << 24:
            raise SealError("a sealed file has a header that this version does not know")
        if key_id != key.id:
            raise SealError("a file was sealed with another key than that of node.encryption")
        body = file_size - HEADER_BYTES
        count = max(1, -(-body // (chunk + TAG)))
        size = body - count * TAG
        if size < (count - 1) * chunk or (count > 1 and size == (count - 1) * chunk):
            raise SealError("a sealed file is cut short")
        return cls(Chunks(key.of_file(salt), header + instance.encode("ascii")), chunk, count, size)

    def place(self, number: int) -> tuple[int, int]:
        """Return offset and length of a chunk in the file, with its tag."""
        length = self.chunk if number < self.count - 1 else self.size - number * self.chunk
        return HEADER_BYTES + number * (self.chunk + TAG), length + TAG
