"""A new ledger from the spool, after the old one was lost.

Guarantees
    Every instance in the spool is known again. Originals are received again and go their way: same UIDs, same bytes.
    What was cleaned already may have been delivered, which only the lost ledger knew: it is held (where only its
    original is left, once that is cleaned again, which gives the same bytes) until a person says
    `--send` (again, byte-identical) or `--assume-delivered`. Pseudonyms and UIDs come back from the secret; the way
    back comes back for what is cleaned again only; imported pairs come from a backup alone; closed projects stay closed
    by their records in the data folder. The result says what is lost.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from sqlalchemy import insert, select, update

from node.closing import read_records, records_folder
from node.config import Config, columns_of
from node.errors import DatasetError, HoldReason, StartError
from node.ledger import backup
from node.ledger.cleaning import add_deliveries, hold_rebuilt
from node.ledger.closed import restore
from node.ledger.database import Database
from node.ledger.reception import known_ids
from node.ledger.releases import REBUILT_DELIVERED, REBUILT_WAITS
from node.ledger.schema import deliveries, instances
from node.ledger.sealed import KEY_FINGERPRINT
from node.ledger.seen import note_start
from node.ledger.sending import finish
from node.ledger.transactions import Transaction
from node.opening import FINGERPRINT, create_ledger, end_rebuilding, is_new, is_rebuilding, lock_spool, make_spool
from node.spool import Spool
from node.sweeper import Sweeper
from node.withdrawing import agree

_BATCH = 200


def rebuild(
    config: Config, *, send: bool = False, assume_delivered: bool = False, imported_from: Path | None = None
) -> dict[str, Any]:
    """Make a new ledger from the spool, or decide on what an earlier rebuild left waiting.

    `imported_from` is a backup of the ledger, or the damaged one: imported pairs are taken from it.

    Returns
    -------
    dict
        `originals` and `cleaned` that were taken in, `unreadable` ids, `waiting` deliveries, `sent`, `assumed`; of a
        new ledger also what became of the maps: `forward`, `way_back`, `imported`, and `closed_projects`.

    Raises
    ------
    StartError
        A node is running, a ledger is in place, or the backup cannot be used.
    """
    database = Database(config.node.ledger, columns_of(config))
    try:
        if not is_new(database) and not is_rebuilding(database):
            if imported_from is not None or not (send or assume_delivered):
                raise StartError(
                    f"there is a ledger at {database.path}: move it away if it is damaged; a good one needs no rebuild"
                )
            database.require()
            return _decide(database, send) | {"originals": 0, "cleaned": 0, "unreadable": []}
        spool = make_spool(config)
        lock_spool(spool)
        if config.node.encryption is None and spool.has_sealed():
            raise StartError("originals in the spool are sealed: name their key under node.encryption")
        spool.prepare()
        create_ledger(config, spool, database, may_make_secret=False, rebuilding=True)
        maps = _maps(config, database, imported_from)
        agree(config, database)
        done = _rebuild(config, spool, database)
        done |= {"forward": "computed from the secret, as before", "way_back": _way_back(done)} | maps
        end_rebuilding(database)
        note_start(database, spool.root)
        return done | _decide(database, send if send or assume_delivered else None)
    finally:
        database.close()


def _maps(config: Config, database: Database, imported_from: Path | None) -> dict[str, Any]:
    """Bring back what neither the secret nor the spool has; say what could not be."""
    try:
        records = read_records(config)
    except (OSError, ValueError, KeyError):
        raise StartError(f"a record in {records_folder(config)} cannot be read: put it back from the backup") from None
    told = {"closed_projects": restore(database, records)}
    if imported_from is None:
        return told | {"imported": "lost, if there were any: a backup of the ledger brings them back (--imported-from)"}
    if not imported_from.is_file():
        raise StartError(f"there is no ledger {imported_from}")
    found = backup.read(imported_from, str(database.get(FINGERPRINT)), database.get(KEY_FINGERPRINT) or "")
    counts = backup.restore(database, found, records)
    text = f"{counts['uid_map']} UIDs and {counts['patient_map']} patients came back"
    if counts["patient_aliases"]:
        text += f", and {counts['patient_aliases']} merged ids"
    if not found.complete:
        text += "; the file is damaged, and others may be lost"
    return {"closed_projects": told["closed_projects"] + counts["closed_projects"], "imported": text}


def _way_back(done: dict[str, Any]) -> str:
    text = f"comes back for {done['originals']} originals, when they are cleaned again"
    return f"{text}; lost for {done['cleaned']} cleaned files, and for what was delivered before"


def _rebuild(config: Config, spool: Spool, database: Database) -> dict[str, Any]:
    sweeper = Sweeper(config, spool, database)
    unreadable: list[str] = []
    originals = [name for name, _ in spool.list_originals()]
    taken = 0
    for start in range(0, len(originals), _BATCH):
        rows = []
        for name in _unknown(database, originals[start : start + _BATCH]):
            try:
                row = sweeper.read_original(name).row(database.columns)
                rows.append(row | {"detail": REBUILT_WAITS if spool.was_cleaned(name) else None})
            except (DatasetError, OSError):
                unreadable.append(name)
        if rows:
            with database.write(durable=True) as connection:
                connection.execute(insert(instances), rows)
        taken += len(rows)
    cleaned = 0
    # Where the original is known, the cleaned file is made again from it, with the same bytes.
    for name in _unknown(database, [name for name, _ in spool.list_cleaned()]):
        try:
            row, route = sweeper.read_cleaned(name)
        except (DatasetError, OSError):
            unreadable.append(name)
            continue
        with database.write(durable=True) as connection:
            _take_in(connection, row, tuple(route.to) if route is not None else ())
        cleaned += 1
    return {"originals": taken, "cleaned": cleaned, "unreadable": unreadable}


def _unknown(database: Database, names: list[str]) -> list[str]:
    """Those that the ledger has no row of: not read above, nor by a rebuild that did not come to its end."""
    known: set[str] = set()
    for start in range(0, len(names), _BATCH):
        known |= known_ids(database, names[start : start + _BATCH])
    return [name for name in names if name not in known]


def _take_in(connection: Transaction, row: dict[str, object], names: tuple[str, ...]) -> None:
    if not names:
        row |= {"state": "held", "outcome": "held", "reason": str(HoldReason.ROUTE_GONE)}
    seq = connection.execute(insert(instances).values(**row).returning(instances.c.seq)).scalar()
    if names:
        add_deliveries(connection, seq, names)
        hold_rebuilt(connection, seq)


def _decide(database: Database, send: bool | None) -> dict[str, int]:
    """Send, or take as delivered, what waits since a rebuild; None leaves it waiting.

    Originals that are yet to be cleaned again are counted as one delivery each.
    """
    mine = (deliveries.c.state == "held") & (deliveries.c.reason == str(HoldReason.REBUILT))
    again = (instances.c.state == "received") & (instances.c.detail == REBUILT_WAITS)
    if send is None:
        with database.read() as connection:
            waiting = len(connection.execute(select(deliveries.c.seq).where(mine)).all())
            waiting += len(connection.execute(select(instances.c.seq).where(again)).all())
        return {"waiting": waiting, "sent": 0, "assumed": 0}
    now = time.time()
    to = {"state": "due", "due_at": now} if send else {"state": "delivered"}
    with database.write(durable=True) as connection:
        done = [row.instance for row in connection.execute(select(deliveries.c.instance).where(mine))]
        count = connection.execute(
            update(deliveries).where(mine).values(**to, reason=None, detail=None, changed_at=now)
        ).rowcount
        count += connection.execute(
            update(instances).where(again).values(detail=None if send else REBUILT_DELIVERED)
        ).rowcount
        finish(connection, done)
    return {"waiting": 0, "sent": count if send else 0, "assumed": 0 if send else count}
