"""A value written as text, to the bytes of its VR (PS3.5 6.2): checked, encoded, padded.

Guarantees that what is returned is a legal value of the VR with an even length. Refuses (ValueError) what the VR does
not allow: repertoire, length, form, range. No message holds the value.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from datetime import date

from node.recipe.charset import Codec

_UID = re.compile(r"(?:0|[1-9][0-9]*)(?:\.(?:0|[1-9][0-9]*))*\Z")
_DECIMAL = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?\Z")
_INTEGER = re.compile(r"[+-]?[0-9]{1,11}\Z")
_TIME = re.compile(r"(?:[01][0-9]|2[0-3])(?:[0-5][0-9](?:(?:[0-5][0-9]|60)(?:\.[0-9]{1,6})?)?)?\Z")
_DATETIME = re.compile(
    r"(?P<date>[0-9]{4}(?:(?:0[1-9]|1[0-2])(?:[0-3][0-9])?)?)"
    r"(?P<time>(?:(?:[01][0-9]|2[0-3])(?:[0-5][0-9](?:(?:[0-5][0-9]|60)(?:\.[0-9]{1,6})?)?)?)?)"
    r"(?P<zone>(?:[+-][01][0-9][0-5][0-9])?)\Z"
)
_AGE = re.compile(r"[0-9]{3}[DWMY]\Z")
_CODE = re.compile(r"[A-Z0-9 _]*\Z")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_CONTROL_IN_TEXT = re.compile(r"[\x00-\x08\x0b\x0e-\x1a\x1c-\x1f\x7f]")  # TAB LF FF CR ESC are allowed
_TAG = re.compile(r"\(?([0-9A-Fa-f]{4}),?([0-9A-Fa-f]{4})\)?\Z")

_INTEGERS = {"SS": "h", "US": "H", "SL": "l", "UL": "L", "SV": "q", "UV": "Q"}
_FLOATS = {"FL": "f", "FD": "d"}
NUMBER_VRS = frozenset(_INTEGERS) | frozenset(_FLOATS)
_BINARY = NUMBER_VRS | {"AT"}
_BYTES = frozenset(("OB", "OD", "OF", "OL", "OV", "OW", "UN"))
SINGLE = frozenset(("LT", "ST", "UT", "UR"))  # a backslash is a character like any other (PS3.5 6.4)
_CHARACTERS = {"LO": 64, "SH": 16, "ST": 1024, "LT": 10240}
BY_CHARSET = frozenset(("LO", "LT", "PN", "SH", "ST", "UC", "UT"))
"""VRs whose text depends on the Specific Character Set (PS3.5 6.1.2.2)."""


def parse_date(text: str) -> date:
    """Return the date of a DA value, YYYYMMDD and nothing else. Raises ValueError."""
    if len(text) != 8 or not (text.isascii() and text.isdigit()):
        raise ValueError("not a date")
    try:
        return date(int(text[:4]), int(text[4:6]), int(text[6:]))
    except ValueError:
        raise ValueError("not a date") from None


def is_age(text: str) -> bool:
    """Whether a text is an AS value: three digits and D, W, M or Y."""
    return _AGE.match(text) is not None


def split_datetime(text: str) -> tuple[str, str]:
    """Return date part, and time with zone, of a DT value. Raises ValueError."""
    match = _DATETIME.match(text)
    if match is None or (match["time"] and len(match["date"]) != 8):
        raise ValueError("not a date and time")
    return match["date"], match["time"] + match["zone"]


def encode(vr: str, text: str, codec: Codec, *, little: bool, strict: bool = True) -> bytes:
    """Return the encoded value, padded to an even length.

    Parameters
    ----------
    vr
        One VR, or an ambiguous one of the dictionary (`US or SS`): the first that takes the value.
    text
        The value; a backslash separates values where the VR has more than one. Empty gives an empty value.
    codec
        The Specific Character Set that holds where the value goes.
    little
        Byte order of numbers.
    strict
        False writes text that the VR does not allow, as far as it can be encoded at all.

    Raises
    ------
    ValueError
        The VR refuses the value, or the character set does.
    """
    if not text:
        return b""
    first, _, others = vr.partition(" or ")
    if others:
        try:
            return encode(first, text, codec, little=little, strict=strict)
        except ValueError:
            return encode(others, text, codec, little=little, strict=strict)
    if vr in _BYTES:
        return _padded(_octets(text), b"\0")
    if vr in _BINARY:
        mark = "<" if little else ">"
        return b"".join(_number(mark, vr, part) for part in text.split("\\"))
    return _encode_text(vr, text, codec, strict)


def _encode_text(vr: str, text: str, codec: Codec, strict: bool) -> bytes:
    check = _CHECKS.get(vr)
    if check is None:
        raise ValueError("no text can be a sequence" if vr == "SQ" else "an unknown VR")
    for part in ((text,) if vr in SINGLE else text.split("\\")) if strict else ():
        check(part)
    if vr in BY_CHARSET:
        return _padded(codec.encode(text), b" ")
    if not text.isascii():
        raise ValueError("characters that the VR does not allow")
    return _padded(text.encode("ascii"), b"\0" if vr == "UI" else b" ")


def _octets(text: str) -> bytes:
    """Return bytes that are written as the characters U+0000 to U+00FF, as `node.recipe.texts` shows them."""
    try:
        return text.encode("latin-1")
    except UnicodeEncodeError:
        raise ValueError("characters that stand for no byte") from None


def numbers(vr: str, value: bytes, *, little: bool) -> list[str]:
    """Return a binary number's values as text. Raises ValueError where the length is no multiple of the VR's size."""
    mark = "<" if little else ">"
    form = _INTEGERS.get(vr) or _FLOATS[vr]
    try:
        return [str(number) for (number,) in struct.iter_unpack(mark + form, value)]
    except struct.error:
        raise ValueError("not a number") from None


def _padded(value: bytes, pad: bytes) -> bytes:
    return value + pad if len(value) & 1 else value


def _number(mark: str, vr: str, part: str) -> bytes:
    if vr == "AT":
        return _attribute_tag(mark, part)
    try:
        if vr in _FLOATS:
            return struct.pack(mark + _FLOATS[vr], _float(part))
        return struct.pack(mark + _INTEGERS[vr], int(part))
    except (struct.error, OverflowError):
        raise ValueError("a number beyond the range of the VR") from None
    except ValueError:
        raise ValueError("not a number that the VR takes") from None


def _float(part: str) -> float:
    if not _DECIMAL.match(part.strip()):
        raise ValueError("not a number")
    return float(part)


def _attribute_tag(mark: str, part: str) -> bytes:
    match = _TAG.match(part)
    if match is None:
        raise ValueError("not a tag")
    return struct.pack(f"{mark}HH", int(match[1], 16), int(match[2], 16))


def _matches(pattern: re.Pattern[str], limit: int, problem: str) -> Callable[[str], None]:
    def check(part: str) -> None:
        stripped = part.strip(" ")
        if stripped and (len(part) > limit or not pattern.match(stripped)):
            raise ValueError(problem)

    return check


def _check_date(part: str) -> None:
    if part:
        parse_date(part)


def _check_datetime(part: str) -> None:
    if part:
        day, _ = split_datetime(part)
        if len(day) == 8:
            parse_date(day)


def _check_integer_string(part: str) -> None:
    stripped = part.strip(" ")
    if stripped and (len(part) > 12 or not _INTEGER.match(stripped) or not -(2**31) <= int(stripped) < 2**31):
        raise ValueError("not an integer of at most 12 characters")


def _check_person_name(part: str) -> None:
    groups = part.split("=")
    if len(groups) > 3 or any(len(group) > 64 for group in groups) or any(g.count("^") > 4 for g in groups):
        raise ValueError("not a person name of at most 3 groups of 5 components and 64 characters")
    if _CONTROL.search(part):
        raise ValueError("control characters that the VR does not allow")


def _check_ae(part: str) -> None:
    if len(part) > 16 or not part.isascii() or _CONTROL.search(part):
        raise ValueError("not an AE title of at most 16 characters")


def _free_text(limit: int | None, control: re.Pattern[str]) -> Callable[[str], None]:
    def check(part: str) -> None:
        if limit is not None and len(part) > limit:
            raise ValueError(f"longer than {limit} characters")
        if control.search(part):
            raise ValueError("control characters that the VR does not allow")

    return check


def _check_url(part: str) -> None:
    if not part.isascii() or _CONTROL.search(part) or part.startswith(" "):
        raise ValueError("not a URI")


_CHECKS: dict[str, Callable[[str], None]] = {
    "AE": _check_ae,
    "AS": _matches(_AGE, 4, "not an age such as 042Y"),
    "CS": _matches(_CODE, 16, "not a code of at most 16 capital letters, digits, blanks and underscores"),
    "DA": _check_date,
    "DS": _matches(_DECIMAL, 16, "not a decimal number of at most 16 characters"),
    "DT": _check_datetime,
    "IS": _check_integer_string,
    "LO": _free_text(_CHARACTERS["LO"], _CONTROL),
    "LT": _free_text(_CHARACTERS["LT"], _CONTROL_IN_TEXT),
    "PN": _check_person_name,
    "SH": _free_text(_CHARACTERS["SH"], _CONTROL),
    "ST": _free_text(_CHARACTERS["ST"], _CONTROL_IN_TEXT),
    "TM": _matches(_TIME, 14, "not a time"),
    "UC": _free_text(None, _CONTROL),
    "UI": _matches(_UID, 64, "not a UID"),
    "UR": _check_url,
    "UT": _free_text(None, _CONTROL_IN_TEXT),
}
