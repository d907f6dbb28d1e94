"""What comes out of a backup, held until all of it was read and found whole.

Guarantees that the manifest comes first and is checked before anything else is taken, that every file has the size and
the hash that it names, and that none is missing. The ledger is written beside its place under another name, all else
stays in memory.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

from node.backups.archive import MANIFEST
from node.backups.contents import LEDGER, SECRET
from node.backups.making import FORMAT
from node.backups.places import Places, make_folder
from node.errors import FileError, StartError
from node.identity import fingerprint

_MOST_IN_MEMORY = 64 << 20
_NEEDED = ("made_at", "program", "ledger_version", "spool", "data", "members", "left_out", "environment")


class Staging:
    """Takes the members of a backup; `where` says, by the manifest, where they are to go, or raises NodeError."""

    def __init__(self, where: Callable[[dict[str, Any]], Places]) -> None:
        self._where = where
        self._contents: dict[str, bytes] = {}
        self._name = ""
        self._pieces: list[bytes] = []
        self._digest = hashlib.sha256()
        self._ledger: BinaryIO | None = None
        self._seen: set[str] = set()
        self.manifest: dict[str, Any] = {}
        self.places: Places

    @property
    def ledger_file(self) -> Path:
        """The ledger, before it is in its place."""
        ledger = self.places.of_role(LEDGER)
        return ledger.with_name(f".{ledger.name}.restoring")

    # -- what the archive calls ------------------------------------------------------------------------------------

    def begin(self, name: str, size: int) -> None:
        """Hear of a member."""
        self._name, self._pieces, self._digest = name, [], hashlib.sha256()
        if not self.manifest:
            if name != MANIFEST or size > _MOST_IN_MEMORY:
                raise FileError("it holds no backup of deid-node")
            return
        member = self.places.members.get(name)
        if member is None or name in self._seen or size != member["size"]:
            raise FileError("the backup does not fit its manifest", name)
        if member["role"] == LEDGER:
            self._open_ledger()
        elif size > _MOST_IN_MEMORY:
            raise FileError("larger than any such file", name)

    def take(self, piece: bytes) -> None:
        """Take some of its content."""
        self._digest.update(piece)
        if self._ledger is not None:
            self._ledger.write(piece)
        else:
            self._pieces.append(piece)

    def end(self) -> None:
        """Hear that it is complete."""
        if not self.manifest:
            self._take_manifest(b"".join(self._pieces))
            return
        if self._digest.hexdigest() != self.places.members[self._name]["sha256"]:
            raise FileError("the backup does not fit its manifest", self._name)
        self._seen.add(self._name)
        if self._ledger is not None:
            self._ledger.flush()
            os.fsync(self._ledger.fileno())
            self._ledger.close()
            self._ledger = None
        else:
            self._contents[self._name] = b"".join(self._pieces)

    # -- what is asked afterwards ----------------------------------------------------------------------------------

    def verify(self) -> None:
        """Raise FileError unless everything is there, the ledger whole, and the secret its own."""
        missing = self.places.members.keys() - self._seen
        if missing:
            raise FileError("the backup does not fit its manifest", min(missing))
        try:
            with contextlib.closing(sqlite3.connect(self.ledger_file)) as connection:
                # The last of its connections takes what its log holds along, and the log away.
                found = connection.execute("PRAGMA quick_check(1)").fetchone()
                row = connection.execute("SELECT value FROM meta WHERE key = 'secret_fingerprint'").fetchone()
        except sqlite3.Error as error:
            kind = getattr(error, "sqlite_errorname", None) or type(error).__name__
            raise FileError(f"the ledger in the backup cannot be used ({kind})") from None
        if found is None or found[0] != "ok":
            raise FileError("the ledger in the backup is damaged: its pages do not fit together")
        if row is None or row[0] != fingerprint(self._secret()):
            raise FileError("the ledger in the backup was made with another secret than the one in it")

    def files(self) -> Iterator[tuple[Path, bytes]]:
        """Give every file but the ledger that has a place, and its content."""
        for name, content in self._contents.items():
            if name in self.places.targets:
                yield self.places.targets[name], content

    def to_do(self) -> list[str]:
        """Return what a person has to put back, as sentences."""
        found = [
            f"put back {one['path']}, which is not in the backup: {one['why']}" for one in self.manifest["left_out"]
        ]
        if self.manifest["environment"]:
            names = ", ".join(self.manifest["environment"])
            found.append(f"set in the environment of the node, as before: {names}")
        return found

    def discard(self) -> None:
        """Remove what is not in its place."""
        if self._ledger is not None:
            self._ledger.close()
        if self.manifest:
            for end in ("", "-wal", "-shm", "-journal"):
                with contextlib.suppress(OSError):
                    os.unlink(f"{self.ledger_file}{end}")

    def _secret(self) -> bytes:
        name = next(name for name, member in self.places.members.items() if member["role"] == SECRET)
        try:
            return bytes.fromhex(self._contents[name].decode("ascii"))
        except ValueError:
            raise FileError("the secret in the backup is malformed") from None

    def _take_manifest(self, content: bytes) -> None:
        try:
            manifest = json.loads(content)
            known = manifest["format"]
        except (ValueError, LookupError, TypeError):
            raise FileError("it holds no backup of deid-node") from None
        if known != FORMAT:
            raise StartError("a newer deid-node made this backup: install that one, and restore with it")
        from node.ledger.migrate import refuse_newer

        if any(name not in manifest for name in _NEEDED):
            raise FileError("it holds no backup of deid-node")
        refuse_newer(Path("in the backup"), str(manifest["ledger_version"]))
        self.places = self._where(manifest)
        self.manifest = manifest

    def _open_ledger(self) -> None:
        path = self.ledger_file
        make_folder(path.parent)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        self._ledger = os.fdopen(descriptor, "wb")
