"""Which words and numbers of a text stay."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.recipe.wording.lines import _BRACKETS
from tests.descriptors.support import cleaned, known, phrases, stayed, words

NAMES = (
    "Kowalska", "BRACHVOGEL", "Szczepański", "Øvregård", "d'Artagnan", "Oyelaran", "Müller-Lüdenscheidt",
    "McAllister", "Иванов", "山田", "홍길동", "Papadopoulos",
    "Nguyen", "Γεωργίου", "Yilmaz", "van Leeuwenhoek", "Tomasz", "SCHWARZENBECK",
)  # fmt: skip
NUMBERS = (
    "4711881",
    "PID-77313",
    "A0048821",
    "88441199",
    "123-45-6789",
    "0176 5544332",
    "+49 30 7654321",
    "1.2.826.0.1",
)
DATES = (
    "20240301", "240301", "2024-03-01", "2024.03.01", "2024/3/1", "01.03.2024", "1.3.2024", "03/01/2024", "3/14/60",
    "14-03-60", "01 03 2024", "2024_03_01", "1 Mar 2024", "Mar 1, 2024", "1. März 2024", "14-Mar-60", "March 2024",
    "03/2024", "2024-03", "1er mars 2024", "1 de marzo de 2024", "DOB 1960", "geb. 1960", "20240301T101112", "1973",
)  # fmt: skip
PLACES = (
    "{token} {phrase}", "{phrase} {token}", "{phrase}_{token}", "{token}-{phrase}", "{phrase}.{token}",
    "{phrase}={token}", "{phrase} ({token})", "{first} {token} {rest}", "{first}_{token}_{rest}", "{phrase}^{token}",
    "{token}, {phrase}",
    "{phrase}/{token}", "[{token}] {phrase}", "{phrase}\r\n{token}",
)  # fmt: skip


@pytest.mark.parametrize(("name", "least"), [("before", 0.95), ("after", 0.95)])
def test_harmless_words_of_protocols_stay(name, least, record_property):
    originals = phrases(name)
    kept = sum(stayed(phrase, cleaned(phrase)) for phrase in originals)
    every = sum(len(words(phrase)) for phrase in originals)
    record_property("share", kept / every)
    assert kept / every >= least


def test_there_are_enough_phrases_and_none_stands_twice():
    both = [*phrases("before"), *phrases("after")]
    assert len(both) >= 300
    assert len(set(both)) == len(both)


def planted(tokens):
    every = [*phrases("before"), *phrases("after")]
    for number, phrase in enumerate(every):
        first, _, rest = phrase.partition(" ")
        for step, place in enumerate(PLACES):
            token = tokens[(number * len(PLACES) + step) % len(tokens)]
            yield token, phrase, place.format(token=token, phrase=phrase, first=first, rest=rest)


@pytest.mark.parametrize("tokens", [NAMES, NUMBERS, DATES], ids=["names", "numbers", "dates"])
def test_of_what_is_planted_nothing_stays_wherever_it_stands(tokens):
    left: list[tuple[str, str]] = []
    for token, phrase, text in planted(tokens):
        result = cleaned(text)
        assert len(result) <= len(text)
        parts = [part for part in re.split(r"[\W_]+", token) if len(part) > 2]
        found = [part for part in parts if part.lower() in result.lower() and part.lower() not in phrase.lower()]
        if (
            (found and tokens is not DATES)
            or token in result
            or (tokens is DATES and years_of(token) & numbers(result) - numbers(phrase))
        ):
            left.append((text, result))
    assert left == []


def numbers(text: str) -> set[str]:
    return set(re.findall(r"[0-9]{4,}", text))


def years_of(token: str) -> set[str]:
    return {"2024", "1960", "1973", "20240301", "240301"} & numbers(token)


@pytest.mark.slow
def test_what_is_planted_takes_no_harmless_word_along():
    kept = every = 0
    for _, phrase, text in planted(NAMES):
        kept += stayed(phrase, cleaned(text))
        every += len(words(phrase))
    assert kept / every > 0.9


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("ep2d_diff_SMITHERS_trace_p2", "ep2d_diff_trace_p2"),
        ("SMITHERS_sag_T1", "sag_T1"),
        ("T1 - Smithers - sag", "T1 - sag"),
        ("Head (Smithers) CT", "Head CT"),
        ("CT (Head Smithers)", "CT Head"),
        ("t1_vibe_Smithers_", "t1_vibe"),
        ("mprageSmithersSag", "mprageSag"),
        ("SMITHERS", ""),
        ("Kopf  nativ  Xaver", "Kopf nativ"),
        ("Thorax\r\nXaver Unsinn\r\nAbdomen", "Thorax\r\nAbdomen"),
        ("T2  tra__fs", "T2  tra__fs"),
        (" T1 ", " T1 "),
        ("---", "---"),
        ("", ""),
        ("92Y male", "Y male"),
        ("45Y male", "45Y male"),
        ("Pat 1234 Thorax", "Thorax"),
        ("Patient no. 12 Thorax", "Patient no Thorax"),
        ("TR 2000 TE 90", "TR 2000 TE 90"),
        ("b 0 500 1000", "b 0 500 1000"),
        (
            "1.5mm 3x3x5 p2 b1000 TE=90 B30f Hr40 120kV 200 mAs 36.25Gy 3T",
            "1.5mm 3x3x5 p2 b1000 TE=90 B30f Hr40 120kV 200 mAs 36.25Gy 3T",
        ),
        ("slice 0.9765625 mm", "slice mm"),
    ],
)
def test_what_is_left_is_put_together_neatly(text, result):
    assert cleaned(text) == result


def test_a_text_cleaned_again_is_the_same_text():
    for tokens in (NAMES, DATES, NUMBERS):
        for _, _, text in list(planted(tokens))[::17]:
            once = cleaned(text)
            assert cleaned(once) == once


def test_marks_are_not_doubled_and_do_not_stand_at_the_ends():
    for _, phrase, text in planted(NAMES):
        result = cleaned(text)
        if result == phrase:
            continue
        assert result == result.strip(" _-.=,;:/+*^&")
        for line in result.splitlines():
            assert not re.search(r"([ _\-.=])\1", line), (text, result)
        for closing, opening in _BRACKETS.items():
            assert result.count(closing) == result.count(opening)


PATIENT = {
    "PatientName": "DIXON^SAGITTA=홍^길동=山田^太郎",
    "PatientID": "1234",
    "AccessionNumber": "A-5821",
    "PatientBirthDate": "20000314",
    "StudyDate": "20240301",
    "PatientTelephoneNumbers": "+49 (30) 76 54 32",
    "ReferringPhysicianName": "VIBE^HASTE",
    "InstitutionName": "Lung Center Thorax",
}


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("t1_dixon_tra", "t1_tra"),  # a technique, and the patient's name
        ("t1mDIXON vibe", "t1m"),  # of the physician
        ("Thorax 1234", "Thorax"),
        ("Thorax 1235", "Thorax 1235"),
        ("Thorax 5821 mm", "Thorax mm"),
        ("TR 2000", "TR"),  # the year of birth
        ("76 54 32 Thorax", "Thorax"),
        ("7 6 5 4 3 2 x 9", "x 9"),
        ("Lung Center Thorax CT", "CT"),
        ("Lung Thorax CT", "Lung Thorax CT"),
        ("001234 lung", "lung"),
        ("b1234", "b1234"),
    ],
)
def test_what_is_known_of_the_patient_and_of_others_goes_though_its_words_would_stay(text, result):
    assert cleaned(text, known(**PATIENT)) == result


def test_a_name_that_is_a_common_word_goes_beside_a_second_identifier_only():
    someone = known(PatientName="HEAD^ROWENA", PatientID="ABC-778")
    assert cleaned("CT Head 5mm", someone) == "CT Head 5mm"
    assert cleaned("CT Head Rowena 5mm", someone) == "CT 5mm"
    assert cleaned("CT Head ABC-778", someone) == "CT"


def test_what_moves_together_does_not_become_a_name():
    someone = known(InstitutionName="Chest Scanner")
    assert "chest scanner" not in cleaned("Chest Rumpelstilz Scanner", someone).lower()


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    "text",
    [
        "a1" * 20_000,
        "x" * 40_000,
        "3/4/60 " * 10_000,
        "no " * 10_000 + "1",
        "0 " * 10_000,
        "a@" * 10_000,
        "T1 (" * 12_000,
    ],
    ids=["one word", "letters", "dates", "between", "numbers", "addresses", "brackets"],
)
def test_a_long_text_takes_no_longer_than_its_length_asks(text):
    assert len(cleaned(text, known(**PATIENT))) <= len(text)


PARTS = [*"aAzZtT1 09_-.=,/()^@äß山İ\u0301\n\r", "Head", "DIXON", "2024", "mm", "Sagitta", "12", "Chest"]


@given(st.lists(st.sampled_from(PARTS), max_size=14).map("".join))
def test_whatever_the_text_what_is_left_is_not_longer_and_stays_when_cleaned_again(text):
    someone = known(**PATIENT)
    once = cleaned(text, someone)
    assert len(once) <= len(text)
    assert cleaned(once, someone) == once
