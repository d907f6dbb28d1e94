"""Finds instances by what people know of them, and groups them by study.

A term may be the node's id of an instance; a UID of a study, series or instance, the original or the replacement; a
pseudonym; a Patient ID; an accession number.

Guarantees
    Every look goes by an index, but those by Patient ID, which reads the patients of a project. What comes back names
    nobody: ids of the node, replacements, states. Whether the term itself was an original is said (`by_identity`),
    since then the answer links the two: whoever asks has to write that down.

Refuses to look for originals where it is not allowed to (`identity`).
    Instances whose header was never read (excluded before that, unparsable) are found by their id and SOP Instance UID.
    Repetitions that were not cleaned are found by their id.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import BindParameter, ColumnElement, bindparam, select, text

from node.identity import PatientKey
from node.instances import Scope, is_uid
from node.ledger.database import Database
from node.ledger.evidence import projects_of
from node.ledger.names import ISSUER, ORIGINAL, PATIENT_ID, SOP_INSTANCE_UID
from node.ledger.schema import instances, patient_map, series, study_map, uid_map
from node.ledger.times import iso
from node.ledger.transactions import Row, Transaction
from node.spool import is_id

MOST = 10_000

ScopeOf = Callable[[str], Scope | None]
"""Returns the scope of a project by its name; None where its keys are not known here."""


@dataclass(slots=True)
class Found:
    """What a search gave.

    Attributes
    ----------
    kinds
        As what the term is known: `id`, `study`, `series`, `instance`, `pseudonym`, `patient`, `accession`.
    by_identity
        Whether the term is an original: a UID, a Patient ID, an accession number.
    studies
        Plain data, one entry for each study: its project, replaced UID (as the keys give it), pseudonym, and instances.
    truncated
        Whether there are more instances than were asked for.
    """

    kinds: list[str] = field(default_factory=list)
    by_identity: bool = False
    studies: list[dict[str, Any]] = field(default_factory=list)
    truncated: bool = False

    @property
    def ids(self) -> list[str]:
        """The ids of all instances, in the order of their reception within each study."""
        return [one["id"] for study in self.studies for one in study["instances"]]


def find(database: Database, term: str, scope_of: ScopeOf, *, identity: bool = True, limit: int = MOST) -> Found:
    """Return the instances that a term names, by study.

    Parameters
    ----------
    database
        The ledger.
    term
        What somebody knows.
    scope_of
        Gives the keys of projects, without which accession numbers, and patients without a pseudonym, are not found.
    identity
        Whether the term may be an original.
    limit
        How many instances at most.

    Raises
    ------
    LedgerError
        The ledger cannot be read, or not with this key.
    """
    found, rows = Found(), dict[int, Row]()
    with database.read() as connection:
        search = _Search(connection, term.strip(" \0"), scope_of, identity)
        for kind, original, row in search.rows():
            if kind not in found.kinds:
                found.kinds.append(kind)
            found.by_identity |= original
            if row.seq in rows:
                continue
            if len(rows) >= limit:
                found.truncated = True
                break
            rows[row.seq] = row
        found.studies = _grouped(connection, rows.values())
    return found


_Hit = tuple[str, bool, Row]


class _Search:
    """One search, in one state of the ledger."""

    def __init__(self, connection: Transaction, term: str, scope_of: ScopeOf, identity: bool) -> None:
        self._connection = connection
        self._term = term
        self._scope_of = scope_of
        self._identity = identity

    def rows(self) -> Iterator[_Hit]:
        """Every instance that the term names, as what, and whether the term is an original; some may come twice."""
        if not self._term:
            return
        if is_id(self._term):
            yield from self._hits("id", False, instances.c.id == self._term)
        for project in projects_of(self._connection):
            scope = self._scope_of(project)
            if is_uid(self._term):
                yield from self._by_uid(project, scope)
            yield from self._by_pseudonym(project, scope)
            if self._identity:
                yield from self._by_patient(project, scope)
                yield from self._by_accession(project, scope)

    def _by_uid(self, project: str, scope: Scope | None) -> Iterator[_Hit]:
        """By a UID as the replacement first, and then as the original."""
        bound = {"the_project": project, "the_uid": self._term}
        # What goes out beside another copy has the digest behind its original.
        origins = [self._open(project, one).partition("#")[0] for one in self._scalars(_ORIGINALS, bound)]
        yield from self._of_uid(project, False, {self._term, *self._keyed(scope, origins)}, origins)
        if self._identity:
            own = self._connection.columns.seal(ORIGINAL, project, self._term)
            known = {*self._scalars(_REPLACEMENTS, bound | {"the_uid": own}), *self._keyed(scope, [self._term])}
            yield from self._of_uid(project, True, known, [self._term])

    @staticmethod
    def _keyed(scope: Scope | None, uids: Iterable[str]) -> set[str]:
        return set() if scope is None else {scope.keys.uid(uid) for uid in uids}

    def _of_uid(self, project: str, original: bool, keyed: set[str], origins: Sequence[str]) -> Iterator[_Hit]:
        """By the keyed UIDs of studies and series, and the original ones of instances."""
        for uid in sorted(keyed):
            bound = {"the_project": project, "the_uid": uid}
            for kind, query in (("study", _OF_STUDY), ("series", _OF_SERIES), ("study", _OLDER)):
                for row in self._connection.execute(query, bound):
                    yield kind, original, row
        for uid in origins:
            sealed = self._connection.columns.seal(SOP_INSTANCE_UID, project, uid)
            for row in self._connection.execute(_OF_INSTANCE, {"the_project": project, "the_uid": sealed}):
                if original or row.clean_sop_instance_uid == self._term:
                    yield "instance", original, row

    def _by_pseudonym(self, project: str, scope: Scope | None) -> Iterator[_Hit]:
        bound = {"the_project": project, "the_text": self._term}
        for row in self._connection.execute(_BY_PSEUDONYM, bound):
            yield from self._of_patient("pseudonym", False, project, scope, self._opened(project, row))
        yield from self._of_pseudonym("pseudonym", False, project, self._term)

    def _by_patient(self, project: str, scope: Scope | None) -> Iterator[_Hit]:
        sealed = self._connection.columns.seal(PATIENT_ID, project, self._term)
        keys = set[PatientKey]()
        for row in self._connection.execute(_BY_PATIENT, {"the_project": project, "the_text": sealed}):
            keys.add(self._opened(project, row))
            yield from self._of_pseudonym("patient", True, project, row.pseudonym)
        if scope is not None:
            key = scope.patients.key("", self._term)
            keys |= set() if key is None else {key}
            if key is not None:
                yield from self._of_pseudonym("patient", True, project, scope.keys.pseudonym(key))
        for key in keys:
            yield from self._of_patient("patient", True, project, scope, key)

    def _by_accession(self, project: str, scope: Scope | None) -> Iterator[_Hit]:
        if scope is not None:
            bound = {"the_project": project, "the_text": scope.keys.accession(self._term)}
            for row in self._connection.execute(_OF_ACCESSION, bound):
                yield "accession", True, row

    def _of_patient(
        self, kind: str, original: bool, project: str, scope: Scope | None, key: PatientKey
    ) -> Iterator[_Hit]:
        if scope is not None and key.patient_id:
            bound = {"the_project": project, "the_text": scope.keys.whose_patient(key)}
            for row in self._connection.execute(_OF_PATIENT, bound):
                yield kind, original, row

    def _of_pseudonym(self, kind: str, original: bool, project: str, pseudonym: str) -> Iterator[_Hit]:
        bound = {"the_project": project, "the_text": pseudonym}
        for study in list(self._scalars(_STUDIES, bound)):
            place = {"the_project": project, "the_uid": study}
            for query in (_OF_STUDY, _OLDER):
                for row in self._connection.execute(query, place):
                    yield kind, original, row

    def _hits(self, kind: str, original: bool, condition: ColumnElement[bool]) -> Iterator[_Hit]:
        for row in self._connection.execute(_PLAIN.where(condition)):
            yield kind, original, row

    def _scalars(self, query: Any, bound: dict[str, str]) -> Iterator[str]:
        return self._connection.execute(query, bound).scalars()

    def _open(self, project: str, sealed: str) -> str:
        return self._connection.columns.open(ORIGINAL, project, sealed)

    def _opened(self, project: str, row: Row) -> PatientKey:
        opened = self._connection.columns.open
        return PatientKey(opened(ISSUER, project, row.issuer), opened(PATIENT_ID, project, row.patient_id))


def _grouped(connection: Transaction, rows: Iterable[Row]) -> list[dict[str, Any]]:
    """Group instances by study; those whose study was never read stand for themselves, by project."""
    studies: dict[tuple[str, str], dict[str, Any]] = {}
    for row in sorted(rows, key=lambda row: int(row.seq)):
        key = row.project, row.keyed_study or row.study or ""
        if key not in studies:
            known = connection.execute(_STUDY, {"the_project": key[0], "the_uid": key[1]}).first()
            studies[key] = {
                "project": key[0],
                "study": key[1] or None,
                "pseudonym": None if known is None else known.pseudonym,
                "instances": [],
            }
        studies[key]["instances"].append(
            {
                "id": row.id,
                "received": iso(row.received_at),
                "route": row.route,
                "state": row.state,
                "outcome": row.outcome,
                "reason": row.reason,
                "sop_class_uid": row.sop_class_uid,
                "series": row.keyed_series or None,
                "sop_instance_uid": row.clean_sop_instance_uid,
            }
        )
    return list(studies.values())


_PLAIN = select(
    *(
        instances.c[name]
        for name in (
            "seq",
            "id",
            "received_at",
            "project",
            "route",
            "state",
            "outcome",
            "reason",
            "sop_class_uid",
            "clean_sop_instance_uid",
            "study",
        )
    ),
    series.c.study.label("keyed_study"),
    series.c.series.label("keyed_series"),
).join(series, series.c.seq == instances.c.series, isouter=True)
_PROJECT: BindParameter[str] = bindparam("the_project")


def _of(column: Any, name: str) -> Any:
    """Instances of the series that have a value in a column; the literal lets an index of some rows be used."""
    some = text("series.accession > ''") if column is series.c.accession else text("1")
    some = text("series.patient > ''") if column is series.c.patient else some
    return _PLAIN.where(
        series.c.project == _PROJECT, column == bindparam(name), some, text("instances.series IS NOT NULL")
    )


_OF_STUDY = _of(series.c.study, "the_uid")
_OF_SERIES = _of(series.c.series, "the_uid")
_OF_ACCESSION = _of(series.c.accession, "the_text")
_OF_PATIENT = _of(series.c.patient, "the_text")
_OLDER = _PLAIN.where(
    instances.c.project == _PROJECT,
    instances.c.study == bindparam("the_uid"),
    text("instances.series IS NULL AND instances.study IS NOT NULL"),
)
_OF_INSTANCE = _PLAIN.where(
    instances.c.project == _PROJECT, instances.c.sop_instance_uid == bindparam("the_uid"), text("instances.repeat < 2")
)
_ORIGINALS = select(uid_map.c.original).where(
    uid_map.c.project == _PROJECT, uid_map.c.replacement == bindparam("the_uid")
)
_REPLACEMENTS = select(uid_map.c.replacement).where(
    uid_map.c.project == _PROJECT, uid_map.c.original == bindparam("the_uid")
)
_BY_PSEUDONYM = select(patient_map.c.issuer, patient_map.c.patient_id, patient_map.c.pseudonym).where(
    patient_map.c.project == _PROJECT, patient_map.c.pseudonym == bindparam("the_text")
)
_BY_PATIENT = select(patient_map.c.issuer, patient_map.c.patient_id, patient_map.c.pseudonym).where(
    patient_map.c.project == _PROJECT, patient_map.c.patient_id == bindparam("the_text")
)
_STUDIES = select(study_map.c.study).where(
    study_map.c.project == _PROJECT, study_map.c.pseudonym == bindparam("the_text")
)
_STUDY = select(study_map.c.pseudonym).where(study_map.c.project == _PROJECT, study_map.c.study == bindparam("the_uid"))
