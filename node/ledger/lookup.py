"""Both ways between originals and replacements, for whoever may go back: the maps, and what the keys give.

Guarantees
    Nothing is written into the maps by a look. What was never handed out is computed and said to be so (`known`). The
    way back is what the maps still hold: nothing brings back what was erased. Every look is for one project.

The answers name persons: whoever gives them to somebody writes it to the audit trail first (`audited`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from sqlalchemy import BindParameter, bindparam, select

from node.audit import kinds
from node.identity import PatientKey
from node.instances import Scope, is_uid
from node.ledger.audit import Trail
from node.ledger.database import Database
from node.ledger.maps import known_patient, known_uid
from node.ledger.names import ISSUER, ORIGINAL, PATIENT_ID, SHIFT, shift_scope
from node.ledger.schema import patient_map, uid_map
from node.ledger.transactions import Row, Transaction

Direction = Literal["original", "replacement"]
_BESIDE = "#"


@dataclass(frozen=True, slots=True)
class Pair:
    """One answer.

    Attributes
    ----------
    asked
        What was looked up.
    kind
        `patient` or `uid`.
    project, epoch
        In which project and key epoch.
    issuer, original
        The original, with the Issuer of Patient ID where it is a Patient ID; both empty where the map has none.
    replacement
        Pseudonym or UID; empty where there is none.
    shift_days
        By how many days the patient's dates move; None for UIDs.
    origin
        `computed`, `imported`, or empty where the maps do not have it.
    beside
        Whether it is the UID of a copy that goes out beside the first one.
    """

    asked: str
    kind: Literal["patient", "uid"]
    project: str
    epoch: int
    issuer: str
    original: str
    replacement: str
    shift_days: int | None = None
    origin: str = ""
    beside: bool = False

    @property
    def known(self) -> bool:
        """Whether the maps have it: else it is what would be handed out."""
        return bool(self.origin)


def look_up(
    database: Database, scope: Scope, direction: Direction, terms: Sequence[str], issuers: Sequence[str] = ("",)
) -> dict[str, list[Pair]]:
    """Return what each term is the other side of; a term of which nothing is known has no pairs.

    Parameters
    ----------
    database
        The ledger.
    scope
        The project, with its keys.
    direction
        What the terms are: originals (Patient IDs, UIDs) or replacements (pseudonyms, UIDs).
    terms
        What is looked up.
    issuers
        Of Patient IDs, where they are not in the map: each is tried.

    Raises
    ------
    LedgerError
        The ledger cannot be read, or not with this key.
    """
    look = _Look(scope, issuers)
    found: dict[str, list[Pair]] = {}
    for term in terms:
        # Each in a transaction of its own: a hundred thousand must not keep the ledger's log from being emptied.
        with database.read() as connection:
            forward = direction == "original"
            found[term] = list(look.forward(connection, term) if forward else look.back(connection, term))
    return found


def audited(database: Database, trail: Trail, project: str, pairs: Iterable[Pair]) -> None:
    """Write to the audit trail that these are shown to somebody, durably, before they are. Raises NodeError."""
    seen = list(dict.fromkeys(pair.replacement for pair in pairs if pair.replacement))
    trail.record(database, *kinds.identities_seen(trail.by, seen, project))


class _Look:
    def __init__(self, scope: Scope, issuers: Sequence[str]) -> None:
        self._scope = scope
        self._issuers = issuers

    def forward(self, connection: Transaction, term: str) -> Iterator[Pair]:
        """From an original to its replacement."""
        if is_uid(term):
            yield self._uid(connection, term)
        yield from self._patient(connection, term, computed=not is_uid(term))

    def back(self, connection: Transaction, term: str) -> Iterator[Pair]:
        """From a replacement to its original, in every epoch."""
        project, opened = self._scope.project, connection.columns.open
        bound = {"the_project": project, "the_text": term}
        for row in connection.execute(_ORIGINALS, bound).all():
            original, beside, _ = opened(ORIGINAL, project, row.original).partition(_BESIDE)
            yield Pair(term, "uid", project, row.epoch, "", original, term, None, row.origin, bool(beside))
        for row in connection.execute(_PATIENTS, bound).all():
            yield self._of_row(connection, term, row)

    def _uid(self, connection: Transaction, term: str) -> Pair:
        keys, project = self._scope.keys, self._scope.project
        known = known_uid(connection, (project, keys.epoch, term))
        origin = self._origin(connection, project, known)
        return Pair(term, "uid", project, keys.epoch, "", term, known or keys.uid(term), None, origin)

    @staticmethod
    def _origin(connection: Transaction, project: str, replacement: str | None) -> str:
        if replacement is None:
            return ""
        return str(connection.execute(_ORIGIN, {"the_project": project, "the_text": replacement}).scalar())

    def _patient(self, connection: Transaction, term: str, *, computed: bool) -> Iterator[Pair]:
        """From a Patient ID to its pseudonyms: those that the map has, else what the keys give."""
        project, keys = self._scope.project, self._scope.keys
        sealed = connection.columns.seal(PATIENT_ID, project, term)
        bound = {"the_project": project, "the_text": sealed, "the_epoch": keys.epoch}
        wanted = {key for issuer in self._issuers if (key := self._scope.patients.key(issuer, term)) is not None}
        found = [self._of_row(connection, term, row) for row in connection.execute(_BY_PATIENT, bound).all()]
        for key in wanted:
            known = known_patient(connection, (project, keys.epoch, key.issuer, key.patient_id))
            if known is None and computed and not found:
                yield self._computed(term, key)
        yield from found

    def _computed(self, term: str, key: PatientKey) -> Pair:
        keys = self._scope.keys
        return Pair(
            term,
            "patient",
            self._scope.project,
            keys.epoch,
            key.issuer,
            key.patient_id,
            keys.pseudonym(key),
            keys.shift_days(key),
        )

    def _of_row(self, connection: Transaction, term: str, row: Row) -> Pair:
        project, opened = self._scope.project, connection.columns.open
        shift = int(opened(SHIFT, shift_scope(project, row.pseudonym), str(row.shift_days)))
        issuer, patient_id = opened(ISSUER, project, row.issuer), opened(PATIENT_ID, project, row.patient_id)
        return Pair(term, "patient", project, row.epoch, issuer, patient_id, row.pseudonym, shift, row.origin)


_PROJECT: BindParameter[str] = bindparam("the_project")
_TEXT: BindParameter[str] = bindparam("the_text")
_ORIGINALS = (
    select(uid_map.c.original, uid_map.c.epoch, uid_map.c.origin)
    .where(uid_map.c.project == _PROJECT, uid_map.c.replacement == _TEXT)
    .order_by(uid_map.c.epoch)
)
_PATIENTS = (select(patient_map).where(patient_map.c.project == _PROJECT, patient_map.c.pseudonym == _TEXT)).order_by(
    patient_map.c.epoch
)
_BY_PATIENT = select(patient_map).where(
    patient_map.c.project == _PROJECT, patient_map.c.epoch == bindparam("the_epoch"), patient_map.c.patient_id == _TEXT
)
_ORIGIN = select(uid_map.c.origin).where(uid_map.c.project == _PROJECT, uid_map.c.replacement == _TEXT)
