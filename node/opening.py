"""What must be true before the node serves: spool, ledger and secret belong together.

Guarantees
    A secret is made only where neither ledger nor spool was ever used. A missing or different secret, a ledger of
    another spool, a new ledger under a spool that holds instances: StartError, with what to do.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
from pathlib import Path

from sqlalchemy import insert

from node.config import Config
from node.errors import StartError
from node.identity import create_secret, fingerprint, load_secret
from node.ledger.database import Database
from node.ledger.schema import meta
from node.spool import Spool, sync_folder

_SPOOL_ID = "spool_id"
_FINGERPRINT = "secret_fingerprint"


def make_spool(config: Config) -> Spool:
    """The spool of a configuration, with its floor of free space in bytes."""
    config.node.spool.mkdir(parents=True, exist_ok=True, mode=0o700)
    disk = os.statvfs(config.node.spool)
    return Spool(config.node.spool, config.node.min_free_disk.bytes_of(disk.f_blocks * disk.f_frsize))


def lock_spool(spool: Spool) -> int:
    """Take the spool for this node; the lock ends with the last of its processes.

    Raises
    ------
    StartError
        Another node has it.
    """
    descriptor = os.open(spool.root / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        owner = os.pread(descriptor, 32, 0).decode(errors="replace").strip() or "unknown"
        os.close(descriptor)
        raise StartError(
            f"another node (process {owner}) uses the spool {spool.root}: stop it, or give this one a spool of its own"
        ) from None
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
    return descriptor


def running_node(config: Config) -> int | None:
    """Process id of the node that serves this configuration's spool, or None."""
    try:
        descriptor = os.open(config.node.spool / "lock", os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return None
        text = os.pread(descriptor, 32, 0).decode(errors="replace").strip()
        return int(text) if text.isdigit() else None
    finally:
        os.close(descriptor)


def open_node(config: Config, spool: Spool) -> None:
    """Make or check spool, ledger and secret; the caller holds the spool's lock.

    Raises
    ------
    StartError
        They do not belong together; the text says what to do.
    """
    database = Database(config.node.ledger)
    try:
        used_before = _read_id(spool) is not None or database.exists()
        if not database.exists() and not spool.is_empty():
            raise StartError(
                f"the spool {spool.root} holds instances, but there is no ledger at {database.path}: put the ledger "
                f"back, or make a new one from the spool with `deid-node rebuild`"
            )
        spool.prepare()
        create_ledger(config, spool, database, may_make_secret=not used_before)
    finally:
        database.close()


def create_ledger(config: Config, spool: Spool, database: Database, *, may_make_secret: bool) -> None:
    """Bring the ledger to the program's version, and tie it to spool and secret.

    Raises
    ------
    StartError
        It belongs to another spool or another secret.
    """
    secret = _secret(config.node.secret_file, may_make_secret)
    database.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    fresh = not database.exists()
    database.migrate()
    spool_id = _read_id(spool)
    known_id, known_secret = database.get(_SPOOL_ID), database.get(_FINGERPRINT)
    if known_id is None and known_secret is None:
        fresh = True
    if fresh:
        spool_id = spool_id or _write_id(spool)
        with database.write(durable=True) as connection:
            connection.execute(
                insert(meta),
                [{"key": _SPOOL_ID, "value": spool_id}, {"key": _FINGERPRINT, "value": fingerprint(secret)}],
            )
        return
    if spool_id != known_id:
        raise StartError(
            f"the ledger {database.path} belongs to another spool than {spool.root}: set node.spool and node.ledger to "
            f"a pair; after a loss of the ledger, `deid-node rebuild` makes a new one from the spool"
        )
    if known_secret != fingerprint(secret):
        raise StartError(
            f"the secret {config.node.secret_file} is not the one that this ledger was made with, so every pseudonym "
            f"and UID would change: put the right file back (from the backup)"
        )


def _secret(path: Path, may_make: bool) -> bytes:
    if path.exists():
        return load_secret(path)
    if not may_make:
        raise StartError(
            f"the secret {path} is missing, and this node was used before: put the file back (from the backup); a new "
            f"secret would give every patient a second pseudonym"
        )
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    return create_secret(path)


def _read_id(spool: Spool) -> str | None:
    try:
        return (spool.root / "id").read_text(encoding="ascii").strip() or None
    except FileNotFoundError:
        return None


def _write_id(spool: Spool) -> str:
    name = secrets.token_hex(16)
    draft = spool.root / "id.new"
    with draft.open("w", encoding="ascii") as file:
        file.write(name + "\n")
        file.flush()
        os.fsync(file.fileno())
    draft.rename(spool.root / "id")
    sync_folder(spool.root)
    return name
