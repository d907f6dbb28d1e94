"""Texts that are cleaned word by word: descriptions, comments, names and labels, meanings of local codes.

Guarantees that a text of which nothing goes is given back as it was; that a name of which words go stays one: not
empty, the same for the same original, another for another one, within its VR's length. Refuses with HoldInstance what
has no text in its character set.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from node.errors import HoldInstance
from node.recipe.known.attributes import is_value
from node.recipe.values import SINGLE
from node.recipe.wording import Piece, cleaned_text
from node.standard import is_standard

if TYPE_CHECKING:
    from node.recipe.functions import Call

TEXTS = frozenset(("LO", "LT", "SH", "ST", "UC", "UT"))
"""VRs of texts that people write."""

CLEAN_TEXT = "clean_text"  # what recipes call it
CODE_VALUES = frozenset((0x00080100, 0x00080119))
CODE_MEANING = 0x00080104
_SCHEME = 0x00080102
_SUFFIX = 6  # characters of a keyed text: 30 bits
_LIMITS = {"LO": 64, "SH": 16, "ST": 1024, "LT": 10240}
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0e-\x1f\x7f]")
_LINES = re.compile(r"[\t\n\x0c\r]+")

# Names that tell objects apart, and what one is called of which no word stays.
NAMES = {
    0x00181030: "PROTOCOL",  # Protocol Name
    0x00189423: "PROTOCOL",  # Acquisition Protocol Name
    0x00189922: "ELEMENT",  # Protocol Element Name
    0x00200027: "PYRAMID",  # Pyramid Label
    0x003A0020: "GROUP",  # Multiplex Group Label
    0x0040B03B: "MONTAGE",  # Montage Name
    0x0040B03F: "CHANNEL",  # Montage Channel Label
    0x30020002: "IMAGE",  # RT Image Label
    0x30020003: "IMAGE",  # RT Image Name
    0x30020121: "TEMPLATE",  # Position Acquisition Template Name
    0x3004007F: "MODEL",  # Dose Calculation Model Name
    0x30060002: "STRUCTURES",  # Structure Set Label
    0x30060004: "STRUCTURES",  # Structure Set Name
    0x300A0002: "PLAN",  # RT Plan Label
    0x300A0003: "PLAN",  # RT Plan Name
    0x300A0043: "TABLE",  # Tolerance Table Label
    0x300A00FE: "BLOCK",  # Block Name
    0x300A0183: "SETUP",  # Patient Setup Label
    0x300A0236: "SETUP",  # Application Setup Name
    0x300A0608: "POSITION",  # Treatment Position Group Label
    0x300A0619: "DOSE",  # Radiation Dose Identification Label
    0x300A0623: "DOSE",  # Radiation Dose In-Vivo Measurement Label
    0x300A062A: "TOLERANCE",  # RT Tolerance Set Label
    0x300A067C: "MODE",  # Radiation Generation Mode Label
    0x300A079A: "REFERENCE",  # Displacement Reference Label
    0x30100033: "CONTENT",  # User Content Label
    0x30100034: "CONTENT",  # User Content Long Label
    0x30100035: "ENTITY",  # Entity Label
    0x30100036: "ENTITY",  # Entity Name
    0x30100038: "ENTITY",  # Entity Long Label
    0x30100054: "PRESCRIPTION",  # RT Prescription Label
    0x30100056: "APPROACH",  # RT Treatment Approach Label
}
# Names of the items of one sequence, what numbers them, and what one is called of which no word stays.
NUMBERED = {
    0x003A0203: ("CHANNEL", 0x003A0202),  # Channel Label, Waveform Channel Number
    0x00620005: ("SEGMENT", 0x00620004),  # Segment Label, Segment Number
    0x006A0005: ("GROUP", 0x0040A180),  # Annotation Group Label, Annotation Group Number
    0x30060026: ("ROI", 0x30060022),  # ROI Name, ROI Number
    0x30060085: ("ROI", 0x30060084),  # ROI Observation Label, Referenced ROI Number
    0x300A00C2: ("BEAM", 0x300A00C0),  # Beam Name, Beam Number
}


def clean_text(call: Call) -> str:
    """Return the words and numbers of each value that may stay; a name of which some go stays a name.

    Of an id or a place (`node.recipe.known`) nothing stays: the leak gate would hold whatever did.
    """
    value = call.value
    tag = int(call.path[-10:-6] + call.path[-5:-1], 16)
    if is_value(tag):
        return ""
    if tag == CODE_MEANING and is_standard(call.sibling(_SCHEME).strip("\0 ")):
        return value
    if tag in CODE_VALUES:
        return _code_value(call, value)
    if call.vr in SINGLE:
        return _one(call, tag, value)
    return "\\".join(_one(call, tag, part) for part in value.split("\\"))


def _code_value(call: Call, value: str) -> str:
    """Return a code as it is, but a keyed one where somebody's own scheme holds what identifies a person."""
    if not (value.strip("\0 ") and call.instance.known.names(value)) or is_standard(_scheme(call)):
        return value
    return f"CODE_{call.identities.text(value)[-_SUFFIX:]}"


def _scheme(call: Call) -> str:
    """Return the scheme of a code, which stands behind its value."""
    sequence, _, item = call.path.rpartition("__")[0].rpartition("__")
    found = call.instance.items(sequence, (_SCHEME,)) if sequence else []
    return found[int(item)].get(_SCHEME, "").strip("\0 ") if found else ""


def _one(call: Call, tag: int, text: str) -> str:
    left = left_of(call, text)
    if left == text:
        return text
    if tag in NUMBERED and "__" in call.path:
        return _numbered(call, tag, left)
    if tag not in NAMES and tag not in NUMBERED:
        return left
    word = NAMES.get(tag) or NUMBERED[tag][0]
    return _with(left or word, call.identities.text(f"name\n{text}")[-_SUFFIX:], call.vr)


def left_of(call: Call, text: str) -> str:
    """Return what of one value stays, in the form of its VR; the same text where all of it does."""
    instance = call.instance
    left = instance.known.cleaned(text, instance.vocabulary)
    if left == text:
        return text
    left = _CONTROL.sub("", left)
    if not (left.isascii() or call.writes(left)):
        # Nobody knows what its letters are: only words that every character set holds stay.
        left = cleaned_text(left, instance.vocabulary, _beyond_ascii).encode("ascii", "ignore").decode()
    if call.vr not in SINGLE and call.vr != "UT":
        left = _LINES.sub(" ", left)
    return _cut(left, _LIMITS.get(call.vr))


def _beyond_ascii(line: str, pieces: Sequence[Piece]) -> Sequence[tuple[int, int]]:
    return [(piece.start, piece.end) for piece in pieces if not line[piece.start : piece.end].isascii()]


def _numbered(call: Call, tag: int, left: str) -> str:
    """Return the name of an item among those of its siblings."""
    sequence, _, item = call.path.rpartition("__")[0].rpartition("__")
    names = call.instance.names(f"{sequence}/{tag:08X}", lambda: _names(call, sequence, tag))
    place = int(item)
    return names[place] if place < len(names) else left


def _names(call: Call, sequence: str, tag: int) -> list[str]:
    """Return what each item of a sequence is called, by the originals of all of them."""
    word, counted = NUMBERED[tag]
    items = call.instance.items(sequence, (tag, counted))
    originals = [item.get(tag, "") for item in items]
    left = [left_of(call, original) for original in originals]
    taken = {one.casefold() for one, original in zip(left, originals, strict=True) if one == original}
    names: list[str] = []
    for place, item in enumerate(items):
        name = left[place]
        if name != originals[place]:
            number = item.get(counted) or str(place + 1)
            name = _free(name, word, number, call.vr, taken)
            taken.add(name.casefold())
        names.append(name)
    return names


def _free(left: str, word: str, number: str, vr: str, taken: set[str]) -> str:
    """Return a name that no sibling has: what is left, with its number, or the number alone."""
    tries = [left, _with(left, number, vr)] if left else []
    tries += [f"{word}_{number}", *(f"{word}_{number}_{again}" for again in range(2, len(taken) + 3))]
    return next(name for name in tries if name.casefold() not in taken)


def _with(text: str, suffix: str, vr: str) -> str:
    return f"{_cut(text, _LIMITS.get(vr, 64) - len(suffix) - 1)}_{suffix}"


def _cut(text: str, limit: int | None) -> str:
    return text if limit is None or len(text) <= limit else text[:limit].rstrip(" _-.,;:/(")


def descriptor(call: Call) -> str:
    """Return what `clean_text` does; nothing of a value that is no text in its character set."""
    try:
        call.read()
    except HoldInstance:
        return ""
    return clean_text(call)
