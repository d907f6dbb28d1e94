"""Room for what has to be inflated: files without a name, which end with their descriptor whatever happens."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from node.errors import NoRoom
from node.spool import as_spool_error

_KEPT_FREE = 64 << 20  # bytes that are left on the disk


class Scratch:
    """Nameless files on the disk of a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def create(self) -> int:
        """Return the descriptor of a new empty file. Raises SpoolError."""
        try:
            with tempfile.TemporaryFile(dir=self._folder) as file:
                return os.dup(file.fileno())
        except OSError as error:
            raise as_spool_error(error, self._folder) from None

    def check_room(self, size: int) -> None:
        """Raise NoRoom where `size` more bytes would all but fill the disk."""
        disk = os.statvfs(self._folder)
        if disk.f_bavail * disk.f_frsize - size < _KEPT_FREE:
            raise NoRoom("the disk is full", self._folder)
