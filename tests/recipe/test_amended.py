"""Changes over what lines did: nothing that was taken away comes back, and nothing that was written is lost."""

from __future__ import annotations

import pytest
from pydicom.dataset import Dataset

from node.errors import HoldInstance
from node.recipe import Cleaned, EncodedDataset
from node.recipe.amend import amended
from node.recipe.output import Output
from node.syntaxes import EXPLICIT_LE
from tests.recipe.support import dataset, decode, encode

METHOD, NAME, IDENTITY, BIRTH_DATE = 0x00120063, 0x00100010, 0x00100020, 0x00100030


def source() -> EncodedDataset:
    person = dataset(PatientName="Kowalska^Zofia", PatientID="77313", PatientBirthDate="19530311", StudyID="7")
    return EncodedDataset.scan(encode(person), 0, EXPLICIT_LE)


def edited(data: EncodedDataset, *edits: tuple[int, int, bytes]) -> Cleaned:
    output = Output(data)
    output.take(list(edits), {}, [])
    return output.cleaned(data.codec)


def place(data: EncodedDataset, tag: int) -> tuple[int, int]:
    found = data.find(tag)
    assert found is not None
    return found[1], found[4]


def result(cleaned: Cleaned) -> Dataset:
    return decode(cleaned.tobytes())


@pytest.mark.parametrize("tag", [NAME, IDENTITY, BIRTH_DATE])
def test_one_removal_of_several_elements_takes_all_of_them_whichever_is_written(tag):
    data = source()
    gone = edited(data, (place(data, NAME)[0], place(data, BIRTH_DATE)[1], b""))
    after = result(amended(gone, {tag: ("LO", b"new ")}))
    assert [int(element.tag) for element in after] == [tag, 0x00200010]
    assert b"7731" not in amended(gone, {tag: None}).tobytes()
    assert [int(element.tag) for element in result(amended(gone, {tag: None}))] == [0x00200010]


def test_what_is_new_may_stand_where_elements_were_removed():
    data = source()
    gone = edited(data, (place(data, NAME)[0], data.end, b""))
    for tag in (0x00100021, METHOD, 0x00080060, 0x00300010):
        after = amended(gone, {tag: ("LO", b"new ")})
        assert [int(element.tag) for element in result(after)] == [tag]


def test_what_was_written_over_several_elements_is_not_guessed_at():
    data = source()
    written = edited(data, (place(data, NAME)[0], place(data, IDENTITY)[1], b"\x10\0\x10\0PN\2\0XX"))
    for change in ({NAME: None}, {IDENTITY: ("LO", b"new ")}, {0x00100011: ("LO", b"new ")}):
        with pytest.raises(HoldInstance, match="overlap"):
            amended(written, change)


def test_a_range_is_replaced_all_of_it_or_with_what_holds_it_removed():
    data = source()
    start, end = place(data, IDENTITY)
    value = (start + 8, end, b"000000")
    assert result(amended(edited(data), {}, [value])).PatientID == "000000"
    assert "PatientID" not in result(amended(edited(data, (start, end, b"")), {}, [value]))
    assert result(amended(edited(data, value), {}, [(start + 8, end, b"111111")])).PatientID == "111111"
    with pytest.raises(HoldInstance, match="overlap"):
        amended(edited(data, (start + 10, place(data, BIRTH_DATE)[1], b"")), {}, [value])


def test_edits_that_overlap_never_leave():
    data = source()
    start, end = place(data, IDENTITY)
    with pytest.raises(HoldInstance, match="overlap"):
        edited(data, (start, end, b""), (start + 2, start + 2, b"x"))
