"""Writing to the disk: every byte, and so that it survives a power cut."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

_RANGE_WRITE = 2  # SYNC_FILE_RANGE_WRITE, sync_file_range(2)

_libc = ctypes.CDLL(None)
_libc.sync_file_range.argtypes = (ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint)


def write_all(target: int, data: bytes | memoryview) -> None:
    """Write every byte; a full disk raises the OSError of it."""
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(target, rest) :]


def sync_folder(folder: Path | str) -> None:
    """Put a folder's entries on stable storage; without it a power cut may undo a rename. Raises OSError."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def begin_writing(descriptor: int, offset: int, count: int) -> None:
    """Let the disk begin with a range of a file, so that the sync at its end has less to wait for.

    A promise of nothing: what goes wrong is told by that sync.
    """
    _libc.sync_file_range(descriptor, offset, count, _RANGE_WRITE)
