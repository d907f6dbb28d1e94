"""What an encoded content item says of itself, before anything is decided for it (PS3.3 C.17.3.2).

Guarantees that only headers are read, and values of a concept name, a Value Type and, for a number, its unit. Never
refuses: an item that cannot be read is not clear, and its walk will refuse it.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

from node.recipe.coding import Coding
from node.recipe.encoded import ITEM, ITEM_END, UNDEFINED, Element, Walker, inner_coding, is_un, read_header

_VALUE_TYPE = 0x0040A040
_CONCEPT_NAME = 0x0040A043
_MEASURED_VALUE = 0x0040A300
_UNITS = 0x004008EA
_NUMBER = 0x0040A30A
_LAST = 0x0040A730  # Content Sequence: what a value says stands in front of it
_SCHEME = 0x00080102
_CODE_VALUES = (0x00080100, 0x00080119, 0x00080120)
_SEVERAL = "nan"  # more numbers than the standard allows
_LONGEST = 1024  # bytes of a sequence with one code

CODE_SEQUENCES = frozenset(
    {
        0x00080121,  # Equivalent Code Sequence
        _UNITS,
        _CONCEPT_NAME,
        0x0040A168,  # Concept Code Sequence
        0x0040A170,  # Purpose of Reference Code Sequence
        0x0040A195,  # Modifier Code Sequence
        0x0040A301,  # Numeric Value Qualifier Code Sequence
    }
)
# What holds an item's value, and the Value Type that it goes with.
VALUES = {
    0x0040A120: "DATETIME",
    0x0040A121: "DATE",
    0x0040A122: "TIME",
    0x0040A123: "PNAME",
    0x0040A124: "UIDREF",
    0x0040A160: "TEXT",
    0x0040A168: "CODE",
    _MEASURED_VALUE: "NUM",
    _NUMBER: "NUM",
    0x00700006: "TEXT",
}


class ItemAt(NamedTuple):
    """Where an item stands: its elements begin at `position`, and must end at or before `end`; its length field."""

    walker: Walker
    coding: Coding
    position: int
    end: int
    length: int

    def elements(self) -> Iterator[Element]:
        """Give its elements in front of the content that is nested in it."""
        end = self.end if self.length == UNDEFINED else self.position + self.length
        return _elements(self.walker, self.position, end, self.coding)


class Facts(NamedTuple):
    """What an item says of itself.

    Parameters
    ----------
    clear
        Its attributes ascend, and hold one value of the type that it names and no concept name but one with a code.
    value_type
        Its Value Type; where it has none, the type that its value goes with; empty where it has neither.
    concept
        Value and scheme of its concept's code, or None where it names none.
    number, unit
        Of a number: its value and the code of its unit, as texts. `number` is None where there is none.
    """

    clear: bool
    value_type: str
    concept: tuple[str, str] | None
    number: str | None = None
    unit: str = ""


def facts(item: ItemAt) -> Facts:
    """Return what an item says of itself."""
    walker, coding = item.walker, item.coding
    named, last, clear = "", 0, True
    concept, unit, number, types = None, "", None, set[str]()
    for element in item.elements():
        tag = element[0] >> 16
        clear, last = clear and tag > last, tag
        if tag == _VALUE_TYPE:
            named = _text(walker, element)
        elif tag == _CONCEPT_NAME:
            concept = _code(walker, element, coding)
            clear = clear and concept is not None
        elif tag == _UNITS:
            unit = _unit(walker, element, coding)
        elif tag in VALUES:
            types.add(VALUES[tag])
            if tag == _NUMBER:
                number = _text(walker, element)
            elif tag == _MEASURED_VALUE:
                number, unit = _measured(walker, element, coding)
    fitting = len(types) < 2 and (not named or types <= {named})
    return Facts(clear and fitting, named or next(iter(types), ""), concept, number, unit)


def scheme(item: ItemAt) -> str:
    """Return the coding scheme designator of a code's item; empty where it has none."""
    return next((_text(item.walker, found) for found in item.elements() if found[0] >> 16 == _SCHEME), "")


def _elements(walker: Walker, position: int, end: int, coding: Coding) -> Iterator[Element]:
    """Give the elements of an item that stand in front of what is nested in it."""
    while position + 8 <= end and walker.item_header(position, end, coding) != (ITEM_END, 0):
        element = read_header(walker, position, end, coding)
        if element[0] >> 16 == _LAST:
            return
        if element[3] == UNDEFINED:
            element = walker.complete(element, end, coding, 1)
        yield element
        position = element[4]


def _text(walker: Walker, element: Element) -> str:
    if element[4] - element[2] > _LONGEST:
        return ""
    return bytes(walker.buffer[element[2] : element[4]]).decode("latin-1").strip("\0 ")


def _nested(walker: Walker, element: Element, coding: Coding) -> tuple[bytes, Coding | None]:
    """Return the items of a short sequence, and how they are encoded."""
    if element[4] - element[2] > _LONGEST:
        return b"", None
    raw = bytes(walker.buffer[element[2] : element[4]])
    if not is_un(walker, element, coding):
        return raw, coding
    return raw, inner_coding(walker, element, coding) if element[3] == UNDEFINED else _coding_of_un(raw)


@lru_cache(maxsize=1024)
def _coding_of_un(raw: bytes) -> Coding | None:
    return Walker(raw, len(raw)).is_sequence(0, len(raw), public=False)


def _code(walker: Walker, element: Element, coding: Coding) -> tuple[str, str] | None:
    raw, inner = _nested(walker, element, coding)
    return None if inner is None else _code_in(raw, inner)


def _unit(walker: Walker, element: Element, coding: Coding) -> str:
    found = _code(walker, element, coding)
    return found[0] if found else ""


@lru_cache(maxsize=8192)
def _code_in(raw: bytes, coding: Coding) -> tuple[str, str] | None:
    """Return the code of a sequence that has one; the same few come back all the time."""
    walker = Walker(raw, len(raw))
    texts: dict[int, str] = {}
    items = list(_items(walker, coding))
    for element in items[0] if len(items) == 1 else ():
        texts.setdefault(element[0] >> 16, _text(walker, element))
    value = next((texts[tag] for tag in _CODE_VALUES if texts.get(tag)), "")
    return (value, texts.get(_SCHEME, "")) if value else None


def _measured(walker: Walker, element: Element, coding: Coding) -> tuple[str | None, str]:
    raw, inner = _nested(walker, element, coding)
    return (None, "") if inner is None else _measured_in(raw, inner)


def _measured_in(raw: bytes, coding: Coding) -> tuple[str | None, str]:
    walker = Walker(raw, len(raw))
    number, unit = None, ""
    for item in _items(walker, coding):
        for element in item:
            tag = element[0] >> 16
            if tag == _NUMBER:
                number = _text(walker, element) if number is None else _SEVERAL
            elif tag == _UNITS:
                unit = _unit(walker, element, coding)
    return number, unit


def _items(walker: Walker, coding: Coding) -> Iterator[list[Element]]:
    position, end = 0, walker.end
    while position + 8 <= end:
        tag, length = walker.item_header(position, end, coding)
        if tag != ITEM:
            return
        position += 8
        until = end if length == UNDEFINED else min(end, position + length)
        found = list(_elements(walker, position, until, coding))
        yield found
        position = walker.item_end(position, end, length, coding)
