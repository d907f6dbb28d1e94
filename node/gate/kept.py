"""The texts that a result has of its original, for whoever reviews them: free texts, as they came or cleaned.

Guarantees that a text of the result is given where the original has that very text in an element of the same path, or
where a line cleaned it word by word. Numbers of items do not count. What recipes write themselves is none of them.
Costs less than to clean the header: only what can be a text, or hold one, is looked at.
"""

from __future__ import annotations

import contextlib
import struct
from collections import OrderedDict
from collections.abc import Container, Iterable, Iterator
from functools import lru_cache
from typing import NamedTuple

from node.errors import DatasetError
from node.gate.judge import header_of, is_cleaned
from node.recipe import Cleaned, EncodedDataset, Recipe
from node.recipe.charset import Codec, codec
from node.recipe.coding import Coding
from node.recipe.compiled import CREATOR, LEAF, Decision, Level, effective_vr
from node.recipe.dictionary import SPECIFIC_CHARACTER_SET, entry, is_creator, is_private, show
from node.recipe.elements import Owners, Place, items_coding
from node.recipe.encoded import ITEM, ITEM_END, SEQUENCE_END, UNDEFINED, Element
from node.recipe.instance import Instance
from node.recipe.known.needles import decoded
from node.recipe.originals import Originals, Seen
from node.recipe.program import Program

_FREE_TEXTS = frozenset(("LO", "LT", "PN", "SH", "ST", "UC", "UT"))
_NOTHING, _TEXT, _ITEMS = 0, 1, 2
_LONGEST = 1 << 16  # bytes of a text that are looked at
_MOST = 2048  # elements whose texts are remembered
_LARGE = 4096  # bytes; larger ones are not

Text = tuple[str, str]
"""Tag path without the numbers of items, and text."""
_recent: OrderedDict[tuple[Decision, Level, _Side, _Side | None], tuple[Text, ...]] = OrderedDict()


def kept_texts(cleaned: Cleaned, recipe: Recipe) -> list[Text]:
    """Return path (without item numbers) and text of each free text that a result has of its original, each once.

    Free texts are those of LO, LT, PN, SH, ST, UC and UT, and of CS where no dictionary knows the element.

    Raises
    ------
    DatasetError
        The result cannot be parsed.
    """
    return list(dict.fromkeys(_Kept(cleaned, recipe).all()))


class _Kept:
    """One result beside its original."""

    def __init__(self, cleaned: Cleaned, recipe: Recipe) -> None:
        self._original = cleaned.dataset
        self._dataset, _ = header_of(cleaned)
        self._level = recipe.root(self._dataset)

    def all(self) -> Iterator[Text]:
        """Give them in the order of the result, some more than once."""
        dataset, level = self._dataset, self._level
        owners, now, before = Owners(level, dataset), _Texts(dataset), _Texts(self._original)
        for element in dataset.elements:
            if not may_hold_text(element[0]):
                continue
            decision = level.decisions.get(element[0]) or owners.decide(element, "")
            was = self._original.find(element[0] >> 16)
            yield from self._of(element, decision, was, (now, before))

    def _of(
        self, element: Element, decision: Decision, was: Element | None, texts: tuple[_Texts, _Texts]
    ) -> Iterable[Text]:
        """Return the texts of an element of the top level; `was` is the original's."""
        now, before = texts
        # All that they follow from: in a series most of it is the same in each instance.
        sides = now.side(element), None if was is None else before.side(was)
        if any(side is not None and len(side.encoded) > _LARGE for side in sides):
            return self._kept(now.of(element), set() if was is None else set(before.of(was)), element, decision)
        key = (decision, self._level, *sides)
        found = _recent.get(key)
        if found is None:
            there = set() if was is None else set(before.of(was))
            found = _recent[key] = tuple(self._kept(now.of(element), there, element, decision))
            if len(_recent) > _MOST:
                _recent.popitem(last=False)
        return found

    def _kept(
        self, texts: Iterator[Text], there: Container[Text], element: Element, decision: Decision
    ) -> Iterator[Text]:
        """Give those of the texts that are there in the original's element, or that a line cleans."""
        cleans = None
        for text in texts:
            if text not in there:
                if cleans is None:
                    cleans = self._cleaning(element, decision)
                if text[0] not in cleans:
                    continue
            yield text

    def _cleaning(self, element: Element, decision: Decision) -> frozenset[str]:
        """Return the paths, in an element of the top level, of texts that a line cleans."""
        path = show(element[0] >> 16)
        if decision.kind in (LEAF, CREATOR):
            return frozenset((path,)) if is_cleaned(decision) else frozenset()
        dataset = self._dataset
        instance = Instance(dataset, None, {})
        place = Place(dataset.coding, dataset.codec, dataset.codec, 0)
        walk = Originals(dataset, instance, Program(instance, dataset))
        return frozenset(_cleaned_below(walk, Seen(element, decision, self._level, place, path), path))


def _cleaned_below(walk: Originals, seen: Seen, path: str) -> Iterator[str]:
    if is_cleaned(seen.decision):
        yield path
    for child in walk.children(seen):
        yield from _cleaned_below(walk, child, f"{path}__{show(child.tag)}")


class _Side(NamedTuple):
    """An element of the top level, of the original or the result, and how it is read."""

    encoded: bytes
    creator: str | None
    coding: Coding
    codec: Codec


class _Texts:
    """The free texts in the elements of a data set."""

    def __init__(self, dataset: EncodedDataset) -> None:
        self._dataset = dataset
        self._walker = dataset.walker
        self._creators = _Creators(dataset)

    def side(self, element: Element) -> _Side:
        """Return an element of the top level with all that its texts follow from, to be asked for in its order."""
        dataset = self._dataset
        creator = self._creators.of(element, dataset.codec)
        encoded = bytes(dataset.buffer[element[1] : min(element[4], element[1] + _LARGE + 1)])
        return _Side(encoded, creator, dataset.coding, dataset.codec)

    def of(self, element: Element) -> Iterator[Text]:
        """Give the texts of an element of the top level whose `side` was asked for, as far as they can be read."""
        dataset = self._dataset
        with contextlib.suppress(DatasetError, struct.error):
            yield from self._of(element, "", dataset.coding, dataset.codec, 0, self._creators)

    def _of(
        self, element: Element, above: str, coding: Coding, read: Codec, depth: int, creators: _Creators
    ) -> Iterator[Text]:
        creator = creators.of(element, read)
        what, kind = _what(element[0], creator, self._dataset.signed)
        if what == _NOTHING:
            return
        path = above + show(element[0] >> 16)
        if what == _ITEMS:
            inner = items_coding(self._walker, element, kind, coding)
            if inner is not None:
                yield from self._items(element, f"{path}__", inner, read, depth + 1)
        elif element[3] != UNDEFINED:
            text = decoded(bytes(self._dataset.buffer[element[2] : min(element[4], element[2] + _LONGEST)]), read)
            if text:
                yield path, text

    def _items(self, sequence: Element, path: str, coding: Coding, read: Codec, depth: int) -> Iterator[Text]:
        walker = self._walker
        _, _, position, length, end = sequence
        while not (length != UNDEFINED and position >= end):
            item, size = walker.item_header(position, end, coding)
            position += 8
            if item == SEQUENCE_END or item != ITEM:
                return
            creators, inside = _Creators(self._dataset), read
            last = end if size == UNDEFINED else position + size
            while position < last:
                if size == UNDEFINED and walker.item_header(position, last, coding) == (ITEM_END, 0):
                    position += 8
                    break
                element = walker.element(position, last, coding, depth)
                if element[0] >> 16 == SPECIFIC_CHARACTER_SET:
                    inside = codec(bytes(self._dataset.buffer[element[2] : element[4]]))
                elif may_hold_text(element[0]):
                    yield from self._of(element, path, coding, inside, depth, creators)
                position = element[4]


class _Creators:
    """Whose the private blocks of one place are."""

    __slots__ = ("_blocks", "_dataset")

    def __init__(self, dataset: EncodedDataset) -> None:
        self._dataset = dataset
        self._blocks: dict[int, str] = {}

    def of(self, element: Element, read: Codec) -> str | None:
        """Return the creator of a private element's block; a creator reserves one."""
        tag = element[0] >> 16
        if not is_private(tag):
            return None
        if is_creator(tag):
            raw = bytes(self._dataset.buffer[element[2] : min(element[4], element[2] + 256)])
            self._blocks[(tag >> 16) << 8 | (tag & 0xFF)] = decoded(raw, read)
            return None
        return self._blocks.get(tag >> 8)


@lru_cache(maxsize=20_000)
def _what(key: int, creator: str | None, signed: bool) -> tuple[int, int]:
    """Return whether an element with this key holds items, a text or neither, and what kind of element it is."""
    vr, kind = effective_vr(key, creator, signed)
    if kind != LEAF:
        return _ITEMS, kind
    tag = key >> 16
    free = vr in _FREE_TEXTS or (vr == "CS" and entry(tag) is None)
    return (_TEXT if free else _NOTHING), kind


@lru_cache(maxsize=20_000)
def may_hold_text(key: int) -> bool:
    """Tell whether an element with this key holds a text or items, for some creator of its block."""
    return bool(key >> 16 & 0xFFFF) and _what(key, None, False)[0] != _NOTHING
