"""Which headers of nested elements need no look: they are stepped over, or into, by what they begin with.

Guarantees that only what was learnt from an element that was read is stepped over, and never beyond the end that is
given: whatever does not fit is left to whoever reads headers properly. Remembered for the life of the process, since
the same headers come back with every instance of a kind.
"""

from __future__ import annotations

import struct
from functools import lru_cache

from node.recipe.coding import Coding
from node.recipe.encoded import ITEM, ITEM_END, SEQUENCE_END, UNDEFINED, Buffer, Element

_MOST = 20_000  # headers; a sender of ever new private elements must not fill the memory
_OVER, _OVER_LONG, _INTO, _NUMBERS = 1, 2, 3, 4
_FEW, _TOO_MANY = 256, 1 << 20  # bytes; between them numbers as text are worth being searched apart from the rest


class Steps:
    """The headers of one coding."""

    __slots__ = ("_coding", "_head", "_known", "_marks")

    def __init__(self, coding: Coding) -> None:
        mark = "<" if coding.little else ">"
        self._coding = coding
        self._head = struct.Struct(f"{mark}LL" if coding.implicit else f"{mark}LHH").unpack_from
        self._known: dict[int, int] = {}
        self._marks = frozenset(
            int.from_bytes(coding.item(tag, 0)[:4], coding.order) for tag in (ITEM, ITEM_END, SEQUENCE_END)
        )

    def learn(self, buffer: Buffer, element: Element, *, into: bool = False, numbers: bool = False) -> None:
        """Remember what is done at headers like this one: stepped over with the value, or into it.

        `numbers` is whether the value is numbers as text.
        """
        if len(self._known) > _MOST:
            self._known.clear()
        head, value = self._head(buffer, element[1]), element[2]
        key = head[0] if self._coding.implicit else head[0] << 16 | head[1]
        if numbers:
            self._known[key] = _NUMBERS
            return
        self._known[key] = _INTO if into else _OVER_LONG if value - element[1] == 12 else _OVER

    def past(self, buffer: Buffer, position: int, end: int, numbers: list[tuple[int, int]]) -> int:
        """Return the offset of the next header that has to be read, or `end`; items and delimiters are none.

        Where there are many numbers is added to `numbers`.
        """
        return (self._implicit if self._coding.implicit else self._explicit)(buffer, position, end, numbers)

    def _explicit(self, buffer: Buffer, position: int, end: int, numbers: list[tuple[int, int]]) -> int:
        head, known, marks, of_long = self._head, self._known.get, self._marks, self._coding.length
        while position + 12 <= end:
            tag, vr, length = head(buffer, position)
            step = known(tag << 16 | vr)
            if step == _OVER:
                after = position + 8 + length
            elif step == _INTO:
                after = position + 12
            elif step == _OVER_LONG:
                (length,) = of_long(buffer, position + 8)
                after = position + 12 + length
            elif step == _NUMBERS:
                after = position + 8 + length
                note(numbers, position + 8, after if after <= end else 0)
            elif tag in marks:
                after = position + 8
            else:
                return position
            if after > end:  # among them what has an undefined length
                return position
            position = after
        return position if position + 8 <= end and not self._is_mark(buffer, position) else end

    def _implicit(self, buffer: Buffer, position: int, end: int, numbers: list[tuple[int, int]]) -> int:
        head, known, marks = self._head, self._known.get, self._marks
        while position + 8 <= end:
            tag, length = head(buffer, position)
            step = known(tag)
            if step == _OVER and length != UNDEFINED:
                after = position + 8 + length
            elif step == _NUMBERS and length != UNDEFINED:
                after = position + 8 + length
                note(numbers, position + 8, after if after <= end else 0)
            elif step == _INTO or tag in marks:
                after = position + 8
            else:
                return position
            if after > end:
                return position
            position = after
        return end

    def _is_mark(self, buffer: Buffer, position: int) -> bool:
        return self._head(buffer, position)[0] in self._marks


def note(numbers: list[tuple[int, int]], start: int, end: int) -> None:
    """Add where numbers stand, when they are many and yet fit into one piece."""
    if _FEW < end - start <= _TOO_MANY:
        numbers.append((start, end))


@lru_cache(maxsize=8)
def steps_of(coding: Coding) -> Steps:
    """Return the steps of a coding, with all that they have learnt."""
    return Steps(coding)
