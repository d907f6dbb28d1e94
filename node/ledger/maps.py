"""The maps: which replacement an original has, which patient a study, which forms a project.

Guarantees
    What an instance was given is written in the commit that makes it sendable. One original has one replacement in a
    project and key epoch, one replacement one original, one study one patient, a project in an epoch one set of forms:
    a second one is a Collision, and nothing of the instance is written.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from sqlalchemy import Table, bindparam, select, update
from sqlalchemy.dialects.sqlite import Insert
from sqlalchemy.dialects.sqlite import insert as upsert

from node.errors import Collision, ProjectChanged, ProjectClosed, RecipeChanged, TwoPatients
from node.ledger.aliases import PersonPlace, generation, read_aliases
from node.ledger.database import Database
from node.ledger.decided import decisions, read_decided
from node.ledger.names import ISSUER, ORIGINAL, PATIENT_ID, SHIFT, shift_scope
from node.ledger.schema import closed_projects, mixed_studies, patient_map, projects, study_map, uid_map
from node.ledger.transactions import Transaction
from node.recipe import Decided

_CACHED = 20_000  # entries of a map that a process keeps in memory
_Key = TypeVar("_Key")
_Value = TypeVar("_Value")
Forms = Mapping[str, str | int | bool]


def today() -> int:
    """Return the day, since 1970, UTC: when entries of the maps were last used."""
    return int(time.time() // 86400)


@dataclass(frozen=True, slots=True)
class Handed:
    """What was handed out for one instance.

    Parameters
    ----------
    epoch
        The number of the project's key.
    forms
        The forms of its replacements, by their keys in the configuration; empty where they are not known.
    uids
        Originals and replacements.
    patients
        Issuer, Patient ID, pseudonym, date shift in days.
    study
        The keyed replacement of the Study Instance UID, and the pseudonym of the patient that it came under.
    recipe
        The hash of the recipe; empty where it is not known.
    sole
        Whether the study must not have begun under another recipe.
    alone
        Whether the recipe was chosen for this instance: then the study does not begin under it, and has another one.
    """

    epoch: int = 1
    forms: Forms = field(default_factory=dict)
    uids: tuple[tuple[str, str], ...] = ()
    patients: tuple[tuple[str, str, str, int], ...] = ()
    study: tuple[str, str] | None = None
    recipe: str = ""
    sole: bool = False
    alone: bool = False


@dataclass(slots=True)
class LedgerMaps:
    """The maps, as one process sees them; rows never change, so that what was read or committed is remembered.

    Only what equals the memory needs no look: results were computed before others of their batch were committed. Each
    entry is written once a day, so that the ledger knows when it was last used.
    """

    database: Database
    _uids: dict[tuple[str, int, str], str] = field(default_factory=dict)
    _patients: dict[tuple[str, int, str, str], tuple[str, int]] = field(default_factory=dict)
    _studies: dict[tuple[str, str], str] = field(default_factory=dict)
    _projects: dict[tuple[str, int], Forms] = field(default_factory=dict)
    _began: dict[tuple[str, str], str] = field(default_factory=dict)
    _recipes: dict[tuple[str, str, str], bool] = field(default_factory=dict)
    _day: int = 0
    _uids_today: dict[tuple[str, int, str], str] = field(default_factory=dict)
    _patients_today: dict[tuple[str, int, str, str], tuple[str, int]] = field(default_factory=dict)
    _imported: dict[PersonPlace, bool] = field(default_factory=dict)
    _aliases: dict[PersonPlace, tuple[str, str]] = field(default_factory=dict)
    _generation: int | None = None
    _decided: Mapping[str, Decided] = field(default_factory=dict)
    _decisions: int = -1

    def stored_uid(self, project: str, epoch: int, original: str) -> str | None:
        """The replacement that the map holds, so that imported pairs win and a known one stays."""
        return self._stored(self._uids, (project, epoch, original), known_uid)

    def stored_patient(self, project: str, epoch: int, issuer: str, patient_id: str) -> tuple[str, int] | None:
        """Pseudonym and date shift (days) that the map holds for a patient."""
        return self._stored(self._patients, (project, epoch, issuer, patient_id), known_patient)

    def stored_study(self, project: str, study: str) -> str | None:
        """The pseudonym that a study came under, by the keyed replacement of its UID."""
        return self._stored(self._studies, (project, study), _study)

    def stored_recipe(self, project: str, study: str) -> str | None:
        """The hash of the recipe that a study began under, by the keyed replacement of its UID."""
        return self._stored(self._began, (project, study), _first_recipe)

    def stored_person(self, project: str, epoch: int, issuer: str, patient_id: str) -> tuple[str, str] | None:
        """Issuer and id of whom an id stands for; None where it stands for itself."""
        self._refresh_once()
        return self._aliases.get((project, epoch, issuer, patient_id))

    def last_merge(self) -> int:
        """The number of the last merge that `stored_person` knows."""
        return self._generation or 0

    def is_imported(self, project: str, epoch: int, issuer: str, patient_id: str) -> bool:
        """Whether somebody else has chosen the patient's pair."""
        return self._stored(self._imported, (project, epoch, issuer, patient_id), _imported) is not None

    def decided(self, project: str) -> Decided | None:
        """What a person said of the texts of a project that were kept; None where nothing identifies."""
        self._refresh_once()
        return self._decided.get(project)

    def _refresh_once(self) -> None:
        if self._generation is None:
            with self.database.read() as connection:
                self.refresh(connection)

    def refresh(self, connection: Transaction) -> None:
        """Read which ids stand for others, and what was said of texts, where there is something new."""
        now = generation(connection)
        if now != self._generation:
            self._aliases, self._generation = read_aliases(connection), now
        said = decisions(connection)
        if said != self._decisions:
            self._decided, self._decisions = read_decided(connection), said

    def is_stale(self, connection: Transaction) -> bool:
        """Whether ids were made one, or texts were decided about, since `refresh`: what was found out may not hold."""
        known = self._generation, self._decisions
        return self._generation is not None and known != (generation(connection), decisions(connection))

    def _stored(
        self, cache: dict[_Key, _Value], key: _Key, find: Callable[[Transaction, _Key], _Value | None]
    ) -> _Value | None:
        known = cache.get(key)
        if known is None:
            with self.database.read(once=True) as connection:
                known = find(connection, key)
            if known is not None:
                _cache(cache, key, known)
        return known

    def write(self, connection: Transaction, project: str, handed: Handed) -> None:
        """Write what was handed out and is not known yet, in the name of a project that is not closed.

        Raises
        ------
        Collision
            Another process has written something else meanwhile, or an import has.
        """
        if self._day != today():
            self._uids_today.clear()
            self._patients_today.clear()
            self._day = today()
        self._write_forms(connection, project, handed)
        self._write_uids(connection, project, handed)
        self._write_patients(connection, project, handed)
        if handed.study is not None:
            self._write_study(connection, project, *handed.study)
            if handed.alone:
                connection.execute(_MIXED, {"project": project, "study": handed.study[0]})
                return
            self._write_recipe(connection, (project, handed.study[0], handed.recipe), sole=handed.sole)

    def remember(self, project: str, handed: Handed) -> None:
        """Keep in memory what was committed."""
        if handed.forms:
            self._projects[project, handed.epoch] = handed.forms
        for original, replacement in handed.uids:
            _cache(self._uids, (project, handed.epoch, original), replacement)
            _cache(self._uids_today, (project, handed.epoch, original), replacement)
        for issuer, patient_id, pseudonym, shift in handed.patients:
            _cache(self._patients, (project, handed.epoch, issuer, patient_id), (pseudonym, shift))
            _cache(self._patients_today, (project, handed.epoch, issuer, patient_id), (pseudonym, shift))
        if handed.study is not None:
            _cache(self._studies, (project, handed.study[0]), handed.study[1])
            if not handed.alone:
                _cache(self._recipes, (project, handed.study[0], handed.recipe), True)

    def _write_study(self, connection: Transaction, project: str, study: str, pseudonym: str) -> None:
        if self._studies.get((project, study)) == pseudonym:
            return
        connection.execute(_NEW_STUDY, {"project": project, "study": study, "pseudonym": pseudonym})
        if _study(connection, (project, study)) != pseudonym:
            raise TwoPatients("a study came under another patient meanwhile")

    def _write_recipe(self, connection: Transaction, key: tuple[str, str, str], *, sole: bool) -> None:
        """Note the first recipe of a study, and that it has another one, which is a collision where it must not."""
        project, study, recipe = key
        if not recipe or key in self._recipes:
            return
        place = {"the_project": project, "the_study": study}
        connection.execute(_FIRST_RECIPE, {**place, "recipe_hash": recipe})
        if _first_recipe(connection, (project, study)) != recipe:
            if sole:
                raise RecipeChanged("a study began under another recipe meanwhile")
            connection.execute(_MIXED, {"project": project, "study": study})

    def _write_forms(self, connection: Transaction, project: str, handed: Handed) -> None:
        if not handed.forms or self._projects.get((project, handed.epoch)) == handed.forms:
            return
        row = {"project": project, "epoch": handed.epoch, "forms": json.dumps(dict(handed.forms), sort_keys=True)}
        connection.execute(_NEW_PROJECT, row)
        bound = bound_forms(connection, project, handed.epoch)
        if changed_forms(bound, handed.forms):
            raise ProjectChanged("a project's first instances went out in other forms meanwhile")
        if handed.forms.keys() - bound.keys():
            place = {"the_project": project, "the_epoch": handed.epoch}
            connection.execute(_MORE_FORMS, {**place, "more": json.dumps({**bound, **handed.forms}, sort_keys=True)})

    def _write_uids(self, connection: Transaction, project: str, handed: Handed) -> None:
        fresh = [
            ((project, handed.epoch, original), replacement)
            for original, replacement in handed.uids
            if self._uids_today.get((project, handed.epoch, original)) != replacement
        ]
        for key, replacement in fresh:
            row = _uid_row(connection, key, replacement, "computed", self._day)
            # Nothing is returned of what is known and was used today.
            found = connection.execute(_GIVEN_UID, row).scalar() or known_uid(connection, key)
            # Another process may have written the same pair, which is well, or an import another one, which is not.
            if found != replacement:
                raise Collision("a UID got another replacement meanwhile")

    def _write_patients(self, connection: Transaction, project: str, handed: Handed) -> None:
        for issuer, patient_id, pseudonym, shift in handed.patients:
            key = (project, handed.epoch, issuer, patient_id)
            if self._patients_today.get(key) == (pseudonym, shift):
                continue
            new_patient(connection, key, (pseudonym, shift), "computed")
            if known_patient(connection, key) != (pseudonym, shift):
                raise Collision("a patient got another pseudonym meanwhile")


def refuse_closed(connection: Transaction, project: str) -> None:
    """Raise ProjectClosed where nothing may be handed out in a project's name any more."""
    if connection.execute(_CLOSED, {"the_project": project}).first() is not None:
        raise ProjectClosed(f"project {project} is closed")


def bound_forms(connection: Transaction, project: str, epoch: int) -> Forms:
    """Return the forms in which a project's replacements went out in an epoch; empty before the first."""
    text = connection.execute(_FORMS, {"the_project": project, "the_epoch": epoch}).scalar()
    found: dict[str, str | int | bool] = json.loads(text) if text else {}
    return found


def changed_forms(bound: Forms, forms: Forms) -> dict[str, tuple[str | int | bool, str | int | bool]]:
    """Return what differs from the forms that are bound: before and now, by its key."""
    changed = {key: (bound[key], now) for key, now in forms.items() if key in bound and bound[key] != now}
    keys = bound.get(KEY, ""), forms.get(KEY, "")
    if bound and keys[0] != keys[1]:  # what was handed out without a key of its own was bound to having none
        changed[KEY] = keys
    return changed


def known_uid(connection: Transaction, key: tuple[str, int, str]) -> str | None:
    """Return the replacement of a UID: project, epoch, original."""
    project, epoch, original = key
    place = {"the_project": project, "the_epoch": epoch, "the_original": _original(connection, project, original)}
    found: str | None = connection.execute(_UID_BY_ORIGINAL, place).scalar()
    return found


def known_patient(connection: Transaction, key: PersonPlace) -> tuple[str, int] | None:
    """Return pseudonym and shift of a patient: project, epoch, issuer, Patient ID."""
    row = row_of(connection, key)
    return None if row is None else row[:2]


def row_of(connection: Transaction, key: PersonPlace) -> tuple[str, int, str] | None:
    """Return pseudonym, shift and origin (computed or imported) of a patient: project, epoch, issuer, Patient ID."""
    project, epoch, *patient = key
    issuer, patient_id = sealed_patient(connection, project, *patient)
    place = {"the_project": project, "the_epoch": epoch, "the_issuer": issuer, "the_patient": patient_id}
    row = connection.execute(_PATIENT, place).first()
    if row is None:
        return None
    shift = int(connection.columns.open(SHIFT, shift_scope(project, row.pseudonym), str(row.shift_days)))
    return row.pseudonym, shift, row.origin


def is_imported(connection: Transaction, key: PersonPlace) -> bool:
    """Whether somebody else has chosen the pair of a patient: project, epoch, issuer, Patient ID."""
    row = row_of(connection, key)
    return row is not None and row[2] == "imported"


def mark_imported(connection: Transaction, key: PersonPlace) -> bool:
    """Note of a patient's pair that somebody else has chosen it too; say whether it is there."""
    project, epoch, *patient = key
    issuer, patient_id = sealed_patient(connection, project, *patient)
    place = {"the_project": project, "the_epoch": epoch, "the_issuer": issuer, "the_patient": patient_id}
    return connection.execute(_CONFIRMED, place).rowcount == 1


def new_uid(connection: Transaction, key: tuple[str, int, str], replacement: str, origin: str) -> None:
    """Write a UID's replacement where it has none; `origin` is computed or imported."""
    connection.execute(_NEW_UID, _uid_row(connection, key, replacement, origin, today()))


def new_patient(connection: Transaction, key: tuple[str, int, str, str], given: tuple[str, int], origin: str) -> None:
    """Write a patient's pseudonym and shift where there are none; `origin` is computed or imported."""
    project, epoch, *patient = key
    pseudonym, shift = given
    issuer, patient_id = sealed_patient(connection, project, *patient)
    row = {"project": project, "epoch": epoch, "issuer": issuer, "patient_id": patient_id, "origin": origin}
    sealed = connection.columns.seal(SHIFT, shift_scope(project, pseudonym), str(shift))  # digits alone become a number
    connection.execute(_NEW_PATIENT, {**row, "pseudonym": pseudonym, "shift_days": sealed, "used_day": today()})


def _uid_row(
    connection: Transaction, key: tuple[str, int, str], replacement: str, origin: str, day: int
) -> dict[str, str | int]:
    project, epoch, uid = key
    row: dict[str, str | int] = {"project": project, "epoch": epoch, "original": _original(connection, project, uid)}
    return {**row, "replacement": replacement, "origin": origin, "used_day": day}


def _original(connection: Transaction, project: str, uid: str) -> str:
    """A UID as it stands in the map."""
    return connection.columns.seal(ORIGINAL, project, uid)


def sealed_patient(connection: Transaction, project: str, issuer: str, patient_id: str) -> tuple[str, str]:
    """Return issuer and Patient ID as they stand in the map."""
    seal = connection.columns.seal
    return seal(ISSUER, project, issuer), seal(PATIENT_ID, project, patient_id)


def _imported(connection: Transaction, key: PersonPlace) -> bool | None:
    return True if is_imported(connection, key) else None


def _study(connection: Transaction, key: tuple[str, str]) -> str | None:
    found: str | None = connection.execute(_STUDY, dict(zip(("the_project", "the_study"), key, strict=True))).scalar()
    return found


def _first_recipe(connection: Transaction, key: tuple[str, str]) -> str | None:
    place = dict(zip(("the_project", "the_study"), key, strict=True))
    found: str | None = connection.execute(_RECIPE, place).scalar()
    return found


def _cache(cache: dict[_Key, _Value], key: _Key, value: _Value) -> None:
    if len(cache) > _CACHED:
        cache.clear()
    cache[key] = value


_UID_BY_ORIGINAL = select(uid_map.c.replacement).where(
    uid_map.c.project == bindparam("the_project"),
    uid_map.c.epoch == bindparam("the_epoch"),
    uid_map.c.original == bindparam("the_original"),
)
_PATIENT = select(patient_map.c.pseudonym, patient_map.c.shift_days, patient_map.c.origin).where(
    patient_map.c.project == bindparam("the_project"),
    patient_map.c.epoch == bindparam("the_epoch"),
    patient_map.c.issuer == bindparam("the_issuer"),
    patient_map.c.patient_id == bindparam("the_patient"),
)
_CONFIRMED = (
    update(patient_map)
    .where(
        patient_map.c.project == bindparam("the_project"),
        patient_map.c.epoch == bindparam("the_epoch"),
        patient_map.c.issuer == bindparam("the_issuer"),
        patient_map.c.patient_id == bindparam("the_patient"),
    )
    .values(origin="imported")
)
_STUDY = select(study_map.c.pseudonym).where(
    study_map.c.project == bindparam("the_project"), study_map.c.study == bindparam("the_study")
)
known_study = (
    select(study_map.c.study)
    .where(study_map.c.project == bindparam("the_project"), study_map.c.pseudonym == bindparam("the_pseudonym"))
    .limit(1)
)
"""A study that came under a pseudonym."""
DATE_MODE = "date mode"
"""The form that a project's recipes have, not its configuration: whether dates are moved or kept."""
KEY = "key_file"
"""The form that names the project's own key, by its fingerprint; absent where it has none."""
_MORE_FORMS = (
    update(projects)
    .where(projects.c.project == bindparam("the_project"), projects.c.epoch == bindparam("the_epoch"))
    .values(forms=bindparam("more"))
)
_FORMS = select(projects.c.forms).where(
    projects.c.project == bindparam("the_project"), projects.c.epoch == bindparam("the_epoch")
)
_CLOSED = select(closed_projects.c.project).where(closed_projects.c.project == bindparam("the_project"))


def _used(table: Table) -> Insert:
    """Write an entry that is new; of one that is known, only that it was used."""
    statement = upsert(table)
    return statement.on_conflict_do_update(
        index_elements=list(table.primary_key),
        set_={"used_day": statement.excluded.used_day},
        where=table.c.used_day.is_distinct_from(statement.excluded.used_day),
    )


_NEW_UID = _used(uid_map)
_GIVEN_UID = _NEW_UID.returning(uid_map.c.replacement)
_NEW_PATIENT = _used(patient_map)
_NEW_STUDY = upsert(study_map).on_conflict_do_nothing(index_elements=[study_map.c.project, study_map.c.study])
_FIRST_RECIPE = update(study_map).where(
    study_map.c.project == bindparam("the_project"),
    study_map.c.study == bindparam("the_study"),
    study_map.c.recipe_hash.is_(None),
)
_RECIPE = select(study_map.c.recipe_hash).where(
    study_map.c.project == bindparam("the_project"), study_map.c.study == bindparam("the_study")
)
_MIXED = upsert(mixed_studies).on_conflict_do_nothing(index_elements=[mixed_studies.c.project, mixed_studies.c.study])
_NEW_PROJECT = upsert(projects).on_conflict_do_nothing(index_elements=[projects.c.project, projects.c.epoch])
