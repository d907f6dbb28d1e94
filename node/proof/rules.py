"""What must be true of an instance, of a file and of the tallies. Pure: what there is was looked at before."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from node.ledger.evidence import Known, Place, Tally


class Problem(StrEnum):
    """What can be wrong: the closed list that `docs/operation.md` explains."""

    FILE_MISSING = "file-missing"  # neither original nor cleaned file is there
    FILE_DAMAGED = "file-damaged"  # it has another size than was received, or no readable file meta information
    CONTENT_DIFFERS = "content-differs"  # it has another content than was received
    NOT_SENDABLE = "not-sendable"  # a delivery waits for what is not there, or not whole
    NO_DELIVERY = "no-delivery"  # cleaned, and nobody is to get it
    NO_ANSWER = "no-answer"  # delivered, and no status of the destination is known
    OUTCOME_DIFFERS = "outcome-differs"  # its row says another outcome than its deliveries
    FILE_LEFT = "file-left"  # nothing needs the file any more
    FILE_UNKNOWN = "file-unknown"  # the ledger has no row for it
    TALLY_DIFFERS = "tally-differs"  # `status` counts otherwise than the rows are


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that does not fit; `id` is the node's own id of an instance, `detail` holds no value."""

    problem: Problem
    id: str | None = None
    route: str | None = None
    destination: str | None = None
    detail: str = ""


@dataclass(frozen=True, slots=True)
class File:
    """A file of the spool: its size in bytes, that of its data set (None: its head cannot be read), and its digest.

    The digest is None where the content is not looked at.
    """

    whole: int
    data_set: int | None = None
    digest: bytes | None = None


@dataclass(frozen=True, slots=True)
class Files:
    """What there is of one instance."""

    original: File | None = None
    cleaned: File | None = None


def needs_original(known: Known) -> bool:
    """Whether something is still to be made or sent from the original."""
    return known.state in {"received", "held"} or (known.derived is not None and is_open(known))


def is_open(known: Known) -> bool:
    """Whether a delivery of it waits, for its time or for a person."""
    return any(one.state in {"due", "held"} for one in known.sent)


def outcome_of(known: Known) -> str:
    """Return what became of an instance, by its state and its deliveries."""
    if known.state != "cleaned":
        return "in_flight" if known.state == "received" else known.state
    states = {one.state for one in known.sent}
    for state, outcome in (("discarded", "discarded"), ("held", "held"), ("due", "in_flight")):
        if state in states:
            return outcome
    return "delivered"


def judge(known: Known, files: Files) -> list[Fault]:
    """Return what does not fit of one instance."""

    def fault(problem: Problem, detail: str = "", destination: str | None = None) -> Fault:
        return Fault(problem, known.id, known.route, destination, detail)

    faults = []
    if known.outcome != outcome_of(known):
        faults.append(fault(Problem.OUTCOME_DIFFERS, f"{known.outcome} in place of {outcome_of(known)}"))
    if known.state == "cleaned" and not known.sent:
        faults.append(fault(Problem.NO_DELIVERY))
    faults += [
        fault(Problem.NO_ANSWER, destination=one.destination)
        for one in known.sent
        if one.state == "delivered" and one.status is None and not one.assumed
    ]
    if known.state in {"received", "held"}:
        faults += [fault(*wrong) for wrong in _wrong_with_original(known, files)]
    elif known.state == "cleaned":
        wrong_with_body = _wrong_with_body(known, files)
        faults += [
            fault(*wrong_with_body, one.destination)
            for one in known.sent
            if wrong_with_body is not None and one.state in {"due", "held"}
        ]
    return faults


def _wrong_with_original(known: Known, files: Files) -> list[tuple[Problem, str]]:
    original = files.original
    if original is None:
        # An older ledger that was restored: of what it takes for received, only the cleaned file may be left.
        return [(Problem.FILE_MISSING, known.state)] if files.cleaned is None else []
    return _wrong_with_bytes(known, original)


def _wrong_with_bytes(known: Known, original: File) -> list[tuple[Problem, str]]:
    if original.data_set is None:
        return [(Problem.FILE_DAMAGED, "its file meta information cannot be read")]
    if original.data_set != known.size:
        return [(Problem.FILE_DAMAGED, f"{original.data_set} bytes in place of {known.size}")]
    if original.digest is not None and known.digest and original.digest != known.digest:
        return [(Problem.CONTENT_DIFFERS, "")]
    return []


def _wrong_with_body(known: Known, files: Files) -> tuple[Problem, str] | None:
    """What is wrong with what the deliveries of a cleaned instance send."""
    if known.derived is not None:
        return _wrong_with_derived(known, known.derived, files)
    if files.cleaned is None:
        return Problem.NOT_SENDABLE, "its cleaned file is missing"
    if files.cleaned.whole != known.clean_size:
        return Problem.NOT_SENDABLE, f"its cleaned file has {files.cleaned.whole} bytes, not {known.clean_size}"
    return None


def _wrong_with_derived(known: Known, derived: tuple[int, int, int, int], files: Files) -> tuple[Problem, str] | None:
    before, start, length, after = derived
    if before + length + after != known.clean_size:
        return Problem.NOT_SENDABLE, f"its pieces are {before + length + after} bytes, not {known.clean_size}"
    if files.original is None:
        return Problem.NOT_SENDABLE, "its original is missing"
    if start + length > files.original.whole:
        return Problem.NOT_SENDABLE, "its original ends before its pixels do"
    return next(iter(_wrong_with_bytes(known, files.original)), None)


def compare_tallies(counted: Tally, tallied: Tally) -> list[Fault]:
    """Return a fault for each tally that is not the number of its rows."""
    return [
        Fault(
            Problem.TALLY_DIFFERS,
            detail=f"{', '.join(map(str, key))}: {counted[key]} counted, {tallied[key]} in the tallies",
        )
        for key in sorted(counted.keys() | tallied.keys(), key=str)
        if counted[key] != tallied[key]
    ]


def judge_file(folder: str, place: Place | None, *, retains: bool = False) -> Problem | None:
    """Return what does not fit of a file in `originals` or `cleaned` by where its instance stands.

    `retains` says that originals stay for a time once they are delivered, and so until then, whatever is sent.
    """
    if place is None:
        return Problem.FILE_UNKNOWN
    if place.state in {"received", "held"}:
        return None
    needed = place.is_open if folder == "cleaned" else place.is_derived or (retains and place.is_open)
    return None if needed and place.state == "cleaned" else Problem.FILE_LEFT
