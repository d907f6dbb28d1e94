"""What is planted in a synthetic study: random words, UIDs and dates, each in one place, and remembered.

Guarantees that a word is like no other, in no language and in no vocabulary, and that what is planted is legal in its
VR. Attributes are those of PS3.15 Table E.1-1; what holds neither text, UID nor date could not be found again.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from datetime import date, timedelta
from enum import StrEnum

from pydicom.datadict import dictionary_description, tag_for_keyword
from pydicom.dataset import Dataset

from node.recipe.dictionary import STRUCTURAL_UIDS, show
from node.standard import attributes

WORD = "Q[BCDFGHJKLMNPQRSTVWXZ]{9}"
"""What a planted word of ASCII looks like, as a regular expression."""
ROOT = "1.2.826.0.1.3680043.8.498.7"
"""What planted UIDs begin with."""
_CONSONANTS = "BCDFGHJKLMNPQRSTVWXZ"
_FIRST_DAY, _DAYS = date(2015, 1, 1), 3000

ALPHABETS = {
    "ISO_IR 100": "ÀÁÂÃÄÅÆÇÈÉÊËÌÍÎÏÐÑÒÓÔÕÖØÙÚÛÜÝÞ",
    "ISO_IR 144": "БГДЖЗИЙЛПУФЦЧШЩЪЫЬЭЮЯ",
    "ISO_IR 192": "ΓΔΘΛΞΠΣΦΨΩϏϘϚϜϞ",
    "\\ISO 2022 IR 87": "山田川森林石橋鈴木佐藤高渡辺伊中村",
}
"""Character sets of instances, and letters that each of them has."""

_PERSONS_OWN = frozenset(
    tag_for_keyword(keyword) or 0
    for keyword in (
        "PatientName",
        "PatientID",
        "OtherPatientIDs",
        "OtherPatientNames",
        "PatientBirthName",
        "PatientMotherBirthName",
        "PatientBirthDate",
        "PatientAddress",
        "PatientTelephoneNumbers",
        "PatientTelecomInformation",
        "MedicalRecordLocator",
        "IssuerOfPatientID",
        "StudyInstanceUID",
        "SeriesInstanceUID",
        "SOPInstanceUID",
        "FrameOfReferenceUID",
    )
)
# What every instance of the study shares, or what says how it is to be read: set by the study itself.
_SET_APART = frozenset(
    tag_for_keyword(keyword) or 0
    for keyword in (
        "SpecificCharacterSet",
        "SOPClassUID",
        "SOPInstanceUID",
        "StudyInstanceUID",
        "SeriesInstanceUID",
        "PatientName",
        "PatientID",
        "PatientBirthDate",
        "IssuerOfPatientID",
        "DeidentificationMethodCodeSequence",
        "FrameOfReferenceUID",
        "StudyDate",
        "SeriesDate",
        "AcquisitionDate",
        "ContentDate",
        "ReferencedImageSequence",
        "CurrentRequestedProcedureEvidenceSequence",
        "ContentSequence",
        "TimezoneOffsetFromUTC",
        "PixelPaddingValue",
        "EncapsulatedDocument",
    )
)
_WORDS = frozenset(("LO", "SH", "LT", "ST", "UC", "UT", "PN", "AE", "UR"))
_BYTES = frozenset(("OB", "UN"))


class Kind(StrEnum):
    """What was planted."""

    WORD = "word"
    UID = "uid"
    DATE = "date"


@dataclass(frozen=True, slots=True)
class Planted:
    """One thing that was planted.

    Parameters
    ----------
    kind, text
        What it is; a date as `YYYYMMDD`.
    path
        The tags that lead to it, outermost first.
    of_the_patient
        Whether no recipe may keep it: what names the patient, and the UIDs of the study.
    """

    kind: Kind
    text: str
    path: tuple[int, ...]
    of_the_patient: bool

    @property
    def name(self) -> str:
        """What the attribute is called."""
        tag = self.path[-1]
        try:
            return dictionary_description(tag)
        except KeyError:
            return f"private {show(tag)}"


@dataclass(slots=True)
class Garden:
    """All that was planted in one study, by its text."""

    planted: dict[str, Planted] = field(default_factory=dict)

    def word(self, *path: int) -> str:
        """Return a word of ten letters that stands nowhere else."""
        return self.put(Kind.WORD, "Q" + "".join(secrets.choice(_CONSONANTS) for _ in range(9)), *path)

    def foreign(self, charset: str, *path: int) -> str:
        """Return a word of ten letters of a character set."""
        return self.put(Kind.WORD, "".join(secrets.choice(ALPHABETS[charset]) for _ in range(10)), *path)

    def uid(self, *path: int) -> str:
        """Return a UID that stands nowhere else."""
        return self.put(Kind.UID, f"{ROOT}.{10**17 + secrets.randbelow(9 * 10**17)}", *path)

    def day(self, *path: int) -> str:
        """Return a date between 2015 and 2023."""
        found = _FIRST_DAY + timedelta(secrets.randbelow(_DAYS))
        return self.put(Kind.DATE, f"{found:%Y%m%d}", *path)

    def put(self, kind: Kind, text: str, *path: int) -> str:
        """Remember something that is planted; a date counts by its place, since days come again."""
        key = text if kind is not Kind.DATE or path[-1] in _PERSONS_OWN else f"{text} {path}"
        self.planted[key] = Planted(kind, text, path, path[-1] in _PERSONS_OWN)
        return text

    def fill(self, dataset: Dataset, *above: int) -> None:
        """Plant something in every attribute of Table E.1-1 that the data set does not have, and that can hold it."""
        for tag, vr in _rows():
            if tag not in dataset:
                value = self._value(tag, vr, (*above, tag))
                if value is not None:
                    dataset.add_new(tag, vr, value)

    def _value(self, tag: int, vr: str, path: tuple[int, ...]) -> object:
        if vr == "SQ":
            return [self._item(path)]
        if vr == "UI":
            return None if tag in STRUCTURAL_UIDS else self.uid(*path)
        if vr in ("DA", "DT"):
            return self.day(*path) + ("101530" if vr == "DT" else "")
        if vr in _BYTES:
            return self.word(*path).encode()
        if vr not in _WORDS:
            return None
        word = self.word(*path)
        return {"PN": f"{word}^{word[::-1]}", "UR": f"urn:{word}"}.get(vr, word)

    def _item(self, path: tuple[int, ...]) -> Dataset:
        item = Dataset()
        for keyword, make in (
            ("InstitutionName", self.word),
            ("PersonName", self.word),
            ("ReferencedSOPInstanceUID", self.uid),
        ):
            tag = tag_for_keyword(keyword) or 0
            setattr(item, keyword, make(*path, tag))
        return item


def _rows() -> list[tuple[int, str]]:
    """Return the attributes of Table E.1-1 that stand in data sets: tag, and VR."""
    found = []
    for row in attributes():
        digits = f"{row.tag[1:5]}{row.tag[6:10]}".replace("xx", "00")
        if not row.keyword or row.tag[1:5] in ("0000", "0002", "0004", "50xx", "FFFC"):
            continue
        tag = int(digits, 16)
        if tag not in _SET_APART and len(row.vr) == 2:
            found.append((tag, row.vr))
    return found
