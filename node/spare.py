"""Files that nothing needs any more, kept for a moment to be written over by what comes next.

Giving a file's blocks back and finding new ones costs more than writing 525 kB: on a disk mounted with `discard` the
removal alone takes three milliseconds, and other syncs wait for it.

Guarantees
    A file is written over only where the kernel says that nobody else has it open or mapped, that it has no other name,
    and that none of its pages is in memory: not even one that is on its way to a peer and belongs to no open file any
    more. Where the kernel cannot tell, the file is not used. That it left its place is durable before it is written
    over: no power cut brings its name back with other bytes. Nothing of what was in a file is ever in place: it is cut
    to its new length before it is synced and named.

Refuses
    Large files, whose rest would have to be cut off while a sender waits; files of another size than what came last.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import mmap
import os
import time
from pathlib import Path

from node.durable import sync_folder

LARGEST = 4 << 20  # bytes

_PAGE = mmap.PAGESIZE
_READY = ".spare"
_ASIDE = ".aside"
_RELEASED_AT_ONCE = 64
_LOOK_SECONDS = 0.02  # between looks into a folder that had none
_TAKEN_AT_ONCE = 16
_MODE = 0o600

_libc = ctypes.CDLL(None, use_errno=True)
_libc.mincore.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_char_p)


class Spares:
    """The files of one folder; those who put in and those who take are processes and threads of their own."""

    def __init__(self, folder: Path) -> None:
        self._folder = str(folder)
        self._pending: list[tuple[str, str]] = []
        self._names: list[str] = []
        self._class = ""
        self._look_at = 0.0

    def keep(self, path: str, size: int) -> str:
        """Take a file of `size` bytes out of its place; return where it lies from the next `release` on.

        From then on it can be taken, if it may be written over; it is there to be removed in either case. Raises
        OSError.
        """
        name = os.path.basename(path).partition(".")[0]
        aside = f"{self._folder}/{name}{_ASIDE}"
        os.rename(path, aside)
        # Those who read a mode see a new file, and those who sweep what was forgotten a young one.
        os.chmod(aside, _MODE)
        os.utime(aside)
        if not _is_nobodys(aside, size):
            return aside
        ready = f"{self._folder}/{_class_of(size)}-{name}{_READY}"
        self._pending.append((aside, ready))
        return ready

    def is_full(self) -> bool:
        """Whether so many files were kept since the last `release` that it is time for one."""
        return len(self._pending) >= _RELEASED_AT_ONCE

    def release(self) -> None:
        """Let what was kept be taken, once it is durable that it left its place."""
        pending, self._pending = self._pending, []
        # What the disk refuses now stays aside, and is swept.
        with contextlib.suppress(OSError):
            if pending:
                sync_folder(self._folder)
            for aside, ready in pending:
                os.rename(aside, ready)

    def take(self, target: str) -> int | None:
        """Move a file to `target` and return its descriptor; None where there is none of the size that is wanted."""
        while (name := self._next()) is not None:
            try:
                os.rename(f"{self._folder}/{name}", target)
                return os.open(target, os.O_RDWR | os.O_CLOEXEC)
            except FileNotFoundError:
                continue  # somebody else was quicker
            except OSError:
                return None  # whatever it is, it stands in the way of a new file too
        return None

    def expect(self, size: int) -> None:
        """Say how large the last file became: the next one will be about as large."""
        self._class = _class_of(size)

    def sweep(self, older_than: float) -> int:
        """Remove what nobody took, put in before `older_than` (seconds, UTC); return how many."""
        removed = 0
        with contextlib.suppress(FileNotFoundError), os.scandir(self._folder) as entries:
            for entry in entries:
                with contextlib.suppress(FileNotFoundError):
                    if entry.stat(follow_symlinks=False).st_mtime < older_than:
                        os.unlink(entry.path)
                        removed += 1
        return removed

    def _next(self) -> str | None:
        if not self._names:
            if time.monotonic() < self._look_at:
                return None
            self._names = self._found()
            self._look_at = time.monotonic() + _LOOK_SECONDS
        try:
            return self._names.pop()
        except IndexError:
            return None

    def _found(self) -> list[str]:
        found: list[str] = []
        with contextlib.suppress(OSError), os.scandir(self._folder) as entries:
            for entry in entries:
                if entry.name.startswith(self._class) and entry.name.endswith(_READY):
                    found.append(entry.name)
                    if len(found) == _TAKEN_AT_ONCE:
                        break
        return found


def cut(descriptor: int) -> int:
    """End a file where the last write to it ended, and return its size. Raises OSError."""
    end = os.lseek(descriptor, 0, os.SEEK_CUR)
    if os.fstat(descriptor).st_size != end:
        os.ftruncate(descriptor, end)
    return end


def _class_of(size: int) -> str:
    return f"{size.bit_length():02d}"


def _is_nobodys(path: str, size: int) -> bool:
    """Whether no other open file, mapping, name, or data on its way has to do with a file."""
    descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        if os.fstat(descriptor).st_nlink > 1 or not _is_open_here_alone(descriptor):
            return False
        if not _left_memory(descriptor, size):
            return False
        _fetch_end(descriptor, size)
        return True
    finally:
        os.close(descriptor)


def _is_open_here_alone(descriptor: int) -> bool:
    try:
        # fcntl(2): a write lease may be placed on a file only if there are no other open file descriptors for it.
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_WRLCK)
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    except OSError:
        return False
    return True


def _fetch_end(descriptor: int, size: int) -> None:
    """Have the last page in memory: who writes over it in part would have to wait for it, while a sender waits."""
    os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_RANDOM)  # nothing before it
    os.pread(descriptor, 1, size - 1)


def _left_memory(descriptor: int, size: int) -> bool:
    """Drop a synced file from memory and say whether all of it went: a page that somebody still refers to stays."""
    if size == 0:
        return False
    os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    resident = ctypes.create_string_buffer((size + _PAGE - 1) // _PAGE)
    with mmap.mmap(descriptor, size) as mapped:
        anchor = ctypes.c_char.from_buffer(mapped)
        try:
            failed = _libc.mincore(ctypes.addressof(anchor), size, resident)
        finally:
            del anchor  # a mapping that something points into cannot be closed
    return not failed and not any(byte & 1 for byte in resident.raw)
