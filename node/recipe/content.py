"""What is done with a content item: by its concept and Value Type (PS3.15 E.3.4), and with graphic annotations (E.3.5).

Guarantees one class for an item, found before its elements are decided, and one treatment for each attribute of an
item of that class. Codes, numbers, coordinates, containers and references stay, their UIDs replaced; texts are cleaned,
names of persons and what Table E.3.4-1 asks for become dummies; an item that the table removes goes with all below it.
Refuses to guess: of an item that cannot be interpreted no value stays, nor does an attribute that does not belong into
one. Whether an option is in force shows in its code C on the sequences; without it nothing here is asked.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

from node.recipe.content_items import CODE_SEQUENCES, VALUES, Facts
from node.recipe.descriptors import CODE_VALUES
from node.recipe.dictionary import is_private
from node.recipe.dummies import REQUIRED_DESCRIPTOR, literal
from node.recipe.header import Action, Rule, Source, Value
from node.recipe.profile import Profile
from node.recipe.selectors import Field
from node.standard import Concept, concepts, is_standard, writings

# Classes of items. What is below an item, but for content items of their own, is of its class.
NONE = 0  # no content: the profile's lines alone decide
PLAIN = 1  # its text is cleaned, dates and UIDs are treated as the profile's lines say
KEPT = 2  # its value stays
DUMMY = 3  # its value becomes a dummy
CLOSED = 4  # nothing of it stays but its form, as in the basic profile
GONE = 5  # it goes, with all below it
LOCAL_CODE = 6  # a code of somebody's own: its meaning is cleaned
GRAPHIC = 7  # a graphic annotation
DATED = 13  # a date under a concept that no table lists: treated as the lines say, unless it is the birth date
_OLD = {"a": 8, "mo": 9, "wk": 10, "d": 11, "h": 12}  # more than 89 years, by the unit it is told in

# How the items of a sequence are to be looked at.
CONTENT_ITEMS = 1
FIXED_ITEMS = 2  # content items of which none may go: the sequence would not be valid without
CODE_ITEMS = 3
GRAPHIC_ITEMS = 4

CONTENT_SEQUENCE = 0x0040A730
_ACQUISITION_CONTEXT = 0x00400555
_SPECIMEN_PREPARATION = 0x00400610
GRAPHIC_ANNOTATION = 0x00700001
CLEANED = {
    CONTENT_SEQUENCE: CONTENT_ITEMS,
    _ACQUISITION_CONTEXT: CONTENT_ITEMS,
    _SPECIMEN_PREPARATION: 0,  # its items hold content items, and are none
    0x0040B020: FIXED_ITEMS,  # Waveform Annotation Sequence
    GRAPHIC_ANNOTATION: GRAPHIC_ITEMS,
}
"""Sequences that a line with C has cleaned item by item, and how."""
GRAPHIC_TEXTS = frozenset((0x00700068, 0x00700207, 0x00700208))
"""Of layers and groups of graphics, which no row of Table E.1-1 names: description, label, description."""
_NESTED = frozenset((CONTENT_SEQUENCE, 0x00400612, 0x00400441))  # content items inside what is cleaned

_TEXT_VALUES = frozenset((0x0040A160, 0x00700006))
DATES = frozenset((0x0040A120, 0x0040A121))
_TIMES = DATES | {0x0040A122}
_UID = 0x0040A124
_CODE_MEANINGS = frozenset((0x00080104, 0x00080108))
_NUMBER = 0x0040A30A
_NUMBERS = frozenset((_NUMBER, 0x0040A161, 0x0040A162, 0x0040A163))  # the same in several forms
_TEXT_VRS = frozenset(("LO", "LT", "SH", "ST", "UC", "UT"))

# What content items are made of (PS3.3 C.17.3, C.18, 10.2, 8.8, C.10.10).
_ATTRIBUTES = frozenset(
    {
        *CODE_SEQUENCES,
        *VALUES,
        *_NESTED,
        *CLEANED,
        *_NUMBERS,
        *(0x00080000 | low for low in (0x105, 0x118, 0x1140, 0x1150, 0x1155, 0x1160, 0x1199)),
        *(0x0040A000 | low for low in (0x010, 0x040, 0x050, 0x0B0, 0x130, 0x132, 0x136, 0x138, 0x13A, 0x171, 0x180)),
        *(0x0040A000 | low for low in (0x300, 0x504)),
        0x0040DB00,  # Template Identifier
        0x0040DB73,  # Referenced Content Item Identifier
        0x00480301,  # Pixel Origin Interpretation
        0x0062000B,  # Referenced Segment Number
        0x00700022,  # Graphic Data
        0x00700023,  # Graphic Type
        0x30060024,  # Referenced Frame of Reference UID
    }
)

_OF_CODES = frozenset(
    {
        *_CODE_MEANINGS,
        *(0x00080000 | low for low in (0x100, 0x102, 0x103, 0x105, 0x106, 0x107, 0x10B, 0x10C, 0x10D, 0x10F, 0x117)),
        *(0x00080000 | low for low in (0x118, 0x119, 0x120, 0x121)),
    }
)

_YEAR = "a"
_UNITS = {unit: unit.partition("_")[0] for unit in ("a_j", "a_t", "a_g", "mo_j", "mo_s", "mo_g")}  # UCUM
# Years, months, weeks, days and hours of 89 years, and what more than that becomes: 90 years.
_LIMITS = {"a": 89, "mo": 89 * 12, "wk": 89 * 365.25 / 7, "d": 89 * 365.25, "h": 89 * 365.25 * 24}
_CAPPED = {"a": "90", "mo": "1080", "wk": "4696", "d": "32873", "h": "788940"}
_OLD_VALUES = {_OLD[unit]: Value(Source.LITERAL, text, text) for unit, text in _CAPPED.items()}
_AGES = frozenset(
    (
        ("121033", "DCM"),
        *((value, "LN") for value in ("30525-0", "21612-7", "21611-9", "29553-5", "35659-2")),
        *((value, "SCT") for value in ("397669002", "424144002", "445518008")),
        ("C25150", "NCIt"),
        ("C0001779", "UMLS"),
    )
)
_BIRTH_DATES = frozenset((("121031", "DCM"), ("21112-8", "LN"), ("184099003", "SCT"), ("C68615", "NCIt")))
_NOT_OF_A_PATIENT = frozenset((("128428", "DCM"), ("128430", "DCM")))  # Model Minimum and Maximum Age

_REFERENCES = frozenset(("IMAGE", "WAVEFORM", "COMPOSITE"))
_DATES = frozenset(("DATE", "DATETIME", "TIME"))
_STAYING = frozenset(("CODE", "CONTAINER", "NUM", "SCOORD", "SCOORD3D", "TCOORD"))
_KNOWN = _REFERENCES | _DATES | _STAYING | {"", "PNAME", "TEXT", "UIDREF"}


class Content:
    """Classes of items under one profile."""

    def __init__(self, profile: Profile) -> None:
        self._options = frozenset(profile.names)
        self._lines = profile.lines
        self._rows = _by_code()

    def rule(self, tag: int) -> Rule | None:
        """Return the line by which items go from a sequence, as a rule."""
        line = self._lines.get(("tag", tag))
        return None if line is None else Rule(Action.REMOVE, line.selector, None, line.where, -1)

    def items(self, field: Field, code: str, above: int) -> int:
        """Return how the items of a sequence are looked at; `code` is its line's, `above` the class around it."""
        if field.tag in CLEANED and code == "C":
            return CLEANED[field.tag]
        if field.tag in _NESTED and (above or self._is_cleaned(field)):
            return CONTENT_ITEMS if field.tag == CONTENT_SEQUENCE else FIXED_ITEMS
        return CODE_ITEMS if above and field.tag in CODE_SEQUENCES else 0

    def _is_cleaned(self, field: Field) -> bool:
        """Tell whether a sequence stands in one whose own items are no content."""
        above = field.parents[-1].tag if field.parents else 0
        line = self._lines.get(("tag", above))
        return above == _SPECIMEN_PREPARATION and line is not None and line.code == "C"

    def expects(self, field: Field, above: int, *, named: bool) -> bool:
        """Tell whether an attribute belongs into an item; `named` says that a line of the profile changes it."""
        tag = field.tag
        if named or is_private(tag) or tag in _ATTRIBUTES:
            return True
        if tag in _OF_CODES:
            return field.parents[-1].tag in CODE_SEQUENCES
        return above == GRAPHIC and tag >> 16 == 0x0070

    def kind(self, facts: Facts) -> int:
        """Return the class of a content item."""
        value_type = facts.value_type
        if not facts.clear or value_type not in _KNOWN:
            return CLOSED
        if facts.concept is None:
            return DUMMY if value_type in _DATES else PLAIN if facts.number is None else _age(facts)
        if facts.concept in _BIRTH_DATES and value_type not in _REFERENCES:
            return GONE
        rows = self._rows.get(facts.concept)
        if not rows and value_type in ("DATE", "DATETIME"):
            return DATED
        found = self._listed(rows, value_type) if rows else PLAIN
        if found == PLAIN and facts.number is not None:
            return _age(facts)
        return found

    def _listed(self, rows: Mapping[str, Concept], value_type: str) -> int:
        if value_type in _REFERENCES or not value_type:
            return PLAIN  # the UIDs are replaced, which is all that a reference tells
        row = rows.get(value_type)
        if row is not None:
            action = self._action(row)
            if action == "K" and value_type in ("TEXT", "UIDREF"):
                return KEPT
            # Dates and times are then treated as the lines of Date, Time and DateTime say.
            return PLAIN if action in ("K", "C") else _of_value(action, value_type)
        if value_type in _STAYING and (value_type not in ("NUM", "CODE") or _is_prose(rows)):
            return PLAIN
        # Another type than the standard's templates give it: what identifies there does so here.
        basic = {row.basic for row in rows.values()}
        return _of_value("X" if basic == {"X"} else "D", value_type)

    def _action(self, row: Concept) -> str:
        given = {code for option, code in row.options.items() if option in self._options}
        return "K" if "K" in given else "C" if "C" in given else row.basic


def _of_value(action: str, value_type: str) -> int:
    """Return the class of an item whose value may not stay: X/D keeps it, for a template may require it."""
    if value_type == "UIDREF":
        return PLAIN  # a replaced UID is a dummy, and tells nothing
    if action == "X":
        return GONE
    if value_type == "PNAME":
        return PLAIN  # a person's name is a dummy in any item
    return DUMMY if value_type in _DATES or value_type == "TEXT" else CLOSED


def _is_prose(rows: Mapping[str, Concept]) -> bool:
    """Tell whether a concept is a finding or a description, whose codes and numbers tell no more than others."""
    return not all(_identifies(row) for row in rows.values())


def _identifies(row: Concept) -> bool:
    return row.value_type in ("TEXT", "PNAME", "DATE", "NUM", "CODE") and "clean-descriptors" not in row.options


def _age(facts: Facts) -> int:
    """Return the class of a number that stays: whose age is over 89 years is one of a group."""
    unit, is_age = _UNITS.get(facts.unit, facts.unit), facts.concept in _AGES
    if is_age and unit not in _LIMITS:
        unit = _YEAR  # nobody knows
    if facts.concept in _NOT_OF_A_PATIENT or not (unit == _YEAR or (is_age and unit in _LIMITS)):
        return PLAIN
    try:
        return PLAIN if float(facts.number or "0") <= _LIMITS[unit] else _OLD[unit]
    except ValueError:
        return _OLD[unit]


def keeps_value(kind: int, tag: int) -> bool:
    """Tell whether an attribute stays on purpose, as the value of an item whose concept is kept."""
    return kind == KEPT and (tag in _TEXT_VALUES or tag == _UID)


def kind_of_code(scheme: str) -> int:
    """Return the class of the item of a code."""
    return PLAIN if is_standard(scheme) else LOCAL_CODE


def treatment(kind: int, field: Field) -> tuple[Action, Value | None] | None:
    """Return what a class asks for an attribute of its items: KEEP, REMOVE or REPLACE; None where it does not."""
    tag = field.tag
    if kind == GRAPHIC:
        return _CLEANED if tag >> 16 == 0x0070 and field.vr in _TEXT_VRS else None
    if tag in _TEXT_VALUES or tag in _TIMES or tag == _UID:
        return _of_own_value(kind, field)
    if tag in _CODE_MEANINGS or tag in CODE_VALUES:
        return _CLEANED if kind == LOCAL_CODE else None
    if kind in _OLD_VALUES and tag in _NUMBERS:
        return (Action.REPLACE, _OLD_VALUES[kind]) if tag == _NUMBER else (Action.REMOVE, None)
    return None


def _of_own_value(kind: int, field: Field) -> tuple[Action, Value | None] | None:
    if kind == KEPT:
        return Action.KEEP, None
    if kind == DUMMY and field.tag != _UID:
        return Action.REPLACE, literal(field.tag, field.vr)
    return _CLEANED if field.tag in _TEXT_VALUES else None


_CLEANED = Action.REPLACE, REQUIRED_DESCRIPTOR


@lru_cache(maxsize=1)
def _by_code() -> Mapping[tuple[str, str], Mapping[str, Concept]]:
    found: dict[tuple[str, str], dict[str, Concept]] = {}
    for row in concepts():
        for code in writings(row.value, row.scheme):
            found.setdefault(code, {})[row.value_type] = row
    return found
