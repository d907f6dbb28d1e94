"""The spool: the files of the node, and the only code that puts them in place.

    incoming/   being written; with spare/ the only folder that is ever swept
    originals/  identified instances, complete and durable, fanned out over 256 folders
    cleaned/    instances without identity, complete and durable, fanned out likewise
    retained/   originals that are delivered, where they stay for a time; dated by their last delivery
    spare/      files that nothing needs any more, for some seconds: what comes in is written over them

The folder of an instance is given by the time in its id and changes every four seconds, so that what comes together
lies together: one sync of a folder then serves a whole batch.

Guarantees
    A file appears under `originals/` or `cleaned/` complete and synced, or not at all: it is written in `incoming/`,
    synced, renamed, and the folder's entry is synced before `publish_*` returns. Names are the node's own ids; no
    path is ever made of a value from the network. Everything is readable by the node's user alone.

Refuses
    A name that is not one of its ids; a root on which it cannot make its folders.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import secrets
import stat
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from node.durable import sync_folder
from node.errors import NoRoom, SpoolError
from node.grouping import Group
from node.removal import Remover
from node.sealing import Original, Sealer, Sealing, is_sealed, open_original
from node.spare import Spares, cut

_ID = re.compile(r"[0-9a-f]{32}")
_FAN_OUT = [f"{n:02x}" for n in range(256)]
_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT})
_TIGHT = 1 << 30  # bytes above the floor, with less than which nothing waits to be removed
_CLEANED_MODE = 0o400
_ROOM_SEEN_FOR = 0.2  # seconds for which a look at the disk's free space counts


def new_id() -> str:
    """Return a new instance id: 48 bits of time and 80 random bits, as 32 hexadecimal digits.

    Ids grow with time, so that the ledger's index is appended to and not spread over; the random end fans files out.
    """
    return f"{time.time_ns() // 1_000_000:012x}{secrets.token_hex(10)}"


def is_id(text: str) -> bool:
    """Whether `text` is an id that `new_id` could have made."""
    return _ID.fullmatch(text) is not None


class Spool:
    """The folders under `root`, for files whose floor of free space is `min_free` bytes.

    With `sealing` new originals are sealed; those that came before it stay as they are, and are read all the same.
    `retains` says that originals stay for a time once they are delivered.
    """

    def __init__(self, root: Path, min_free: int = 0, sealing: Sealing | None = None, *, retains: bool = False) -> None:
        self.root = root
        self.sealing = sealing
        self.min_free = min_free
        self.retains = retains
        self.retained = root / "retained"
        self.incoming = root / "incoming"
        self.originals = root / "originals"
        self.cleaned = root / "cleaned"
        self._room_until = 0.0
        self._spare = 0
        self._incoming_folder = str(self.incoming)
        # As texts: on the way of each instance, making a Path takes longer than what is done with it.
        self._originals_folder = str(self.originals)
        self._cleaned_folder = str(self.cleaned)
        self._retained_folder = str(self.retained)
        self._entries: Group[str] = Group(_sync_folders, lambda: SpoolError("a folder's sync was interrupted"))
        self._spares = Spares(root / "spare")
        self._remover = Remover(self._is_tight, self._spares)

    def prepare(self) -> None:
        """Make all folders and sync their parents, so that no instance ever waits for a folder to become durable."""
        try:
            self.root.mkdir(parents=True, exist_ok=True, mode=0o700)
            self.incoming.mkdir(exist_ok=True, mode=0o700)
            (self.root / "spare").mkdir(exist_ok=True, mode=0o700)
            for folder in (self.originals, self.cleaned):
                folder.mkdir(exist_ok=True, mode=0o700)
                for name in _FAN_OUT:
                    (folder / name).mkdir(exist_ok=True, mode=0o700)
                sync_folder(folder)
            sync_folder(self.root)
            sync_folder(self.root.parent)
        except OSError as error:
            raise SpoolError(f"the spool cannot be prepared ({error.strerror})", self.root) from None

    def check_room(self, size: int = 0) -> None:
        """Raise NoRoom when `size` more bytes would leave less free space than the floor."""
        # Far from the floor a look counts for any size: in that time nobody can write so much.
        if (size == 0 or size < self._spare - _TIGHT) and time.monotonic() < self._room_until:
            return
        disk = os.statvfs(self.root)
        self._spare = disk.f_bavail * disk.f_frsize - self.min_free
        if self._spare < size or disk.f_favail == 0 < disk.f_files:
            self._room_until = 0.0
            raise NoRoom("less free space than min_free_disk", self.root)
        self._room_until = time.monotonic() + _ROOM_SEEN_FOR

    def _is_tight(self) -> bool:
        disk = os.statvfs(self.root)
        return disk.f_bavail * disk.f_frsize < self.min_free + _TIGHT

    def create(self, name: str, suffix: str) -> int:
        """Open a new file `incoming/<name>.<suffix>` for writing and return its descriptor.

        A left-over of an earlier attempt under that name is replaced: it was never in place.
        """
        try:
            return os.open(self._incoming(name, suffix), os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise as_spool_error(error, self.incoming) from None

    def create_original(self, name: str) -> int:
        """Open `incoming/<name>.part` for writing, as `create` does; there may be bytes behind what will be written."""
        taken = self._spares.take(self._incoming(name, "part"))
        return self.create(name, "part") if taken is None else taken

    def abandon(self, name: str, suffix: str) -> None:
        """Remove a file that never came to be; what a disk does not let go of now is swept later."""
        with contextlib.suppress(OSError):
            os.unlink(self._incoming(name, suffix))

    @staticmethod
    def draft() -> str:
        """The suffix of this process's unfinished cleaned files: none shares one with whoever takes over from it."""
        return f"{os.getpid()}.clean"

    def publish_original(self, descriptor: int, name: str) -> None:
        """Make a received file, up to where its descriptor stands, durable and put it in place, in that order.

        Threads that put files into place while a folder is being synced share its next sync. Raises SpoolError; then
        the file lies in either folder.
        """
        folder = f"{self._originals_folder}/{_fan(name)}"
        try:
            self._spares.expect(cut(descriptor))
            # The file before its name: a name must never stand for bytes that a power cut can take away.
            os.fdatasync(descriptor)
            os.rename(self._incoming(name, "part"), f"{folder}/{name}.dcm")
        except OSError as error:
            raise as_spool_error(error, Path(folder)) from None
        # The name before the ledger: a row must never point at a file that is not there after a power cut.
        self._entries.join(folder)

    def publish_cleaned(self, drafts: Mapping[str, int]) -> None:
        """Make cleaned files durable and put them in place in `cleaned/`, in that order; names with descriptors."""
        suffix = self.draft()
        self._publish([(file, self._incoming(name, suffix), self.cleaned_file(name)) for name, file in drafts.items()])

    def original(self, name: str) -> Path:
        """Path of an original."""
        return Path(_place(self._originals_folder, name))

    def sealer(self, name: str) -> Sealer | None:
        """Return what seals a new original; None where it stays as it is. Raises StartError without a key."""
        return None if self.sealing is None else Sealer(self.sealing.key, name)

    def open_original(self, name: str) -> Original:
        """Open an original, sealed or not; the caller closes it.

        Raises
        ------
        SealError
            It cannot be opened with the key.
        OSError
            It is not there (FileNotFoundError), or cannot be read.
        """
        return open_original(_place(self._originals_folder, name), name, self.sealing)

    def has_sealed(self) -> bool:
        """Whether any original is sealed."""
        for name, _ in self.list_originals():
            descriptor = os.open(self.original(name), os.O_RDONLY | os.O_CLOEXEC)
            try:
                if is_sealed(descriptor):
                    return True
            finally:
                os.close(descriptor)
        return False

    def cleaned_file(self, name: str) -> Path:
        """Path of a cleaned file."""
        return Path(_place(self._cleaned_folder, name))

    def mark_cleaned(self, name: str) -> None:
        """Note at an original that it was cleaned and may have been sent: should the ledger be lost, that is asked.

        The mark is not synced, and may be missing; then the original is taken for one that was never cleaned.
        """
        with contextlib.suppress(OSError):
            os.chmod(_place(self._originals_folder, name), _CLEANED_MODE)

    def was_cleaned(self, name: str) -> bool:
        """Whether an original bears the mark of `mark_cleaned`. Raises OSError where it is not there."""
        return stat.S_IMODE(os.stat(self.original(name)).st_mode) == _CLEANED_MODE

    def retain(self, name: str, since: float | None = None) -> bool:
        """Put an original aside that is delivered since a time (seconds, UTC; None is now); say whether it was there.

        No later look takes it for one that is to be cleaned: neither the sweeper's, nor a rebuild's. Raises OSError.
        """
        source, target = self.original(name), self.retained_file(name)
        when = time.time() if since is None else since
        try:
            os.utime(source, (when, when))
        except FileNotFoundError:
            return False
        target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        source.rename(target)
        return True

    def retained_file(self, name: str) -> Path:
        """Path of an original that is delivered."""
        return Path(_place(self._retained_folder, name))

    def list_retained(self) -> Iterator[tuple[str, float]]:
        """Every id in `retained/` with the time of its last delivery (seconds, UTC)."""
        return self._list(self.retained)

    def remove_retained(self, names: Sequence[str]) -> int:
        """Remove originals that were put aside, durably; return how many were there. Raises OSError."""
        folders, count = set(), 0
        for name in names:
            with contextlib.suppress(FileNotFoundError):
                path = self.retained_file(name)
                path.unlink()
                folders.add(path.parent)
                count += 1
        for folder in folders:
            sync_folder(folder)
        return count

    def take_back(self, name: str) -> bool:
        """Put a delivered original back in its place, durably, to be cleaned again; say whether it was there.

        Raises SpoolError. It is dated by now, so that no round of the sweeper takes it for one that is left over.
        """
        source, target = self.retained_file(name), self.original(name)
        try:
            os.utime(source)
            source.rename(target)
            sync_folder(target.parent)
            sync_folder(source.parent)
        except FileNotFoundError:
            return False
        except OSError as error:
            raise as_spool_error(error, target.parent) from None
        return True

    def remove_now(self, names: Sequence[str]) -> int:
        """Remove every file of instances, durably; return how many there were. Raises SpoolError."""
        folders, count = set[Path](), 0
        try:
            for name in names:
                for path in (self.original(name), self.cleaned_file(name), self.retained_file(name)):
                    with contextlib.suppress(FileNotFoundError):
                        path.unlink()
                        folders.add(path.parent)
                        count += 1
            for folder in folders:
                sync_folder(folder)
        except OSError as error:
            raise as_spool_error(error, self.root) from None
        return count

    def leave_memory(self, name: str, *, cleaned: bool = False) -> None:
        """Have the system keep nothing of an original, or of a cleaned file, in memory: it will hardly be read again.

        What comes in next is then written into memory that was used a moment ago. Left to itself the system takes what
        was never used or is long out of use, and writing there can take several times as long.
        """
        with contextlib.suppress(OSError):  # the file stays as it is
            descriptor = os.open(self._file(name, cleaned), os.O_RDONLY | os.O_CLOEXEC)
            try:
                os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
            finally:
                os.close(descriptor)

    def remove_soon(self, name: str, *, cleaned: bool = False) -> None:
        """Remove an original, or a cleaned file, when it is calm; until then its row says that it is not needed."""
        self._remover.remove_soon(self._file(name, cleaned))

    def finish_removals(self) -> None:
        """Return when everything handed to `remove_soon` is gone."""
        self._remover.finish()

    def list_originals(self) -> Iterator[tuple[str, float]]:
        """Every id in `originals/` with its file's modification time (seconds, UTC)."""
        return self._list(self.originals)

    def list_cleaned(self) -> Iterator[tuple[str, float]]:
        """Every id in `cleaned/` with its file's modification time (seconds, UTC)."""
        return self._list(self.cleaned)

    def is_empty(self) -> bool:
        """Whether no instance lies in `originals/` or `cleaned/`."""
        return not any(self._list(self.originals)) and not any(self._list(self.cleaned))

    def sweep_incoming(self, older_than: float) -> int:
        """Remove files of `incoming/` untouched since `older_than` (seconds, UTC); return how many.

        None of them was acknowledged: an answer goes out only for a file that has left this folder. Those of `spare/`
        go as well: nothing needs them.
        """
        removed = self._spares.sweep(older_than)
        for entry in os.scandir(self.incoming):
            try:
                if entry.stat(follow_symlinks=False).st_mtime < older_than:
                    os.unlink(entry.path)
                    removed += 1
            except FileNotFoundError:
                continue  # its writer was quicker
        return removed

    @staticmethod
    def _publish(files: Sequence[tuple[int, str, Path]]) -> None:
        try:
            # The file before its name: a name must never stand for bytes that a power cut can take away.
            for descriptor, _, _ in files:
                os.fdatasync(descriptor)
            for _, source, target in files:
                os.rename(source, target)
            # The name before the ledger: a row must never point at a file that is not there after a power cut.
            for folder in {target.parent for _, _, target in files}:
                sync_folder(folder)
        except OSError as error:
            raise as_spool_error(error, files[0][2].parent) from None

    def _incoming(self, name: str, suffix: str) -> str:
        if not is_id(name):
            raise SpoolError("not an id of this node")
        return f"{self._incoming_folder}/{name}.{suffix}"

    def _file(self, name: str, cleaned: bool) -> str:
        return _place(self._cleaned_folder if cleaned else self._originals_folder, name)

    @staticmethod
    def _list(folder: Path) -> Iterator[tuple[str, float]]:
        for fan in _FAN_OUT:
            try:
                entries = os.scandir(folder / fan)
            except FileNotFoundError:
                continue
            with entries:
                for entry in entries:
                    name, _, suffix = entry.name.partition(".")
                    if suffix != "dcm" or not is_id(name):
                        continue
                    try:
                        modified = entry.stat(follow_symlinks=False).st_mtime
                    except FileNotFoundError:
                        continue
                    yield name, modified


def _fan(name: str) -> str:
    """Return the name of the folder for an instance, which its id gives."""
    if not is_id(name):
        raise SpoolError("not an id of this node")
    return name[7:9]


def _place(folder: str, name: str) -> str:
    """Return the path of an instance's file."""
    return f"{folder}/{_fan(name)}/{name}.dcm"


def _sync_folders(folders: Sequence[str]) -> None:
    for folder in set(folders):
        try:
            sync_folder(folder)
        except OSError as error:
            raise as_spool_error(error, Path(folder)) from None


def as_spool_error(error: OSError, path: Path) -> SpoolError:
    """Return the SpoolError for a failed call: NoRoom for a full disk or quota."""
    if error.errno in _NO_ROOM:
        return NoRoom("the disk is full", path)
    return SpoolError(f"the disk refused ({error.strerror})", path)
