"""Data sets as trees of plain values, encoded byte by byte: what no library would write is written too.

A tree is {tag: (VR, value)}. A value is bytes or text (padded as the VR asks), a tuple of numbers, or a list of trees.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from typing import TypeAlias

from tests.profile.support import LONG

Value: TypeAlias = "bytes | str | tuple[float, ...] | list[Tree]"
Tree: TypeAlias = dict[int, tuple[str, Value]]

NUMBERS = {
    "US": "H", "SS": "h", "UL": "L", "SL": "l", "UV": "Q", "SV": "q", "FL": "f", "FD": "d",
    "AT": "H", "OW": "H", "OF": "f", "OD": "d", "OL": "L", "OV": "Q",
}  # fmt: skip
BYTES = ("OB", "OW", "OF", "OD", "OL", "OV", "UN", "UI")
UNDEFINED = 0xFFFFFFFF


@dataclass(frozen=True)
class Syntax:
    """How a file is encoded; `open_ended` writes sequences and items with delimiters instead of lengths."""

    uid: str = "1.2.840.10008.1.2.1"
    implicit: bool = False
    little: bool = True
    deflated: bool = False
    open_ended: bool = False


EXPLICIT = Syntax()
OPEN_ENDED = Syntax(open_ended=True)
IMPLICIT = Syntax("1.2.840.10008.1.2", implicit=True)
BIG = Syntax("1.2.840.10008.1.2.2", little=False)
DEFLATED = Syntax("1.2.840.10008.1.2.1.99", deflated=True)


def encode(tree: Tree, syntax: Syntax = EXPLICIT) -> bytes:
    """The elements of a tree by tag."""
    return b"".join(_element(tag, *tree[tag], syntax) for tag in sorted(tree))


def part10(tree: Tree, syntax: Syntax = EXPLICIT, *, meta: Tree | None = None, preamble: bytes = bytes(128)) -> bytes:
    """A file; `meta` is what its file meta information has besides what it must have."""
    head: Tree = {
        0x00020001: ("OB", b"\0\1"),
        0x00020002: ("UI", tree[0x00080016][1]),
        0x00020003: ("UI", tree[0x00080018][1]),
        0x00020010: ("UI", syntax.uid),
        0x00020012: ("UI", "1.2.826.0.1.3680043.8.498.1"),
    }
    encoded = encode(head | (meta or {}))
    body = encode(tree, syntax)
    if syntax.deflated:
        squeezed = zlib.compressobj(wbits=-15)
        body = squeezed.compress(body) + squeezed.flush()
        body += b"\0" * (len(body) & 1)
    return preamble + b"DICM" + _element(0x00020000, "UL", (len(encoded),), EXPLICIT) + encoded + body


def _element(tag: int, vr: str, value: Value, syntax: Syntax) -> bytes:
    if isinstance(value, list):
        return _sequence(tag, vr, value, syntax)
    data = _bytes(vr, value, syntax.little)
    return _header(tag, vr, len(data), syntax) + data


def _bytes(vr: str, value: bytes | str | tuple[float, ...], little: bool) -> bytes:
    if isinstance(value, tuple):
        return struct.pack(("<" if little else ">") + NUMBERS[vr] * len(value), *value)
    data = value.encode("ascii") if isinstance(value, str) else value
    return data + (b"\0" if vr in BYTES else b" ") * (len(data) & 1)


def _header(tag: int, vr: str, length: int, syntax: Syntax) -> bytes:
    order = "<" if syntax.little else ">"
    head = struct.pack(f"{order}HH", tag >> 16, tag & 0xFFFF)
    if syntax.implicit:
        return head + struct.pack(f"{order}L", length)
    if vr in LONG:
        return head + vr.encode() + struct.pack(f"{order}HL", 0, length)
    return head + vr.encode() + struct.pack(f"{order}H", length)


def _sequence(tag: int, vr: str, items: list[Tree], syntax: Syntax) -> bytes:
    # What stands in a UN is in Implicit VR Little Endian (PS3.5 6.2.2).
    inner = IMPLICIT if vr == "UN" else syntax
    order = "<" if inner.little else ">"
    content = [encode(item, inner) for item in items]
    if not syntax.open_ended:
        data = b"".join(struct.pack(f"{order}HHL", 0xFFFE, 0xE000, len(item)) + item for item in content)
        return _header(tag, vr, len(data), syntax) + data
    start = struct.pack(f"{order}HHL", 0xFFFE, 0xE000, UNDEFINED)
    stop = struct.pack(f"{order}HHL", 0xFFFE, 0xE00D, 0)
    data = b"".join(start + item + stop for item in content) + struct.pack(f"{order}HHL", 0xFFFE, 0xE0DD, 0)
    return _header(tag, vr, UNDEFINED, syntax) + data
