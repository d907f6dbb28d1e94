"""What a proof has found."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from node.errors import OUTCOMES
from node.proof.rules import Fault

_MOST = 1000  # faults that are told one by one


@dataclass(slots=True)
class Acknowledged:
    """What a sender counted, by what became of it; numbers are lines of its list, from 1.

    `unknown` have no row; `fewer` were acknowledged more often than the ledger has rows of them.
    """

    lines: int = 0
    outcomes: dict[str, int] = field(default_factory=lambda: dict.fromkeys(OUTCOMES, 0))
    unknown: list[int] = field(default_factory=list)
    fewer: list[int] = field(default_factory=list)


@dataclass(slots=True)
class Report:
    """What was looked at, and what does not fit.

    `faults` are the first thousand of `found`. `files` counts `originals` and `cleaned`, of these those that wait to
    be removed (`to_be_removed`) or for their row (`young`), and those whose content was read (`read`).
    """

    counts: dict[str, int] = field(default_factory=dict)
    deliveries: dict[str, int] = field(default_factory=dict)
    files: Counter[str] = field(default_factory=Counter)
    faults: list[Fault] = field(default_factory=list)
    found: int = 0
    acknowledged: Acknowledged | None = None

    @property
    def holds(self) -> bool:
        """Whether everything fits."""
        told = self.acknowledged
        return not self.found and (told is None or not (told.unknown or told.fewer))

    def add(self, faults: Iterable[Fault]) -> None:
        """Count faults, and keep them while there are few."""
        for fault in faults:
            self.found += 1
            if len(self.faults) < _MOST:
                self.faults.append(fault)
