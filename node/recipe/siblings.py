"""The items of one sequence of an original, side by side.

Guarantees that a sequence is walked as the engine walks it, whatever its length form, and that each item is read by its
own character set. Refuses with DatasetError items that do not fit their sequence.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from node.errors import DatasetError
from node.recipe.charset import CharsetError, Codec, codec
from node.recipe.coding import Coding
from node.recipe.compiled import effective_vr
from node.recipe.dictionary import SPECIFIC_CHARACTER_SET, show
from node.recipe.elements import items_coding
from node.recipe.encoded import ITEM, ITEM_END, SEQUENCE_END, UNDEFINED, Element, EncodedDataset, is_un
from node.recipe.texts import values_of


class _Item(NamedTuple):
    elements: list[Element]
    coding: Coding
    read: Codec


def items(dataset: EncodedDataset, path: str, tags: Sequence[int]) -> list[dict[int, str]]:
    """Return, for each item of the sequence at a tag path, its values of some attributes as text.

    What is absent or no text is left out. Nothing for a path at which there is no sequence.
    """
    places = [_Item(dataset.elements, dataset.coding, dataset.codec)]
    for part in path.split("__"):
        if part.isdecimal():
            places = places[int(part) : int(part) + 1]
        else:
            places = [
                inner for place in places[:1] for inner in _below(dataset, place, int(part[1:5] + part[6:10], 16))
            ]
    return [dict(_values(dataset, place, tags)) for place in places]


def innermost(dataset: EncodedDataset, path: Sequence[int], tag: int) -> Iterator[str]:
    """Give an attribute's values, as text, in all items of a sequence in sequences; `path` are the tags of these.

    Raises DatasetError.
    """
    places: Iterable[_Item] = [_Item(dataset.elements, dataset.coding, dataset.codec)]
    for sequence in path:
        places = [inner for place in places for inner in _below(dataset, place, sequence)]
    for place in places:
        yield from (value for _, value in _values(dataset, place, (tag,)))


def _below(dataset: EncodedDataset, place: _Item, tag: int) -> Iterator[_Item]:
    element = next((one for one in place.elements if one[0] >> 16 == tag), None)
    if element is None:
        return
    coding = items_coding(dataset.walker, element, effective_vr(element[0], None, dataset.signed)[1], place.coding)
    if coding is None:
        return
    closed, position, end = element[3] != UNDEFINED, element[2], element[4]
    while not (closed and position == end):
        found, length = dataset.walker.item_header(position, end, coding)
        position += 8
        if found == SEQUENCE_END:
            return
        if found != ITEM:
            raise DatasetError("an item does not fit its sequence", show(tag))
        elements = list(_elements(dataset, position, end if length == UNDEFINED else position + length, length, coding))
        position = (elements[-1][4] if elements else position) + (8 if length == UNDEFINED else 0)
        yield _Item(elements, coding, _codec(dataset, elements, place.read))


def _elements(dataset: EncodedDataset, position: int, end: int, length: int, coding: Coding) -> Iterator[Element]:
    walker = dataset.walker
    while position != end:
        if length == UNDEFINED and walker.item_header(position, end, coding) == (ITEM_END, 0):
            return
        element = walker.element(position, end, coding, 1)
        yield element
        position = element[4]


def _codec(dataset: EncodedDataset, elements: list[Element], outer: Codec) -> Codec:
    own = next((one for one in elements if one[0] >> 16 == SPECIFIC_CHARACTER_SET), None)
    return outer if own is None else codec(bytes(dataset.buffer[own[2] : own[4]]))


def _values(dataset: EncodedDataset, place: _Item, tags: Sequence[int]) -> Iterator[tuple[int, str]]:
    for element in place.elements:
        if element[0] >> 16 in tags and element[3] != UNDEFINED:
            text = text_of(dataset, element, place.coding, place.read)
            if text is not None:
                yield element[0] >> 16, text


def text_of(dataset: EncodedDataset, element: Element, coding: Coding, read: Codec) -> str | None:
    """Return a value as text, values separated by backslashes; None where it has none."""
    vr, _ = effective_vr(element[0], None, dataset.signed)
    little = coding.little or is_un(dataset.walker, element, coding)
    try:
        return "\\".join(values_of(vr, bytes(dataset.buffer[element[2] : element[4]]), read, little=little))
    except (CharsetError, ValueError):
        return None
