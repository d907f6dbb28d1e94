"""Where the elements of an encoded data set lie (PS3.5 7), without decoding them.

Guarantees that every top-level element of `EncodedDataset.elements` has its exact span in the buffer, that spans follow
one another without a gap, and that only element, item and fragment headers were read: a value is looked at only when
somebody asks for it. Refuses with DatasetError what is truncated, has lengths that lie, names a tag twice, or is
nested deeper than `MAX_DEPTH`, or has more elements than `MAX_ELEMENTS`: time and memory have bounds, whatever is sent.

Sequences of undefined length are walked to find their end. What a sequence of defined length holds is walked (and
judged) when the recipe is applied.
"""

from __future__ import annotations

import mmap
import struct
from bisect import bisect_left
from collections.abc import Callable, Iterable
from functools import cached_property
from typing import TYPE_CHECKING, TypeAlias, TypeVar

from node.errors import DatasetError
from node.recipe.charset import CharsetError, Codec, codec
from node.recipe.coding import (
    EXPLICIT_CODING,
    FRAGMENTS,
    IMPLICIT,
    IMPLICIT_CODING,
    SEQUENCE,
    Coding,
    coding_of,
    vr_code,
)
from node.recipe.dictionary import PIXEL_DATA, PIXEL_REPRESENTATION, SPECIFIC_CHARACTER_SET, show
from node.syntaxes import Syntax

if TYPE_CHECKING:
    from node.recipe.learnt import Learnt

Buffer: TypeAlias = bytes | mmap.mmap | memoryview
Element: TypeAlias = tuple[int, int, int, int, int]
"""`key, start, value, length, end`: the key is tag << 16 | VR code; offsets count from the start of the buffer."""

UNDEFINED = 0xFFFFFFFF
MAX_DEPTH = 64
MAX_ELEMENTS = 1 << 16  # of the top level; the largest that devices make have a few thousand
MAX_ITEMS = 1 << 20  # of all sequences of a data set
MAX_TEXT = 1 << 20  # bytes; a longer value is no text that anything here asks for

ITEM, ITEM_END, SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
_FORBIDDEN_GROUPS: tuple[int, ...] = (0x0000, 0x0002)  # command and file meta information (PS3.5 7.1)
_LAST_TAG = 0xFFFE0000  # items and delimiters, and what is behind them


_Fact = TypeVar("_Fact")
_SQ, _UN = vr_code("SQ"), vr_code("UN")
_CODES_OF_UN = frozenset((_UN, SEQUENCE, FRAGMENTS))
_FRAGMENTED = frozenset(map(vr_code, ("OB", "OW", "OD", "OF", "OL", "OV")))


class Walker:
    """Reads headers of one buffer; every method takes offsets of it and gives offsets back."""

    __slots__ = ("buffer", "end", "forbidden")

    def __init__(self, buffer: Buffer, end: int) -> None:
        self.buffer = buffer
        self.end = end
        self.forbidden = _FORBIDDEN_GROUPS

    def element(self, position: int, end: int, coding: Coding, depth: int) -> Element:
        """Return the element at `position`, which lies in `depth` sequences; it must end at or before `end`."""
        element = read_header(self, position, end, coding)
        if element[3] != UNDEFINED:
            return element
        return self.complete(element, end, coding, depth)

    def complete(self, element: Element, end: int, coding: Coding, depth: int) -> Element:
        """Return an element of undefined length with its end."""
        key, start, value, length, _ = element
        inner = inner_coding(self, element, coding)
        return key, start, value, length, self.skip(key & 0xFFFF, value, end, inner, depth + 1)

    def skip(self, code: int, value: int, end: int, coding: Coding, depth: int) -> int:
        """Return the offset behind the delimiter of a value of undefined length."""
        if code == FRAGMENTS:
            return self._fragments(value, end, coding)
        return self.items(value, end, coding, depth, closed=False)

    def items(self, position: int, end: int, coding: Coding, depth: int, *, closed: bool) -> int:
        """Walk a sequence's items; `closed` means that it ends at `end`, else at its delimiter. Return its end."""
        if depth > MAX_DEPTH:
            raise DatasetError(f"sequences are nested deeper than {MAX_DEPTH}")
        while not (closed and position == end):
            tag, length = self.item_header(position, end, coding)
            position += 8
            if tag == SEQUENCE_END and not closed and not length:
                return position
            if tag != ITEM:
                raise DatasetError("no item where an item must stand")
            if length == UNDEFINED:
                position = self._item(position, end, coding, depth)
            elif position + length > end:
                raise DatasetError("an item is longer than its sequence")
            else:
                position = self._item(position, position + length, coding, depth, closed=True)
        return position

    def item_header(self, position: int, end: int, coding: Coding) -> tuple[int, int]:
        """Return tag and length of the item or delimiter at `position`."""
        if position + 8 > end:
            raise DatasetError("a sequence is truncated")
        group, element, length = coding.tag(self.buffer, position)
        return group << 16 | element, length

    def _item(self, position: int, end: int, coding: Coding, depth: int, *, closed: bool = False) -> int:
        while not (closed and position == end):
            if not closed:
                tag, length = self.item_header(position, end, coding)
                if tag == ITEM_END and not length:
                    return position + 8
            position = self.element(position, end, coding, depth)[4]
        return position

    def item_end(self, position: int, end: int, length: int, coding: Coding, depth: int = 1) -> int:
        """Return the offset behind an item whose elements begin at `position`, its delimiter included."""
        return self._item(position, end, coding, depth) if length == UNDEFINED else position + length

    def _fragments(self, position: int, end: int, coding: Coding) -> int:
        while True:
            tag, length = self.item_header(position, end, coding)
            position += 8
            if tag == SEQUENCE_END and not length:
                return position
            if tag != ITEM or position + length > end:
                raise DatasetError("encapsulated Pixel Data is malformed", show(PIXEL_DATA))
            position += length

    def is_sequence(self, value: int, end: int, public: bool) -> Coding | None:
        """Return how the items of a UN value are encoded, or None where it holds no items.

        PS3.5 6.2.2 says Implicit VR Little Endian; converters have also written Explicit VR. A value that starts with
        an item and does not parse to its last byte is no sequence: opaque when private, an error when `public` says
        that the dictionary knows it as one.
        """
        if value == end:
            return None
        if bytes(self.buffer[value : value + 4]) == b"\xfe\xff\x00\xe0":
            for coding in (IMPLICIT_CODING, EXPLICIT_CODING):
                try:
                    self.items(value, end, coding, 1, closed=True)
                except DatasetError:
                    continue
                return coding
        if public:
            raise DatasetError("a sequence encoded as UN cannot be parsed")
        return None


def read_header(walker: Walker, position: int, end: int, coding: Coding) -> Element:
    """Read one element header wherever it stands; the top level has its own loop of the same steps.

    An element of undefined length comes with its value's offset as its end: who walks it finds the end.
    """
    if position + 8 > end:
        raise DatasetError("the data set is truncated")
    if coding.implicit:
        group, number, length = coding.head(walker.buffer, position)
        tag, value, code = group << 16 | number, position + 8, IMPLICIT
    else:
        group, number, vr, length = coding.head(walker.buffer, position)
        tag, value, code = group << 16 | number, position + 8, coding.short.get(vr, -1)
        if code < 0:
            value, length, code = _long(walker, position, end, vr, coding, tag)
    if group in walker.forbidden or tag >= _LAST_TAG:
        raise DatasetError("an element that cannot stand in a data set", show(tag))
    if length == UNDEFINED:
        return tag << 16 | undefined_code(tag, code), position, value, length, value
    if value + length > end:
        raise DatasetError("a length goes beyond the data set", show(tag))
    return tag << 16 | code, position, value, length, value + length


def is_un(walker: Walker, element: Element, coding: Coding) -> bool:
    """Tell whether the header says UN, whose value is always in little endian (PS3.5 6.2.2)."""
    if element[0] & 0xFFFF not in _CODES_OF_UN or coding.implicit:
        return False
    start = element[1]
    return bytes(walker.buffer[start + 4 : start + 6]) == b"UN"


def inner_coding(walker: Walker, element: Element, coding: Coding) -> Coding:
    """Return how the items of an element of undefined length are encoded (PS3.5 6.2.2, Note: UN is implicit)."""
    return IMPLICIT_CODING if is_un(walker, element, coding) else coding


def _long(walker: Walker, position: int, end: int, vr: int, coding: Coding, tag: int) -> tuple[int, int, int]:
    """Return value offset, length and VR code of an element whose VR has a 32-bit length."""
    code = coding.long.get(vr)
    if code is None:
        letters = vr.to_bytes(2, coding.order)
        if not (letters.isalpha() and letters.isupper()):
            raise DatasetError("an element has no VR", show(tag))
        code = _UN  # a VR of a later edition has UN's form (PS3.5 6.2, Note) and is as opaque
    if position + 12 > end:
        raise DatasetError("the data set is truncated", show(tag))
    return position + 12, coding.length(walker.buffer, position + 8)[0], code


def undefined_code(tag: int, code: int) -> int:
    """Return what an element of undefined length holds: SEQUENCE or FRAGMENTS."""
    if tag == PIXEL_DATA or code in _FRAGMENTED:
        return FRAGMENTS
    if code in (IMPLICIT, _SQ, _UN):
        return SEQUENCE
    raise DatasetError("an undefined length that the VR does not allow", show(tag))


class EncodedDataset:
    """The spans of an encoded data set.

    Attributes
    ----------
    buffer
        The bytes that all offsets refer to.
    start, end
        Where the data set lies in it.
    syntax, coding
        How it is encoded.
    elements
        Top-level elements in the order of the buffer.
    ordered
        Tags ascend, as PS3.5 7.1 demands.
    learnt
        What is known of a header like this one, where it was recognized.
    """

    def __init__(self, buffer: Buffer, start: int, end: int, syntax: Syntax) -> None:
        self.buffer = buffer
        self.start = start
        self.end = end
        self.syntax = syntax
        self.coding = coding_of(syntax)
        self.walker = Walker(buffer, end)
        self.elements: list[Element] = []
        self.ordered = True
        self.learnt: Learnt | None = None

    @classmethod
    def scan(cls, buffer: Buffer, start: int, syntax: Syntax, *, meta: bool = False) -> EncodedDataset:
        """Find the elements of the data set that starts at `start` and goes to the end of the buffer.

        A deflated data set is inflated by the caller. `meta` allows file meta information, which is a data set of
        Explicit VR Little Endian too. Raises DatasetError when it cannot be parsed.
        """
        dataset = cls(buffer, start, len(buffer), syntax)
        try:
            (_scan_implicit if syntax.implicit_vr else _scan_explicit)(dataset)
        except struct.error:
            raise DatasetError("the data set is truncated") from None
        except RecursionError:
            raise DatasetError(f"sequences are nested deeper than {MAX_DEPTH}") from None
        if meta:
            dataset.walker.forbidden = ()
        else:
            _refuse_forbidden(dataset)
        if not dataset.ordered and len(dataset._index) != len(dataset.elements):
            raise DatasetError("a tag stands twice in the data set")
        return dataset

    def __len__(self) -> int:
        return len(self.elements)

    @cached_property
    def _index(self) -> dict[int, Element]:
        return {element[0] >> 16: element for element in self.elements}

    def find(self, tag: int) -> Element | None:
        """Return a top-level element, or None where it is absent."""
        if self.learnt is not None:
            known = self.learnt.pattern.places.get(tag)
            return None if known is None else self.elements[known]
        if not self.ordered:
            return self._index.get(tag)
        place = bisect_left(self.elements, (tag << 16,))
        if place < len(self.elements) and self.elements[place][0] >> 16 == tag:
            return self.elements[place]
        return None

    def once(self, key: object, tags: Iterable[int], make: Callable[[], _Fact]) -> _Fact:
        """Return what `make` makes of the values of top-level elements, and of nothing else that differs.

        It is made once for headers like this one where none of them varies. `key` says what it is, and for whom.
        """
        if self.learnt is None:
            return make()
        found: _Fact = self.learnt.pattern.fact(key, tags, make)
        return found

    def place_of(self, tag: int) -> int:
        """Return the offset where a new top-level element belongs: in front of the first with a higher tag."""
        if not self.ordered:
            return next((element[1] for element in self.elements if element[0] >> 16 > tag), self.end)
        place = bisect_left(self.elements, ((tag + 1) << 16,))
        return self.elements[place][1] if place < len(self.elements) else self.end

    def raw(self, element: Element) -> bytes:
        """Return an element's encoded value. Raises DatasetError where it is too long to be looked at."""
        if element[4] - element[2] > MAX_TEXT:
            raise DatasetError("a value is too long to be looked at", show(element[0] >> 16))
        return bytes(self.buffer[element[2] : element[4]])

    @cached_property
    def codec(self) -> Codec:
        """The codec of the top level."""
        element = self.find(SPECIFIC_CHARACTER_SET)
        return codec(b"" if element is None else self.raw(element))

    @cached_property
    def signed(self) -> bool:
        """Whether Pixel Representation is 1: ambiguous VRs are then SS (PS3.5 Annex A)."""
        element = self.find(PIXEL_REPRESENTATION)
        return element is not None and 1 in self.raw(element)[:2]

    def text(self, tag: int) -> str | None:
        """Return a top-level value as text, without NUL and blank padding at its ends; None where it is absent.

        Raises DatasetError where the bytes are no text in the Specific Character Set, or far too long.
        """
        element = self.find(tag)
        return None if element is None else decoded(self.raw(element), self.codec, tag)


def decoded(value: bytes, text: Codec, tag: int) -> str:
    """Return the text of a value, trimmed of NUL and blanks. Raises DatasetError."""
    try:
        return text.decode(value).strip("\0 ")
    except CharsetError as error:
        raise DatasetError(str(error), show(tag)) from None


def _refuse_forbidden(dataset: EncodedDataset) -> None:
    """Raise where groups 0000 or 0002 stand in the data set; in order they come first, so few elements are seen."""
    for element in dataset.elements:
        if element[0] >> 32 in _FORBIDDEN_GROUPS:
            raise DatasetError("an element that cannot stand in a data set", show(element[0] >> 16))
        if dataset.ordered and element[0] >> 32 > _FORBIDDEN_GROUPS[-1]:
            return


def _end(last: int, position: int, end: int) -> None:
    """Judge the last element, where a scan stops whatever is wrong with it: the loop need not ask for each."""
    if position > end:
        raise DatasetError("a length goes beyond the data set", show(last))
    if last >= _LAST_TAG:
        raise DatasetError("an element that cannot stand in a data set", show(last))


def _disorder(dataset: EncodedDataset, tag: int, last: int) -> None:
    if last >= _LAST_TAG:
        raise DatasetError("an element that cannot stand in a data set", show(last))
    if tag == last:
        raise DatasetError("a tag stands twice in the data set", show(tag))
    if tag < last:
        dataset.ordered = False


def _most(dataset: EncodedDataset, position: int) -> int:
    """Return how far a scan may go before it looks at the number of elements again: none has less than 8 bytes."""
    left = MAX_ELEMENTS - len(dataset.elements)
    if left <= 0:
        raise DatasetError(f"more than {MAX_ELEMENTS} elements")
    return min(dataset.end, position + 8 * left)


def _scan_explicit(dataset: EncodedDataset) -> None:
    # The hot loop: one pass per instance, so everything it needs is a local name.
    position, end, last = dataset.start, dataset.end, -1
    buffer, coding, walker, append = dataset.buffer, dataset.coding, dataset.walker, dataset.elements.append
    head, short = coding.head, coding.short
    while position < end:
        most = _most(dataset, position)
        while position < most:
            group, number, vr, length = head(buffer, position)
            tag = group << 16 | number
            if tag <= last:
                _disorder(dataset, tag, last)
            last = tag
            code = short.get(vr)
            if code is not None:
                value = position + 8
                after = value + length
            else:
                value, length, code = _long(walker, position, end, vr, coding, tag)
                if length == UNDEFINED:
                    inner = IMPLICIT_CODING if code == _UN else coding
                    code = undefined_code(tag, code)
                    after = walker.skip(code, value, end, inner, 1)
                else:
                    after = value + length
            append((tag << 16 | code, position, value, length, after))
            position = after
    _end(last, position, end)


def _scan_implicit(dataset: EncodedDataset) -> None:
    position, end, last = dataset.start, dataset.end, -1
    buffer, coding, walker, append = dataset.buffer, dataset.coding, dataset.walker, dataset.elements.append
    head = coding.head
    while position < end:
        most = _most(dataset, position)
        while position < most:
            group, number, length = head(buffer, position)
            tag = group << 16 | number
            if tag <= last:
                _disorder(dataset, tag, last)
            last = tag
            value = position + 8
            if length == UNDEFINED:
                code = undefined_code(tag, IMPLICIT)
                after = walker.skip(code, value, end, coding, 1)
            else:
                code, after = IMPLICIT, value + length
            append((tag << 16 | code, position, value, length, after))
            position = after
    _end(last, position, end)
