"""What goes out of a cleaned data set once its pixels are masked, where a filter of the recipe asks for it."""

from __future__ import annotations

from collections.abc import Iterable

from node.ledger.leases import LEASE_SECONDS
from node.recipe import Cleaned, Segment
from node.spool import Spool
from node.syntaxes import Syntax

# Less than a lease, so that no other cleaner begins with an instance that this one still decodes.
_SECONDS = LEASE_SECONDS / 2


def masked(cleaned: Cleaned, spool: Spool) -> tuple[Iterable[Segment], Syntax, bool]:
    """Return the data set's segments (to be read once), its transfer syntax, and whether it differs from the source.

    Raises
    ------
    HoldInstance
        The image cannot be masked right; compressed frames show it only while the segments are read.
    NoRoom
        Decoded pixels would leave less free space than the floor.
    """
    if not cleaned.regions:
        return cleaned.segments, cleaned.dataset.syntax, cleaned.changed
    from node.pixels import mask  # numpy, which most instances never need

    result = mask(cleaned, _SECONDS)
    if result.decoded:
        spool.check_room(result.decoded)
    return result.segments, result.syntax, result.changed
