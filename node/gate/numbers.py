"""Long values of DS and IS that went out as they came: most of a structure set, and hardly ever anybody's identity.

Guarantees that nothing is left out: they are only put apart from the rest, since in numbers as text no word can stand
and whole values alone count (`node.gate.judge`), which one pass over them tells of almost all. Refuses to take for
numbers what holds anything but digits, signs, points, exponents, blanks and backslashes.
"""

from __future__ import annotations

from collections.abc import Iterator

from node.recipe import Cleaned
from node.recipe.output import SMALL, Segment

Ranges = list[tuple[int, int]]

BETWEEN = b"\\"
_PIECE = 1 << 20  # bytes
_OF_NUMBERS = b"0123456789+-eE"
_POINT, _BLANK, _OTHER = b"._x"
_MARKS = bytes(
    _BLANK if code in b" \0" else code if code in b".\\" or code in _OF_NUMBERS else _OTHER for code in range(256)
)
SHORTEST = 6  # characters; the number of a shorter value without a point says nothing of it
_DIGITS = bytes(48 if code in _OF_NUMBERS else code for code in range(256))
_TWO, _LONG = b"..", BETWEEN + b"0" * SHORTEST
_DECIMALS = b".\\" * (_PIECE >> 1)


def apart(cleaned: Cleaned, numbers: Ranges) -> tuple[list[Segment], Ranges]:
    """Return the segments of a result without those of the ranges that went out unchanged; and these.

    `numbers` are ranges of the original, ascending.
    """
    if not numbers:
        return cleaned.segments, []
    dataset, buffer = cleaned.dataset, cleaned.dataset.buffer
    rest: list[Segment] = []
    small: list[bytes] = []
    kept: Ranges = []

    def take(start: int, end: int) -> None:
        if end - start <= SMALL:
            small.append(bytes(buffer[start:end]))
            return
        rest.extend((b"".join(small), (start, end - start)))
        small.clear()

    position, place, many = dataset.start, 0, len(numbers)
    for start, end, new in (*cleaned.edits, (dataset.end, dataset.end, b"")):
        while place < many and numbers[place][1] <= start:
            first, after = numbers[place]
            place += 1
            if first >= position:  # otherwise an edit has touched it
                take(position, first)
                kept.append((first, after))
                position = after
        take(position, start)
        small.append(new)
        position = end
    return [*rest, b"".join(small)], kept


def pieces_of(cleaned: Cleaned, kept: Ranges) -> Iterator[bytes]:
    """Give the values that stand at ranges of the original, many at once; what begins a value follows a backslash."""
    buffer, held, size = cleaned.dataset.buffer, [b""], 0
    for start, end in kept:
        held.append(bytes(buffer[start:end]).rstrip(b" "))
        size += end - start
        if size >= _PIECE:
            yield BETWEEN.join(held)
            held, size = [b""], 0
    if size:
        yield BETWEEN.join(held)


def marks_of(piece: bytes) -> bytes:
    """Return what is left of numbers without digits, signs and exponents: points and backslashes; other for others."""
    return piece.translate(_MARKS, _OF_NUMBERS)


def are_numbers(marks: bytes) -> bool:
    """Tell whether there are but numbers and blanks."""
    return _OTHER not in marks


def are_decimals(marks: bytes) -> bool:
    """Tell whether each value has one point, no more and no less: then none is an id, a UID, or a date."""
    size = len(marks) - 1
    whole, part = divmod(size, len(_DECIMALS))
    return size % 2 == 1 and marks[1:] == _DECIMALS * whole + _DECIMALS[:part]


def may_identify(piece: bytes, marks: bytes) -> bool:
    """Tell whether any of the numbers can be more than one: has two points, a blank inside, or six digits and none."""
    # From the right it skips more: twice as fast as `in`.
    return _TWO in marks or _BLANK in marks or piece.translate(_DIGITS).rfind(_LONG) >= 0


def leads(marks: bytes) -> tuple[bytes, ...]:
    """Return what a whole value can follow."""
    return (BETWEEN, b" ", b"\0") if _BLANK in marks else (BETWEEN,)
