"""Which elements identify (PS3.15 Table E.1-1, as far as a value points to a person, a place, a device, an object).

Guarantees one answer for an element's key, remembered. Names, UIDs and dates are known by their VR, in private elements
too; ids, addresses, telephone numbers, institutions and serial numbers by their tag.
"""

from __future__ import annotations

from enum import IntEnum
from functools import lru_cache

from node.recipe.coding import FRAGMENTS, IMPLICIT, SEQUENCE, VR_NAMES
from node.recipe.dictionary import SPECIFIC_CHARACTER_SET, STRUCTURAL_UIDS, entry, is_creator, show, target

_MAX_KEYS = 50_000  # a sender of ever new private elements must not fill the memory


class Form(IntEnum):
    """How the value of an element identifies."""

    NOTHING = 0
    NAME = 1  # of a person: whole and in parts
    VALUE = 2  # as a whole: an id, an address, a telephone number, an institution, a serial number
    UID = 3
    DATE = 4
    ITEMS = 5  # a sequence
    MAYBE_ITEMS = 6  # nobody knows: a sequence if it parses as one
    CHARSET = 7  # Specific Character Set


IDENTIFYING = frozenset((Form.NAME, Form.VALUE, Form.UID, Form.DATE))
"""The forms of elements that identify by themselves."""


def _tags(keywords: str) -> frozenset[int]:
    found = {keyword: target(keyword) for keyword in keywords.split()}
    return frozenset(one.tag for one in found.values() if one is not None)


_NAMES = _tags("NameToUse CameraOwnerName TopicAuthor")  # names that are not of VR PN

_VALUES = _tags(
    # The patient.
    """
    PatientID OtherPatientIDs PatientAddress InsurancePlanIdentification MedicalRecordLocator PatientTelephoneNumbers
    PatientTelecomInformation ClinicalTrialSubjectID ClinicalTrialSubjectReadingID CurrentPatientLocation
    PatientInstitutionResidence
    """
    # Orders, visits, procedures, specimens.
    """
    AccessionNumber StudyID AdmissionID ServiceEpisodeID ScheduledProcedureStepID PerformedProcedureStepID
    RequestedProcedureID PlacerOrderNumberImagingServiceRequest FillerOrderNumberImagingServiceRequest
    ContainerIdentifier SpecimenIdentifier SpecimenAccessionNumber SlideIdentifier ResultsID InterpretationID
    """
    # Places, and where people are reached.
    """
    InstitutionName InstitutionAddress InstitutionalDepartmentName ReferringPhysicianAddress
    ReferringPhysicianTelephoneNumbers RequestingService ResponsibleOrganization PersonAddress PersonTelephoneNumbers
    PersonTelecomInformation OrderEntererLocation OrderCallbackPhoneNumber OrderCallbackTelecomInformation
    HumanPerformerOrganization VerifyingOrganization AddressTrial TelephoneNumberTrial DistributionAddress
    """
    # Devices.
    """
    StationName DeviceSerialNumber LensSerialNumber SourceSerialNumber PlateID GeneratorID CassetteID GantryID
    UniqueDeviceIdentifier SecondaryCaptureDeviceID HardcopyCreationDeviceID DetectorID DeviceAlternateIdentifier
    """
)

# Dates that are nobody's: the version of a code's table.
_OTHER_DATES = _tags("ContextGroupVersion ContextGroupLocalVersion")

FORMS: dict[int, Form] = {}
"""What was found out, by an element's key; `form_of` asks it first."""


def form_of(key: int) -> Form:
    """Return how an element with this key (`Element`) identifies."""
    found = FORMS.get(key)
    if found is None:
        if len(FORMS) > _MAX_KEYS:
            FORMS.clear()
        found = FORMS[key] = _form(key >> 16, key & 0xFFFF)
    return found


def _form(tag: int, code: int) -> Form:
    if tag == SPECIFIC_CHARACTER_SET:
        return Form.CHARSET
    if code == FRAGMENTS or not tag & 0xFFFF or is_creator(tag):
        return Form.NOTHING
    vr = "SQ" if code == SEQUENCE else VR_NAMES.get(code, "UN")
    if vr == "UN":
        known = entry(tag)
        vr = known.vr if known is not None else "UN"
        if vr in ("SQ", "UN"):
            return Form.ITEMS if code == IMPLICIT and vr == "SQ" else Form.MAYBE_ITEMS
    return Form.ITEMS if vr == "SQ" else _of_leaf(tag, vr)


def is_value(tag: int) -> bool:
    """Tell whether an element that is no name is an id, an address, a place or a device, whatever its VR."""
    return tag in _VALUES


def _of_leaf(tag: int, vr: str) -> Form:
    if vr == "PN" or tag in _NAMES:
        return Form.NAME
    if tag in _VALUES:
        return Form.VALUE
    if vr == "UI":
        return Form.NOTHING if tag in STRUCTURAL_UIDS else Form.UID
    return Form.DATE if vr in ("DA", "DT") and tag not in _OTHER_DATES else Form.NOTHING


@lru_cache(maxsize=4096)
def are_numbers(key: int) -> bool:
    """Tell whether an element with this key (`Element`) holds numbers as text: DS, IS."""
    known = entry(key >> 16) if key & 0xFFFF == IMPLICIT else None
    return (known.vr if known is not None else VR_NAMES.get(key & 0xFFFF, "UN")) in ("DS", "IS")


DECIDED = -1
"""In place of a tag: a text of which a person has said that it identifies somebody."""
SAID = "a text said to identify"


def kind_of(tag: int) -> str:
    """Return how a finding calls the value of an element: the attribute's name, never a value."""
    if tag == DECIDED:
        return SAID
    known = entry(tag)
    return known.name if known is not None else f"the value of {show(tag)}"
