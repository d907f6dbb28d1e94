"""The replacements of one instance: what the map holds wins, else the keyed function decides.

Guarantees
    Whatever was handed out for an instance is in `uids` and `patient` afterwards, to be written in the commit that
    makes the instance sendable. The patient is the one of the original's top level, whatever the recipe did meanwhile.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from node.errors import HoldInstance, HoldReason
from node.identity import PatientKey, ProjectKeys
from node.recipe import EncodedDataset

_STUDY_AS_PATIENT = "urn:study-instance-uid"  # the issuer of a patient who is known by a study alone
_PATIENT_ID = 0x00100020
_ISSUER_OF_PATIENT_ID = 0x00100021
_STUDY_INSTANCE_UID = 0x0020000D


class Scope(Protocol):
    """For which project, with whose keys, and what counts as the patient."""

    @property
    def project(self) -> str:
        """The scope of identity."""
        ...

    @property
    def keys(self) -> ProjectKeys:
        """The project's keyed functions."""
        ...

    @property
    def issuer(self) -> str:
        """The Issuer of Patient ID where an instance has none."""
        ...

    @property
    def without_patient_id(self) -> str:
        """`study` where the study stands for a patient without an id; else such an instance is held."""
        ...


class Maps(Protocol):
    """Replacements that are known already, imported ones among them."""

    def stored_uid(self, project: str, original: str) -> str | None:
        """Return the replacement of a UID, or None where the map has none."""
        ...

    def stored_patient(self, project: str, issuer: str, patient_id: str) -> tuple[str, int] | None:
        """Return pseudonym and date shift (days) of a patient, or None where the map has none."""
        ...


@dataclass(slots=True)
class InstanceIdentities:
    """What the recipe's functions ask for, for one instance."""

    scope: Scope
    maps: Maps
    original: EncodedDataset
    uids: dict[str, str] = field(default_factory=dict)
    patient: tuple[str, str, str, int] | None = None

    def uid(self, original: str) -> str:
        """The replacement of a UID; an empty one stays empty."""
        value = original.strip(" \0")
        if not value:
            return ""
        found = self.uids.get(value)
        if found is None:
            found = self.maps.stored_uid(self.scope.project, value) or self.scope.keys.uid(value)
            self.uids[value] = found
        return found

    def pseudonym(self) -> str:
        """The pseudonym of the instance's patient."""
        return self._patient()[2]

    def shift_days(self) -> int:
        """The days by which the dates of the instance's patient are shifted."""
        return self._patient()[3]

    def _patient(self) -> tuple[str, str, str, int]:
        if self.patient is None:
            key = self._key()
            stored = self.maps.stored_patient(self.scope.project, key.issuer, key.patient_id)
            pseudonym, shift = stored or (self.scope.keys.pseudonym(key), self.scope.keys.shift_days(key))
            self.patient = (key.issuer, key.patient_id, pseudonym, shift)
        return self.patient

    def _key(self) -> PatientKey:
        patient_id = self.original.text(_PATIENT_ID)
        if patient_id:
            return PatientKey(self.original.text(_ISSUER_OF_PATIENT_ID) or self.scope.issuer, patient_id)
        study = self.original.text(_STUDY_INSTANCE_UID) if self.scope.without_patient_id == "study" else None
        if not study:
            raise HoldInstance(HoldReason.NO_PATIENT_ID, "(0010,0020) is absent or empty")
        return PatientKey(_STUDY_AS_PATIENT, study)
