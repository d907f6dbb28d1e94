"""When to try again: a delay that grows, up to a cap, and is spread so that not all come at once. Pure."""

from __future__ import annotations

import math
from typing import Protocol

_SPREAD = 0.25


class Pace(Protocol):
    """First delay and cap in seconds, and the factor between two delays."""

    @property
    def first(self) -> float:
        """The delay after the first failure."""

    @property
    def factor(self) -> float:
        """How much longer each further delay is."""

    @property
    def cap(self) -> float:
        """The longest delay."""


def delay(pace: Pace, failures: int, chance: float) -> float:
    """Return the seconds to wait after `failures` failures in a row; `chance` is a random number of 0 to 1.

    The wait is never longer than the cap, and at most a quarter shorter or longer than the pace says.
    """
    steps = max(0, failures - 1)
    # By logarithms: a destination that is down for a weekend makes the power overflow.
    reached = steps * math.log(pace.factor) >= math.log(pace.cap / pace.first)
    grown = pace.cap if reached else pace.first * pace.factor**steps
    return min(pace.cap, grown * (1 - _SPREAD + 2 * _SPREAD * chance))
