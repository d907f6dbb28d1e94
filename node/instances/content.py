"""What goes out of a cleaned data set: its segments, pixels masked where a filter of the recipe asks for it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from node.recipe import Cleaned, Segment
from node.syntaxes import Syntax


@dataclass(frozen=True, slots=True)
class Content:
    """A data set on its way out.

    Attributes
    ----------
    segments
        Literal bytes, or (offset, length) of the source; to be read once. Compressed frames that cannot be decoded show
        it only then (HoldInstance).
    syntax
        How it is encoded: another way than the source where compressed pixels are masked.
    changed
        Whether it differs from the source.
    """

    segments: Iterable[Segment]
    syntax: Syntax
    changed: bool


def masked(cleaned: Cleaned, check_room: Callable[[int], None], seconds: float = math.inf) -> Content:
    """Return what goes out of a cleaned data set; decoding may take `seconds`, `check_room` is asked for its bytes.

    Raises
    ------
    HoldInstance
        The image cannot be masked right.
    NoRoom
        Decoded pixels would leave less free space than the floor.
    """
    if not cleaned.regions:
        return Content(cleaned.segments, cleaned.dataset.syntax, cleaned.changed)
    from node.pixels import mask  # numpy, which most instances never need

    result = mask(cleaned, seconds)
    if result.decoded:
        check_room(result.decoded)
    return Content(result.segments, result.syntax, result.changed)
