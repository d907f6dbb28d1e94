"""What waits for a person's release, as files to be looked at.

Guarantees that a file holds the very bytes that a release sends, behind file meta information that says nothing of the
sender, and that nothing is overwritten. The files are named by the node's own ids.
"""

from __future__ import annotations

import os
from pathlib import Path

from sqlalchemy import select

from node.derived import Derived
from node.errors import FileError, HoldReason
from node.forwarder.body import opened
from node.instances import pieces
from node.ledger.database import Database
from node.ledger.schema import deliveries, derivations, instances
from node.ledger.schema_upkeep import commissioned, commissioned_instances
from node.ledger.sending import Due
from node.ledger.transactions import Row
from node.part10 import FileMeta, encode_file_meta
from node.spool import Spool


def export(database: Database, spool: Spool, study: str, out: Path) -> int:
    """Write what waits of a study into a folder, `<id>.dcm`; return how many files were written.

    Parameters
    ----------
    study
        The key's replacement of its Study Instance UID.

    Raises
    ------
    FileError
        A file is there already, or cannot be written.
    FileNotFoundError, SealError
        The spool does not have what waits.
    """
    found = _waiting(database, study)
    if found:
        out.mkdir(parents=True, exist_ok=True, mode=0o700)
    for due in found:
        _write(spool, due, out / f"{due.id}.dcm")
    return len(found)


def _waiting(database: Database, study: str) -> list[Due]:
    query = (
        select(instances, derivations.c.before, derivations.c.start, derivations.c.length, derivations.c.after)
        .join(commissioned_instances, commissioned_instances.c.instance == instances.c.seq)
        .join(commissioned, commissioned.c.seq == commissioned_instances.c.commissioned)
        .join(derivations, derivations.c.instance == instances.c.seq, isouter=True)
        .where(commissioned.c.study == study)
        .where(
            select(deliveries.c.seq)
            .where(deliveries.c.instance == instances.c.seq, deliveries.c.state == "held")
            .where(deliveries.c.reason == str(HoldReason.COMMISSIONING))
            .exists()
        )
        .order_by(instances.c.seq)
    )
    with database.read() as connection:
        return [_due(row) for row in connection.execute(query)]


def _due(row: Row) -> Due:
    derived = None if row.before is None else Derived(row.before, row.start, row.length, row.after)
    return Due(
        seq=0,
        instance=row.seq,
        id=row.id,
        sop_class_uid=row.clean_sop_class_uid,
        sop_instance_uid=row.clean_sop_instance_uid,
        transfer_syntax_uid=row.clean_transfer_syntax_uid,
        size=row.clean_size,
        offset=row.clean_offset,
        tries=0,
        refused=0,
        offered_before=0,
        derived=derived,
    )


def _write(spool: Spool, due: Due, path: Path) -> None:
    body = opened(spool, due)
    try:
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(file, "wb") as target:
            target.write(encode_file_meta(FileMeta(due.sop_class_uid, due.sop_instance_uid, due.transfer_syntax_uid)))
            for piece in pieces(body.segments, body.file):
                target.write(piece)
    except OSError as error:
        raise FileError(f"cannot be written ({error.strerror})", str(path)) from None
    finally:
        body.close()
