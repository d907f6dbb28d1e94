"""Which column is which: the headings of this program, of CTP, Karnak and the RSNA Anonymizer, and of people.

Headings compare by their letters and digits alone, without regard to case. Refuses what it does not know, rather than
leave out what was meant: a column that nothing is made of has to be one of those named here.
"""

from __future__ import annotations

from enum import StrEnum

from node.identity.patients import comparable


class Column(StrEnum):
    """What a column holds, by the heading that this program writes."""

    ISSUER = "Issuer of Patient ID"
    PATIENT_ID = "Patient ID"
    PSEUDONYM = "Pseudonym"
    SHIFT = "Date Shift Days"
    SAME_ISSUER = "Same Person As Issuer"
    SAME_ID = "Same Person As Patient ID"
    ORIGINAL_UID = "Original UID"
    REPLACEMENT_UID = "Replacement UID"
    ORIGIN = "Origin"
    WAITING = "Waiting Instances"
    SINCE = "Waiting Since"
    NOTHING = ""  # known, and nothing is made of it

    __hash__ = str.__hash__  # it is asked for in each cell; an enumeration's own is a function of Python


# Each program's own, then what people write. CTP: the stage IDMap; RSNA: the patient lookup, one line for each study.
_KNOWN: dict[Column, tuple[str, ...]] = {
    Column.ISSUER: ("Issuer", "Issuer of Patient ID"),
    Column.PATIENT_ID: ("Patient ID", "Original Patient ID", "PHI-PatientID", "MRN", "Medical Record Number"),
    Column.PSEUDONYM: (
        "Pseudonym",
        "Trial PatientID",
        "External Pseudonym",
        "ANON-PatientID",
        "Subject ID",
        "Replacement Patient ID",
    ),
    Column.SHIFT: ("Date Shift Days", "Date Shift", "Date Shift in Days", "Shift Days", "Shift", "DateOffset"),
    Column.SAME_ISSUER: ("Same Person As Issuer",),
    Column.SAME_ID: ("Same Person As Patient ID",),
    Column.ORIGINAL_UID: ("Original UID", "PHI-StudyUID"),
    Column.REPLACEMENT_UID: ("Replacement UID", "Trial UID", "ANON-StudyUID"),
    Column.ORIGIN: ("Origin",),
    Column.WAITING: ("Waiting Instances",),
    Column.SINCE: ("Waiting Since",),
    Column.NOTHING: (
        "ANON-PatientName",
        "PHI-PatientName",
        "PHI-StudyDate",
        "ANON-AccNo",
        "PHI-AccNo",
        "Series",
        "Instances",
        "Patient first name",
        "Patient last name",
        "First name",
        "Last name",
        "Patient Name",
        "Comment",
        "Comments",
        "Note",
        "Notes",
    ),
}
_COLUMNS = {comparable(heading): column for column, headings in _KNOWN.items() for heading in headings}

WANTED = "Patient ID and Pseudonym, with Issuer of Patient ID and Date Shift Days; or Original UID and Replacement UID"
_OFFSET_PER_STUDY = comparable("DateOffset")


def column_of(heading: str) -> Column | None:
    """Return what a heading says; None where it is not known. An empty one is known, and nothing is made of it."""
    return _COLUMNS.get(comparable(heading)) if heading.strip() else Column.NOTHING


def is_offset_per_study(heading: str) -> bool:
    """Whether 0 in this column is no shift: the RSNA Anonymizer writes it for a study without a date."""
    return comparable(heading) == _OFFSET_PER_STUDY
