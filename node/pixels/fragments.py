"""The frames of encapsulated Pixel Data (PS3.5 A.4), as ranges of the source.

Guarantees that every fragment belongs to one frame and none is left over. Refuses with HoldInstance fragments that
cannot be shared out with certainty: several fragments for several frames without a Basic Offset Table that fits.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TypeAlias

from node.pixels.image import Image, refused
from node.recipe import EncodedDataset
from node.recipe.encoded import SEQUENCE_END

Range: TypeAlias = tuple[int, int]
"""Offset and length in the source."""


def frames(dataset: EncodedDataset, image: Image) -> list[list[Range]]:
    """Return the fragments of each frame. Raises HoldInstance."""
    table, *fragments = _items(dataset, image.element[2])
    if len(fragments) == image.frames:
        return [[fragment] for fragment in fragments]
    if image.frames == 1 and fragments:
        return [fragments]
    return _by_offsets(dataset, image, table, fragments)


def _items(dataset: EncodedDataset, position: int) -> list[Range]:
    found: list[Range] = []
    while True:
        # The scan has walked these items: they end, at a delimiter.
        group, number, length = dataset.coding.tag(dataset.buffer, position)
        position += 8
        if group << 16 | number == SEQUENCE_END:
            break
        found.append((position, length))
        position += length
    if not found:
        raise refused("the pixels have no Basic Offset Table", 0x7FE00010)
    return found


def _by_offsets(dataset: EncodedDataset, image: Image, table: Range, fragments: list[Range]) -> list[list[Range]]:
    offset, length = table
    if length != 4 * image.frames or not fragments:
        raise refused("the fragments cannot be shared out among the frames", image.tag)
    base = fragments[0][0] - 8
    raw = bytes(dataset.buffer[offset : offset + length])
    starts = [base + int.from_bytes(raw[at : at + 4], "little") for at in range(0, length, 4)]
    of_start = {fragment[0] - 8: number for number, fragment in enumerate(fragments)}
    firsts = [of_start.get(start, -1) for start in starts]
    if firsts[0] != 0 or any(one >= another for one, another in pairwise(firsts)):
        raise refused("the Basic Offset Table does not fit the fragments", image.tag)
    return [fragments[first:after] for first, after in zip(firsts, [*firsts[1:], len(fragments)], strict=True)]
