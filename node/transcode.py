"""Writes a data set in another uncompressed transfer syntax, value for value, in constant memory.

Guarantees
    Every element keeps its tag and its value; only VRs, lengths and byte order are written anew. Sequences and items
    get undefined lengths, group lengths are left out (both PS3.5 7.5, 7.2). A VR that the source does not name comes
    from the dictionaries, else it is UN; so does a value too long for its VR's length field (PS3.5 6.2.2).

Refuses
    With DatasetError whatever cannot be parsed, a compressed source, a deflated or big endian target, and big endian
    Pixel Data of other than 8 or 16 bits a sample, for which the order of its 16-bit words is not certain (PS3.5 8.1).
"""

from __future__ import annotations

import array
import mmap
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from node.deflated import inflate
from node.durable import write_all
from node.errors import DatasetError
from node.recipe.coding import FRAGMENTS, IMPLICIT_CODING, Coding, coding_of
from node.recipe.compiled import effective_vr
from node.recipe.dictionary import PIXEL_DATA, SHORT_VRS, is_creator, is_private, show
from node.recipe.encoded import (
    ITEM,
    ITEM_END,
    MAX_DEPTH,
    SEQUENCE_END,
    UNDEFINED,
    Element,
    EncodedDataset,
    Walker,
)
from node.spool import as_spool_error
from node.syntaxes import DEFLATED_LE, EXPLICIT_LE, IMPLICIT_LE, lookup

_WIDTHS = {
    **dict.fromkeys(("US", "SS", "OW", "AT"), "H"),
    **dict.fromkeys(("UL", "SL", "FL", "OF", "OL"), "I"),
    **dict.fromkeys(("FD", "OD", "OV", "SV", "UV"), "Q"),
}
_CHUNK = 1 << 20
_BITS_ALLOCATED = 0x00280100
_GATHERED = 256 * 1024
_LONGEST_SHORT = 0xFFFE


def transcode(
    source: int, offset: int, source_uid: str, target_uid: str, target: int, check_room: Callable[[int], None]
) -> int:
    """Write the data set of an open file, from `offset` on, to another file; return its length in bytes.

    Raises
    ------
    DatasetError
        It cannot be parsed, or this pair of syntaxes is not one of those that are converted.
    SpoolError
        The disk refused.
    """
    if source_uid == DEFLATED_LE.uid and target_uid == EXPLICIT_LE.uid:
        return inflate(source, offset, target, check_room)
    syntax, wanted = lookup(source_uid), {EXPLICIT_LE.uid: EXPLICIT_LE, IMPLICIT_LE.uid: IMPLICIT_LE}.get(target_uid)
    if syntax is None or syntax.encapsulated or syntax.deflated or wanted is None:
        raise DatasetError("this transfer syntax is not converted")
    with mmap.mmap(source, 0, access=mmap.ACCESS_READ) as buffer:
        check_room(len(buffer))
        dataset = EncodedDataset.scan(buffer, offset, syntax)
        writer = _Writer(dataset, coding_of(wanted), target)
        try:
            writer.level(dataset.start, dataset.end, dataset.coding, 0)
            writer.flush()
        except OSError as error:
            raise as_spool_error(error, Path("incoming")) from None
        return writer.total


@dataclass(slots=True)
class _Level:
    """One data set or item: how it is encoded, how deep it lies, and what its elements have told so far."""

    coding: Coding
    depth: int
    bits: int = 0
    creators: dict[int, str] = field(default_factory=dict)


class _Writer:
    """Writes elements one after the other in the target's coding."""

    def __init__(self, dataset: EncodedDataset, coding: Coding, target: int) -> None:
        self.total = 0
        self._signed = dataset.signed
        self._walker = Walker(dataset.buffer, dataset.end)
        self._buffer = dataset.buffer
        self._coding = coding
        self._target = target
        self._gathered: list[bytes] = []
        self._size = 0

    def level(self, position: int, end: int, coding: Coding, depth: int, *, closed: bool = True) -> int:
        """Write the elements of a data set or item; return where it ends."""
        here = _Level(coding, depth)
        while not (closed and position == end):
            if not closed:
                tag, length = self._walker.item_header(position, end, coding)
                if tag == ITEM_END and not length:
                    return position + 8
            element = self._walker.element(position, end, coding, depth)
            self._element(element, here)
            position = element[4]
        return position

    def _element(self, element: Element, here: _Level) -> None:
        key, start, value, length, after = element
        tag, coding = key >> 16, here.coding
        if not tag & 0xFFFF:
            return  # a group length, which would be wrong now
        if key & 0xFFFF == FRAGMENTS:
            raise DatasetError("encapsulated Pixel Data in an uncompressed transfer syntax")
        creator = self._note(element, here)
        vr = "OW" if tag == PIXEL_DATA and coding.implicit else effective_vr(key, creator, self._signed)[0]
        named_un = not coding.implicit and bytes(self._buffer[start + 4 : start + 6]) == b"UN"
        if vr == "SQ" and not (named_un and length != UNDEFINED):
            inner = IMPLICIT_CODING if named_un else coding
            self._put(self._head(tag, "SQ", UNDEFINED))
            self._items(value, after, inner, here.depth + 1, closed=length != UNDEFINED)
            self._put(self._head(SEQUENCE_END, "", 0))
            return
        if named_un:
            vr = "UN"  # its bytes are as they are (PS3.5 6.2.2)
        if length > _LONGEST_SHORT and vr in SHORT_VRS:
            vr = "UN" if not self._coding.implicit else vr
        self._put(self._head(tag, vr, length))
        self._value(value, after, "" if coding.little else _WIDTHS.get(vr, ""))

    def _note(self, element: Element, here: _Level) -> str | None:
        """Remember what later elements of the level depend on; return the private creator of this one."""
        tag, value, after = element[0] >> 16, element[2], element[4]
        if tag == _BITS_ALLOCATED:
            here.bits = int.from_bytes(self._buffer[value : value + 2], here.coding.order)
        elif tag == PIXEL_DATA and not here.coding.little and here.bits not in (8, 16):
            raise DatasetError("big endian Pixel Data of other than 8 or 16 bits", show(tag))
        elif is_creator(tag):
            creator = bytes(self._buffer[value : min(after, value + 256)]).decode("latin-1").strip(" \0")
            here.creators[(tag >> 16) << 8 | (tag & 0xFF)] = creator
        return here.creators.get(tag >> 8) if is_private(tag) else None

    def _items(self, position: int, end: int, coding: Coding, depth: int, *, closed: bool) -> None:
        if depth > MAX_DEPTH:
            raise DatasetError(f"sequences are nested deeper than {MAX_DEPTH}")
        while not (closed and position == end):
            tag, length = self._walker.item_header(position, end, coding)
            position += 8
            if tag == SEQUENCE_END:
                return
            known = length != UNDEFINED
            if tag != ITEM or (known and position + length > end):
                raise DatasetError("an item does not fit its sequence")
            self._put(self._head(ITEM, "", UNDEFINED))
            position = self.level(position, position + length if known else end, coding, depth, closed=known)
            self._put(self._head(ITEM_END, "", 0))

    def _head(self, tag: int, vr: str, length: int) -> bytes:
        if not vr:
            return IMPLICIT_CODING.header(tag, "", length)
        return self._coding.header(tag, vr, length)

    def _value(self, start: int, end: int, width: str) -> None:
        for place in range(start, end, _CHUNK):
            piece = bytes(self._buffer[place : min(place + _CHUNK, end)])
            if width:
                numbers = array.array(width)
                whole = len(piece) - len(piece) % numbers.itemsize
                numbers.frombytes(piece[:whole])
                numbers.byteswap()
                piece = numbers.tobytes() + piece[whole:]
            self._put(piece)

    def _put(self, data: bytes) -> None:
        self._gathered.append(data)
        self._size += len(data)
        if self._size > _GATHERED:
            self.flush()

    def flush(self) -> None:
        """Write what was gathered."""
        write_all(self._target, b"".join(self._gathered))
        self.total += self._size
        self._gathered, self._size = [], 0
