"""The ledger of an older program: copied, then migrated.

Guarantees that nothing of it is changed before a copy is complete and durable, for the node's user alone: encrypted to
the keys of `backup.to` where there are some, a backup as any other; else a plain copy beside the ledger. Refuses
(StartError) a ledger of a newer program, and to migrate one that cannot be copied.
"""

from __future__ import annotations

import contextlib
import logging
import os
from pathlib import Path

from node.audit import kinds
from node.audit.actor import this_person
from node.config import Config
from node.durable import sync_folder
from node.errors import LedgerError, NodeError, StartError
from node.ledger.audit import open_trail
from node.ledger.copying import copy_to
from node.ledger.database import Database
from node.ledger.schema import VERSION
from node.log import event

LOGGER = logging.getLogger("node.upgrading")


def migrate_with_copy(config: Config, database: Database) -> str:
    """Bring the ledger to the program's version; return what was done to an older one, empty where there was none.

    Raises
    ------
    StartError
        A newer program made it, or it cannot be copied or opened.
    """
    before = _version(database)
    if before in (None, VERSION):
        database.migrate()
        return ""
    from node.ledger.migrate import refuse_newer

    refuse_newer(database.path, before)
    try:
        copy = _copy(config, database)
    except (NodeError, OSError) as error:
        reason = str(error) if isinstance(error, NodeError) else os.strerror(error.errno or 0)
        raise StartError(
            f"the ledger {database.path} is of an older program and has to be migrated, and the copy that is made "
            f"before cannot be: {reason}"
        ) from None
    database.migrate()
    event(LOGGER, "ledger-migrated", before=before, now=VERSION, copy=str(copy))
    return f"the ledger was migrated from version {before} to {VERSION}, with a copy of it made before"


def record_upgrade(config: Config, database: Database, text: str) -> None:
    """Write to the audit trail what was done."""
    trail = open_trail(config, this_person("serve"))
    trail.record(database, kinds.restricted(trail.source, trail.by, text))


def _version(database: Database) -> str | None:
    try:
        return database.version()
    except LedgerError:
        return None  # no ledger at all, as `migrate` says more clearly


def _copy(config: Config, database: Database) -> Path:
    plain = database.path.with_name(f"{database.path.name}.before-{VERSION}")
    if not config.backup.to:
        copy_to(database, plain)
        return plain
    from node.backups import back_up

    target = plain.with_name(f"{plain.name}.age")
    draft = target.with_name(f"{target.name}.new")
    with contextlib.suppress(FileNotFoundError):
        draft.unlink()
    back_up(config, draft, config.backup.to, None)
    draft.replace(target)
    sync_folder(target.parent)
    return target
