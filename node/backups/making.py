"""A backup: ledger, secret, kept recipes and configuration in one file, encrypted to public keys, on a running node.

Guarantees
    The ledger in it is the whole as it was at one moment. Its file appears complete and durable under its name, for its
    owner alone, or not at all; nothing of it is in plain on the disk under any name. That a backup is made is in the
    audit trail before anything of it is written, and its hash when it is complete.

Refuses
    To overwrite a file; to make one that nobody could open, or without the secret.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from sqlalchemy import func, select

from node import __version__, age
from node.audit import kinds
from node.audit.actor import Actor
from node.backups.archive import MANIFEST, Member, packed
from node.backups.contents import LEDGER, Contents, gather, member_name
from node.config import Config, columns_of
from node.durable import sync_folder
from node.errors import FileError, NodeError
from node.identity import fingerprint, load_secret
from node.ledger.audit import open_trail
from node.ledger.copying import nameless_copy
from node.ledger.database import Database
from node.ledger.schema import instances
from node.ledger.sealed import KEY_FINGERPRINT
from node.ledger.times import iso

FORMAT = 1
LEDGER_NAME = "ledger.db"
_PIECE = 1 << 20


def back_up(config: Config, target: Path, recipients: Sequence[str], by: Actor | None) -> dict[str, Any]:
    """Make a backup in the file `target`, to be opened with the private key of any of `recipients` (`age1…`).

    `by` is who asks, for the audit trail; None where the ledger is an older program's, which cannot be written yet.

    Returns
    -------
    dict
        `file`, `size` (bytes), `sha256`, `made_at`, `keys` (how many), `instances` (at least so many are in it),
        `left_out` (`path`, `why`), `environment` (names of variables that the configuration needs).

    Raises
    ------
    NodeError
        There is no key, a file with that name, no room, no ledger or no secret; nothing was written.
    """
    _require_keys(recipients)
    if os.path.lexists(target):
        raise FileError("there is a file already: backups are never overwritten", str(target))
    database = Database(config.node.ledger, columns_of(config))
    try:
        if by is not None:
            database.require()
        contents = gather(config)
        _record(config, database, by, f"a backup of ledger and secret is made, for the keys {', '.join(recipients)}")
        at = time.time()
        with nameless_copy(database, _floor(config, database.path.parent)) as copy:
            manifest = _manifest(config, database, contents, copy, at)
            size, digest = _write(target, _members(manifest, contents, copy), at, recipients)
        _record(config, database, by, f"the backup is complete: sha256 {digest}, {size} bytes")
    finally:
        database.close()
    told = {name: manifest[name] for name in ("made_at", "instances", "left_out", "environment")}
    return {"file": str(target), "size": size, "sha256": digest, "keys": len(recipients)} | told


def _require_keys(recipients: Sequence[str]) -> None:
    if not recipients:
        raise NodeError("to whom? Name a public key of age with --to, or under backup.to in the configuration")
    for one in recipients:
        try:
            age.check_recipient(one)
        except ValueError as error:
            raise NodeError(str(error)) from None


def _floor(config: Config, folder: Path) -> int:
    disk = os.statvfs(folder)
    return config.node.min_free_disk.bytes_of(disk.f_blocks * disk.f_frsize)


def _record(config: Config, database: Database, by: Actor | None, text: str) -> None:
    if by is not None:
        trail = open_trail(config, by)
        trail.record(database, kinds.restricted(trail.source, by, text))


def _manifest(config: Config, database: Database, contents: Contents, copy: int, at: float) -> dict[str, Any]:
    known = {"role": LEDGER, "name": LEDGER_NAME, "path": str(database.path)}
    members = [known | {"size": os.fstat(copy).st_size, "sha256": _digest(copy)}]
    members += [
        {
            "role": part.role,
            "name": member_name(number, part.path),
            "path": str(part.path),
            "size": len(part.content),
            "sha256": hashlib.sha256(part.content).hexdigest(),
        }
        for number, part in enumerate(contents.parts, 1)
    ]
    with database.read() as connection:
        last = connection.execute(select(func.max(instances.c.seq))).scalar() or 0
    return {
        "format": FORMAT,
        "made_at": iso(at),
        "program": __version__,
        "ledger_version": database.version(),
        "ae_title": config.node.ae_title,
        "secret_fingerprint": fingerprint(load_secret(config.node.secret_file)),
        "sealed": database.get(KEY_FINGERPRINT) is not None,
        "instances": last,
        "data": str(config.node.data),
        "spool": str(config.node.spool),
        "environment": contents.environment,
        "left_out": contents.left_out,
        "members": members,
    }


def _members(manifest: dict[str, Any], contents: Contents, copy: int) -> Iterator[Member]:
    text = json.dumps(manifest, indent=1).encode("ascii")
    yield Member(MANIFEST, len(text), [text])
    yield Member(LEDGER_NAME, os.fstat(copy).st_size, _pieces(copy))
    for number, part in enumerate(contents.parts, 1):
        yield Member(member_name(number, part.path), len(part.content), [part.content])


def _pieces(descriptor: int) -> Iterator[bytes]:
    place = 0
    while piece := os.pread(descriptor, _PIECE, place):
        place += len(piece)
        yield piece


def _digest(descriptor: int) -> str:
    digest = hashlib.sha256()
    for piece in _pieces(descriptor):
        digest.update(piece)
    return digest.hexdigest()


class _Hashed:
    """A file that knows the hash of what was written to it."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.digest = hashlib.sha256()
        self.size = 0

    def write(self, piece: bytes) -> int:
        self.digest.update(piece)
        self.size += len(piece)
        return self._file.write(piece)


def _write(target: Path, members: Iterator[Member], at: float, recipients: Sequence[str]) -> tuple[int, str]:
    """Write the encrypted file, durably; return its size and hash. Raises FileError."""
    draft = target.with_name(f".{target.name}.part")
    try:
        with _draft(draft) as file:
            hashed = _Hashed(file)
            age.encrypt(packed(members, at), hashed, recipients)
            file.flush()
            os.fsync(file.fileno())
            draft.rename(target)
        sync_folder(target.parent)
    except OSError as error:
        raise FileError(f"the backup cannot be written ({error.strerror})", str(target)) from None
    return hashed.size, hashed.digest.hexdigest()


@contextlib.contextmanager
def _draft(path: Path) -> Iterator[BinaryIO]:
    """Give a new file, which is gone when the block raises; what a death left of an earlier one is written anew."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise FileError("another backup is being written there", str(path)) from None
        os.fchmod(descriptor, 0o600)
        os.ftruncate(descriptor, 0)
        try:
            yield file
        except BaseException:
            with contextlib.suppress(OSError):
                path.unlink()
            raise
