"""What the maps hold, to be taken elsewhere: patients, ids that are one person, UIDs. They name persons."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from sqlalchemy import bindparam, select

from node.ledger.aliases import read_aliases
from node.ledger.names import ISSUER, ORIGINAL, PATIENT_ID, SHIFT, shift_scope
from node.ledger.schema import patient_map, uid_map
from node.ledger.transactions import Transaction


class PatientRow(NamedTuple):
    """A patient; origin is computed or imported."""

    issuer: str
    patient_id: str
    pseudonym: str
    shift_days: int
    origin: str


class UidRow(NamedTuple):
    """A UID; origin is computed or imported."""

    original: str
    replacement: str
    origin: str


def patients(connection: Transaction, project: str, epoch: int) -> Iterator[PatientRow]:
    """Give the patients of a project in a key epoch."""
    opened = connection.columns.open
    for row in connection.execute(_PATIENTS, {"the_project": project, "the_epoch": epoch}):
        shift = int(opened(SHIFT, shift_scope(project, row.pseudonym), str(row.shift_days)))
        issuer, patient_id = opened(ISSUER, project, row.issuer), opened(PATIENT_ID, project, row.patient_id)
        yield PatientRow(issuer, patient_id, row.pseudonym, shift, row.origin)


def ids(connection: Transaction, project: str, epoch: int) -> Iterator[tuple[str, str]]:
    """Give issuer and Patient ID of the patients of a project in a key epoch."""
    opened = connection.columns.open
    for row in connection.execute(_PATIENTS, {"the_project": project, "the_epoch": epoch}):
        yield opened(ISSUER, project, row.issuer), opened(PATIENT_ID, project, row.patient_id)


def merged(connection: Transaction, project: str, epoch: int) -> Iterator[tuple[str, str, str, str]]:
    """Give each id that stands for another one: its issuer and id, and those of the other."""
    for (of, at, issuer, patient_id), same in sorted(read_aliases(connection).items()):
        if (of, at) == (project, epoch):
            yield issuer, patient_id, *same


def persons_of(connection: Transaction, project: str, pseudonym: str) -> list[tuple[str, str]]:
    """Return issuer and id of whom a pseudonym is: first the one that it was made for, then those merged with it."""
    opened = connection.columns.open
    row = connection.execute(_OF, {"the_project": project, "the_one": pseudonym}).first()
    if row is None:
        return []
    first = opened(ISSUER, project, row.issuer), opened(PATIENT_ID, project, row.patient_id)
    return [first, *(one[:2] for one in merged(connection, project, row.epoch) if one[2:] == first)]


def uids(connection: Transaction, project: str, epoch: int) -> Iterator[UidRow]:
    """Give the UIDs of a project in a key epoch."""
    opened = connection.columns.open
    for row in connection.execute(_UIDS, {"the_project": project, "the_epoch": epoch}):
        yield UidRow(opened(ORIGINAL, project, row.original), row.replacement, row.origin)


_PATIENTS = (
    select(patient_map)
    .where(patient_map.c.project == bindparam("the_project"), patient_map.c.epoch == bindparam("the_epoch"))
    .order_by(patient_map.c.issuer, patient_map.c.patient_id)
)
_OF = select(patient_map).where(
    patient_map.c.project == bindparam("the_project"), patient_map.c.pseudonym == bindparam("the_one")
)
_UIDS = (
    select(uid_map)
    .where(uid_map.c.project == bindparam("the_project"), uid_map.c.epoch == bindparam("the_epoch"))
    .order_by(uid_map.c.original)
)
