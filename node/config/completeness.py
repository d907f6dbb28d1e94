"""The section `completeness`: studies that have become quiet are compared with what their destinations have."""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator

from node.config.section import Section
from node.config.units import parse_positive_duration


class Completeness(Section):
    """After how many seconds without any change a study is `quiet`; whether `receipts` are written for what arrived."""

    quiet: Annotated[float, BeforeValidator(parse_positive_duration)] = 600.0
    receipts: bool = True
