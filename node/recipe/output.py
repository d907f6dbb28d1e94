"""The cleaned data set, as what is taken from the source and what is new.

Guarantees that the segments put one after another are the cleaned data set, and that neighboring ranges of the source
are one range. Refuses with HoldInstance what an element's length field cannot hold, and edits that overlap.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from node.errors import HoldInstance, HoldReason
from node.recipe.charset import Codec
from node.recipe.coding import SEQUENCE, SHORT_CODES, Coding
from node.recipe.encoded import UNDEFINED, Element, EncodedDataset
from node.recipe.filters import Region
from node.recipe.known.decided import Decided
from node.recipe.known.gather import Gathered

Segment: TypeAlias = bytes | tuple[int, int]
SMALL = 2048  # bytes; a shorter range between two edits is read, because a copy of its own would cost more
Edit: TypeAlias = tuple[int, int, bytes]
"""`start, end, bytes`: what stands between the offsets of the source is replaced; equal offsets insert."""


@dataclass(slots=True)
class Cleaned:
    """A cleaned data set.

    Attributes
    ----------
    segments
        The data set in order: literal bytes, or (offset, length) of the source buffer.
    changed
        False where it is byte for byte the source.
    warnings
        Values that a function gave and that were written although their VR does not allow them: tag path and line.
    meta
        The cleaned file meta information, where it was given.
    regions
        On the network path: what the filters want masked, in order. Whoever writes the data set masks it
        (`node.pixels`); `segments` alone still show it.
    gathered
        The identifying values of the original, where they were found out on the way.
    decided
        What was said of the texts of its project; its values are among `gathered`.
    """

    dataset: EncodedDataset
    segments: list[Segment]
    changed: bool
    codec: Codec
    _values: dict[int, str | None] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    meta: Cleaned | None = None
    regions: tuple[Region, ...] = ()
    _edits: list[Edit] = field(default_factory=list)
    gathered: Gathered | None = None
    decided: Decided | None = None

    def span(self, start: int, end: int) -> tuple[int, int, bool]:
        """Return where a range of the source lies in the cleaned data set: start, end, and whether it was edited.

        Both ends have to be boundaries of elements. What was inserted in front of the range does not belong to it.
        """
        first = last = -self.dataset.start
        touched = False
        for edit_start, edit_end, new in self._edits:
            grown = len(new) - (edit_end - edit_start)
            if edit_end <= start:
                first += grown
            elif edit_start < start:  # neighbors that go are one edit
                first += edit_start - start
            if edit_end <= end and (edit_start < end or edit_end <= start):
                last += grown
            elif edit_start < end < edit_end:
                last += edit_start - end
            touched = touched or (edit_start < end and edit_end > start)
        return start + first, end + last, touched

    @property
    def values(self) -> Mapping[int, str | None]:
        """Top-level values that are not as in the source; None where the element is gone."""
        return self._values

    @property
    def edits(self) -> tuple[Edit, ...]:
        """What was done to the source, in its order."""
        return tuple(self._edits)

    def edited(self, more: Sequence[Edit]) -> Cleaned:
        """Return the data set with further edits, whose offsets are of the cleaned one; top-level texts stay known."""
        return self.redone(_composed(self._edits, sorted(more, key=_order), self.dataset), self._values)

    def redone(self, edits: Sequence[Edit], values: Mapping[int, str | None]) -> Cleaned:
        """Return the data set with these edits of the source in place of its own, and what its top level then has."""
        output = Output(self.dataset)
        output.take(list(edits), dict(values), list(self.warnings))
        result = output.cleaned(self.codec)
        result.meta, result.regions = self.meta, self.regions
        result.gathered, result.decided = self.gathered, self.decided
        return result

    def text(self, tag: int) -> str | None:
        """Return a top-level value after cleaning, without padding; None where it is absent. Raises DatasetError."""
        if tag in self._values:
            value = self._values[tag]
            return None if value is None else value.strip("\0 ")
        return self.dataset.text(tag)

    def tobytes(self) -> bytes:
        """Return the whole data set in memory: for small ones, and for tests."""
        buffer = self.dataset.buffer
        return b"".join(
            part if isinstance(part, bytes) else bytes(buffer[part[0] : part[0] + part[1]]) for part in self.segments
        )


class Output:
    """Collects the edits of one data set."""

    __slots__ = ("_dataset", "_edits", "_values", "_warnings")

    def __init__(self, dataset: EncodedDataset) -> None:
        self._dataset = dataset
        self._edits: list[Edit] = []
        self._values: dict[int, str | None] = {}
        self._warnings: list[str] = []

    def take(self, edits: list[Edit], values: dict[int, str | None], warnings: list[str]) -> None:
        """Go on from what another one has collected."""
        self._edits, self._values, self._warnings = edits, values, warnings

    def warn(self, text: str) -> None:
        """Remember something that was written although it should not be."""
        self._warnings.append(text)

    def note(self, tag: int, value: str | None) -> None:
        """Remember a top-level element's new value, or that it is gone."""
        self._values[tag] = value

    def remove(self, element: Element) -> int:
        """Leave an element out. Return by how many bytes the data set grows."""
        self._edits.append((element[1], element[4], b""))
        return element[1] - element[4]

    def remove_all(self, elements: Sequence[Element], sizes: dict[int, int]) -> None:
        """Leave out top-level elements; `sizes` are told by how much each group shrinks.

        Each is an edit of its own, though they may stand one behind the other: whoever changes one later finds it.
        """
        values, append = self._values, self._edits.append
        for key, start, _, _, end in elements:
            append((start, end, b""))
            values[key >> 16] = None
            sizes[key >> 32] = sizes.get(key >> 32, 0) + start - end

    def cut(self, start: int, end: int) -> int:
        """Leave a range of the source out. Return by how many bytes the data set grows."""
        self._edits.append((start, end, b""))
        return start - end

    def mark(self) -> int:
        """Return where the edits stand, for `rewind`."""
        return len(self._edits)

    def begin(self, tag: int) -> tuple[int, int]:
        """Return how many edits and warnings there are, for `since`; nothing is noted of the tag any more."""
        self._values.pop(tag, None)
        return len(self._edits), len(self._warnings)

    def since(self, tag: int, mark: int) -> tuple[tuple[Edit, ...], tuple[tuple[int, str | None], ...], int]:
        """Return the edits since a mark, what is noted of a tag, and how many warnings there are."""
        noted = ((tag, self._values[tag]),) if tag in self._values else ()
        return tuple(self._edits[mark:]), noted, len(self._warnings)

    def rewind(self, mark: int) -> None:
        """Forget the edits since `mark`."""
        del self._edits[mark:]

    def insert(self, tag: int, encoded: bytes) -> None:
        """Put a new top-level element where its tag belongs."""
        position = self._dataset.place_of(tag)
        self._edits.append((position, position, encoded))

    def append(self, offset: int, encoded: bytes) -> int:
        """Put bytes where a sequence ends. Return how many."""
        self._edits.append((offset, offset, encoded))
        return len(encoded)

    def replace(self, element: Element, value: bytes, coding: Coding) -> int:
        """Give an element another value. Return by how many bytes the data set grows.

        Raises ValueError where the length field cannot hold the value's length.
        """
        key, _, offset, length, end = element
        if length == UNDEFINED:
            return self._replace_undefined(element, value, coding)
        if len(value) == length:
            if bytes(self._dataset.buffer[offset:end]) != value:
                self._edits.append((offset, end, value))
            return 0
        width = 2 if key & 0xFFFF in SHORT_CODES else 4
        if len(value) > (0xFFFE if width == 2 else UNDEFINED - 1):
            raise ValueError("a value is too long for its VR")
        field_at = offset - width
        self._edits.append((field_at, end, len(value).to_bytes(width, coding.order) + value))
        return len(value) - length

    def _replace_undefined(self, element: Element, value: bytes, coding: Coding) -> int:
        key, _, offset, _, end = element
        if key & 0xFFFF == SEQUENCE and not value:
            if end - 8 > offset:
                self._edits.append((offset, end - 8, b""))
            return offset - (end - 8)
        # What was encapsulated becomes a plain value: no fragments are left that could be delimited.
        self._edits.append((offset - 4, end, coding.pack_length(len(value)) + value))
        return len(value) - (end - offset)

    def patch(self, offset: int, length: int, coding: Coding, where: str) -> None:
        """Write a 32-bit length at `offset`."""
        if not 0 <= length < UNDEFINED:
            raise HoldInstance(HoldReason.ACTION_FAILED, f"{where}: a sequence becomes too long")
        self._edits.append((offset, offset + 4, coding.pack_length(length)))

    def cleaned(self, codec: Codec) -> Cleaned:
        """Return the result; nothing can be added any more."""
        dataset, edits = self._dataset, sorted(self._edits, key=_order)
        segments: list[Segment] = []
        literal: list[bytes] = []
        position = dataset.start
        for start, end, new in edits:
            if start < position:  # what one edit takes away must not come back with the next
                raise HoldInstance(HoldReason.ACTION_FAILED, "two changes of the data set overlap")
            if start - position > SMALL:
                _flush(segments, literal)
                segments.append((position, start - position))
            elif start > position:
                literal.append(bytes(dataset.buffer[position:start]))
            if new:
                literal.append(new)
            position = end
        _flush(segments, literal)
        if position < dataset.end:
            segments.append((position, dataset.end - position))
        return Cleaned(dataset, segments, bool(edits), codec, self._values, self._warnings, _edits=edits)


def _composed(first: list[Edit], second: list[Edit], dataset: EncodedDataset) -> list[Edit]:
    """Return the one list of edits that does what two do after one another."""
    parts: list[bytes | tuple[int, int]] = []
    position = dataset.start
    for start, end, new in first:
        parts += [(position, start), new]
        position = end
    parts.append((position, dataset.end))
    taken = _Taken(parts)
    result: list[bytes | tuple[int, int]] = []
    at = 0
    for start, end, new in second:
        result += [*taken.up_to(start - at), new]
        taken.up_to(end - start)
        at = end
    result += taken.up_to(None)
    return _between(result, dataset)


class _Taken:
    """Parts of a data set, taken one after another."""

    def __init__(self, parts: list[bytes | tuple[int, int]]) -> None:
        self._parts = parts[::-1]

    def up_to(self, size: int | None) -> list[bytes | tuple[int, int]]:
        """Take so many bytes, or all that are left."""
        found: list[bytes | tuple[int, int]] = []
        while self._parts and (size is None or size > 0):
            part = self._parts.pop()
            length = len(part) if isinstance(part, bytes) else part[1] - part[0]
            if size is not None and length > size:
                part, rest = _halves(part, size)
                self._parts.append(rest)
                length = size
            found.append(part)
            size = None if size is None else size - length
        return found


def _halves(part: bytes | tuple[int, int], size: int) -> tuple[bytes | tuple[int, int], bytes | tuple[int, int]]:
    if isinstance(part, bytes):
        return part[:size], part[size:]
    return (part[0], part[0] + size), (part[0] + size, part[1])


def _between(parts: list[bytes | tuple[int, int]], dataset: EncodedDataset) -> list[Edit]:
    """Return what stands between the ranges of the source that are left, as edits."""
    edits: list[Edit] = []
    position, new = dataset.start, b""
    for part in [*parts, (dataset.end, dataset.end)]:
        if isinstance(part, bytes):
            new += part
            continue
        if part[0] == part[1] != dataset.end:
            continue
        if new or part[0] != position:
            edits.append((position, part[0], new))
        position, new = part[1], b""
    return edits


def _order(edit: Edit) -> tuple[int, int]:
    return edit[0], edit[1]


def _flush(segments: list[Segment], literal: list[bytes]) -> None:
    joined = b"".join(literal)
    literal.clear()
    if joined:
        segments.append(joined)
