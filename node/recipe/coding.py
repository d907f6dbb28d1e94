"""How element headers are encoded (PS3.5 7.1), and how an element's VR is kept in a number.

Guarantees one `Coding` for each way in which a data set can be written: Implicit VR Little Endian, Explicit VR Little
and Big Endian.
"""

from __future__ import annotations

import struct
from typing import Literal

from node.recipe.dictionary import LONG_VRS, SHORT_VRS
from node.syntaxes import Syntax


def vr_code(vr: str) -> int:
    """Return the code of a VR as it stands in an element's key."""
    return ord(vr[0]) | ord(vr[1]) << 8


# Codes that are no VR: what an element's key says where the header has none.
IMPLICIT = 0  # by the dictionary
SEQUENCE = 1  # undefined length, so a sequence whatever VR the header has (PS3.5 6.2.2, Note)
FRAGMENTS = 2  # undefined length, and not a sequence: encapsulated
SHORT_CODES = frozenset(map(vr_code, SHORT_VRS))
VR_NAMES = {vr_code(vr): vr for vr in SHORT_VRS + LONG_VRS}


class Coding:
    """How element headers and numbers are encoded: by the syntax, or inside a UN sequence always IMPLICIT_LE."""

    __slots__ = ("head", "implicit", "length", "little", "long", "order", "short", "tag")

    def __init__(self, implicit: bool, little: bool) -> None:
        order: Literal["little", "big"] = "little" if little else "big"
        mark = "<" if little else ">"
        self.implicit = implicit
        self.little = little
        self.order = order
        self.head = struct.Struct(f"{mark}HHL" if implicit else f"{mark}HHHH").unpack_from
        self.tag = struct.Struct(f"{mark}HHL").unpack_from
        self.length = struct.Struct(f"{mark}L").unpack_from
        # The two VR bytes as this byte order reads them, to the VR's code.
        self.short = {int.from_bytes(vr.encode(), order): vr_code(vr) for vr in SHORT_VRS}
        self.long = {int.from_bytes(vr.encode(), order): vr_code(vr) for vr in LONG_VRS}

    def pack_length(self, length: int) -> bytes:
        """Return a 32-bit length field."""
        return length.to_bytes(4, self.order)

    def item(self, tag: int, length: int) -> bytes:
        """Return a header without a VR: of an item, whatever the syntax (PS3.5 7.5), or in Implicit VR."""
        return self._tag(tag) + self.pack_length(length)

    def _tag(self, tag: int) -> bytes:
        return (tag >> 16).to_bytes(2, self.order) + (tag & 0xFFFF).to_bytes(2, self.order)

    def header(self, tag: int, vr: str, length: int) -> bytes:
        """Return the header of an element that is new. Raises ValueError where the length does not fit."""
        if self.implicit:
            return self.item(tag, length)
        head = self._tag(tag)
        if vr in SHORT_VRS:
            if length > 0xFFFF:
                raise ValueError("a value is too long for its VR")
            return head + vr.encode() + length.to_bytes(2, self.order)
        return head + vr.encode() + b"\0\0" + self.pack_length(length)


IMPLICIT_CODING = Coding(implicit=True, little=True)
EXPLICIT_CODING = Coding(implicit=False, little=True)
BIG_ENDIAN_CODING = Coding(implicit=False, little=False)


def coding_of(syntax: Syntax) -> Coding:
    """Return the coding of a transfer syntax."""
    if syntax.implicit_vr:
        return IMPLICIT_CODING
    return EXPLICIT_CODING if syntax.little_endian else BIG_ENDIAN_CODING
