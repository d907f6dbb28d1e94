"""The replacements of one instance: what the maps hold wins, else the keyed function decides.

Guarantees
    Whatever was handed out for an instance is in `uids` and `patients` afterwards, and which patient its study came
    under in `study`, to be written in the commit that makes the instance sendable. The patient is the one of the
    original's top level, whatever the recipe did meanwhile. An id that is no one's own is never made a pseudonym of.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from node.errors import DatasetError, HoldInstance, HoldReason
from node.identity import PatientKey
from node.instances.scope import Scope
from node.recipe import Decided, EncodedDataset
from node.recipe.dictionary import SPECIFIC_CHARACTER_SET

_STUDY_AS_PATIENT = "urn:study-instance-uid"  # the issuer of a patient who is known by a study alone
_PATIENT_ID = 0x00100020
_ISSUER_OF_PATIENT_ID = 0x00100021
_STUDY_INSTANCE_UID = 0x0020000D
_SERIES_INSTANCE_UID = 0x0020000E
_ACCESSION_NUMBER = 0x00080050


_WHOSE = (SPECIFIC_CHARACTER_SET, _PATIENT_ID, _ISSUER_OF_PATIENT_ID, _STUDY_INSTANCE_UID)
_PLACED = (*_WHOSE, _SERIES_INSTANCE_UID, _ACCESSION_NUMBER)
_ASK = "import the patient's pair: deid-node crosswalk waiting, crosswalk import"
_NOBODY = (
    "(0010,0020) is {}: no pair can name the patient. Correct it at its source, send it again, and discard this one"
)
_BESIDE = "#"  # in no UID


class Place(NamedTuple):
    """By what an instance is found again, keyed: what the original has none of is empty.

    The replacements that the keys alone give the UIDs of its study and series, and keyed numbers of its accession
    number and patient, which never leave the ledger.
    """

    study: str
    series: str
    accession: str
    patient: str


def name_beside(sop_instance_uid: str, digest: bytes) -> str:
    """Return what a copy is called, in the map of UIDs, that goes out beside the first one of its UID."""
    return f"{sop_instance_uid.strip(' ' + chr(0))}{_BESIDE}{digest.hex()}"


class Maps(Protocol):
    """Replacements that are known already, imported ones among them, and what studies came under."""

    def stored_uid(self, project: str, epoch: int, original: str) -> str | None:
        """Return the replacement of a UID, or None where the map has none."""
        ...

    def stored_patient(self, project: str, epoch: int, issuer: str, patient_id: str) -> tuple[str, int] | None:
        """Return pseudonym and date shift (days) of a patient, or None where the map has none."""
        ...

    def stored_study(self, project: str, study: str) -> str | None:
        """Return the pseudonym that a study came under, by the keyed replacement of its UID; None for a new one."""
        ...

    def stored_person(self, project: str, epoch: int, issuer: str, patient_id: str) -> tuple[str, str] | None:
        """Return issuer and id of whom an id stands for, or None where it stands for itself."""
        ...

    def last_merge(self) -> int:
        """Return the number of the last merge of ids that `stored_person` knows."""
        ...

    def is_imported(self, project: str, epoch: int, issuer: str, patient_id: str) -> bool:
        """Return whether somebody else has chosen the patient's pair."""
        ...

    def decided(self, project: str) -> Decided | None:
        """Return what was said of the texts of a project, or None where nothing was."""
        ...


class NoMaps:
    """No ledger: everything is computed."""

    def stored_uid(self, _project: str, _epoch: int, _original: str) -> None:
        """Return None."""

    def stored_patient(self, _project: str, _epoch: int, _issuer: str, _patient_id: str) -> None:
        """Return None."""

    def stored_study(self, _project: str, _study: str) -> None:
        """Return None."""

    def stored_person(self, _project: str, _epoch: int, _issuer: str, _patient_id: str) -> None:
        """Return None."""

    def last_merge(self) -> int:
        """Return 0."""
        return 0

    def is_imported(self, _project: str, _epoch: int, _issuer: str, _patient_id: str) -> bool:
        """Return False."""
        return False

    def decided(self, _project: str) -> None:
        """Return None."""


@dataclass(slots=True)
class InstanceIdentities:
    """What the recipe's functions ask for, for one instance.

    `beside` (as of `name_beside`) gives a copy a SOP Instance UID of its own, beside the first one's: wherever it names
    itself. What names it from outside names the first one.
    """

    scope: Scope
    maps: Maps
    original: EncodedDataset
    beside: str = ""
    uids: dict[str, str] = field(default_factory=dict)
    patients: dict[PatientKey, tuple[str, int]] = field(default_factory=dict)
    study: tuple[str, str] | None = None
    _key: PatientKey | None = None

    def uid(self, original: str) -> str:
        """The replacement of a UID; an empty one stays empty."""
        value = original.strip(" \0")
        if not value:
            return ""
        if self.beside and value == self.beside.partition(_BESIDE)[0]:
            value = self.beside
        found = self.uids.get(value)
        if found is None:
            keys = self.scope.keys
            found = self.maps.stored_uid(self.scope.project, keys.epoch, value) or keys.uid(value)
            self.uids[value] = found
        return found

    def project(self) -> str:
        """The name of the instance's project."""
        return self.scope.project

    def text(self, original: str) -> str:
        """The replacement of any text; an empty one stays empty."""
        return self.scope.keys.text(original)

    def pseudonym(self) -> str:
        """The pseudonym of the instance's patient."""
        return self._handed(self._patient())[0]

    def shift_days(self) -> int:
        """The days by which the dates of the instance's patient are shifted."""
        return self._handed(self._patient())[1]

    def pseudonym_of(self, patient_id: str, issuer: str | None = None) -> str:
        """The pseudonym of another id, as if it were a Patient ID, of the same issuer where none is named.

        Empty for an id of no one.
        """
        key = self.scope.patients.key(issuer or self.original.text(_ISSUER_OF_PATIENT_ID), patient_id)
        return self._handed(self._person(key))[0] if key is not None else ""

    def empties_invalid_dates(self) -> bool:
        """Whether a date that is none is emptied; else it holds the instance."""
        return self.scope.invalid_dates == "empty"

    def decided(self) -> Decided | None:
        """What was said of the texts of its project; None where nothing was."""
        return self.maps.decided(self.scope.project)

    def patient(self) -> PatientKey | None:
        """Whose the instance is; None where its id is no one's."""
        return self._find()

    def unmapped(self) -> str:
        """Why the instance has to wait for a pair from outside, as its route demands; empty where it need not."""
        if not self.scope.needs_mapping:
            return ""
        key = self._find()
        if key is None:
            return _NOBODY.format(self._what_is_wrong())
        epoch = self.scope.keys.epoch
        return "" if self.maps.is_imported(self.scope.project, epoch, key.issuer, key.patient_id) else _ASK

    def require_mapping(self) -> None:
        """Raise HoldInstance where the instance has to wait for a pair from outside."""
        waits = self.unmapped()
        if waits:
            raise HoldInstance(HoldReason.NO_MAPPING, waits)

    def bind_study(self) -> None:
        """Note which patient the study belongs to, where there is a study and someone in particular.

        Raises
        ------
        HoldInstance
            It came before, under another patient.
        """
        study, key = self.original.text(_STUDY_INSTANCE_UID), self._find()
        if not study or key is None:
            return
        pseudonym, _ = self._known(key)
        # By the key alone, whatever the map of UIDs has for it: an import must not make a new study of it.
        replacement = self.scope.keys.uid(study)
        if self.maps.stored_study(self.scope.project, replacement) not in (None, pseudonym):
            raise HoldInstance(HoldReason.STUDY_OF_TWO_PATIENTS, "the study (0020,000D) came under another (0010,0020)")
        self.study = (replacement, pseudonym)

    def whose(self) -> str | None:
        """Whose the instance is, keyed: equal for two of one patient and study. None where that cannot be read."""
        try:
            return self.original.once(("whose", self.scope, self.maps.last_merge()), _WHOSE, self._whose)
        except DatasetError:
            return None

    def _whose(self) -> str:
        return self.scope.keys.whose(self._find(), self.original.text(_STUDY_INSTANCE_UID) or "")

    def place(self) -> Place | None:
        """By what the instance is found; None where that cannot be read."""
        try:
            return self.original.once(("place", self.scope), _PLACED, self._place)
        except DatasetError:
            return None

    def _place(self) -> Place:
        keys, key = self.scope.keys, self._find()
        study, series, number = (
            self.original.text(tag) or "" for tag in (_STUDY_INSTANCE_UID, _SERIES_INSTANCE_UID, _ACCESSION_NUMBER)
        )
        patient = "" if key is None else keys.whose_patient(key)
        return Place(keys.uid(study), keys.uid(series), keys.accession(number), patient)

    def is_of(self, study: str | None) -> bool:
        """Whether the maps say that a study, by its keyed replacement, is this instance's and its patient's."""
        own, key = self.original.text(_STUDY_INSTANCE_UID), self._find()
        if not study or not own or key is None or study != self.scope.keys.uid(own):
            return False
        return self.maps.stored_study(self.scope.project, study) == self._known(key)[0]

    def _handed(self, key: PatientKey) -> tuple[str, int]:
        found = self.patients[key] = self._known(key)
        return found

    def _known(self, key: PatientKey) -> tuple[str, int]:
        keys = self.scope.keys
        return (
            self.patients.get(key)
            or self.maps.stored_patient(self.scope.project, keys.epoch, key.issuer, key.patient_id)
            or (keys.pseudonym(key), keys.shift_days(key))
        )

    def _patient(self) -> PatientKey:
        key = self._find()
        if key is None:
            raise HoldInstance(HoldReason.NO_PATIENT_ID, f"(0010,0020) is {self._what_is_wrong()}")
        return key

    def _what_is_wrong(self) -> str:
        return "absent or empty" if not self.original.text(_PATIENT_ID) else "a placeholder"

    def _find(self) -> PatientKey | None:
        if self._key is None:
            issuer, patient_id = self.original.text(_ISSUER_OF_PATIENT_ID), self.original.text(_PATIENT_ID)
            key = self.scope.patients.key(issuer, patient_id)
            self._key = self._study_as_patient() if key is None else self._person(key)
        return self._key

    def _person(self, key: PatientKey) -> PatientKey:
        """Return whom an id stands for: itself, or one that it was made one with."""
        same = self.maps.stored_person(self.scope.project, self.scope.keys.epoch, key.issuer, key.patient_id)
        return key if same is None else PatientKey(*same)

    def _study_as_patient(self) -> PatientKey | None:
        study = self.original.text(_STUDY_INSTANCE_UID) if self.scope.without_patient_id == "study" else None
        return PatientKey(_STUDY_AS_PATIENT, study) if study else None
