"""Many entries of the maps at once: what an import asks for and writes, by a few statements for thousands of pairs.

Guarantees the answers and rows of `node.ledger.maps`, where one is asked for. Whatever is written is new: an entry that
is there already is a Collision, and nothing of the transaction is written.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice

from node.ledger.aliases import PersonPlace
from node.ledger.maps import today
from node.ledger.names import ISSUER, ORIGINAL, PATIENT_ID, SHIFT, shift_scope
from node.ledger.transactions import Transaction

_AT_ONCE = 5000
_IMPORTED = "imported"
_Row = tuple[str, int, str]
"""Pseudonym, shift in days, origin."""
Values = tuple[str | int, ...]
"""A row as it stands in its table."""


def rows_of(connection: Transaction, places: Iterable[PersonPlace]) -> dict[PersonPlace, _Row]:
    """Return what the maps have of patients: those that it does not know are left out."""
    of_issuer: dict[tuple[str, int, str], list[str]] = {}
    for project, epoch, issuer, patient_id in places:
        of_issuer.setdefault((project, epoch, issuer), []).append(patient_id)
    found: dict[PersonPlace, _Row] = {}
    for (project, epoch, issuer), ids in of_issuer.items():
        sealed = connection.columns.seal(ISSUER, project, issuer)
        for some in _some(ids):
            asked = {connection.columns.seal(PATIENT_ID, project, one): one for one in some}
            bound = (json.dumps(list(asked)), project, epoch, sealed)
            for stored, pseudonym, shift, origin in connection.driver.execute(_PATIENTS, bound):
                days = int(connection.columns.open(SHIFT, shift_scope(project, pseudonym), str(shift)))
                found[project, epoch, issuer, asked[stored]] = (pseudonym, days, origin)
    return found


def taken_pseudonyms(connection: Transaction, project: str, asked: Iterable[str]) -> set[str]:
    """Return those that a patient of the project has, in whatever epoch."""
    return _there(connection, _TAKEN, project, asked)


def with_studies(connection: Transaction, project: str, pseudonyms: Iterable[str]) -> set[str]:
    """Return those that a study came under."""
    return _there(connection, _WITH_STUDIES, project, pseudonyms)


def has_studies(connection: Transaction, project: str) -> bool:
    """Whether any study of a project came under a pseudonym."""
    return connection.driver.execute(_ANY_STUDY, (project,)).fetchone() is not None


def replacements_of(connection: Transaction, project: str, epoch: int, uids: Iterable[str]) -> dict[str, str]:
    """Return the replacements that the maps have of UIDs: those that it does not know are left out."""
    found: dict[str, str] = {}
    for some in _some(uids):
        asked = {connection.columns.seal(ORIGINAL, project, one): one for one in some}
        rows = connection.driver.execute(_UIDS, (json.dumps(list(asked)), project, epoch))
        found |= {asked[stored]: replacement for stored, replacement in rows}
    return found


def taken_replacements(connection: Transaction, project: str, asked: Iterable[str]) -> set[str]:
    """Return those that a UID of the project has, in whatever epoch."""
    return _there(connection, _TAKEN_UIDS, project, asked)


def patient_rows(connection: Transaction, given: Mapping[PersonPlace, tuple[str, int]]) -> list[Values]:
    """Return imported pairs of patients, pseudonym and shift in days, as `new_patients` writes them."""
    seal, day = connection.columns.seal, today()
    issuers = {(place[0], place[2]): seal(ISSUER, place[0], place[2]) for place in given}
    return sorted(
        (
            *(project, epoch, issuers[project, issuer], seal(PATIENT_ID, project, patient_id), pseudonym),
            *(seal(SHIFT, shift_scope(project, pseudonym), str(shift)), _IMPORTED, day),
        )
        for (project, epoch, issuer, patient_id), (pseudonym, shift) in given.items()
    )


def uid_rows(connection: Transaction, project: str, epoch: int, given: Mapping[str, str]) -> list[Values]:
    """Return imported pairs of UIDs as `new_uids` writes them."""
    seal, day = connection.columns.seal, today()
    return sorted((project, epoch, seal(ORIGINAL, project, uid), to, _IMPORTED, day) for uid, to in given.items())


def new_patients(connection: Transaction, rows: Sequence[Values]) -> None:
    """Write rows of patients whom the maps do not know."""
    connection.driver.executemany(_NEW_PATIENTS, rows)


def new_uids(connection: Transaction, rows: Sequence[Values]) -> None:
    """Write rows of UIDs that the maps do not know."""
    connection.driver.executemany(_NEW_UIDS, rows)


def _there(connection: Transaction, statement: str, project: str, asked: Iterable[str]) -> set[str]:
    found: set[str] = set()
    for some in _some(asked):
        found |= {row[0] for row in connection.driver.execute(statement, (json.dumps(some), project))}
    return found


def _some(every: Iterable[str]) -> Iterator[Sequence[str]]:
    rest = iter(every)
    while some := list(islice(rest, _AT_ONCE)):
        yield some


# CROSS JOIN: what is asked for comes first, and each of it is found by the index.
_PATIENTS = """
    SELECT p.patient_id, p.pseudonym, p.shift_days, p.origin FROM json_each(?) a CROSS JOIN patient_map p
    ON p.project = ? AND p.epoch = ? AND p.issuer = ? AND p.patient_id = a.value
"""
_UIDS = """
    SELECT u.original, u.replacement FROM json_each(?) a CROSS JOIN uid_map u
    ON u.project = ? AND u.epoch = ? AND u.original = a.value
"""
_TAKEN = "SELECT a.value FROM json_each(?) a CROSS JOIN patient_map p ON p.project = ? AND p.pseudonym = a.value"
_TAKEN_UIDS = "SELECT a.value FROM json_each(?) a CROSS JOIN uid_map u ON u.project = ? AND u.replacement = a.value"
_WITH_STUDIES = "SELECT a.value FROM json_each(?) a CROSS JOIN study_map s ON s.project = ? AND s.pseudonym = a.value"
_ANY_STUDY = "SELECT 1 FROM study_map WHERE project = ? LIMIT 1"
_NEW_PATIENTS = """
    INSERT INTO patient_map (project, epoch, issuer, patient_id, pseudonym, shift_days, origin, used_day)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?)
"""
_NEW_UIDS = """
    INSERT INTO uid_map (project, epoch, original, replacement, origin, used_day)
    VALUES (?, ?, ?, ?, ?, ?)
"""
