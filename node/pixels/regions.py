"""Regions of an image, to bands of rows in which the same columns are masked.

Guarantees that a later region wins over an earlier one, that what lies outside the image counts for nothing, and that
the bands do not overlap and ascend. Refuses regions none of which masks anything inside the image: a filter that says
that an image shows somebody somewhere else was not written for this image.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from node.errors import HoldInstance, HoldReason
from node.recipe import Region

MAX_REGIONS = 1000  # an ultrasound image has a dozen

Span: TypeAlias = tuple[int, int]
"""First column, and the column behind the last."""


@dataclass(frozen=True, slots=True)
class Band:
    """Rows from `top` to in front of `bottom`, and the columns that are masked in each of them."""

    top: int
    bottom: int
    spans: tuple[Span, ...]

    def widened(self, pixels: int) -> Band:
        """Return the band with spans that begin and end at multiples of `pixels`."""
        if pixels == 1:
            return self
        wide = [(left - left % pixels, right + -right % pixels) for left, right in self.spans]
        return Band(self.top, self.bottom, tuple(_merged(wide)))


def bands(regions: Sequence[Region], rows: int, columns: int) -> tuple[Band, ...]:
    """Return what of an image is masked; nothing where later regions keep everything that earlier ones mask.

    Raises
    ------
    HoldInstance
        No region masks anything inside the image, or there are too many.
    """
    if len(regions) > MAX_REGIONS:
        raise HoldInstance(HoldReason.MASK_FAILED, "the filters name too many regions")
    boxes = [(region.keep, *_clipped(region, rows, columns)) for region in regions]
    boxes = [box for box in boxes if box[1] < box[3] and box[2] < box[4]]
    if all(box[0] for box in boxes):
        raise HoldInstance(HoldReason.MASK_FAILED, "all regions that the filters mask lie outside the image")
    # The edges of all boxes divide the image into cells; a box covers whole ones.
    xs = sorted({edge for box in boxes for edge in (box[1], box[3])})
    ys = sorted({edge for box in boxes for edge in (box[2], box[4])})
    column_of, row_of = ({edge: place for place, edge in enumerate(edges)} for edges in (xs, ys))
    masked = np.zeros((len(ys) - 1, len(xs) - 1), np.int8)
    for keep, x, y, right, bottom in boxes:
        masked[row_of[y] : row_of[bottom], column_of[x] : column_of[right]] = not keep
    return tuple(_bands(masked, xs, ys))


def _bands(masked: NDArray[np.int8], xs: list[int], ys: list[int]) -> Iterator[Band]:
    for cells, (top, bottom) in zip(masked, pairwise(ys), strict=True):
        # Where what is masked begins and ends, by turns.
        edges = [xs[place] for place in np.flatnonzero(np.diff(cells, prepend=0, append=0))]
        if edges:
            yield Band(top, bottom, tuple(zip(edges[::2], edges[1::2], strict=True)))


def _clipped(region: Region, rows: int, columns: int) -> tuple[int, int, int, int]:
    if region.box is None:
        return 0, 0, columns, rows
    x, y, right, bottom = region.box
    return max(x, 0), max(y, 0), min(right, columns), min(bottom, rows)


def _merged(spans: Iterable[Span]) -> Iterator[Span]:
    last: Span | None = None
    for left, right in spans:
        if last is not None and left <= last[1]:
            last = last[0], max(last[1], right)
            continue
        if last is not None:
            yield last
        last = left, right
    if last is not None:
        yield last
