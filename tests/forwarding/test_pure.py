"""The pure parts: what an answer means, when to try again, which context an instance goes by."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.errors import HoldReason
from node.forwarder.contexts import CONVERTIBLE, choose, propose
from node.forwarder.outcome import judge
from node.ledger.sending import Verdict
from node.retry import delay

CT, MR, ECHO = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.4", "1.2.840.10008.1.1"
IMPLICIT, EXPLICIT, BIG = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2"
DEFLATED, JPEG = "1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.4.70"


def expected(status: int) -> Verdict:
    """The table of the contract, written anew."""
    text = f"{status:04X}"
    if text in ("0000", "0001", "0107", "0116") or text[0] == "B":
        return Verdict.DELIVERED
    if text.startswith("A7") or text in ("0110", "0210", "0213"):
        return Verdict.AGAIN
    return Verdict.REFUSED


def test_every_status_has_the_outcome_of_the_table() -> None:
    for status in range(0x10000):
        if status == 0x0111:
            continue
        for offered in (False, True):
            assert judge(status, offered_before=offered) is expected(status), f"{status:04X}H"


def test_duplicate_sop_instance_depends_on_whether_it_was_offered_before() -> None:
    assert judge(0x0111, offered_before=True) is Verdict.DELIVERED
    assert judge(0x0111, offered_before=False) is Verdict.HELD


@dataclass(frozen=True)
class Pace:
    first: float
    factor: float
    cap: float


paces = st.builds(
    Pace,
    first=st.floats(0.001, 3600),
    factor=st.floats(1, 100),
    cap=st.floats(0.001, 7 * 86400),
)
chances = st.floats(0, 1)


@given(paces, st.integers(0, 10**9), chances)
def test_a_delay_is_positive_and_never_above_the_cap(pace: Pace, failures: int, chance: float) -> None:
    assert 0 < delay(pace, failures, chance) <= pace.cap


@given(paces, st.integers(1, 10**6), chances)
def test_a_delay_never_shrinks_as_failures_go_on(pace: Pace, failures: int, chance: float) -> None:
    assert delay(pace, failures + 1, chance) >= delay(pace, failures, chance)


@given(paces, st.integers(1, 200))
def test_a_delay_is_spread_by_a_quarter_to_both_sides(pace: Pace, failures: int) -> None:
    early, middle, late = (delay(pace, failures, chance) for chance in (0, 0.5, 1))
    assert early == pytest.approx(middle * 0.75)
    assert late == pytest.approx(min(pace.cap, middle * 1.25))


def test_a_delay_grows_by_the_factor_up_to_the_cap() -> None:
    pace = Pace(5, 2, 900)
    assert [delay(pace, n, 0.5) for n in range(1, 10)] == [5, 10, 20, 40, 80, 160, 320, 640, 900]


@dataclass
class Association:
    accepted: dict[int, tuple[str, str]] = field(default_factory=dict)
    refused: dict[int, tuple[str, tuple[str, ...], int]] = field(default_factory=dict)


def test_the_own_syntax_is_offered_alone_and_others_beside_it() -> None:
    contexts = propose([(CT, EXPLICIT), (MR, JPEG)])
    assert contexts == [(CT, (EXPLICIT,)), (CT, (IMPLICIT,)), (MR, (JPEG,)), (ECHO, (EXPLICIT, IMPLICIT))]


@pytest.mark.parametrize("syntax", sorted(CONVERTIBLE - {DEFLATED, IMPLICIT}))
def test_implicit_is_always_offered_beside_an_uncompressed_syntax(syntax: str) -> None:
    assert any(IMPLICIT in syntaxes for abstract, syntaxes in propose([(CT, syntax)]) if abstract == CT)


def test_an_instance_goes_by_its_own_syntax_where_it_can() -> None:
    association = Association({1: (CT, IMPLICIT), 3: (CT, EXPLICIT)})
    assert choose(association, (CT, EXPLICIT)) == (3, EXPLICIT)
    assert choose(association, (CT, IMPLICIT)) == (1, IMPLICIT)
    assert choose(association, (CT, BIG)) == (3, EXPLICIT)


def test_a_context_of_another_class_is_never_taken() -> None:
    association = Association({1: (MR, EXPLICIT), 3: (ECHO, IMPLICIT)}, {5: (CT, (EXPLICIT,), 3)})
    assert choose(association, (CT, EXPLICIT)) is HoldReason.CLASS_REFUSED


def test_a_compressed_instance_goes_by_no_other_syntax() -> None:
    association = Association({1: (CT, EXPLICIT)}, {3: (CT, (JPEG,), 4)})
    assert choose(association, (CT, JPEG)) is HoldReason.SYNTAX_REFUSED


def test_refused_syntaxes_are_told_from_a_refused_class() -> None:
    assert choose(Association({}, {1: (CT, (JPEG,), 4)}), (CT, JPEG)) is HoldReason.SYNTAX_REFUSED
    for result in (1, 2, 3):
        assert choose(Association({}, {1: (CT, (JPEG,), result)}), (CT, JPEG)) is HoldReason.CLASS_REFUSED


def test_a_deflated_instance_is_inflated_only_into_explicit() -> None:
    assert choose(Association({1: (CT, EXPLICIT)}), (CT, DEFLATED)) == (1, EXPLICIT)
    assert choose(Association({1: (CT, IMPLICIT)}), (CT, DEFLATED)) is HoldReason.SYNTAX_REFUSED
