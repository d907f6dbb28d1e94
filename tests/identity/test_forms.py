"""What replacements may look like, and what is refused because it would tell too much or too little."""

from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.uid import UID

from node.identity import Forms, PatientKey, ProjectKeys, PseudonymForm, ShiftRange
from node.identity.forms import CROCKFORD, check_root, digits_behind

SECRET = bytes(range(32))
DIGITS_AND_LETTERS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
ODD = DIGITS_AND_LETTERS[:-1]


def pseudonym(number: int, **form: object) -> str:
    keys = ProjectKeys(SECRET, "p", forms=Forms(PseudonymForm(**form)))
    return keys.pseudonym(PatientKey("", str(number)))


def passes(text: str, alphabet: str) -> bool:
    """Whether a check character is right by ISO/IEC 7064, hybrid system, step by step as the standard has it."""
    n = len(alphabet)
    carry = n
    for character in text[:-1]:
        total = carry + alphabet.index(character)
        total = total - n if total > n else total
        carry = total * 2
        carry = carry - (n + 1) if carry >= n + 1 else carry
    return (carry + alphabet.index(text[-1])) % n == 1


def test_the_check_character_is_the_one_of_a_published_example():
    # The Global Release Identifier of the recording industry: MOD 37,36.
    assert passes("A12425GABC1234002M", DIGITS_AND_LETTERS)


@pytest.mark.parametrize("alphabet", [CROCKFORD, DIGITS_AND_LETTERS])
def test_a_check_character_shows_every_wrong_character(alphabet):
    for number in range(20):
        text = pseudonym(number, alphabet=alphabet, length=14, check_digit=True)
        assert passes(text, alphabet)
        for place, character in itertools.product(range(14), alphabet):
            other = text[:place] + character + text[place + 1 :]
            assert passes(other, alphabet) == (other == text)


def test_a_pseudonym_has_the_prefix_length_and_characters_that_are_asked_for():
    for number in range(200):
        text = pseudonym(number, prefix="T7-", length=15, alphabet=DIGITS_AND_LETTERS.lower())
        assert (len(text), text[:3]) == (15, "T7-")
        assert set(text[3:]) <= set(DIGITS_AND_LETTERS.lower())


def test_all_characters_of_an_alphabet_are_used_everywhere():
    texts = [pseudonym(number, alphabet=ODD, length=12) for number in range(1000)]
    assert all({text[place] for text in texts} == set(ODD) for place in range(12))


@pytest.mark.parametrize(
    ("form", "problem"),
    [
        ({"length": 11}, "the length is at least 12"),
        ({"prefix": "AB"}, "the length is at least 14"),
        ({"length": 12, "check_digit": True}, "the length is at least 13"),
        ({"length": 17}, "at most 16"),
        ({"length": 0}, "at most 16"),
        ({"length": 16, "alphabet": "0123456789"}, "a larger alphabet"),
        ({"length": 16, "prefix": "ABCDEFGH"}, "a shorter prefix"),
        ({"length": 16, "prefix": "A" * 17}, "a shorter prefix"),
        ({"alphabet": "A"}, "at least two"),
        ({"alphabet": CROCKFORD + "^"}, "letters or digits"),
        ({"alphabet": "ABCDEFGHabcdefgh012345"}, "stands twice"),
        ({"alphabet": ODD, "length": 14, "check_digit": True}, "even number"),
        ({"prefix": "A\\B"}, "prefix has letters"),
        ({"prefix": "A B"}, "prefix has letters"),
    ],
)
def test_a_form_that_dicom_does_not_take_or_that_carries_too_little_is_refused(form, problem):
    with pytest.raises(ValueError, match=problem):
        PseudonymForm(**form)


def test_the_shortest_form_carries_just_enough():
    assert PseudonymForm(length=12).bits == 60
    assert PseudonymForm(length=12, alphabet=DIGITS_AND_LETTERS).bits > 60


@given(st.integers(0, 2**64 - 1), st.integers(1, 400), st.integers(300, 3000), st.booleans())
def test_a_shift_lies_in_its_range_and_keeps_the_weekday_where_it_should(number, least, width, weeks):
    shifts = ShiftRange(least, least + width, weeks)
    days = shifts.days(number)
    assert -(least + width) <= days <= -least
    assert not weeks or days % 7 == 0


@pytest.mark.parametrize("weeks", [False, True])
def test_every_shift_of_a_range_is_given_and_no_other(weeks):
    shifts = ShiftRange(30, 730, weeks)
    expected = {-days for days in range(30, 731) if not weeks or days % 7 == 0}
    assert {shifts.days(number) for number in range(2000)} == expected
    assert shifts.count == len(expected)


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ((0, 730), "at least one day"),
        ((-5, 730), "at least one day"),
        ((100, 99), "shorter than the shortest"),
        ((30, 58), "fewer than 30"),
        ((30, 230, True), "fewer than 30"),
    ],
)
def test_a_range_that_goes_into_the_future_or_is_easily_guessed_is_refused(given, problem):
    with pytest.raises(ValueError, match=problem):
        ShiftRange(*given)


@pytest.mark.parametrize("root", ["2.25", "1.2.826.0.1.3680043.8.498", "1.2." + "9" * 40, "0.39", "2.999"])
def test_a_uid_has_the_root_and_at_least_60_bits(root):
    keys = ProjectKeys(SECRET, "p", forms=Forms(uid_root=root))
    uids = [keys.uid(f"1.2.{number}") for number in range(300)]
    assert len(set(uids)) == 300
    assert all(UID(uid).is_valid and uid.startswith(f"{root}.") and len(uid) <= 64 for uid in uids)
    assert digits_behind(root) * math.log2(10) >= 60
    numbers = [int(uid.removeprefix(f"{root}.")) for uid in uids]
    assert max(numbers).bit_length() > 60


@pytest.mark.parametrize(
    "root",
    ["", "1", "3.1", "1.40", "1.2.", "1.02.3", "1.2.840.10008", "1.2.840.10008.5", "2.25.1", "1.2." + "9" * 41, "a.b"],
)
def test_what_is_no_root_of_ones_own_or_leaves_no_room_is_refused(root):
    with pytest.raises(ValueError, match=r"root|behind|standard"):
        check_root(root)


def test_a_root_beside_that_of_the_standard_is_taken():
    assert check_root("1.2.840.100081") == "1.2.840.100081"
    assert check_root("2.250") == "2.250"


def test_projects_share_nothing_in_whatever_form_and_nodes_with_one_secret_agree():
    form = Forms(
        PseudonymForm("T-", 16, DIGITS_AND_LETTERS, True), ShiftRange(7, 3000, True), "1.2.826.0.1.3680043.8.498"
    )
    one, same, other = (ProjectKeys(SECRET, name, forms=form) for name in ("a", "a", "b"))
    patients = [PatientKey("H", str(number)) for number in range(50)]
    assert [one.pseudonym(p) for p in patients] == [same.pseudonym(p) for p in patients]
    assert [one.shift_days(p) for p in patients] == [same.shift_days(p) for p in patients]
    assert not {one.pseudonym(p) for p in patients} & {other.pseudonym(p) for p in patients}
    assert [one.shift_days(p) for p in patients] != [other.shift_days(p) for p in patients]
    assert (one.uid("1.2.3"), one.text("x")) == (same.uid("1.2.3"), same.text("x"))
    assert one.uid("1.2.3") != other.uid("1.2.3")
    assert one.text("x") != other.text("x")
