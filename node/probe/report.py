"""What is told of one route: counts, checks, and a verdict; nothing in it is a value of a data set."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

from node.errors import HoldReason

ON_PURPOSE = frozenset(
    str(reason)
    for reason in (
        HoldReason.UNKNOWN_SOP_CLASS,
        HoldReason.DOCUMENT,
        HoldReason.PIXEL_RISK,
        HoldReason.COMMISSIONING,
    )
)
"""Reasons for which a configuration means to hold: no failure, but told."""


class Verdict(StrEnum):
    """What came out for a route; `held` where nothing was to arrive, so that nothing could be shown."""

    PASSED = "passed"
    FAILED = "failed"
    HELD = "held"


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at; `ok` None where there was nothing to look at. `text` has paths, no values."""

    name: str
    ok: bool | None
    text: str = ""


@dataclass(frozen=True, slots=True)
class Kept:
    """Instances that did not arrive, and why; `meant` where the configuration says so."""

    outcome: str
    reason: str
    detail: str
    instances: int
    meant: bool


@dataclass(slots=True)
class RouteReport:
    """What became of a study that was sent by a route; `arrived` counts instances that every destination has."""

    route: str
    destinations: tuple[str, ...]
    sent: int = 0
    acknowledged: int = 0
    arrived: int = 0
    kept: list[Kept] = field(default_factory=list)
    checks: list[Check] = field(default_factory=list)
    seconds: float = 0.0
    notes: list[str] = field(default_factory=list)

    @property
    def verdict(self) -> Verdict:
        """Failed where one check is; held where nothing arrived, and nothing was to."""
        if any(check.ok is False for check in self.checks):
            return Verdict.FAILED
        return Verdict.PASSED if self.arrived else Verdict.HELD

    def told(self) -> dict[str, Any]:
        """As `selftest --json` prints it."""
        return {"verdict": str(self.verdict), **asdict(self)}


def read(told: dict[str, Any]) -> RouteReport:
    """Return the report that was told."""
    names = ("route", "destinations", "sent", "acknowledged", "arrived", "seconds", "notes")
    report = RouteReport(**{name: told[name] for name in names})
    report.kept = [Kept(**one) for one in told["kept"]]
    report.checks = [Check(**one) for one in told["checks"]]
    return report
