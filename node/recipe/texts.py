"""An encoded value, to text: what is searched and what functions get.

Guarantees that binary numbers and tags are shown as pydicom shows them, that text has no padding at its end, and that
arrays (OD, OF, OL, OV, OW) have no text. Refuses (CharsetError, ValueError) what cannot be decoded.
"""

from __future__ import annotations

import struct

from node.recipe.charset import Codec
from node.recipe.dictionary import show
from node.recipe.values import NUMBER_VRS, SINGLE, numbers

ARRAYS = frozenset(("OD", "OF", "OL", "OV", "OW"))
BYTES = frozenset(("OB", "UN"))


def values_of(vr: str, raw: bytes, read: Codec, *, little: bool) -> tuple[str, ...]:
    """Return the values of an element, none where it is empty.

    Parameters
    ----------
    vr
        Its effective VR.
    raw
        Its encoded value.
    read
        Its Specific Character Set.
    little
        Byte order of numbers.
    """
    if not raw or vr in ARRAYS or vr == "SQ":
        return ()
    if vr in NUMBER_VRS:
        return tuple(numbers(vr, raw, little=little))
    if vr == "AT":
        return tuple(_tags(raw, little))
    if vr in BYTES:
        return (raw.decode("latin-1"),)
    text = read.decode(raw).rstrip("\0 ")
    parts = (text,) if vr in SINGLE else tuple(part.rstrip("\0 ") for part in text.split("\\"))
    return parts if any(parts) else ()


def _tags(raw: bytes, little: bool) -> list[str]:
    pairs = struct.iter_unpack("<HH" if little else ">HH", raw[: len(raw) & ~3])
    return [show(group << 16 | element) for group, element in pairs]
