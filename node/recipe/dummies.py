"""What takes the place of a value where a profile asks for one: constants by VR, and functions.

Guarantees that no dummy is derived from a value: where one is a function of it, it gives a keyed UID, or leaves a term
that the standard defines. Refuses with HoldInstance what needs keys where there are none.
"""

from __future__ import annotations

from node.errors import HoldInstance, HoldReason
from node.recipe.descriptors import CLEAN_TEXT, descriptor
from node.recipe.forms import IN_FORM, in_form
from node.recipe.functions import Call, cap_age, generate_uid, is_birth_date, shift_date
from node.recipe.header import Source, Value
from node.recipe.values import NUMBER_VRS

TEXT = "REMOVED"
_BY_VR = {
    "AS": "000D",
    "AT": "(0000,0000)",
    "DA": "19000101",
    "DS": "0",
    "DT": "19000101000000",
    "IS": "1",
    "TM": "000000",
    "UR": "urn:removed",
}
_BY_TAG = {
    0x00100040: "O",  # Patient's Sex: an enumerated value
    0x00080201: "+0000",  # Timezone Offset From UTC
    0x04000565: "COERCE",  # Reason for the Attribute Modification: a defined term
}

# Of attributes with VR CS that say how a content item or an annotation is made (PS3.3 C.17.3, C.10.5): without them
# what is left of the sequence could not be read.
_WORDS = """
    CONTAINER TEXT NUM CODE DATETIME DATE TIME UIDREF PNAME COMPOSITE IMAGE WAVEFORM SCOORD SCOORD3D TCOORD TABLE
    CONTAINS SEPARATE CONTINUOUS PIXEL DISPLAY MATRIX VOLUME FRAME POINT MULTIPOINT POLYLINE POLYGON CIRCLE ELLIPSE
    ELLIPSOID INTERPOLATED SEGMENT MULTISEGMENT BEGIN END LEFT RIGHT CENTER Y N YES NO
"""
_PHRASES = ("HAS OBS CONTEXT", "HAS CONCEPT MOD", "HAS PROPERTIES", "HAS ACQ CONTEXT", "INFERRED FROM", "SELECTED FROM")
TERMS = frozenset((*_WORDS.split(), *_PHRASES))


def literal(tag: int, vr: str) -> Value:
    """Return the constant for an attribute."""
    first = vr.partition(" ")[0]
    text = _BY_TAG.get(tag) or _BY_VR.get(first) or ("0" if first in NUMBER_VRS else TEXT)
    return Value(Source.LITERAL, text, text)


def _uid(call: Call) -> str:
    _require_keys(call)
    return generate_uid(call)


def _date(call: Call) -> str:
    _require_keys(call)
    return shift_date(call)


def _term(call: Call) -> str:
    """Return the value where all of it are terms, else the constant."""
    value = call.value
    return value if all(part.strip() in TERMS for part in value.split("\\")) else TEXT


def _descriptor(call: Call) -> str:
    _require_keys(call)
    return descriptor(call)


def _required_descriptor(call: Call) -> str:
    """Return a cleaned text, or the constant where none of a value stays that must not be empty."""
    return _descriptor(call).strip("\\") or TEXT


def _required_form(call: Call) -> str:
    """Return a value in the form of its VR, or the constant where it must not be empty."""
    return in_form(call).strip("\\") or _BY_TAG.get(_tag(call)) or _BY_VR[call.vr]


def _dated_shift(call: Call) -> str:
    """Return a moved date; the constant for the birth date, which beside the moved one would tell the shift."""
    return _BY_VR[call.vr] if is_birth_date(call) else _date(call)


def _dated_form(call: Call) -> str:
    return _BY_VR[call.vr] if is_birth_date(call) else _required_form(call)


def _tag(call: Call) -> int:
    return int(call.path[-10:-6] + call.path[-5:-1], 16)


def _require_keys(call: Call) -> None:
    if call.instance.identities is None:
        raise HoldInstance(HoldReason.FUNCTION_FAILED, f"{call.where}: a profile needs keys, and there are none")


UID = Value(Source.FUNCTION, "generate_uid", "func:generate_uid", _uid)
DATE = Value(Source.FUNCTION, "shift_date", "func:shift_date", _date)
DESCRIPTOR = Value(Source.FUNCTION, CLEAN_TEXT, "func:clean_text", _descriptor)
REQUIRED_DESCRIPTOR = Value(Source.FUNCTION, CLEAN_TEXT, "func:clean_text", _required_descriptor)
"""What takes the place of a text that is cleaned word by word; the second where an IOD asks for a value."""
FORM = Value(Source.FUNCTION, IN_FORM, "func:in_form", in_form)
REQUIRED_FORM = Value(Source.FUNCTION, IN_FORM, "func:in_form", _required_form)
"""A date, a time or a time zone that stays where it is one; the second where an IOD asks for a value."""
DATED_SHIFT = Value(Source.FUNCTION, "shift_date", "func:shift_date", _dated_shift)
DATED_FORM = Value(Source.FUNCTION, IN_FORM, "func:in_form", _dated_form)
"""What `DATE` and `FORM` do, and no birth date."""
TERM = Value(Source.FUNCTION, "defined_term", "a term that the standard defines", _term)
AGE = Value(Source.FUNCTION, "cap_age", "func:cap_age", cap_age)
