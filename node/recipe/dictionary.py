"""What the data dictionary (PS3.6) says about an element, and what no rule may change by accident.

Guarantees one answer per tag, in its own words of the standard: VR, keyword, name. Adds to pydicom's dictionary the
attributes of the editions 2024 to 2026 that PS3.15 Table E.1-1 names, so that they are known by keyword and are not
taken for unknown elements in Implicit VR. Refuses to guess: an unknown keyword has no tag, and `nearest` only suggests.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache, lru_cache

from pydicom._dicom_dict import DicomDictionary, RepeatersDictionary
from pydicom.datadict import mask_match, private_dictionary_description, private_dictionary_VR

_TEXT_SHORT_VRS = ("AE", "AS", "CS", "DA", "DS", "DT", "IS", "LO", "LT", "PN", "SH", "ST", "TM", "UI")
SHORT_VRS: tuple[str, ...] = (*_TEXT_SHORT_VRS, "AT", "FD", "FL", "SL", "SS", "UL", "US")
"""VRs whose length has 16 bits in Explicit VR (PS3.5 7.1.2)."""
LONG_VRS: tuple[str, ...] = ("OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV")
"""VRs whose length has 32 bits in Explicit VR."""
VRS = frozenset(SHORT_VRS + LONG_VRS)

SPECIFIC_CHARACTER_SET = 0x00080005
PIXEL_REPRESENTATION = 0x00280103
PIXEL_DATA = 0x7FE00010
VOI_LUT_SEQUENCE = 0x00283010

PROTECTED = frozenset(
    {PIXEL_DATA, 0x00281201, 0x00281202, 0x00281203, VOI_LUT_SEQUENCE, 0x00020000, 0x00020001, 0x00020010, 0x00020012}
)
"""Pixel Data, the three palettes, VOI LUT Sequence, and of file meta information what says how the file is encoded and
who wrote it: no selector reaches them, at any level."""
PROTECTED_IN_VOI_LUT = frozenset({0x00283002, 0x00283006})
"""LUT Descriptor and LUT Data, inside VOI LUT Sequence only: without them the object is not valid."""

# Class, syntax, coding scheme and context UIDs: well-known or registered, "structural UIDs are never replaced"
# (PS3.15 E.3.9). A selector leaves them; a line that names one of them changes it.
STRUCTURAL_UIDS = frozenset(
    {
        0x00020002,  # Media Storage SOP Class UID
        0x00041510,  # Referenced SOP Class UID in File
        0x00041512,  # Referenced Transfer Syntax UID in File
        0x0004151A,  # Referenced Related General SOP Class UID in File
        0x00080016,  # SOP Class UID
        0x0008001A,  # Related General SOP Class UID
        0x0008001B,  # Original Specialized SOP Class UID
        0x00080062,  # SOP Classes in Study
        0x0008010C,  # Coding Scheme UID
        0x0008010D,  # Context Group Extension Creator UID
        0x00080117,  # Context UID
        0x00080118,  # Mapping Resource UID
        0x0008040E,  # Stored Instance Transfer Syntax UID
        0x00081150,  # Referenced SOP Class UID
        0x0008115A,  # SOP Classes Supported
        0x00083002,  # Available Transfer Syntax UID
        0x00340003,  # Flow Transfer Syntax UID
        0x04000010,  # MAC Calculation Transfer Syntax UID
        0x04000510,  # Encrypted Content Transfer Syntax UID
        0x3010001F,  # Segmentation Template UID
        0x30100052,  # Pertinent SOP Classes in Study
        0x30100053,  # Pertinent SOP Classes in Series
    }
)


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the dictionary; `vr` may name several, as `US or SS` does."""

    vr: str
    name: str
    keyword: str


# PS3.6 2026d, as far as PS3.15 Table E.1-1 names them and pydicom 3.0 does not know them.
_ADDED = {
    0x00081301: Entry("SQ", "Principal Diagnosis Code Sequence", "PrincipalDiagnosisCodeSequence"),
    0x00081302: Entry("SQ", "Primary Diagnosis Code Sequence", "PrimaryDiagnosisCodeSequence"),
    0x00081303: Entry("SQ", "Secondary Diagnoses Code Sequence", "SecondaryDiagnosesCodeSequence"),
    0x00081304: Entry("SQ", "Histological Diagnoses Code Sequence", "HistologicalDiagnosesCodeSequence"),
    0x00100011: Entry("SQ", "Person Names to Use Sequence", "PersonNamesToUseSequence"),
    0x00100012: Entry("LT", "Name to Use", "NameToUse"),
    0x00100013: Entry("UT", "Name to Use Comment", "NameToUseComment"),
    0x00100014: Entry("SQ", "Third Person Pronouns Sequence", "ThirdPersonPronounsSequence"),
    0x00100015: Entry("SQ", "Pronoun Code Sequence", "PronounCodeSequence"),
    0x00100016: Entry("UT", "Pronoun Comment", "PronounComment"),
    0x00100041: Entry("SQ", "Gender Identity Sequence", "GenderIdentitySequence"),
    0x00100042: Entry(
        "UT", "Sex Parameters for Clinical Use Category Comment", "SexParametersForClinicalUseCategoryComment"
    ),
    0x00100043: Entry(
        "SQ", "Sex Parameters for Clinical Use Category Sequence", "SexParametersForClinicalUseCategorySequence"
    ),
    0x00100044: Entry("SQ", "Gender Identity Code Sequence", "GenderIdentityCodeSequence"),
    0x00100045: Entry("UT", "Gender Identity Comment", "GenderIdentityComment"),
    0x00100046: Entry(
        "SQ",
        "Sex Parameters for Clinical Use Category Code Sequence",
        "SexParametersForClinicalUseCategoryCodeSequence",
    ),
    0x00100047: Entry(
        "UR", "Sex Parameters for Clinical Use Category Reference", "SexParametersForClinicalUseCategoryReference"
    ),
    0x00102162: Entry("UC", "Ethnic Groups", "EthnicGroups"),
    0x0040A034: Entry("DT", "Effective Start DateTime", "EffectiveStartDateTime"),
    0x0040A035: Entry("DT", "Effective Stop DateTime", "EffectiveStopDateTime"),
    0x0040B034: Entry("DT", "Annotation DateTime", "AnnotationDateTime"),
    0x0040B036: Entry("DT", "Segment Definition DateTime", "SegmentDefinitionDateTime"),
    0x0040B03B: Entry("LT", "Montage Name", "MontageName"),
    0x0040B03F: Entry("LO", "Montage Channel Label", "MontageChannelLabel"),
    0x0040E012: Entry("UR", "Display URI", "DisplayURI"),
    0x3004007F: Entry("LO", "Dose Calculation Model Name", "DoseCalculationModelName"),
}


@dataclass(frozen=True, slots=True)
class Target:
    """The tags that a keyword stands for: one, or all groups of a repeating one (`60xx3000`)."""

    keyword: str
    vr: str
    tag: int
    mask: int = 0xFFFFFFFF

    def covers(self, tag: int) -> bool:
        """Tell whether `tag` is meant; an odd group never belongs to a repeating group."""
        return tag & self.mask == self.tag and (self.mask == 0xFFFFFFFF or not is_private(tag))

    @property
    def repeats(self) -> bool:
        """Whether the keyword stands for more than one tag."""
        return self.mask != 0xFFFFFFFF


@cache
def entry(tag: int) -> Entry | None:
    """Return the dictionary's line of a tag, or None where the standard does not name it."""
    if is_private(tag):
        return None
    found = DicomDictionary.get(tag)
    if found is None:
        if tag in _ADDED:
            return _ADDED[tag]
        mask = mask_match(tag)
        found = RepeatersDictionary[mask] if mask else None
    return Entry(found[0], found[2], found[4]) if found else None


@cache
def private_entry(tag: int, creator: str) -> Entry | None:
    """Return what is publicly known of a private element; it has no keyword."""
    try:
        return Entry(private_dictionary_VR(tag, creator), f"[{private_dictionary_description(tag, creator)}]", "")
    except KeyError:
        return None


def is_private(tag: int) -> bool:
    """Tell whether the group is odd (PS3.5 7.8)."""
    return bool(tag & 0x10000)


def is_creator(tag: int) -> bool:
    """Tell whether a tag reserves a private block (gggg,0010-00FF)."""
    return bool(tag & 0x10000) and 0x10 <= tag & 0xFFFF <= 0xFF


@lru_cache(maxsize=8192)
def show(tag: int) -> str:
    """Write a tag as `(gggg,eeee)`."""
    return f"({tag >> 16:04X},{tag & 0xFFFF:04X})"


@cache
def _keywords() -> dict[str, Target]:
    targets = {}
    for mask, line in RepeatersDictionary.items():
        bits = int("".join("0" if digit == "x" else "F" for digit in mask), 16)
        targets[line[4].lower()] = Target(line[4], line[0], int(mask.replace("x", "0"), 16), bits)
    for tag, line in DicomDictionary.items():
        if line[4]:
            targets[line[4].lower()] = Target(line[4], line[0], tag)
    for tag, added in _ADDED.items():
        targets[added.keyword.lower()] = Target(added.keyword, added.vr, tag)
    return targets


def target(keyword: str) -> Target | None:
    """Return what a keyword stands for, in any case of letters, or None where it is unknown."""
    return _keywords().get(keyword.lower())


def nearest(word: str, choices: Iterable[str] | None = None, cutoff: float = 0.5) -> str:
    """Return a hint that names the nearest right word, or nothing; without `choices` among all keywords.

    `cutoff` says how near a choice has to be, from 0 to 1; where none is, all are named.
    """
    if choices is None:
        close = difflib.get_close_matches(word.lower(), _keywords(), n=1, cutoff=0.7)
        return f"Did you mean {_keywords()[close[0]].keyword}?" if close else ""
    known = {choice.lower(): choice for choice in choices}
    close = difflib.get_close_matches(word.lower(), known, n=1, cutoff=cutoff)
    return f"Did you mean {known[close[0]]}?" if close else f"Known: {', '.join(sorted(known.values()))}."
