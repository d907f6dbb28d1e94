"""What must be true before the node serves: spool, ledger, secret and key belong together, and are nobody else's.

Guarantees
    A secret is made only where neither ledger nor spool was ever used. A missing or different secret, a ledger of
    another spool, a new ledger under a spool that holds instances, a missing or different key of a ledger that is
    sealed, a ledger that is not sealed yet, what others can read: StartError, with what to do.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import logging
import os
import secrets
import time
from collections.abc import Mapping
from pathlib import Path

from sqlalchemy import delete, insert

from node.config import Config, columns_of
from node.durable import sync_folder
from node.errors import LedgerError, StartError
from node.identity import create_secret, fingerprint, load_secret
from node.ledger.database import Database
from node.ledger.projects import refuse_changed
from node.ledger.schema import meta
from node.ledger.sealed import KEY_FINGERPRINT, holds_names
from node.ledger.seen import damage, note_start
from node.log import event
from node.privacy import refuse_readable
from node.spool import Spool
from node.upgrading import migrate_with_copy, record_upgrade

LOGGER = logging.getLogger("node.opening")

_OLDER = (
    "the ledger is older than the spool: files that it does not know are adopted; of what was delivered since it knows "
    "nothing"
)
_SPOOL_ID = "spool_id"
FINGERPRINT = "secret_fingerprint"
_REBUILDING = "rebuilding"
_DYING_SECONDS = 5.0
_OTHER_KEY = (
    "the key of node.encryption is not the one that the ledger {} was sealed with: put the right key back (from the "
    "backup)"
)


def make_spool(config: Config) -> Spool:
    """The spool of a configuration, with its floor of free space in bytes."""
    _make_folder(config.node.spool)
    disk = os.statvfs(config.node.spool)
    floor = config.node.min_free_disk.bytes_of(disk.f_blocks * disk.f_frsize)
    return Spool(config.node.spool, floor, config.node.sealing, retains=config.retention.originals > 0)


def lock_spool(spool: Spool) -> int:
    """Take the spool for this node; the lock ends with the last of its processes.

    Raises
    ------
    StartError
        Another node has it, or it cannot be written.
    """
    try:
        # Not for writing, or nobody could remount the spool's disk read-only while the node runs.
        descriptor = os.open(spool.root / "lock", os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StartError(f"the spool {spool.root} cannot be used ({error.strerror})") from None
    deadline = time.monotonic() + _DYING_SECONDS
    while not _locked(descriptor):
        owner = os.pread(descriptor, 32, 0).decode(errors="replace").strip() or "unknown"
        if not _is_alive(owner) and time.monotonic() < deadline:
            # Its children die with it, but not in the same instant; so does a command that asks who has the lock.
            time.sleep(0.02)
            continue
        os.close(descriptor)
        raise StartError(
            f"another node (process {owner}) uses the spool {spool.root}: stop it, or give this one a spool of its own"
        )
    try:
        (spool.root / "lock").write_text(f"{os.getpid()}\n", encoding="ascii")
    except OSError as error:
        os.close(descriptor)
        raise StartError(f"the spool {spool.root} cannot be written ({error.strerror})") from None
    return descriptor


def _make_folder(folder: Path) -> None:
    try:
        # Each of them with its mode: `parents=True` would leave that to the umask.
        for one in reversed([one for one in (folder, *folder.parents) if not one.exists()]):
            one.mkdir(exist_ok=True, mode=0o700)
        if not folder.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
    except OSError as error:
        raise StartError(f"the folder {folder} cannot be made ({error.strerror})") from None


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_alive(process: str) -> bool:
    try:
        os.kill(int(process), 0)
    except (ProcessLookupError, ValueError):
        return False
    except PermissionError:
        return True
    return True


def running_node(config: Config) -> int | None:
    """Process id of the node that serves this configuration's spool, or None."""
    try:
        descriptor = os.open(config.node.spool / "lock", os.O_RDONLY | os.O_CLOEXEC)
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


def open_node(config: Config, spool: Spool, modes: Mapping[str, str] | None = None) -> None:
    """Make or check spool, ledger and secret; the caller holds the spool's lock; `modes` as for `refuse_changed`.

    Raises
    ------
    StartError
        They do not belong together; the text says what to do.
    ConfigError
        A project has other forms of replacements than those it has handed out.
    """
    refuse_readable(config)
    database = Database(config.node.ledger, columns_of(config))
    try:
        used_before = _read_id(spool) is not None or database.exists()
        if is_rebuilding(database):
            raise StartError(
                f"the ledger {database.path} is only partly made again from the spool: let `deid-node rebuild` end it"
            )
        if is_new(database) and not spool.is_empty():
            raise StartError(
                f"the spool {spool.root} holds instances, but there is no ledger at {database.path}: put the ledger "
                f"back, or make a new one from the spool with `deid-node rebuild`"
            )
        found = damage(database, spool.root)
        if found:
            raise StartError(
                f"the ledger {database.path} is damaged ({found}): put a backup of it back; or move it away, with "
                f"what lies beside it (-wal, -shm), and make a new one from the spool with `deid-node rebuild`"
            )
        spool.prepare()
        create_ledger(config, spool, database, may_make_secret=not used_before)
        refuse_changed(database, config, modes)
        missing = note_start(database, spool.root)
        if missing:
            event(LOGGER, "ledger-older", level=logging.ERROR, missing=missing, error=_OLDER)
    finally:
        database.close()


def is_new(database: Database) -> bool:
    """Whether there is no ledger, or one that a start has begun and not tied to a spool."""
    try:
        return database.version() is None or database.get(_SPOOL_ID) is None
    except LedgerError:
        return False  # no ledger at all, as `migrate` says more clearly


def is_rebuilding(database: Database) -> bool:
    """Whether the ledger is one that `deid-node rebuild` has begun and not finished."""
    try:
        return database.version() is not None and database.get(_REBUILDING) is not None
    except LedgerError:
        return False


def end_rebuilding(database: Database) -> None:
    """Note that the ledger is complete."""
    with database.write(durable=True) as connection:
        connection.execute(delete(meta).where(meta.c.key == _REBUILDING))


def create_ledger(
    config: Config, spool: Spool, database: Database, *, may_make_secret: bool, rebuilding: bool = False
) -> None:
    """Bring the ledger to the program's version, and tie it to spool and secret; a new one may be marked as rebuilding.

    Raises
    ------
    StartError
        It belongs to another spool, another secret or another key.
    """
    sealing = config.node.sealing
    key = "" if sealing is None else sealing.key.fingerprint
    secret = _secret(config.node.secret_file, may_make_secret)
    _make_folder(database.path.parent)
    upgraded = migrate_with_copy(config, database)
    spool_id = _read_id(spool)
    known_id, known_secret = database.get(_SPOOL_ID), database.get(FINGERPRINT)
    if known_id is None and known_secret is None:
        values = {_SPOOL_ID: spool_id or _write_id(spool), FINGERPRINT: fingerprint(secret)}
        if rebuilding:
            values[_REBUILDING] = "1"
        if key:
            values[KEY_FINGERPRINT] = key
        with database.write(durable=True) as connection:
            connection.execute(insert(meta), [{"key": key, "value": value} for key, value in values.items()])
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
    _refuse_other_key(database, key)
    if upgraded:
        record_upgrade(config, database, upgraded)


def _refuse_other_key(database: Database, key: str) -> None:
    """Refuse another key than the ledger was sealed with; `key` is a fingerprint, or empty without encryption."""
    known = database.get(KEY_FINGERPRINT) or ""
    if known == key:
        return
    if not key:
        raise StartError(
            f"the ledger {database.path} is sealed, and the configuration has no node.encryption: name its key there"
        )
    if known:
        raise StartError(_OTHER_KEY.format(database.path))
    if holds_names(database):
        raise StartError(
            f"node.encryption is new, and the ledger {database.path} holds names that are not sealed: "
            f"run `deid-node encrypt` once"
        )
    with database.write(durable=True) as connection:
        connection.execute(insert(meta), {"key": KEY_FINGERPRINT, "value": key})


def need_key(config: Config, spool: Spool) -> None:
    """Have the key in this process, and still the right one: a file may be replaced while the node runs.

    Raises
    ------
    StartError
        It is missing, or another one than the ledger was sealed with.
    """
    keys = [one.key.fingerprint for one in (config.node.sealing, spool.sealing) if one is not None]
    if keys:
        database = Database(config.node.ledger)
        try:
            if {database.get(KEY_FINGERPRINT)} != set(keys):
                raise StartError(_OTHER_KEY.format(database.path))
        finally:
            database.close()


def _secret(path: Path, may_make: bool) -> bytes:
    if path.exists():
        return load_secret(path)
    if not may_make:
        raise StartError(
            f"the secret {path} is missing, and this node was used before: put the file back (from the backup); a new "
            f"secret would give every patient a second pseudonym"
        )
    _make_folder(path.parent)
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
