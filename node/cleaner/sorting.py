"""An instance whose SOP Instance UID came before, sorted by what changed.

Guarantees
    The same content is not sent again to where it was sent: the key is project, destination, UID and digest of the
    original. Another header of the same patient and study goes by the project's policy, unless a person has decided.
    Refuses (HoldInstance) an instance of another patient or study, and one of which that cannot be told, whatever the
    policy. What a person has discarded, what a rule has excluded, and what could not be read never came.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from node.cleaner.plan import Plan
from node.errors import HoldInstance, HoldReason
from node.instances import name_beside
from node.ledger.copies import SUPERSEDED, Copy, told
from node.ledger.releases import BOTH, CORRECTION, REPLACE
from node.ledger.results import Claimed


@dataclass(frozen=True, slots=True)
class Course:
    """What is to be done with an instance.

    Parameters
    ----------
    destinations
        Where it goes.
    replaces
        Whether it takes the place of what was not delivered yet of the others.
    beside
        What it is called where it goes out under a SOP Instance UID of its own; else empty.
    """

    destinations: tuple[str, ...]
    replaces: bool = False
    beside: str = ""


def stands(claimed: Claimed, plan: Plan) -> Copy | None:
    """Return the copy whose outcome stands for this one; None where there is something to be done."""
    same = [copy for copy in claimed.others if copy.same]
    if not same or plan.same != "once" or claimed.recalled is not None:
        return None
    for copy in same:
        if copy.route == claimed.route and _is_set_aside(copy):
            return copy
    return None if _left(claimed, plan) else next(copy for copy in reversed(same) if copy.sent)


def was_recalled(claimed: Claimed) -> bool:
    """Whether a copy was recalled, for its recipe: no study is finished under that."""
    return any(one.reason == HoldReason.RECALLED for copy in claimed.others for one in copy.sent)


def course(claimed: Claimed, plan: Plan, whose: str | None, is_of: Callable[[str | None], bool]) -> Course:
    """Return what is to be done with an instance for which no other stands.

    Parameters
    ----------
    whose
        Whose it is, as the copies have it.
    is_of
        Whether a study, by its keyed replacement, is the instance's and its patient's: for copies that do not tell
        whose they are, since an earlier version of the program cleaned them.

    Raises
    ------
    HoldInstance
        A person has to decide.
    """
    left = _left(claimed, plan)
    beside = name_beside(claimed.sop_instance_uid, claimed.digest)
    if claimed.recalled is not None:
        # It went out before, whatever came since: under the UID that it had, to where it was recalled from.
        return Course(left, beside=beside if claimed.recalled.uid == plan.scope.keys.uid(beside) else "")
    twin = next((copy for copy in reversed(claimed.others) if copy.same and copy.went), None)
    if twin is not None:
        # The same bytes as it, so under the same UID.
        is_beside = twin.clean_sop_instance_uid == plan.scope.keys.uid(beside)
        return Course(left, beside=beside if is_beside else "")
    sent = [copy for copy in claimed.others if copy.went]
    before = sent or [copy for copy in claimed.others if _was_read(copy)]
    if not before:
        return Course(left)
    latest = before[-1]
    known = latest.whose is not None and whose is not None
    if not (latest.whose == whose if known else is_of(latest.study)) and claimed.decision != CORRECTION:
        raise HoldInstance(HoldReason.PATIENT_CORRECTED, f"{_difference(latest.whose, whose)}; {_told(before)}")
    match _way(claimed, plan, latest):
        case "replace":
            return Course(left, replaces=True)
        case "both":
            return Course(left, beside=beside if sent else "")
    raise HoldInstance(HoldReason.CHANGED, f"its content differs from that of {latest.id}; {_told(before)}")


def _left(claimed: Claimed, plan: Plan) -> tuple[str, ...]:
    """Return the destinations that never had this content; all of them where it is sent again in any case."""
    if plan.same != "once":
        return plan.destinations
    had = {one.destination for copy in claimed.others if copy.same for one in copy.sent if one.had(plan.recipe.hash)}
    return tuple(name for name in plan.destinations if name not in had)


def _is_set_aside(copy: Copy) -> bool:
    """Whether a person has to look at the copy, which has its file, or a later one has taken its place."""
    if copy.state == "held":
        return copy.reason != HoldReason.FILE_MISSING
    return copy.state == "excluded" and copy.reason == SUPERSEDED


def _was_read(copy: Copy) -> bool:
    return copy.state == "held" and copy.whose is not None and copy.reason != HoldReason.FILE_MISSING


def _way(claimed: Claimed, plan: Plan, latest: Copy) -> str:
    if claimed.decision is not None:
        return BOTH if claimed.decision == BOTH else REPLACE
    if plan.header == REPLACE and latest.seq > claimed.seq:
        return "hold"  # released late: what came after it is not replaced by what is older
    return plan.header


def _difference(before: str | None, now: str | None) -> str:
    if before is None or now is None:
        return "whether it is of the same patient and study cannot be told"
    (patient, study), (own_patient, own_study) = before.split("/"), now.split("/")
    parts = [name for name, differs in (("patient", patient != own_patient), ("study", study != own_study)) if differs]
    return f"another {' and '.join(parts)} than before"


def _told(copies: Sequence[Copy]) -> str:
    return told([one for copy in copies for one in copy.sent])
