"""What is to become of every value, by the tables of the standard and pydicom's dictionary alone.

Never by the engine, its loaders or a recipe: where both are wrong alike, no test would see it.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from enum import Enum
from functools import cache

from pydicom._private_dict import private_dictionaries
from pydicom.datadict import DicomDictionary, keyword_for_tag, mask_match

from tests.deidset.values import STRUCTURAL
from tests.profile.support import CODES, COLUMNS, DATA, NOT_THE_PATIENTS

RESEARCH = (
    "retain-modified-dates",
    "retain-safe-private",
    "clean-descriptors",
    "clean-structured-content",
    "clean-graphics",
    "retain-patient-characteristics",
)
WELL_KNOWN = b"1.2.840.10008."

# Rules of PS3.15 that stand in its text or follow from a row, and that are no row: the content of what goes (overlays
# E.1-1 by element, DICOMDIR, encrypted and signed attributes), free text without a row where content items have it.
_GO_TOO = frozenset({0x00080300, 0x0040A160, 0x00420010, 0x04000500, 0x4FFE0001})
_EITHER_WAY = frozenset({0x00282000, 0x3010001F})  # ICC Profile; a template's UID, which is nobody's
_OF_PIXELS = frozenset({0x00280301, 0x00280302})  # what is said of them follows from what was done
# Text without a row that people write freely: Clean Descriptors asks for any such text.
_PEOPLE_WRITE = frozenset(
    {
        0x00080104, 0x00180034, 0x0018003A, 0x00189423, 0x00189531, 0x00189900, 0x00189901, 0x00189916, 0x00189917,
        0x0018991A, 0x00189922, 0x00209453, 0x00286022, 0x00400255, 0x00440011, 0x00480107, 0x00620005, 0x00620006,
        0x00660004, 0x00660106, 0x00660107, 0x00660134, 0x00700068, 0x00700080, 0x00700081, 0x00700207, 0x00700208,
        0x0070030F, 0x00741006, 0x00741202, 0x00741204, 0x00820003, 0x0082000A, 0x00820023, 0x01000424, 0x30020002,
        0x30020003, 0x30020004, 0x30040006, 0x300600A4, 0x300600C8, 0x30080012, 0x30080066, 0x30080074, 0x30080202,
        0x300A0043, 0x300A00C2, 0x300A00FE, 0x300A010A, 0x300A0183, 0x300A0194, 0x300A01A4, 0x300A01B8, 0x300A01BA,
        0x300A01D0, 0x300A021C, 0x300A0236, 0x300A0244, 0x300A0402, 0x300A0422, 0x300A0730, 0x30100005,
    }
)  # fmt: skip
_PROSE = frozenset({"LT", "ST", "UT"})
_MEASURES = frozenset({0x00100040, 0x00101010, 0x00101020, 0x00101030})  # sex, age, size, weight
_TEXTS = frozenset({"LO", "LT", "SH", "ST", "UC", "UT"})
_WRITTEN = frozenset({0x00100010, 0x00100020, 0x00120062, 0x00120063, 0x00280303})
METHODS = 0x00120064
_CONTENT = 0x0040A730
_CONTENTS = frozenset({_CONTENT, 0x00400555, 0x00400610, 0x0040B020})
_OF_CONTENT = {
    0x0040A160: "gone",
    0x0040A123: "gone",
    0x0040A124: "uid",
    0x0040A300: "kept",  # Measured Value Sequence
    0x004008EA: "kept",  # Measurement Units Code Sequence
    0x0040A168: "kept",  # Concept Code Sequence
    0x0040A043: "kept",  # Concept Name Code Sequence
    0x0040A040: "kept",  # Value Type
    0x0040A010: "kept",  # Relationship Type
    0x00081199: "kept",  # Referenced SOP Sequence
}


class Fate(Enum):
    """What is to become of a value."""

    KEPT = "kept"
    GONE = "gone"
    UID = "uid"  # replaced consistently; and it must still be there
    UID_OR_GONE = "uid or gone"
    SHIFTED = "shifted"
    DATE_OR_GONE = "shifted or gone"
    CLEANED = "cleaned"  # word by word: what is planted goes, harmless words stay
    FREE = "free"


class Mode(Enum):
    """What a sequence's own fate means for what is inside of it."""

    NORMAL = 0
    GONE = 1  # the sequence goes
    DUMMY = 2  # it stays, without its values
    CONTENT = 3  # content items, cleaned one by one
    PERHAPS = 4  # by the IOD it goes, or stays and is walked


class Expectation:
    """The Basic Profile with options; each answer is remembered."""

    def __init__(self, options: Sequence[str] = (), *, measures_alone: bool = False) -> None:
        """`measures_alone`: of the patient only what images are measured with, and no prose without a row."""
        self.options = tuple(options)
        self._measures_alone = measures_alone
        self._dates = "retain-modified-dates" in options
        self._items = _CONTENTS if "clean-structured-content" in options else ()
        self._words = "clean-descriptors" in options
        self._safe = safe_private() if "retain-safe-private" in options else {}
        self._known: dict[tuple[int, str], Fate] = {}

    @property
    def codes(self) -> set[str]:
        """The codes of CID 7050 that an instance must name."""
        return {"113100", *(CODES[name] for name in self.options)}

    @property
    def dates(self) -> str:
        """What (0028,0303) must say."""
        return "MODIFIED" if self._dates else "UNMODIFIED" if "retain-full-dates" in self.options else "REMOVED"

    def fate(self, tag: int, vr: str, value: bytes, mode: Mode, creator: str = "") -> Fate:
        """The fate of a value that is no sequence."""
        if not tag & 0xFFFF:
            return Fate.FREE  # a group length says nothing
        if tag in _WRITTEN and mode is not Mode.GONE:
            return Fate.GONE if tag >> 16 == 0x10 else Fate.FREE
        if vr == "UI" and value.startswith(WELL_KNOWN):
            return Fate.FREE if mode is not Mode.NORMAL else Fate.KEPT
        if mode is Mode.GONE:
            return Fate.UID_OR_GONE if vr == "UI" else Fate.GONE
        return self._private(tag, vr, mode, creator) if tag >> 16 & 1 else self._public(tag, vr, mode)

    def _public(self, tag: int, vr: str, mode: Mode) -> Fate:
        if mode is Mode.CONTENT:
            return self._of_item(tag, vr)
        known = self._known.get((tag, vr))
        if known is None:
            known = self._known[tag, vr] = self._of_tag(tag, vr)
        if mode is Mode.PERHAPS:
            return _PERHAPS.get(known, known)
        return known if mode is Mode.NORMAL else _in_dummy(known, vr)

    def inside(self, tag: int, mode: Mode, creator: str = "") -> Mode:
        """What a sequence means for its items."""
        if mode is Mode.CONTENT and tag != _CONTENT:
            return Mode.NORMAL if _OF_CONTENT.get(tag) == "kept" else Mode.DUMMY
        if mode in (Mode.CONTENT, Mode.GONE):
            return mode
        if tag >> 16 & 1:
            return mode if mode is Mode.NORMAL and self._is_safe(tag, creator) else Mode.GONE
        if _whole_group(tag) or tag in _GO_TOO or not _dictionary_vr(tag):
            return Mode.GONE
        return self._by_row(tag, mode)

    def _by_row(self, tag: int, mode: Mode) -> Mode:
        if tag in self._items and mode is Mode.NORMAL:
            return Mode.CONTENT
        code = self._code(tag)
        if code in ("", "K", "U") or tag == METHODS:  # an earlier step's codes stay
            return mode
        if code == "X/Z/U*" and mode in (Mode.NORMAL, Mode.PERHAPS):
            return Mode.PERHAPS
        # X, Z: gone with its items, but where the IOD requires them; then none of their values stays.
        return Mode.DUMMY if code != "X" or mode is Mode.DUMMY else Mode.GONE

    def _of_tag(self, tag: int, vr: str) -> Fate:
        if tag in _EITHER_WAY or tag in _OF_PIXELS:
            return Fate.FREE
        if _whole_group(tag) or tag in _GO_TOO or not _dictionary_vr(tag):
            return Fate.GONE
        code, vr = self._code(tag), _dictionary_vr(tag)
        if code == "K":
            return Fate.KEPT
        if vr in ("DA", "DT", "TM") or tag == 0x00080201:
            return self._of_date(vr, code)
        if vr == "UI":
            return _of_uid(tag, code)
        return self._of_text(tag, vr, code)

    def _of_text(self, tag: int, vr: str, code: str) -> Fate:
        if self._words and vr in _TEXTS and (code == "C" or tag in _PEOPLE_WRITE):
            return Fate.CLEANED
        if self._measures_alone and not code and vr in (*_PROSE, "AE", "UR"):
            return Fate.CLEANED if vr in _PROSE else Fate.FREE
        return Fate.GONE if code or vr in ("PN", "UN") else Fate.KEPT

    def _of_date(self, vr: str, code: str) -> Fate:
        moved = {"DA": Fate.SHIFTED, "DT": Fate.SHIFTED}.get(vr, Fate.KEPT)
        if code == "C":
            return moved
        if code or not self._dates:
            return Fate.GONE if code or vr in ("DA", "DT", "TM") else Fate.KEPT
        return Fate.FREE if vr == "TM" else Fate.DATE_OR_GONE if vr in ("DA", "DT") else Fate.KEPT

    def _of_item(self, tag: int, vr: str) -> Fate:
        said = _OF_CONTENT.get(tag)
        if said == "gone" or vr == "PN":
            return Fate.GONE
        if said == "kept":
            return Fate.KEPT
        if vr == "UI":
            return Fate.UID_OR_GONE
        return Fate.DATE_OR_GONE if vr in ("DA", "DT") else Fate.FREE

    def _private(self, tag: int, vr: str, mode: Mode, creator: str) -> Fate:
        if 0x10 <= tag & 0xFFFF <= 0xFF:
            return Fate.FREE if self._safe and creator in _known_creators() else Fate.GONE
        if mode is Mode.NORMAL and self._is_safe(tag, creator):
            return Fate.UID if self._safe[tag >> 16, creator, tag & 0xFF] == "UI" else Fate.KEPT
        return Fate.UID_OR_GONE if vr == "UI" else Fate.GONE

    def _is_safe(self, tag: int, creator: str) -> bool:
        return (tag >> 16, creator, tag & 0xFF) in self._safe

    def _code(self, tag: int) -> str:
        row = _by_number().get(_first_of_group(tag))
        if row is None:
            return ""
        code = row["basic"]
        for option in self.options:
            column = COLUMNS[option]
            fixed = option == "retain-modified-dates" and f"{tag:08X}" in NOT_THE_PATIENTS
            fixed |= option == "retain-patient-characteristics" and self._measures_alone and tag not in _MEASURES
            if column and row[column] and not fixed:
                code = row[column]
        return code


def _of_uid(tag: int, code: str) -> Fate:
    if not code and STRUCTURAL.search(keyword_for_tag(tag)):
        return Fate.KEPT
    return Fate.UID if code in ("", "U") else Fate.UID_OR_GONE


_PERHAPS = {Fate.KEPT: Fate.FREE, Fate.UID: Fate.UID_OR_GONE, Fate.SHIFTED: Fate.DATE_OR_GONE}


def _in_dummy(fate: Fate, vr: str) -> Fate:
    """What a fate becomes in a sequence that must have items and may not say anything."""
    if fate in (Fate.UID, Fate.UID_OR_GONE):
        return Fate.UID_OR_GONE
    if fate is Fate.SHIFTED:
        return Fate.DATE_OR_GONE
    if fate is Fate.GONE:
        return fate
    # Numbers and terms may stay, words may not; a token tells which of both a value is.
    return Fate.GONE if vr in ("LO", "LT", "SH", "ST", "UC", "UT", "UR", "PN", "AE", "OB", "UN") else Fate.FREE


def _whole_group(tag: int) -> bool:
    return tag >> 24 in (0x50, 0x60) or tag >> 16 == 4


def _first_of_group(tag: int) -> int:
    if tag >> 24 == 0x50:
        return 0x50003000
    return tag & 0xFF00FFFF if tag >> 24 == 0x60 else tag


@cache
def _dictionary_vr(tag: int) -> str:
    row = _by_number().get(_first_of_group(tag))
    if tag in DicomDictionary:
        return DicomDictionary[tag][0].partition(" ")[0]
    if row is not None:
        return row["vr"]
    return "UN" if mask_match(tag) else ""


vr_of = _dictionary_vr


@cache
def _by_number() -> dict[int, dict[str, str]]:
    from tests.profile.support import rows

    return {row["number"]: row for row in rows()}


@cache
def _known_creators() -> frozenset[str]:
    """Creators that pydicom's private dictionary or the standard's table knows: what many know names nobody."""
    return frozenset(private_dictionaries) | {creator for _, creator, _ in safe_private()}


@cache
def safe_private() -> dict[tuple[int, str, int], str]:
    """Table E.3.10-1: group, creator, low byte of the element; the VR."""
    with (DATA / "e3.10-1.csv").open(encoding="utf-8") as file:
        found = csv.DictReader(file)
        return {(int(r["group"], 16), r["private_creator"], int(r["element_low"], 16)): r["vr"] for r in found}
