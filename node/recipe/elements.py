"""What happens to one element of an encoded data set, and to all that it holds.

Guarantees that a sequence that stays is walked to its last item, whatever its length form, and that only what a rule
means is read. Refuses with DatasetError items that do not fit their sequence, and private elements that stand before
their creator.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple, TypeAlias

from node.errors import DatasetError, HoldInstance, HoldReason
from node.recipe import method
from node.recipe.charset import CharsetError, Codec, codec
from node.recipe.coding import IMPLICIT_CODING, Coding
from node.recipe.compiled import (
    CHARSET,
    GROUP_LENGTH,
    OPAQUE,
    OPAQUE_SEQUENCE,
    UNTOUCHED,
    WALK,
    Decision,
    Level,
    effective_vr,
)
from node.recipe.content import CLOSED, CONTENT_SEQUENCE, GONE
from node.recipe.content_items import ItemAt
from node.recipe.dictionary import is_creator, is_private, show
from node.recipe.encoded import (
    ITEM,
    ITEM_END,
    MAX_DEPTH,
    MAX_ITEMS,
    SEQUENCE_END,
    UNDEFINED,
    Element,
    EncodedDataset,
    Walker,
    inner_coding,
    is_un,
    read_header,
)
from node.recipe.header import Rule
from node.recipe.items import has_references_to_items, kind_of_item
from node.recipe.output import Output
from node.recipe.program import REMOVED, UNCHANGED, Outcome, Program, Subject
from node.recipe.values import BY_CHARSET, encode


class Place(NamedTuple):
    """Where elements stand: how they are encoded, the character sets before and after cleaning, how deep."""

    coding: Coding
    read: Codec
    write: Codec
    depth: int

    @property
    def transcodes(self) -> bool:
        """Whether text that no rule touches has to be written anew."""
        return self.read.terms != self.write.terms

    def inside(self, coding: Coding) -> Place:
        """Return the place of the items of a sequence here."""
        return Place(coding, self.read, self.write, self.depth + 1)


class Owners:
    """The private blocks of one level in one data set: which creator's decisions hold for which block."""

    __slots__ = ("_dataset", "_level", "blocks")

    def __init__(self, level: Level, dataset: EncodedDataset) -> None:
        self._level = level
        self._dataset = dataset
        self.blocks: dict[int, dict[int, Decision]] = {}

    def decide(self, element: Element, path: str) -> Decision:
        """Return the decision for an element; a private creator reserves its block with it."""
        key, level = element[0], self._level
        tag = key >> 16
        if not is_private(tag):
            decisions = level.decisions
        elif is_creator(tag):
            decisions = self._reserve(tag, element, path)
        else:
            decisions = self.blocks.setdefault(tag >> 8, level.block(None))
        found = decisions.get(key)
        if found is None:
            found = decisions[key] = level.decide(key, level.creator(decisions) if is_private(tag) else None)
        return found

    def _reserve(self, tag: int, element: Element, path: str) -> dict[int, Decision]:
        block = (tag >> 16) << 8 | (tag & 0xFF)
        if block in self.blocks:
            raise DatasetError("a private creator stands behind its elements", path + show(tag))
        value = bytes(self._dataset.buffer[element[2] : min(element[4], element[2] + 256)])
        self.blocks[block] = found = self._level.block(_creator(value, self._dataset.codec) or None)
        return found


@lru_cache(maxsize=1024)
def _creator(value: bytes, read: Codec) -> str:
    """Return a private creator; the same few come back with every instance."""
    try:
        return read.decode(value).strip("\0 ")
    except CharsetError:
        return value.decode("latin-1").strip("\0 ")


Inside: TypeAlias = Callable[[Element, Decision, Level, "Place", str], Callable[[Rule], bool]]
"""Gives, for a sequence, what tells whether a line finds a value of a list inside of it."""


def items_coding(walker: Walker, element: Element, kind: int, coding: Coding) -> Coding | None:
    """Return how the items of an element are encoded, or None where there are none to walk."""
    if kind == WALK:
        return coding if element[3] != UNDEFINED else inner_coding(walker, element, coding)
    if kind in (OPAQUE, OPAQUE_SEQUENCE):
        return walker.is_sequence(element[2], element[4], kind == OPAQUE_SEQUENCE)
    return None


class Elements:
    """The elements of one data set; every step gives the offset behind an element and by how much it grew."""

    __slots__ = (
        "_buffer",
        "_dataset",
        "_first",
        "_inside",
        "_items_left",
        "_output",
        "_path",
        "_program",
        "_refers",
        "_walker",
        "codes",
    )

    def __init__(self, dataset: EncodedDataset, output: Output, program: Program, inside: Inside) -> None:
        self._dataset = dataset
        self._inside = inside
        self._buffer = dataset.buffer
        self._walker = dataset.walker
        self._output = output
        self._program = program
        self._path: list[str] = []
        self._first = 0  # where the elements of the item in hand begin
        self._items_left = MAX_ITEMS
        self._refers: bool | None = None
        self.codes: tuple[str, ...] = ()

    def act(self, element: Element, decision: Decision, level: Level, place: Place, end: int) -> tuple[int, int]:
        """Do what was decided for an element that must end at or before `end`."""
        if decision.program:
            outcome = decision.fixed
            if outcome is None:
                outcome = self._run(element, decision, level, place, end)
            if outcome is REMOVED:
                return self._remove(element, place, end)
            if outcome is not UNCHANGED:
                return self._write(element, decision, outcome, place, end)
        return self._leave(element, decision, level, place, end)

    def _run(self, element: Element, decision: Decision, level: Level, place: Place, end: int) -> Outcome:
        tag = element[0] >> 16
        where, holds = self._where(tag), None
        little = place.coding.little or is_un(self._walker, element, place.coding)
        if level.rules.guarded and items_coding(self._walker, element, decision.kind, place.coding) is not None:
            holds = self._inside(self._complete(element, place, end), decision, level, place, where)
        around = (self._first, place.coding) if place.depth else None
        subject = Subject(decision.vr, element, tag, place.read, little, where, holds, around)
        return self._program.run(decision.program, subject)

    def new_codec(self, decision: Decision, element: Element, read: Codec, outer: Codec) -> Codec:
        """Return the codec that (0008,0005) names after cleaning; `outer` where nothing is left of it."""
        if not decision.program:
            return read
        tag = element[0] >> 16
        subject = Subject("CS", element, tag, read, True, self._where(tag))
        outcome = self._program.run(decision.program, subject)
        if outcome is UNCHANGED:
            return read
        return codec(outcome.encode("latin-1", "replace")) if isinstance(outcome, str) else outer

    def settle(self, lengths: list[Element], sizes: dict[int, int], place: Place, end: int) -> None:
        """Compute the group lengths of one level again where the size of their group changed (PS3.5 7.2)."""
        for element in lengths:
            group = element[0] >> 32
            if not sizes.get(group):
                continue
            size, position = sizes[group], element[4]
            while position + 8 <= end:
                if place.coding.tag(self._buffer, position)[0] != group:
                    break
                following = self._walker.element(position, end, place.coding, place.depth)
                size, position = size + following[4] - position, following[4]
            self._output.replace(element, place.coding.pack_length(size), place.coding)

    def _remove(self, element: Element, place: Place, end: int) -> tuple[int, int]:
        element = self._complete(element, place, end)
        if not self._path:
            self._output.note(element[0] >> 16, None)
        return element[4], self._output.remove(element)

    def _write(self, element: Element, decision: Decision, text: str, place: Place, end: int) -> tuple[int, int]:
        element = self._complete(element, place, end)
        coding = IMPLICIT_CODING if is_un(self._walker, element, place.coding) else place.coding
        if not self._path:
            self._output.note(element[0] >> 16, text)
        try:
            value = encode(decision.vr, text, place.write, little=coding.little) if text else b""
            return element[4], self._output.replace(element, value, place.coding)
        except ValueError as error:
            where = f"{self._where(element[0] >> 16)}: {decision.program[-1].where}: VR {decision.vr}"
            if not decision.lenient:
                raise HoldInstance(HoldReason.ACTION_FAILED, f"{where}: {error}") from None
            self._output.warn(f"{where}: {error}")
        try:
            value = encode(decision.vr, text, place.write, little=coding.little, strict=False)
            return element[4], self._output.replace(element, value, place.coding)
        except ValueError as error:
            raise HoldInstance(HoldReason.ACTION_FAILED, f"{where}: {error}") from None

    def _complete(self, element: Element, place: Place, end: int) -> Element:
        if element[3] != UNDEFINED or element[4] != element[2]:
            return element
        return self._walker.complete(element, end, place.coding, place.depth)

    def _leave(self, element: Element, decision: Decision, level: Level, place: Place, end: int) -> tuple[int, int]:
        """Go past an element that itself stays as it is; what it holds may not."""
        inner = items_coding(self._walker, element, decision.kind, place.coding)
        if inner is None and decision.codes and decision.kind == OPAQUE_SEQUENCE:
            inner = IMPLICIT_CODING  # UN without items
        if inner is not None:
            return self._items(element, decision, level, place, inner, end)
        element = self._complete(element, place, end)
        if place.transcodes and element[3] != UNDEFINED:
            return element[4], self._transcode(element, level, place)
        return element[4], 0

    def _transcode(self, element: Element, level: Level, place: Place) -> int:
        """Write text anew because its Specific Character Set changes."""
        tag = element[0] >> 16
        vr, _ = effective_vr(element[0], None, level.signed)
        if vr not in BY_CHARSET:
            return 0
        raw = bytes(self._buffer[element[2] : element[4]])
        if raw.isascii() and b"\x1b" not in raw:
            return 0
        try:
            new = place.write.encode(place.read.decode(raw).rstrip(" \0"))
            return self._output.replace(element, new + b" " * (len(new) & 1), place.coding)
        except ValueError as error:
            raise HoldInstance(HoldReason.ACTION_FAILED, f"{self._where(tag)}: {error}") from None

    # Items.

    def _items(
        self, element: Element, decision: Decision, level: Level, place: Place, coding: Coding, end: int
    ) -> tuple[int, int]:
        """Walk a sequence to its delimiter, or to its last byte where its length is defined."""
        tag, position, delta, number = element[0] >> 16, element[2], 0, 0
        gone, mark = 0, self._output.mark()
        inside = self._inside_of(place, coding, tag)
        closed = element[3] != UNDEFINED
        end = element[4] if closed else end
        self._path.append("")
        while not (closed and position == end):
            item_tag, length = self._walker.item_header(position, end, coding)
            position += 8
            if item_tag == SEQUENCE_END and not closed and not length:
                break
            if item_tag != ITEM or (length != UNDEFINED and position + length > end) or number >= self._items_left:
                raise self._bad_item(tag, number)
            self._path[-1] = f"{show(tag)}__{number}__"
            at = ItemAt(self._walker, coding, position, end, length) if decision.items else None
            kind = level.content if at is None else self._kind(decision, level, at)
            if at is not None and kind == GONE:
                position, grown = self._drop(at, tag, level, inside.depth)
                gone += 1
            else:
                below = decision.below(level, tag, number, kind)
                position, grown = self._item(position, end, length, below, inside)
            delta, number = delta + grown, number + 1
        self._path.pop()
        self._items_left -= number
        if gone and gone == number and tag == CONTENT_SEQUENCE:
            return position, self._drop_all(element, position, mark, level)
        if decision.codes:
            delta += self._output.append(position if closed else position - 8, method.items(self.codes, coding))
        if closed and delta:
            self._output.patch(element[2] - 4, element[3] + delta, place.coding, self._where(tag))
        return position, delta

    def _bad_item(self, tag: int, number: int) -> DatasetError:
        """What is wrong with the item that is the `number`-th (from 0) of a sequence."""
        if number >= self._items_left:  # what is done with each stays in memory
            return DatasetError(f"more than {MAX_ITEMS} items", show(tag))
        return DatasetError("an item does not fit its sequence", show(tag))

    def _kind(self, decision: Decision, level: Level, item: ItemAt) -> int:
        """Return the class of an item; where others may refer to items by their place none goes."""
        kind = kind_of_item(decision, level, item)
        if kind != GONE:
            return kind
        if self._refers is None:
            self._refers = has_references_to_items(self._dataset)
        return CLOSED if self._refers else GONE

    def _inside_of(self, place: Place, coding: Coding, tag: int) -> Place:
        inside = place.inside(coding)
        if inside.depth > MAX_DEPTH:
            raise DatasetError(f"sequences are nested deeper than {MAX_DEPTH}", self._where(tag))
        return inside

    def _drop(self, item: ItemAt, tag: int, level: Level, depth: int) -> tuple[int, int]:
        """Leave a whole item out."""
        self._dropped("".join(self._path), tag, level)
        behind = self._walker.item_end(item.position, item.end, item.length, item.coding, depth)
        return behind, self._output.cut(item.position - 8, behind)

    def _drop_all(self, element: Element, end: int, mark: int, level: Level) -> int:
        """Leave a sequence out of which nothing is left: it must not be empty (PS3.3 C.17.3)."""
        tag = element[0] >> 16
        self._dropped(self._where(tag), tag, level)
        if not self._path:
            self._output.note(tag, None)
        self._output.rewind(mark)
        return self._output.cut(element[1], end)

    def _dropped(self, path: str, tag: int, level: Level) -> None:
        """Hear that an item of the sequence `tag`, or all of it, goes; for who watches."""

    def _item(self, position: int, end: int, length: int, level: Level, place: Place) -> tuple[int, int]:
        first, closed = position, length != UNDEFINED
        end = position + length if closed else end
        owners = Owners(level, self._dataset)
        decisions, coding, walker = level.decisions, place.coding, self._walker
        delta, sizes, lengths = 0, dict[int, int](), list[Element]()
        while not self._ended(position, end, closed, coding):
            element = read_header(walker, position, end, coding)
            decision = decisions.get(element[0]) or owners.decide(element, "".join(self._path))
            if decision.kind == GROUP_LENGTH:
                lengths.append(element)
            elif decision.kind == CHARSET:
                place = self._own_charset(element, decision, place)
            if decision is UNTOUCHED and element[3] != UNDEFINED and not place.transcodes:
                position = element[4]
                continue
            self._first = first
            position, grown = self.act(element, decision, level, place, end)
            if grown:
                delta += grown
                sizes[element[0] >> 32] = sizes.get(element[0] >> 32, 0) + grown
        self.settle(lengths, sizes, place, position)
        if closed and delta:
            self._output.patch(first - 4, length + delta, coding, "".join(self._path))
        return position if closed else position + 8, delta

    def _ended(self, position: int, end: int, closed: bool, coding: Coding) -> bool:
        if closed:
            return position == end
        return self._walker.item_header(position, end, coding) == (ITEM_END, 0)

    def _own_charset(self, element: Element, decision: Decision, place: Place) -> Place:
        """Return the place of an item that has a Specific Character Set of its own (PS3.5 7.5.3)."""
        read = codec(bytes(self._buffer[element[2] : element[4]]))
        write = self.new_codec(decision, element, read, place.write)
        return Place(place.coding, read, write, place.depth)

    def _where(self, tag: int) -> str:
        return "".join(self._path) + show(tag)
