"""The replacements of one instance: what the map holds wins, else the keyed function decides.

Guarantees
    Whatever was handed out for an instance is in `uids` and `patient` afterwards, to be written in the commit that
    makes the instance sendable. The patient is the one of the original's top level, whatever the recipe did meanwhile.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from node.cleaner.plan import Plan
from node.errors import HoldInstance, HoldReason
from node.identity import PatientKey
from node.ledger.cleaning import CleaningLedger
from node.recipe import EncodedDataset

_STUDY_AS_PATIENT = "urn:study-instance-uid"  # the issuer of a patient who is known by a study alone
_PATIENT_ID = 0x00100020
_ISSUER_OF_PATIENT_ID = 0x00100021
_STUDY_INSTANCE_UID = 0x0020000D


@dataclass(slots=True)
class InstanceIdentities:
    """What the recipe's functions ask for, for one instance."""

    plan: Plan
    ledger: CleaningLedger
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
            found = self.ledger.stored_uid(self.plan.project, value) or self.plan.keys.uid(value)
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
            stored = self.ledger.stored_patient(self.plan.project, key.issuer, key.patient_id)
            pseudonym, shift = stored or (self.plan.keys.pseudonym(key), self.plan.keys.shift_days(key))
            self.patient = (key.issuer, key.patient_id, pseudonym, shift)
        return self.patient

    def _key(self) -> PatientKey:
        patient_id = self.original.text(_PATIENT_ID)
        if patient_id:
            return PatientKey(self.original.text(_ISSUER_OF_PATIENT_ID) or self.plan.issuer, patient_id)
        study = self.original.text(_STUDY_INSTANCE_UID) if self.plan.without_patient_id == "study" else None
        if not study:
            raise HoldInstance(HoldReason.NO_PATIENT_ID, "(0010,0020) is absent or empty")
        return PatientKey(_STUDY_AS_PATIENT, study)
