"""A point in time as people type it: how long ago, or an ISO date with or without a time."""

from __future__ import annotations

import time
from datetime import UTC, datetime

import click

from node.config.units import parse_positive_duration


class Moment(click.ParamType[float]):
    """`2h` or `7d` ago; `2026-03-14`, `2026-03-14T09:00`, `2026-03-14T09:00+01:00`; without a zone it is UTC."""

    name = "moment"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return seconds since 1970, UTC."""
        if isinstance(value, float):
            return value
        text = str(value)
        try:
            return time.time() - parse_positive_duration(text)
        except ValueError:
            pass
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            self.fail("say how long ago (2h, 7d) or when (2026-03-14T09:00, UTC).", param, ctx)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


MOMENT = Moment()
