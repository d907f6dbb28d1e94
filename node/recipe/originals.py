"""Looks at the original elements of an instance, where a recipe has lists (`%fields`, `%values`).

Guarantees that the lists are made from the originals before any line is carried out, and that elements which KEEP
holds give nothing, as in the original language. Refuses with DatasetError items that do not fit their sequence.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from node.errors import DatasetError
from node.recipe.charset import codec
from node.recipe.coding import IMPLICIT, IMPLICIT_CODING, SEQUENCE, Coding, vr_code
from node.recipe.compiled import CHARSET, GROUP_LENGTH, KEPT, LEAF, Decision, Level
from node.recipe.content import CLOSED, GONE
from node.recipe.content_items import ItemAt
from node.recipe.dictionary import show
from node.recipe.elements import Owners, Place, items_coding
from node.recipe.encoded import ITEM, ITEM_END, MAX_DEPTH, SEQUENCE_END, UNDEFINED, Element, EncodedDataset, is_un
from node.recipe.header import Action, Rule
from node.recipe.instance import Instance
from node.recipe.items import has_references_to_items, kind_of_item
from node.recipe.program import UNCHANGED, Program, Subject
from node.recipe.texts import ARRAYS

_SEQUENCE_CODES = frozenset((IMPLICIT, SEQUENCE, vr_code("SQ")))


@dataclass(frozen=True, slots=True)
class Seen:
    """An element with its end where it stands: what was decided, level and place around it, its tag path."""

    element: Element
    decision: Decision
    level: Level
    place: Place
    path: str

    @property
    def tag(self) -> int:
        """Its tag."""
        return self.element[0] >> 16


class Originals:
    """The original elements of one data set.

    With `as_cleaned` content items that go are left out, so that the paths of others are those of the result.
    """

    def __init__(
        self, dataset: EncodedDataset, instance: Instance, program: Program, *, as_cleaned: bool = False
    ) -> None:
        self._items_go = as_cleaned and not has_references_to_items(dataset)
        self._dataset = dataset
        self._walker = dataset.walker
        self._instance = instance
        self._program = program

    def collect(self, level: Level) -> None:
        """Fill the instance's lists from this data set."""
        for seen in self.top(level):
            if seen.decision.wanted or seen.decision.kind != LEAF:
                self._collect(seen)

    def top(self, level: Level) -> Iterator[Seen]:
        """Give the elements of the top level."""
        read = self._dataset.codec
        place = Place(self._dataset.coding, read, read, 0)
        owners = Owners(level, self._dataset)
        for element in self._dataset.elements:
            decision = level.decisions.get(element[0]) or owners.decide(element, "")
            yield Seen(element, decision, level, place, show(element[0] >> 16))

    def _collect(self, seen: Seen) -> None:
        decision, lists = seen.decision, self._instance.lists
        coding = self._coding(seen)
        for wanted in decision.wanted:
            name = wanted.section.name
            if wanted.section.kind == "fields":
                lists.add_tag(name, seen.tag)
            elif coding is None and decision.vr not in ARRAYS:
                values = self._program.original_values(self.subject(seen))
                lists.add_values(name, wanted.line.parts(values), wanted.line.where)
        if coding is not None and decision.kind != KEPT:
            for child in self._children(seen, coding):
                if child.decision.wanted or child.decision.kind != LEAF:
                    self._collect(child)

    def holds(self, seen: Seen, rule: Rule) -> bool:
        """Tell whether a value that a line looks for stands in a sequence when the line is reached."""
        coding = self._coding(seen)
        return coding is not None and self._holds(seen, coding, rule, seen.decision.kind == KEPT)

    def _holds(self, seen: Seen, coding: Coding, rule: Rule, kept: bool) -> bool:
        for child in self._children(seen, coding):
            if not kept and any(self._changes(earlier, child, rule) for earlier in child.decision.program):
                continue
            if self._met(child, rule, kept):
                return True
        return False

    def _met(self, seen: Seen, rule: Rule, kept: bool) -> bool:
        coding = self._coding(seen)
        if coding is not None:
            return self._holds(seen, coding, rule, kept or seen.decision.kind == KEPT)
        return seen.decision.kind != GROUP_LENGTH and self._program.meant(rule, UNCHANGED, self.subject(seen))

    def _changes(self, earlier: Rule, seen: Seen, rule: Rule) -> bool:
        """Tell whether a line above `rule` leaves something else than the original of an element in a sequence."""
        if earlier.number >= rule.number or (earlier.action is Action.REMOVE and earlier.value is not None):
            return False
        if not earlier.selector.guarded:
            return True
        if earlier.selector.form == "fields":
            return self._instance.lists.has_tag(earlier.selector.group, seen.tag)
        return self._met(seen, earlier, kept=False)

    def subject(self, seen: Seen) -> Subject:
        """Return an element as lines see it."""
        place = seen.place
        little = place.coding.little or is_un(self._walker, seen.element, place.coding)
        return Subject(seen.decision.vr, seen.element, seen.tag, place.read, little, seen.path)

    def _coding(self, seen: Seen) -> Coding | None:
        """Return how the items of an element are encoded, or None where there are none."""
        element, decision, coding = seen.element, seen.decision, seen.place.coding
        if decision.kind != KEPT:
            return items_coding(self._walker, element, decision.kind, coding)
        if element[0] & 0xFFFF in _SEQUENCE_CODES and decision.vr == "SQ":
            return IMPLICIT_CODING if is_un(self._walker, element, coding) else coding
        return self._walker.is_sequence(element[2], element[4], public=False)

    def children(self, seen: Seen) -> Iterator[Seen]:
        """Give the elements of all items of a sequence; nothing for what is none."""
        coding = self._coding(seen)
        if coding is not None:
            yield from self._children(seen, coding)

    def _children(self, seen: Seen, coding: Coding) -> Iterator[Seen]:
        """Give the elements of all items of a sequence."""
        walker, tag = self._walker, seen.tag
        _, _, position, length, end = seen.element
        closed, number = length != UNDEFINED, 0
        inside = seen.place.inside(coding)
        if inside.depth > MAX_DEPTH:
            raise DatasetError(f"sequences are nested deeper than {MAX_DEPTH}", seen.path)
        while not (closed and position == end):
            item, size = walker.item_header(position, end, coding)
            position += 8
            if item == SEQUENCE_END and not closed and not size:
                return
            if item != ITEM or (size != UNDEFINED and position + size > end):
                raise DatasetError("an item does not fit its sequence", show(tag))
            kind = kind_of_item(seen.decision, seen.level, ItemAt(walker, coding, position, end, size))
            if kind == GONE and self._items_go:
                position = walker.item_end(position, end, size, coding, inside.depth)
                continue
            level = seen.decision.below(seen.level, tag, number, CLOSED if kind == GONE else kind)
            path = f"{seen.path}__{number}__"
            for child in self._item(position, end if size == UNDEFINED else position + size, size, level, inside, path):
                yield child
                position = child.element[4]
            position += 8 if size == UNDEFINED else 0
            number += 1

    def _item(self, position: int, end: int, size: int, level: Level, place: Place, path: str) -> Iterator[Seen]:
        walker, owners = self._walker, Owners(level, self._dataset)
        while position != end:
            if size == UNDEFINED and walker.item_header(position, end, place.coding) == (ITEM_END, 0):
                return
            element = walker.element(position, end, place.coding, place.depth)
            decision = level.decisions.get(element[0]) or owners.decide(element, path)
            if decision.kind == CHARSET:
                read = codec(bytes(self._dataset.buffer[element[2] : element[4]]))
                place = Place(place.coding, read, read, place.depth)
            yield Seen(element, decision, level, place, path + show(element[0] >> 16))
            position = element[4]
