"""What may be done with what is held: which ways out a reason has, and taking one of them for one or many."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial

from node.errors import HoldReason
from node.ledger import Ledger
from node.ledger.releases import BOTH, CORRECTION, REJECTION, REPLACE
from node.spool import Spool

DISCARD, CLEAN = "discard", "clean"
MOST = 1000  # at once


@dataclass(frozen=True, slots=True)
class Out:
    """A way out: what the API and forms call it, what a button says, and what somebody has to know who takes it.

    `each` where every instance has to be looked at: then not for many at once.
    """

    name: str
    label: str
    warning: str = ""
    each: bool = False


RELEASE = Out("release", "Release", "The step that held it runs again; nothing uncleaned is ever sent.")
_DISCARD = Out(DISCARD, "Discard", "Its files are deleted for good; a row stays.")
_SPECIAL: dict[HoldReason, tuple[Out, ...]] = {
    HoldReason.LEAK: (Out("despite-leak", "Release despite the leak", "You looked, and answer for it.", each=True),),
    HoldReason.PIXEL_RISK: (
        RELEASE,
        Out("despite-pixel-risk", "Release: the image shows nobody", "You looked, and answer for it.", each=True),
    ),
    HoldReason.CHANGED: (
        RELEASE,
        Out(REPLACE, "Send in place of the earlier one", "It goes out under the same UIDs."),
        Out(BOTH, "Send beside the earlier one", "It gets a SOP Instance UID of its own."),
    ),
    HoldReason.PATIENT_CORRECTED: (
        Out(CORRECTION, "Release despite the correction", "What was delivered has been put right.", each=True),
    ),
    HoldReason.REJECTION_NOTE: (
        Out(REJECTION, "Send the note on", "The images that it names are still at the destinations.", each=True),
    ),
    HoldReason.FILE_MISSING: (),
}
NAMES = tuple(
    dict.fromkeys((RELEASE.name, *(out.name for outs in _SPECIAL.values() for out in outs if out is not RELEASE)))
)


# Held after it was cleaned, or for what no recipe changes (`node.story.recleaning`).
_NOT_BY_A_RECIPE = frozenset(
    {
        HoldReason.FILE_MISSING,
        HoldReason.PATIENT_CORRECTED,
        HoldReason.REJECTION_NOTE,
        HoldReason.REFUSED,
        HoldReason.GAVE_UP,
        HoldReason.CLASS_REFUSED,
        HoldReason.SYNTAX_REFUSED,
        HoldReason.DESTINATION_HAS_ANOTHER,
        HoldReason.DESTINATION_GONE,
        HoldReason.COMMISSIONING,
        HoldReason.REBUILT,
    }
)


def cleans(reason: str) -> bool:
    """Whether what is held for a reason may be cleaned again by another recipe; whether it can, the command says."""
    return bool(reason) and reason not in _NOT_BY_A_RECIPE


def ways(reason: str | None) -> tuple[Out, ...]:
    """Return the ways out of a reason, discarding last; none where nothing is held."""
    if not reason:
        return ()
    try:
        return (*_SPECIAL.get(HoldReason(reason), (RELEASE,)), _DISCARD)
    except ValueError:
        return (RELEASE, _DISCARD)


def take(ledger: Ledger, spool: Spool, way: str, ids: Iterable[str]) -> tuple[list[str], list[str]]:
    """Take a way out for each of some instances; return those that went, and those that it does not apply to.

    Raises LedgerError; what went before that has gone.
    """
    one = _taking(ledger, spool, way)
    went: list[str] = []
    stayed: list[str] = []
    for instance in ids:
        (went if one(instance) else stayed).append(instance)
    return went, stayed


def _taking(ledger: Ledger, spool: Spool, way: str) -> Callable[[str], bool]:
    if way == DISCARD:
        return lambda instance: ledger.discard(instance, spool)
    if way == RELEASE.name:
        return ledger.release
    if way.startswith("despite-"):
        return partial(ledger.release_despite, HoldReason(way.removeprefix("despite-")))
    return partial(ledger.release_as, way)
