"""The section `retention`: for how long what is no longer needed stays. By default originals go at once.

Nothing here ever lets go of what is received, in flight or held: `held` is only the age from which somebody is told.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import PlainValidator

from node.config.section import Section
from node.config.units import parse_age, parse_age_in_days, parse_stay


class Retention(Section):
    """How long originals stay after their last delivery, held items without an alert, events and maps.

    In seconds, `maps` in days; None is for ever.
    """

    originals: Annotated[float, PlainValidator(parse_stay)] = 0.0
    """How long an original stays after its last delivery, in `spool/retained/`: a duration, or `0`: it goes at once.
    Not together with `node.originals: until-cleaned`.
    """
    held: Annotated[float | None, PlainValidator(parse_age)] = None
    """How long something may be held before there is an alert about it. Nothing is deleted by it. Default:
    `forever`.
    """
    events: Annotated[float | None, PlainValidator(parse_age)] = None
    """How long the history of an instance that is done with stays in the ledger. Default: `forever`."""
    maps: Annotated[int | None, PlainValidator(parse_age_in_days)] = None
    """How long the way back from a replacement to its original stays, in whole days since it was last used. What was
    imported stays. Default: `forever`.
    """
