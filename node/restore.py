"""A backup is put back: where it came from, or into a folder of its own.

Guarantees
    Nothing is in place before all of the backup was read and found whole: the manifest first, then each file by its
    hash, the pages of the ledger, the secret by the ledger's fingerprint. What is put in place is durable, for its
    owner alone, the ledger last; what died half-way is done again by the same command. Projects that were closed since
    stay closed, and nothing of them comes back.

Refuses
    To overwrite: a ledger, or any file that is there with other content; what a newer program made; a running node.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Any

from node import age
from node.audit import kinds
from node.audit.actor import Actor
from node.backups.archive import Unpacker
from node.backups.contents import LEDGER
from node.backups.places import Places, in_folder, make_folder, where_it_was, with_config
from node.backups.staging import Staging
from node.closing import read_records
from node.config import Config, columns_of, load_config
from node.durable import sync_folder
from node.errors import FileError, NodeError
from node.ledger import closed
from node.ledger.audit import open_trail
from node.ledger.database import Database
from node.opening import lock_spool
from node.restored import what_follows
from node.spool import Spool


def restore(file: Path, identity: Path, by: Actor, config_path: Path, into: Path | None = None) -> dict[str, Any]:
    """Put a backup back.

    Parameters
    ----------
    file, identity
        The backup, and a file with a private key that opens it.
    by
        Who asks, for the audit trail.
    config_path
        The configuration: where it is there, it says where ledger, secret and spool belong, and stays as it is; else
        everything goes where it was when the backup was made.
    into
        A folder that is missing or empty: everything goes there, and nothing else is touched.

    Returns
    -------
    dict
        `made_at`, `program`, `ledger_version`, `written` and `kept` (paths), `to_do` (sentences), and of a backup that
        was put back in its place what is known of the loss (`node.restored.what_follows`).

    Raises
    ------
    NodeError
        It cannot be opened or put back; the text says why, and nothing was overwritten.
    """
    keys = age.load_identities(identity)
    with contextlib.ExitStack() as held:
        staging = Staging(lambda manifest: _places(manifest, config_path, into, held))
        held.callback(staging.discard)
        _read(file, keys, staging)
        staging.verify()
        written, kept = _put_in_place(staging)
        told = {key: staging.manifest[key] for key in ("made_at", "program", "ledger_version")}
        told |= {"written": list(map(str, written)), "kept": list(map(str, kept))}
        return told | _finish(staging, config_path, into, by)


def _read(file: Path, keys: list[Any], staging: Staging) -> None:
    try:
        with file.open("rb") as encrypted:
            unpacker = Unpacker(staging)
            age.decrypt(encrypted, keys, unpacker.take)
    except OSError as error:
        raise FileError(f"the backup cannot be restored ({error.strerror})", str(error.filename or file)) from None
    unpacker.close()


def _places(manifest: dict[str, Any], config_path: Path, into: Path | None, held: contextlib.ExitStack) -> Places:
    """Return where the files go, once nobody else can use these places. Raises NodeError."""
    if into is not None:
        if into.exists() and (not into.is_dir() or any(into.iterdir())):
            raise FileError("the folder to restore into must be missing or empty", str(into))
        return in_folder(manifest, into.absolute())
    places = with_config(manifest, load_config(config_path)) if config_path.exists() else where_it_was(manifest)
    make_folder(places.spool)
    held.callback(os.close, lock_spool(Spool(places.spool)))
    places.refuse_other_content()
    return places


def _put_in_place(staging: Staging) -> tuple[list[Path], list[Path]]:
    """Write what is not there yet, durably, the ledger last; return what was written and what was there."""
    written, kept = [], []
    try:
        for target, content in staging.files():
            if target.exists():
                kept.append(target)
                continue
            make_folder(target.parent)
            _write(target, content)
            written.append(target)
        ledger = staging.places.of_role(LEDGER)
        staging.ledger_file.rename(ledger)
        sync_folder(ledger.parent)
    except OSError as error:
        raise FileError(f"the backup cannot be restored ({error.strerror})", str(error.filename or "")) from None
    return [*written, ledger], [*kept, *staging.places.left_alone]


def _write(target: Path, content: bytes) -> None:
    draft = target.with_name(f".{target.name}.restoring")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    draft.rename(target)
    sync_folder(target.parent)


def _finish(staging: Staging, config_path: Path, into: Path | None, by: Actor) -> dict[str, Any]:
    """Migrate, close again what was closed, write it down; tell what is lost and what to do."""
    to_do = staging.to_do()
    if into is not None:
        return {"to_do": to_do}
    if os.geteuid() == 0:
        to_do.append("all of it is root's now: where the node runs as another user, give it to that one (chown -R)")
    try:
        config = load_config(config_path if config_path.exists() else staging.places.config)
    except NodeError as error:
        return {"to_do": [*to_do, f"mend the configuration, then start the node: {error}"]}
    database = Database(config.node.ledger, columns_of(config))
    try:
        database.migrate()
        again = _close_again(config, database)
        trail = open_trail(config, by)
        text = f"restored from a backup that was made {staging.manifest['made_at']}"
        trail.record(database, kinds.restricted(trail.source, trail.by, text))
        return what_follows(config, database, again, to_do)
    finally:
        database.close()


def _close_again(config: Config, database: Database) -> list[str]:
    """Destroy what came back of projects that were closed since; return their names."""
    known = closed.records(database)
    late = {name: record for name, record in read_records(config).items() if name not in known}
    closed.restore(database, late)
    for name in late:
        closed.destroy(database, name)
    if late:
        database.shrink()
    return sorted(late)
