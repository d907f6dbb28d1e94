"""Sealing what an older ledger holds in plain.

Guarantees that all columns that name a person or an object of the original are sealed in one transaction, together with
the fingerprint of the key, or none. Nothing of the plain values is left in the database or its log then.
"""

from __future__ import annotations

from sqlalchemy import insert, select

from node.ledger.database import Database
from node.ledger.names import (
    ALIAS_ISSUER,
    ALIAS_PATIENT_ID,
    ISSUER,
    KEPT_TEXT,
    MANUFACTURER,
    MODALITY,
    MODEL,
    ORIGINAL,
    PATIENT_ID,
    SAME_ISSUER,
    SAME_PATIENT_ID,
    SHIFT,
    SOP_INSTANCE_UID,
    TRANSACTION_UID,
    shift_scope,
)
from node.ledger.schema import instances, meta, patient_aliases, patient_map, uid_map
from node.ledger.schema_commitment import commitments
from node.sealing import Columns

KEY_FINGERPRINT = "encryption_fingerprint"
"""The key of `meta` under which the ledger remembers which key it was sealed with."""

_SEAL_REFERENCES = """
UPDATE commitment_references SET sop_instance_uid =
    seal(?, (SELECT project FROM commitments WHERE seq = request), sop_instance_uid)
"""
_SEAL = (
    ("UPDATE instances SET sop_instance_uid = seal(?, project, sop_instance_uid)", SOP_INSTANCE_UID),
    ("UPDATE uid_map SET original = seal(?, project, original)", ORIGINAL),
    ("UPDATE kept_texts SET text = seal(?, project, text)", KEPT_TEXT),
    ("UPDATE patient_map SET issuer = seal(?, project, issuer)", ISSUER),
    ("UPDATE patient_map SET patient_id = seal(?, project, patient_id)", PATIENT_ID),
    ("UPDATE patient_map SET shift_days = seal_shift(?, project, pseudonym, shift_days)", SHIFT),
    ("UPDATE devices SET modality = seal(?, project, modality)", MODALITY),
    ("UPDATE devices SET manufacturer = seal(?, project, manufacturer)", MANUFACTURER),
    ("UPDATE devices SET model = seal(?, project, model)", MODEL),
    ("UPDATE patient_aliases SET issuer = seal(?, project, issuer)", ALIAS_ISSUER),
    ("UPDATE patient_aliases SET patient_id = seal(?, project, patient_id)", ALIAS_PATIENT_ID),
    ("UPDATE patient_aliases SET same_issuer = seal(?, project, same_issuer)", SAME_ISSUER),
    ("UPDATE patient_aliases SET same_patient_id = seal(?, project, same_patient_id)", SAME_PATIENT_ID),
    ("UPDATE commitments SET transaction_uid = seal(?, project, transaction_uid)", TRANSACTION_UID),
    (_SEAL_REFERENCES, SOP_INSTANCE_UID),
)


def holds_names(database: Database) -> bool:
    """Whether any row names a person or an object of the original."""
    with database.read() as connection:
        return any(
            connection.execute(select(table.c.project).limit(1)).first() is not None
            for table in (instances, uid_map, patient_map, patient_aliases, commitments)
        )


def seal_ledger(database: Database, columns: Columns, fingerprint: str) -> None:
    """Seal a ledger that is not sealed yet, and has no other user; `fingerprint` is that of the key.

    Raises
    ------
    LedgerError
        The ledger refused; it is what it was.
    """

    def seal_shift(column: str, project: str, pseudonym: str, shift: int) -> str:
        return columns.seal(column, shift_scope(project, pseudonym), str(shift))

    with database.write(durable=True) as connection:
        connection.driver.create_function("seal", 3, columns.seal, deterministic=True)
        connection.driver.create_function("seal_shift", 4, seal_shift, deterministic=True)
        for statement, column in _SEAL:
            connection.driver.execute(statement, (column,))
        connection.execute(insert(meta), {"key": KEY_FINGERPRINT, "value": fingerprint})
    database.compact()
