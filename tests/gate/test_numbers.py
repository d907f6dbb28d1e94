"""Long numbers as text are looked at apart from the rest, and nothing that stands in them is missed."""

from __future__ import annotations

import pytest

from node.gate import leaks
from node.gate.numbers import apart, pieces_of
from node.recipe import Cleaned, EncodedDataset, Recipe
from node.recipe.coding import coding_of
from node.recipe.known.gather import gather
from node.syntaxes import EXPLICIT_BE, EXPLICIT_LE, IMPLICIT_LE, Syntax
from tests.gate.support import UID, WEAK, Keys, element, more, patient
from tests.recipe.support import encode

CONTOUR_DATA = 0x30060050
PATH = "(3006,0039)__0__(3006,0050)"
SYNTAXES = (EXPLICIT_LE, IMPLICIT_LE, EXPLICIT_BE)
DECIMALS = b"\\".join(b"%.2f" % (number * 1.37 - 100) for number in range(100))
WITH_INTEGERS = b"\\".join(b"-120" if number % 3 else b"1.5E-3" for number in range(100))
BIG_INTEGERS = b"\\".join(b"%d" % (1234567 * number) for number in range(100))
FILLINGS = (DECIMALS, WITH_INTEGERS, BIG_INTEGERS)
ACCESSION, BIRTH_DATE = "Accession Number", "Patient's Birth Date"
PLANTED = {
    b"88441199": ACCESSION,
    b"19530311": BIRTH_DATE,
    b"1953-03-11": BIRTH_DATE,
    b"11.03.1953": BIRTH_DATE,
    b"1953.03.11": BIRTH_DATE,
    b"11 03 1953": BIRTH_DATE,
    b"14.5 19530311": BIRTH_DATE,
    b"KOWALSKA": "Patient's Name",
    b"+49 30 7654 321": "Patient's Telephone Numbers",
    b"49307654321": "Patient's Telephone Numbers",
    UID.format(2).encode(): "Study Instance UID",
}
HARMLESS = (b"188441199", b"88441199.5", b"-88441199", b"119530311", b"19530311.25", b"KOWA")


def contours(values: list[bytes], syntax: Syntax, **changes: object) -> bytes:
    """A patient's data set with contours, an item each."""
    coding = coding_of(syntax)
    items = []
    for value in values:
        content = element(CONTOUR_DATA, "DS", value, coding)
        items.append(coding.item(0xFFFEE000, len(content)) + content)
    whole = b"".join(items)
    return encode(patient(**changes), syntax) + coding.header(0x30060039, "SQ", len(whole)) + whole


def cleaned(data: bytes, syntax: Syntax, by: Recipe = WEAK) -> Cleaned:
    return by.apply(EncodedDataset.scan(data, 0, syntax), Keys(), {"site": "Site 4"})


def told(values: list[bytes], syntax: Syntax = EXPLICIT_LE, **changes: object) -> list[str]:
    """What the gate says, which has looked at all of the values apart."""
    result = cleaned(contours(values, syntax, **changes), syntax)
    _, kept = apart(result, gather(result.dataset).numbers)
    assert len(kept) == len(values)
    return [str(finding) for finding in leaks(result, WEAK)]


@pytest.mark.parametrize("syntax", SYNTAXES)
@pytest.mark.parametrize("planted", PLANTED)
def test_a_whole_value_is_found_among_numbers(planted, syntax):
    for filling in FILLINGS:
        for value in (
            planted + b"\\" + filling,
            filling + b"\\" + planted,
            filling + b"\\" + planted + b"\\" + filling,
            filling + b"\\" + planted + b" ",
            b" " + planted + b" \\" + filling,
        ):
            assert told([value, filling], syntax) == [f"{PLANTED[planted]} in {PATH}"]
            assert told([filling, value], syntax) == [f"{PLANTED[planted]} in (3006,0039)__1__(3006,0050)"]


@pytest.mark.parametrize("planted", HARMLESS)
def test_a_part_of_a_number_is_none(planted):
    for filling in FILLINGS:
        assert told([filling + b"\\" + planted + b"\\" + filling, filling]) == []


@pytest.mark.parametrize(
    ("identifier", "planted"),
    [("923.4567", b"923.4567"), ("12E45678", b"12e45678"), ("12-345", b"12-345"), ("77-13", b"77-13")],
)
def test_an_id_that_looks_like_a_number_is_found_among_numbers(identifier, planted):
    for filling in FILLINGS:
        assert told([filling + b"\\" + planted + b"\\" + filling], AccessionNumber=identifier) == [
            f"{ACCESSION} in {PATH}"
        ]
        assert told([filling], AccessionNumber=identifier) == []


def test_a_uid_of_two_components_is_found_among_numbers():
    value = DECIMALS + b"\\1.2345\\" + DECIMALS
    assert told([value], FrameOfReferenceUID="1.2345") == [f"Frame of Reference UID in {PATH}"]


def test_numbers_that_a_line_writes_are_not_the_originals():
    data = contours([DECIMALS, DECIMALS + b"\\88441199"], EXPLICIT_LE)
    result = cleaned(data, EXPLICIT_LE, more("REPLACE ContourData 1"))
    assert apart(result, gather(result.dataset).numbers)[1] == []
    assert leaks(result, WEAK) == []


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_what_stands_apart_and_the_rest_are_the_result(syntax):
    values = [DECIMALS, WITH_INTEGERS + b" ", b"1.5", BIG_INTEGERS]
    result = cleaned(contours(values, syntax), syntax)
    rest, kept = apart(result, gather(result.dataset).numbers)
    buffer = result.dataset.buffer
    sizes = [len(part) if isinstance(part, bytes) else part[1] for part in rest]
    assert sum(sizes) + sum(end - start for start, end in kept) == len(result.tobytes())
    assert [bytes(buffer[start:end]).strip() for start, end in kept] == [DECIMALS, WITH_INTEGERS.strip(), BIG_INTEGERS]
    assert b"".join(pieces_of(result, kept)) == b"\\" + b"\\".join((DECIMALS, WITH_INTEGERS, BIG_INTEGERS))


def test_numbers_of_many_pieces_are_all_looked_at():
    many = [DECIMALS] * 5000
    assert told(many) == []
    assert told([*many, DECIMALS + b"\\88441199"]) == [f"{ACCESSION} in (3006,0039)__5000__(3006,0050)"]
