"""Pairs from outside: originals whose replacements somebody else has chosen, put into the maps.

Guarantees
    All pairs of a call are written, in one durable commit and marked as imported, or none. From then on they win over
    what the keys would give, for every process and after a restart. A pair never changes what a patient or UID has
    already, and never gives two originals one replacement. No message holds a value: it names the pair's line.

Refuses
    (PairsRefused) ids that are no one's own, replacements that no attribute could hold, and all that would break the
    guarantees above, with a fault for each pair.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sqlalchemy import bindparam, select

from node.errors import Fault, PairsRefused
from node.identity import PatientKey
from node.instances import Scope, is_uid
from node.ledger.database import Database
from node.ledger.maps import known_patient, known_study, known_uid, new_patient, new_uid, refuse_closed
from node.ledger.schema import patient_map, uid_map
from node.ledger.transactions import Transaction

# What Patient ID (LO) and Patient's Name (PN) both take, in every character set, and as one component.
_PSEUDONYM = re.compile(r"[!-<>-\[\]_-~](?:[ -<>-\[\]_-~]{0,62}[!-<>-\[\]_-~])?")
_STANDARD = "1.2.840.10008"
_LONGEST_SHIFT = 36_525  # days


@dataclass(frozen=True, slots=True)
class PatientPair:
    """A patient and the pseudonym that was chosen; `line` is where the pair stands.

    `shift_days` is by how many days the dates move, never 0; None leaves it to the project's keys.
    """

    line: int
    issuer: str
    patient_id: str
    pseudonym: str
    shift_days: int | None = None


@dataclass(frozen=True, slots=True)
class UidPair:
    """A UID and the one that was chosen for it; `line` is where the pair stands."""

    line: int
    original: str
    replacement: str


Pair = PatientPair | UidPair


@dataclass(frozen=True, slots=True)
class Imported:
    """How many pairs are new in the maps, and how many were there already."""

    new: int
    known: int


def import_pairs(database: Database, scope: Scope, pairs: Sequence[Pair], file: str = "pairs") -> Imported:
    """Put pairs into the maps of a project, in its key epoch of now.

    Parameters
    ----------
    database
        The ledger, migrated.
    scope
        The project; its rules say who the patient of an issuer and id is.
    pairs
        At most as many as memory holds.
    file
        How messages call where the pairs come from.

    Raises
    ------
    PairsRefused
        With a fault for every pair that cannot be; nothing was written.
    ProjectClosed
        Nothing is ever handed out in the project's name again.
    LedgerError
        The ledger refused; nothing was written.
    """
    work = _Import(scope)
    with database.write(durable=True) as connection:
        refuse_closed(connection, scope.project)
        for pair in pairs:
            problem = work.add(connection, pair)
            if problem:
                work.faults.append(Fault(file, pair.line, *problem))
        if work.faults:
            raise PairsRefused(work.faults)
    return Imported(work.new, len(pairs) - work.new)


_Problem = tuple[str, str] | None


class _Import:
    """One import under way, inside of its transaction."""

    def __init__(self, scope: Scope) -> None:
        self.faults: list[Fault] = []
        self.new = 0
        self._scope = scope

    def add(self, connection: Transaction, pair: Pair) -> _Problem:
        """Write a pair that is not known; return what is wrong with it, and what to do."""
        if isinstance(pair, PatientPair):
            return self._patient(connection, pair)
        return self._uid(connection, pair)

    def _patient(self, connection: Transaction, pair: PatientPair) -> _Problem:
        keys, project = self._scope.keys, self._scope.project
        key = self._scope.patients.key(pair.issuer, pair.patient_id)
        wrong = next(_wrong_patient(pair, key), None)
        if wrong is not None or key is None:
            return wrong
        shift = keys.shift_days(key) if pair.shift_days is None else pair.shift_days
        place = (project, keys.epoch, key.issuer, key.patient_id)
        known = known_patient(connection, place)
        if known is not None:
            if known == (pair.pseudonym, known[1] if pair.shift_days is None else shift):
                return None
            return "the patient has another pseudonym or shift already.", _NEW_EPOCH
        if self._has_sent(connection, key, (pair.pseudonym, shift)):
            return "instances of the patient went out under another pseudonym or shift already.", _NEW_EPOCH
        if connection.execute(_BY_PSEUDONYM, {"the_project": project, "the_one": pair.pseudonym}).first() is not None:
            return "another patient has this pseudonym.", "Choose another: two patients would become one."
        new_patient(connection, place, (pair.pseudonym, shift), "imported")
        self.new += 1
        return None

    def _has_sent(self, connection: Transaction, key: PatientKey, pair: tuple[str, int]) -> bool:
        """Whether studies went out under what the keys give, by a recipe that asked for no pseudonym."""
        keys = self._scope.keys
        computed = keys.pseudonym(key), keys.shift_days(key)
        values = {"the_project": self._scope.project, "the_pseudonym": computed[0]}
        return computed != pair and connection.execute(known_study, values).first() is not None

    def _uid(self, connection: Transaction, pair: UidPair) -> _Problem:
        project, epoch = self._scope.project, self._scope.keys.epoch
        original, replacement = pair.original.strip("\0 "), pair.replacement
        if not original or not is_uid(replacement):
            return "not two UIDs.", "Write the original and its replacement."
        if any(f"{one}.".startswith(f"{_STANDARD}.") for one in (original, replacement)):
            return "UIDs under 1.2.840.10008 are the standard's own, and stay.", "Remove the line."
        known = known_uid(connection, (project, epoch, original))
        if known is not None:
            return None if known == replacement else ("the UID has another replacement already.", _NEW_EPOCH)
        if connection.execute(_BY_REPLACEMENT, {"the_project": project, "the_one": replacement}).first() is not None:
            return "another UID has this replacement.", "Choose another: two objects would become one."
        new_uid(connection, (project, epoch, original), replacement, "imported")
        self.new += 1
        return None


_NEW_EPOCH = "Keep what was handed out, or begin a new epoch of the project's key."


def _wrong_patient(pair: PatientPair, key: PatientKey | None) -> Iterator[tuple[str, str]]:
    """Give what is wrong with a pair, whatever the maps hold."""
    if key is None:
        yield "the Patient ID is empty or a placeholder, and no one's own.", "Remove the line."
    if not _PSEUDONYM.fullmatch(pair.pseudonym):
        yield "not a pseudonym.", "Write 1 to 64 ASCII characters without ^, = and backslash, no blank at the ends."
    if pair.shift_days is not None and not 0 < abs(pair.shift_days) <= _LONGEST_SHIFT:
        yield "not a shift.", f"Write a number of days other than 0, of at most {_LONGEST_SHIFT}."


_BY_PSEUDONYM = select(patient_map.c.pseudonym).where(
    patient_map.c.project == bindparam("the_project"), patient_map.c.pseudonym == bindparam("the_one")
)
_BY_REPLACEMENT = select(uid_map.c.replacement).where(
    uid_map.c.project == bindparam("the_project"), uid_map.c.replacement == bindparam("the_one")
)
