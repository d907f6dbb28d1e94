"""Ids that stand for another id: which, and whether there is something new.

They are made by `node.ledger.merging`. Guarantees that an id stands for one that stands for itself.
"""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import func, select

from node.ledger.names import ALIAS_ISSUER, ALIAS_PATIENT_ID, SAME_ISSUER, SAME_PATIENT_ID
from node.ledger.schema import patient_aliases
from node.ledger.transactions import Transaction

PersonPlace = tuple[str, int, str, str]
"""A patient in the maps: project, epoch, issuer, Patient ID."""
Aliases = Mapping[PersonPlace, tuple[str, str]]
"""Issuer and Patient ID that each stands for."""


def generation(connection: Transaction) -> int:
    """The number of the last merge: where it is another one than before, there is something new."""
    return connection.execute(_LAST).scalar() or 0


def read_aliases(connection: Transaction) -> dict[PersonPlace, tuple[str, str]]:
    """Every id that stands for another one, with issuer and id of that one."""
    opened = connection.columns.open
    return {
        (
            row.project,
            row.epoch,
            opened(ALIAS_ISSUER, row.project, row.issuer),
            opened(ALIAS_PATIENT_ID, row.project, row.patient_id),
        ): (
            opened(SAME_ISSUER, row.project, row.same_issuer),
            opened(SAME_PATIENT_ID, row.project, row.same_patient_id),
        )
        for row in connection.execute(_ALL)
    }


_LAST = select(func.max(patient_aliases.c.seq))
_ALL = select(patient_aliases)
