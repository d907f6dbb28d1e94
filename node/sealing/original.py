"""An original of the spool, read at any place: as it is, or sealed.

Guarantees that what is read of a sealed one is what was sealed, in constant memory; what has to be mapped is decrypted,
and checked from its first to its last byte, into memory that has no name, never onto a disk. Refuses (SealError) a file
that was damaged or sealed with another key; (NoRoom) to take memory that the machine has not.
"""

from __future__ import annotations

import os
from pathlib import Path

from node.durable import write_all
from node.errors import SealError
from node.sealing.key import Key, Sealing
from node.sealing.memory import check_memory, new_memory
from node.sealing.stream import HEADER_BYTES, MAGIC, Layout

_LOOKED_AT = 16 << 20  # bytes, up to which nobody asks whether there is so much memory


class Original:
    """An original as it is; `descriptor` is that of its file."""

    sealed = False

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor

    @property
    def size(self) -> int:
        """The bytes of the instance's file as it came."""
        return os.fstat(self.descriptor).st_size

    def read(self, offset: int, length: int) -> bytes:
        """Return `length` bytes from `offset` on.

        Raises
        ------
        SealError
            They are not what was sealed, or the file ends before.
        OSError
            The disk refused.
        """
        found = os.pread(self.descriptor, length, offset)
        while len(found) < length:
            more = os.pread(self.descriptor, length - len(found), offset + len(found))
            if not more:
                raise SealError("a file of the spool is shorter than it was")
            found += more
        return found

    def mappable(self) -> int:
        """Return a descriptor of the instance's file as it came, which lives until this is closed.

        Raises
        ------
        SealError
            It is not what was sealed.
        NoRoom
            The machine has not the memory.
        """
        return self.descriptor

    def close(self) -> None:
        """Close the file."""
        os.close(self.descriptor)


class SealedOriginal(Original):
    """An original that was sealed with `key` under the id `instance`."""

    sealed = True

    def __init__(self, descriptor: int, key: Key, instance: str) -> None:
        super().__init__(descriptor)
        self._layout = Layout.of(os.pread(descriptor, HEADER_BYTES, 0), os.fstat(descriptor).st_size, key, instance)
        self._memory = -1
        self._number, self._chunk = -1, b""  # the one that was read last: a header is read in many small pieces

    @property
    def size(self) -> int:
        """The bytes of what was sealed."""
        return self._layout.size

    def read(self, offset: int, length: int) -> bytes:
        """Return `length` bytes from `offset` on of what was sealed; raises as said above."""
        end = offset + length
        if end > self.size:
            raise SealError("a sealed file is cut short")
        size, pieces = self._layout.chunk, []
        while offset < end:
            number, begin = divmod(offset, size)
            piece = self._open(number)[begin : begin + end - offset]
            pieces.append(piece)
            offset += len(piece)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _open(self, number: int) -> bytes:
        if number != self._number:
            offset, length = self._layout.place(number)
            data = os.pread(self.descriptor, length, offset)
            self._chunk = self._layout.chunks.open(number, data, last=number == self._layout.count - 1)
            self._number = number
        return self._chunk

    def mappable(self) -> int:
        """Decrypt the whole into memory; raises as said above."""
        if self._memory < 0:
            if self.size > _LOOKED_AT:
                check_memory(self.size)
            self._memory = new_memory()
            for number in range(self._layout.count):
                write_all(self._memory, self._open(number))
        return self._memory

    def close(self) -> None:
        """Close the file, and give the memory back."""
        super().close()
        if self._memory >= 0:
            os.close(self._memory)


def is_sealed(descriptor: int) -> bool:
    """Whether a file says by its first bytes that it is sealed."""
    return os.pread(descriptor, len(MAGIC), 0) == MAGIC


def open_original(path: Path | str, instance: str, sealing: Sealing | None) -> Original:
    """Open an original, which says by its first bytes what it is.

    Raises
    ------
    SealError
        It is sealed, and cannot be opened with the key of `sealing`.
    OSError
        It is not there, or cannot be read.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        if not is_sealed(descriptor):
            # The node's own files begin with zeros (PS3.10 7.1); what began with the magic must not pass for plain.
            if sealing is not None and os.pread(descriptor, len(MAGIC), 0).strip(b"\0"):
                raise SealError(
                    "a sealed file is damaged: its first bytes are neither those of a sealed nor of a plain one"
                )
            return Original(descriptor)
        if sealing is None:
            raise SealError("a file is sealed, and the configuration has no node.encryption")
        return SealedOriginal(descriptor, sealing.key, instance)
    except BaseException:
        os.close(descriptor)
        raise
