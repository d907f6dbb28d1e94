"""The identifying values of an original, at every depth, as they are encoded.

Guarantees that each element is met once and that only values of identifying ones are read; a UN or unknown value is
walked where it parses as a sequence. Never refuses: where items cannot be parsed, cleaning has left their sequence out,
kept it on purpose, or refused the instance itself.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import zip_longest
from typing import TypeVar

from node.errors import DatasetError
from node.recipe.charset import Codec, codec
from node.recipe.coding import IMPLICIT, Coding
from node.recipe.encoded import (
    ITEM,
    ITEM_END,
    MAX_DEPTH,
    SEQUENCE_END,
    UNDEFINED,
    Element,
    EncodedDataset,
    inner_coding,
    is_un,
    read_header,
)
from node.recipe.known.attributes import FORMS, Form, are_numbers, form_of
from node.recipe.known.needles import dates_in, probes_of
from node.recipe.known.steps import note, steps_of
from node.recipe.learnt import Learnt, Stretch, moved

_LONGEST = 1 << 16  # bytes; a longer value is no name and no id
_WELL_KNOWN = b"1.2.840.10008."  # the standard's own UIDs
_SHORTEST = 4  # characters; nothing can be told by a shorter UID
_UID = re.compile(rb"[0-9]+(\.[0-9]+)*")
_ROOT = 16  # characters by which UIDs are put together to be searched at once
_ROOTS = 16

_Key = TypeVar("_Key")
_What = TypeVar("_What")


@dataclass(slots=True)
class Value:
    """A name or another value that is searched as it is: its form, encoded value, codec, and whose value it is."""

    form: Form
    raw: bytes
    read: Codec
    tag: int


@dataclass(slots=True)
class Gathered:
    """The identifying values of one original.

    Attributes
    ----------
    values
        Names, ids and the like, by the encoded element, header included.
    uids, dates
        By value, whose they are: the tag.
    codecs
        The character sets of its items, where these have their own.
    numbers
        Where there are many numbers as text: start and end of values of DS and IS, ascending.
    """

    values: dict[bytes, Value] = field(default_factory=dict)
    uids: dict[bytes, int] = field(default_factory=dict)
    dates: dict[str, int] = field(default_factory=dict)
    codecs: dict[Codec, None] = field(default_factory=dict)
    numbers: list[tuple[int, int]] = field(default_factory=list)

    def add(self, other: Gathered, shift: int) -> None:
        """Add what stands behind; `shift` is by how much its numbers are moved."""
        _add(self.values, other.values)
        _add(self.uids, other.uids)
        _add(self.dates, other.dates)
        _add(self.codecs, other.codecs)
        self.numbers += [(start + shift, end + shift) for start, end in other.numbers]

    def probes(self, written: Codec) -> set[bytes]:
        """Return lowered bytes: where none of them stands in the lowered result, no name, id or the like does.

        `written` is the codec of the result.
        """
        others = (written, *self.codecs)
        found: set[bytes] = set()
        for encoded, value in self.values.items():
            probes, weak = probes_of(value.form, value.raw, value.read, others)
            found.update(probes)
            if weak:
                found.add(encoded.lower())
        return found

    def roots(self) -> list[bytes]:
        """Return what the UIDs begin with: where none of these stands in the result, no UID does."""
        groups = {b"2.25." if uid.startswith(b"2.25.") else uid[:_ROOT] for uid in self.uids}
        found: list[bytes] = []
        for root in sorted({uid[:2] for uid in self.uids} if len(groups) > _ROOTS else groups):
            if not (found and root.startswith(found[-1])):
                found.append(root)
        return found


def _add(known: dict[_Key, _What], more: dict[_Key, _What]) -> None:
    """Add what is not known yet: who comes first counts."""
    if known:
        for key, what in more.items():
            known.setdefault(key, what)
    else:
        known.update(more)


def gather(dataset: EncodedDataset) -> Gathered:
    """Return the identifying values of a data set."""
    walk = _Walk(dataset)
    if dataset.learnt is None:
        walk.elements(dataset.elements)
    else:
        walk.learnt(dataset.learnt)
    walk.found.numbers.sort()
    return walk.found


class _Walk:
    """One pass over a data set."""

    def __init__(self, dataset: EncodedDataset) -> None:
        self.found = Gathered()
        self._dataset = dataset
        self._buffer = dataset.buffer
        self._walker = dataset.walker
        self._seen: set[bytes] = set()
        self._depth = 0
        self._steps = steps_of(dataset.coding)

    def learnt(self, learnt: Learnt) -> None:
        """Take what was found in the stretches of a pattern, and look at the elements that vary."""
        pattern, elements = learnt.pattern, self._dataset.elements
        if pattern.gathered is None:
            pattern.gathered = [self._of_stretch(*one) for one in zip(pattern.stretches, learnt.shifts, strict=True)]
        for found, shift, place in zip_longest(pattern.gathered, learnt.shifts, pattern.varying):
            self.found.add(found, shift)
            if place is not None:
                self.elements([elements[place]])

    def _of_stretch(self, stretch: Stretch, shift: int) -> Gathered:
        walk = _Walk(self._dataset)
        walk.elements(moved(stretch.elements, shift))
        walk.found.numbers = [(start - shift, end - shift) for start, end in walk.found.numbers]
        return walk.found

    def elements(self, elements: list[Element]) -> None:
        """Look at elements of the top level."""
        read, nothing, known = self._dataset.codec, Form.NOTHING, FORMS.get
        for element in elements:
            form = known(element[0])
            if form is None:
                form = form_of(element[0])
            if form is not nothing:
                self._top(form, element, read)

    def _top(self, form: Form, element: Element, read: Codec) -> None:
        coding = self._dataset.coding
        try:
            if form is Form.ITEMS and not is_un(self._walker, element, coding) and self._flat(element, read, coding):
                return
            self._met(form, element, read, coding)
        except (DatasetError, struct.error):
            self._depth = 0

    def _flat(self, element: Element, read: Codec, coding: Coding) -> bool:
        """Walk a sequence as the row of headers that it is, into sequences and items and past what identifies nobody.

        Return False where an item has a character set of its own: who stands inside of what then counts.
        """
        position, end = element[2], element[4]
        walker, steps, numbers = self._walker, self._steps, self.found.numbers
        while position < end:
            position = steps.past(walker.buffer, position, end, numbers)
            if position + 8 > end:
                break
            met = read_header(walker, position, end, coding)
            form = form_of(met[0])
            if form is Form.CHARSET:
                return False
            if form is Form.ITEMS and not is_un(walker, met, coding):
                # A private element without a VR is a sequence by its undefined length alone: the next may be none.
                if not coding.implicit or form_of(met[0] & ~0xFFFF | IMPLICIT) is form:
                    steps.learn(walker.buffer, met, into=True)
                position = met[2]
            else:
                position = self._beside(form, met, read, coding, end)
        return True

    def _beside(self, form: Form, met: Element, read: Codec, coding: Coding, end: int) -> int:
        """Take what identifies of an element that is not stepped into; return the offset behind it."""
        if met[3] == UNDEFINED:
            met = self._walker.complete(met, end, coding, 1)
        elif form is Form.NOTHING:
            numbers = are_numbers(met[0])
            self._steps.learn(self._buffer, met, numbers=numbers)
            if numbers:
                note(self.found.numbers, met[2], met[4])
        if form is not Form.NOTHING:
            self._met(form, met, read, coding)
        return met[4]

    def _met(self, form: Form, element: Element, read: Codec, coding: Coding) -> None:
        if form is Form.ITEMS or form is Form.MAYBE_ITEMS:
            self._sequence(form, element, read, coding, element[4])
        elif form is not Form.CHARSET and 0 < element[4] - element[2] <= _LONGEST:
            self._leaf(form, element, read)

    def _leaf(self, form: Form, element: Element, read: Codec) -> None:
        raw = bytes(self._buffer[element[2] : element[4]])
        found, tag = self.found, element[0] >> 16
        if form is Form.UID:
            if raw not in self._seen:
                self._seen.add(raw)
                self._uids(raw, tag, read)
        elif form is Form.DATE:
            for date in dates_in(raw):
                found.dates.setdefault(date, tag)
        elif raw.strip(b"\0 "):
            encoded = bytes(self._buffer[element[1] : element[4]])
            if encoded not in found.values:
                found.values[encoded] = Value(form, raw, read, tag)

    def _uids(self, raw: bytes, tag: int, read: Codec) -> None:
        uids, others = _uids_in(raw)
        for uid in uids:
            self.found.uids.setdefault(uid, tag)
        for other in others:
            self.found.values.setdefault(other, Value(Form.VALUE, other, read, tag))

    def _sequence(self, form: Form, element: Element, read: Codec, coding: Coding, end: int) -> int:
        """Walk the items of a sequence that must end at or before `end`; return the offset behind it."""
        _, _, position, length, _ = element
        closed = length != UNDEFINED
        end = element[4] if closed else end
        if form is Form.MAYBE_ITEMS:
            inner = self._walker.is_sequence(position, end, public=False)
            if inner is None:
                return end
        else:
            inner = coding if closed else inner_coding(self._walker, element, coding)
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise DatasetError(f"sequences are nested deeper than {MAX_DEPTH}")
        while position < end:
            tag, size = self._walker.item_header(position, end, inner)
            position += 8
            if tag == SEQUENCE_END:
                break
            if tag != ITEM:
                raise DatasetError("no item where an item must stand")
            position = self._item(position, end, size, read, inner)
        self._depth -= 1
        return position

    def _item(self, position: int, end: int, size: int, read: Codec, coding: Coding) -> int:
        walker, nothing, items = self._walker, Form.NOTHING, Form.ITEMS
        closed = size != UNDEFINED
        end = position + size if closed else end
        while position < end:
            if not closed and walker.item_header(position, end, coding) == (ITEM_END, 0):
                return position + 8
            element = read_header(walker, position, end, coding)
            form = form_of(element[0])
            if element[3] == UNDEFINED:
                if form is items:
                    position = self._sequence(form, element, read, coding, end)
                    continue
                element = walker.complete(element, end, coding, 1)
            position = element[4]
            if form is Form.CHARSET:
                read = codec(bytes(self._buffer[element[2] : position]))
                self.found.codecs[read] = None
            elif form is not nothing:
                self._met(form, element, read, coding)
        return position


@lru_cache(maxsize=4096)
def _uids_in(raw: bytes) -> tuple[tuple[bytes, ...], tuple[bytes, ...]]:
    """Return the UIDs of a UI value, without the standard's own; and what is none and is searched as the text it is."""
    parts = [part.strip(b"\0 ") for part in raw.split(b"\\")]
    parts = [part for part in parts if len(part) >= _SHORTEST and not part.startswith(_WELL_KNOWN)]
    uids = tuple(part for part in parts if _UID.fullmatch(part))
    return uids, tuple(part for part in parts if part not in uids)
