"""The output folder of a run.

    <out>/.incoming/     temporary names; gone when the run has ended
    <out>/<Study Instance UID>/<Series Instance UID>/<SOP Instance UID>.dcm    the cleaned ones (or the input's names)

Guarantees
    A file appears under its name complete and synced, or not at all. What is there is never overwritten. A second run
    into the same folder is refused while one works; what an interrupted one left in `.incoming/` is removed. Only what
    is cleaned ever has a name here: what has to be inflated lies in files without a name.

Refuses
    A path that is made of anything but UIDs (layout `uid`); a folder that cannot be written.
"""

from __future__ import annotations

import contextlib
import fcntl
import itertools
import os
from collections.abc import Iterable
from enum import StrEnum
from pathlib import Path

from node.durable import sync_folder
from node.errors import HoldInstance, HoldReason, SpoolError
from node.instances import Scratch, is_uid
from node.spool import as_spool_error

INCOMING = ".incoming"
_SUFFIX = ".part"
_PIECE = 1 << 20


class Layout(StrEnum):
    """How cleaned files are named."""

    UID = "uid"
    INPUT = "input"


class OutputFolder:
    """The folder `root`, held by one run; `scratch` is on its disk. Raises SpoolError where it cannot be used."""

    def __init__(self, root: Path, layout: Layout) -> None:
        self.root = root
        self.layout = layout
        self.incoming = root / INCOMING
        self.scratch = Scratch(self.incoming)
        self._numbers = itertools.count(1)
        self._unsynced: set[Path] = set()
        try:
            if not root.exists():
                root.mkdir(parents=True)
                sync_folder(root.parent)
            self.incoming.mkdir(exist_ok=True)
            self._lock = os.open(self.incoming, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._sweep()
        except BlockingIOError:
            raise SpoolError("another run is writing to the output folder", root) from None
        except OSError as error:
            raise SpoolError(f"the output folder cannot be used ({error.strerror})", root) from None

    def target(self, relative: Path, uids: tuple[str, str, str]) -> Path:
        """Return where a cleaned file belongs.

        Parameters
        ----------
        relative
            The place of its input.
        uids
            Its Study, Series and SOP Instance UIDs after cleaning.

        Raises
        ------
        HoldInstance
            The layout needs UIDs, and one is none.
        SpoolError
            The input's own name is where temporary files lie.
        """
        if self.layout is Layout.INPUT:
            if relative.parts[:1] == (INCOMING,):
                raise SpoolError(f"its name begins with {INCOMING}, where temporary files lie")
            return self.root / relative
        if not all(map(is_uid, uids)):
            raise HoldInstance(
                HoldReason.ACTION_FAILED,
                "after cleaning it has no valid Study, Series or SOP Instance UID to be named by; --layout input "
                "needs none",
            )
        study, series, instance = uids
        return self.root / study / series / f"{instance}.dcm"

    def create(self) -> tuple[int, Path]:
        """Open a new temporary file; return its descriptor and path."""
        path = self.incoming / f"{os.getpid()}-{next(self._numbers)}{_SUFFIX}"
        try:
            return os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o666), path
        except OSError as error:
            raise as_spool_error(error, self.root) from None

    def place(self, draft: Path, target: Path) -> bool:
        """Give a complete and synced file its name; it is gone from `draft` in any case.

        Returns False where a file is there that is another; one that is the same byte for byte is as good.
        """
        try:
            if target.exists():
                return same(target, _pieces_of(draft))
            target.parent.mkdir(parents=True, exist_ok=True)
            draft.rename(target)
            self._unsynced.add(target.parent)
        except OSError as error:
            raise as_spool_error(error, self.root) from None
        finally:
            draft.unlink(missing_ok=True)
        return True

    def sync(self) -> None:
        """Put the names of all files on stable storage. Raises SpoolError."""
        folders = {self.root, *self._unsynced}
        for folder in self._unsynced:
            folders.update(parent for parent in folder.parents if parent.is_relative_to(self.root))
        try:
            for folder in folders:
                sync_folder(folder)
        except OSError as error:
            raise as_spool_error(error, self.root) from None
        self._unsynced.clear()

    def close(self) -> None:
        """Remove what is temporary and let go of the folder."""
        with contextlib.suppress(OSError):
            self._sweep()
            self.incoming.rmdir()
        os.close(self._lock)

    def _sweep(self) -> None:
        for path in self.incoming.glob(f"*{_SUFFIX}"):
            path.unlink(missing_ok=True)


def same(path: Path, pieces: Iterable[bytes]) -> bool:
    """Tell whether a file holds exactly these bytes."""
    with path.open("rb") as file:
        return all(file.read(len(piece)) == piece for piece in pieces) and not file.read(1)


def _pieces_of(path: Path) -> Iterable[bytes]:
    with path.open("rb") as file:
        while piece := file.read(_PIECE):
            yield piece
