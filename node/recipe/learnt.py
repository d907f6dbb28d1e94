"""What the instances of a series have in common, learnt from those that came: the next one is compared as a whole.

Guarantees that a data set has the very elements that a scan of it finds: a stretch of elements counts as known only
where each of its bytes, values included, is the one that was learnt, and whatever lies between such stretches is read.
What differs, wherever it does, is scanned from its first byte. Memory is bounded: so many patterns, of headers so long.
Refuses nothing that a scan does not refuse. For one thread.
"""

from __future__ import annotations

import struct
from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from node.errors import DatasetError
from node.recipe.dictionary import SPECIFIC_CHARACTER_SET, is_creator, is_private
from node.recipe.encoded import Buffer, Element, EncodedDataset

if TYPE_CHECKING:
    from node.recipe.known.gather import Gathered
    from node.recipe.replay import Plan
    from node.syntaxes import Syntax

_MOST_PATTERNS = 16  # each that does not fit costs a look; there are hardly more series at a time
_MOST_SHAPES = 64
_MOST_PLANS = 4  # of a pattern: recipes that its instances go through
_MOST_FACTS = 16  # of a pattern
_MOST_MOVED = 32  # of a pattern: stretches, each as often as it begins elsewhere
_FEWEST, _MOST = 16, 4096  # elements; of fewer nothing is won
_LARGE = 2048  # bytes; a larger element is read each time, and never kept
_LARGEST = 1 << 16  # bytes of a header that are kept
_SOP_INSTANCE_UID = 0x00080018  # differs in any case
_SERIES_INSTANCE_UID = 0x0020000E

_Shape: TypeAlias = tuple[int, ...]
"""The keys of all elements."""


class Stretch(NamedTuple):
    """Elements that are the same in each instance, and the one behind them, which is not.

    Parameters
    ----------
    start
        Where they begin in the data set that they were learnt from; `elements` have offsets of it.
    data, elements
        Their bytes, and where they lie. Both may be empty.
    varying
        The key of the element behind them, which is read each time; None behind the last ones.
    """

    start: int
    data: bytes
    elements: list[Element]
    varying: int | None


class Pattern:
    """A header of which some elements vary.

    Attributes
    ----------
    stretches
        In order; all but the last are followed by an element that varies.
    varying
        The places of these among the elements.
    places
        The place of each element, by tag.
    gathered
        What identifies in each stretch, once somebody has looked (`node.recipe.known.gather`).
    plans
        What recipes do with it, by all that this depends on (`node.recipe.replay`); the oldest goes first.
    """

    __slots__ = ("_facts", "_moved", "coding", "gathered", "places", "plans", "series", "shape", "stretches", "varying")

    def __init__(self, dataset: EncodedDataset, shape: _Shape, series: bytes, varying: set[int]) -> None:
        elements, buffer = dataset.elements, dataset.buffer
        self.coding = dataset.coding
        self.shape = shape
        self.series = series
        self.varying = tuple(sorted(varying))
        self.places = {element[0] >> 16: place for place, element in enumerate(elements)}
        self.gathered: list[Gathered] | None = None
        self.plans: OrderedDict[tuple[object, ...], Plan] = OrderedDict()
        self.stretches: list[Stretch] = []
        self._facts: dict[object, Any] = {}
        self._moved: dict[tuple[int, int], list[Element]] = {}
        first = 0
        for place in (*self.varying, len(elements)):
            own = elements[first:place]
            behind = elements[place] if place < len(elements) else None
            start = own[0][1] if own else behind[1] if behind else dataset.end
            data = bytes(buffer[start : own[-1][4]]) if own else b""
            self.stretches.append(Stretch(start, data, own, behind[0] if behind else None))
            first = place + 1

    def fill(self, dataset: EncodedDataset) -> bool:
        """Give a data set its elements, where it is like this; else nothing happens.

        Raises DatasetError, struct.error
            An element that varies cannot be read: a scan has to say why.
        """
        buffer, end, walker, coding = dataset.buffer, dataset.end, dataset.walker, dataset.coding
        position, elements, shifts = dataset.start, list[Element](), list[int]()
        for start, data, own, varying in self.stretches:
            after = position + len(data)
            if buffer[position:after] != data:
                return False
            shift = position - start
            shifts.append(shift)
            elements += own if not shift else self._shifted(own, start, shift)
            if varying is None:
                position = after
                break
            element = walker.element(after, end, coding, 0)
            if element[0] != varying:
                return False
            elements.append(element)
            position = element[4]
        if position != end:
            return False
        dataset.elements, dataset.learnt = elements, Learnt(self, shifts)
        return True

    def _shifted(self, own: list[Element], start: int, shift: int) -> list[Element]:
        """Return the elements of the stretch that begins at `start` as they lie in a data set where it is moved.

        A few places are all that a longer number, or a longer address in the envelope, moves them to.
        """
        key = start, shift
        found = self._moved.get(key)
        if found is None:
            if len(self._moved) >= _MOST_MOVED:
                self._moved.clear()
            found = self._moved[key] = moved(own, shift)
        return found

    def fact(self, key: object, tags: Iterable[int], make: Callable[[], Any]) -> Any:
        """Return what follows from the values of some elements alone (`EncodedDataset.once`)."""
        if key in self._facts:
            return self._facts[key]
        found = make()
        if not any(self.places.get(tag) in self.varying for tag in tags):
            if len(self._facts) >= _MOST_FACTS:
                self._facts.clear()
            self._facts[key] = found
        return found

    def keep(self, key: tuple[object, ...], plan: Plan) -> None:
        """Remember what a recipe does."""
        self.plans[key] = plan
        if len(self.plans) > _MOST_PLANS:
            self.plans.popitem(last=False)

    def differing(self, dataset: EncodedDataset) -> set[int]:
        """Return the places of elements that are others in a data set of the same shape, beside those that vary."""
        found, place, buffer = set[int](), 0, dataset.buffer
        for start, data, own, _ in self.stretches:
            for _, first, _, _, end in own:
                element = dataset.elements[place]
                if buffer[element[1] : element[4]] != data[first - start : end - start]:
                    found.add(place)
                place += 1
            place += 1
        return found


class Learnt(NamedTuple):
    """The pattern of a data set, and by how much each of its stretches is moved."""

    pattern: Pattern
    shifts: list[int]


def moved(elements: list[Element], shift: int) -> list[Element]:
    """Return elements with other offsets."""
    return [(key, start + shift, value + shift, length, end + shift) for key, start, value, length, end in elements]


class Memory:
    """The patterns of the series that came last."""

    def __init__(self) -> None:
        self._patterns: list[Pattern] = []  # the latest first
        self._varying: OrderedDict[_Shape, set[int]] = OrderedDict()

    def scan(self, buffer: Buffer, start: int, syntax: Syntax) -> EncodedDataset:
        """Find the elements of a data set, as `EncodedDataset.scan` does. Raises DatasetError."""
        dataset = EncodedDataset(buffer, start, len(buffer), syntax)
        for pattern in self._patterns:
            if pattern.coding is dataset.coding and _fills(pattern, dataset):
                if pattern is not self._patterns[0]:
                    self._patterns.remove(pattern)
                    self._patterns.insert(0, pattern)
                return dataset
        dataset = EncodedDataset.scan(buffer, start, syntax)
        self._learn(dataset)
        return dataset

    def sizes(self) -> dict[str, int]:
        """Return how much is remembered, for who watches over it."""
        plans = sum(len(pattern.plans) for pattern in self._patterns)
        return {"patterns": len(self._patterns), "shapes": len(self._varying), "plans": plans}

    def _learn(self, dataset: EncodedDataset) -> None:
        elements = dataset.elements
        if not (dataset.ordered and _FEWEST <= len(elements) <= _MOST):
            return
        always = {
            place
            for place, (key, start, _, _, end) in enumerate(elements)
            if end - start > _LARGE or key >> 16 == _SOP_INSTANCE_UID
        }
        if any(_governs(elements[place][0] >> 16) for place in always):
            return
        read = sum([elements[place][4] - elements[place][1] for place in always])
        if dataset.end - dataset.start - read > _LARGEST:
            return
        shape, series = tuple([element[0] for element in elements]), _series(dataset)
        varying = self._varying_of(shape)
        varying |= always
        before = next((one for one in self._patterns if one.series == series and one.shape == shape), None)
        if before is not None:
            self._patterns.remove(before)
            varying |= {place for place in before.differing(dataset) if not _governs(elements[place][0] >> 16)}
        if len(varying) * 2 > len(elements):
            del self._varying[shape]  # not one kind of header, or too many: it begins anew
            return
        self._patterns.insert(0, Pattern(dataset, shape, series, varying))
        del self._patterns[_MOST_PATTERNS:]

    def _varying_of(self, shape: _Shape) -> set[int]:
        found = self._varying.setdefault(shape, set())
        self._varying.move_to_end(shape)
        if len(self._varying) > _MOST_SHAPES:
            self._varying.popitem(last=False)
        return found


def _fills(pattern: Pattern, dataset: EncodedDataset) -> bool:
    try:
        return pattern.fill(dataset)
    except (DatasetError, struct.error, RecursionError):
        return False


def _governs(tag: int) -> bool:
    """Tell whether an element says how others are to be read: where it differs nothing is known of them."""
    return tag == SPECIFIC_CHARACTER_SET or (is_private(tag) and is_creator(tag))


def _series(dataset: EncodedDataset) -> bytes:
    element = dataset.find(_SERIES_INSTANCE_UID)
    return b"" if element is None or element[4] - element[2] > _LARGE else dataset.raw(element)
