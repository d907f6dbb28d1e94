"""The section `completeness`: studies that have become quiet are compared with what their destinations have."""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator

from node.config.section import Section
from node.config.units import parse_positive_duration


class Completeness(Section):
    """After how many seconds without any change a study is `quiet`; whether `receipts` are written for what arrived."""

    quiet: Annotated[float, BeforeValidator(parse_positive_duration)] = 600.0
    """A study is looked at when nothing of it has come, been delivered or been decided on for so long."""
    receipts: bool = True
    """Whether a signed receipt is written of what a destination has of a study; each instance is then hashed as it goes
    out.
    """
