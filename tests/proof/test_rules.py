"""What must be true of an instance: every way in which it can fail to be is told, and nothing else."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from node.ledger.evidence import Known, Place, Sent
from node.proof.rules import File, Files, Problem, compare_tallies, judge, judge_file, needs_original

NAME = "0" * 32
ORIGINAL = File(1100, 1000, b"digest")
DUE, DELIVERED, HELD, DISCARDED = (
    Sent("d", state, 0 if state == "delivered" else None) for state in ("due", "delivered", "held", "discarded")
)


def known(state: str = "received", outcome: str = "in_flight", *sent: Sent, **changes: Any) -> Known:
    return replace(Known(1, NAME, "r", state, outcome, 1000, b"digest", None, 0.0, sent, None), **changes)


def cleaned(outcome: str, *sent: Sent, **changes: Any) -> Known:
    return known("cleaned", outcome, *sent, clean_size=400, **changes)


def derived(outcome: str, *sent: Sent) -> Known:
    return cleaned(outcome, *sent, derived=(50, 700, 300, 50))


IN_ORDER = [
    (known(), Files(ORIGINAL)),
    (known(), Files(replace(ORIGINAL, digest=None))),
    (known(), Files(None, File(400))),
    (known("held", "held"), Files(ORIGINAL)),
    (known("excluded", "excluded"), Files()),
    (known("discarded", "discarded"), Files()),
    (cleaned("in_flight", DUE), Files(None, File(400))),
    (cleaned("in_flight", DUE, DELIVERED), Files(None, File(400))),
    (cleaned("held", DUE, HELD), Files(None, File(400))),
    (cleaned("discarded", HELD, DISCARDED), Files(None, File(400))),
    (cleaned("delivered", DELIVERED, DELIVERED), Files()),
    (cleaned("delivered", replace(DELIVERED, status=None, assumed=True)), Files()),
    (derived("in_flight", DUE), Files(ORIGINAL)),
    (derived("delivered", DELIVERED), Files()),
]

WRONG = [
    (known(), Files(), Problem.FILE_MISSING),
    (known("held", "held"), Files(), Problem.FILE_MISSING),
    (known(), Files(File(1100)), Problem.FILE_DAMAGED),
    (known(), Files(File(1099, 999)), Problem.FILE_DAMAGED),
    (known(), Files(replace(ORIGINAL, digest=b"other")), Problem.CONTENT_DIFFERS),
    (known("held", "held"), Files(replace(ORIGINAL, digest=b"other")), Problem.CONTENT_DIFFERS),
    (known("received", "delivered"), Files(ORIGINAL), Problem.OUTCOME_DIFFERS),
    (cleaned("delivered", DUE), Files(None, File(400)), Problem.OUTCOME_DIFFERS),
    (cleaned("delivered", DELIVERED, HELD), Files(None, File(400)), Problem.OUTCOME_DIFFERS),
    (cleaned("delivered"), Files(), Problem.NO_DELIVERY),
    (cleaned("delivered", replace(DELIVERED, status=None)), Files(), Problem.NO_ANSWER),
    (cleaned("in_flight", DUE), Files(ORIGINAL), Problem.NOT_SENDABLE),
    (cleaned("held", HELD), Files(), Problem.NOT_SENDABLE),
    (cleaned("in_flight", DUE), Files(None, File(399)), Problem.NOT_SENDABLE),
    (derived("in_flight", DUE), Files(None, File(400)), Problem.NOT_SENDABLE),
    (derived("in_flight", DUE), Files(File(999, 1000)), Problem.NOT_SENDABLE),
    (replace(derived("in_flight", DUE), clean_size=401), Files(ORIGINAL), Problem.NOT_SENDABLE),
    (derived("held", HELD), Files(replace(ORIGINAL, digest=b"other")), Problem.CONTENT_DIFFERS),
]


@pytest.mark.parametrize(("instance", "files"), IN_ORDER)
def test_what_is_in_order_has_no_fault(instance: Known, files: Files) -> None:
    assert judge(instance, files) == []


@pytest.mark.parametrize(("instance", "files", "problem"), WRONG)
def test_what_is_not_is_told_once(instance: Known, files: Files, problem: Problem) -> None:
    (fault,) = judge(instance, files)
    assert (fault.problem, fault.id, fault.route) == (problem, NAME, "r")


def test_each_delivery_that_cannot_be_sent_is_told_with_its_destination() -> None:
    faults = judge(cleaned("held", replace(DUE, destination="a"), replace(HELD, destination="b"), DELIVERED), Files())
    assert [(one.problem, one.destination) for one in faults] == [
        (Problem.NOT_SENDABLE, "a"),
        (Problem.NOT_SENDABLE, "b"),
    ]


def test_originals_are_needed_until_nothing_is_made_or_sent_from_them() -> None:
    assert all(map(needs_original, (known(), known("held", "held"), derived("in_flight", DUE), derived("held", HELD))))
    gone = (cleaned("in_flight", DUE), derived("delivered", DELIVERED), known("excluded", "excluded"))
    assert not any(map(needs_original, gone))


@pytest.mark.parametrize(
    ("folder", "place", "problem"),
    [
        ("originals", None, Problem.FILE_UNKNOWN),
        ("cleaned", None, Problem.FILE_UNKNOWN),
        ("originals", Place("received", 0, False, False), None),
        ("originals", Place("held", 0, False, False), None),
        ("originals", Place("cleaned", 0, True, True), None),
        ("originals", Place("cleaned", 0, True, False), Problem.FILE_LEFT),
        ("originals", Place("excluded", 0, False, False), Problem.FILE_LEFT),
        ("originals", Place("discarded", 0, False, False), Problem.FILE_LEFT),
        ("cleaned", Place("received", 0, False, False), None),
        ("cleaned", Place("cleaned", 0, True, False), None),
        ("cleaned", Place("cleaned", 0, False, False), Problem.FILE_LEFT),
        ("cleaned", Place("discarded", 0, False, False), Problem.FILE_LEFT),
    ],
)
def test_a_file_is_there_only_while_something_needs_it(folder: str, place: Place | None, problem: object) -> None:
    assert judge_file(folder, place) is problem


def test_a_tally_that_is_not_the_number_of_its_rows_is_told() -> None:
    assert compare_tallies(Counter({("r", "held"): 2}), Counter({("r", "held"): 2})) == []
    faults = compare_tallies(Counter({("r", "held"): 2, ("s", "held"): 1}), Counter({("r", "held"): 3}))
    assert [one.detail for one in faults] == [
        "r, held: 2 counted, 3 in the tallies",
        "s, held: 1 counted, 0 in the tallies",
    ]
    assert {one.problem for one in faults} == {Problem.TALLY_DIFFERS}


def test_an_original_that_is_to_stay_after_its_delivery_stays_until_then() -> None:
    waits, delivered = Place("cleaned", 0, True, False), Place("cleaned", 0, False, False)
    assert judge_file("originals", waits, retains=True) is None
    assert judge_file("originals", delivered, retains=True) is Problem.FILE_LEFT
