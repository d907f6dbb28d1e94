"""What the gate finds in a text is taken out of it, and the rest of the data set stays as it was."""

from __future__ import annotations

import pytest
from pydicom.sequence import Sequence

from node.gate import leaks, scrub, through
from node.recipe import Cleaned, EncodedDataset, Recipe, RecipeText, load_recipe, shipped_recipe
from node.syntaxes import EXPLICIT_BE, EXPLICIT_LE, IMPLICIT_LE, Syntax
from tests.gate.support import UID, WEAK, more, patient
from tests.recipe.support import Keys, dataset, decode, encode

SYNTAXES = (EXPLICIT_LE, IMPLICIT_LE, EXPLICIT_BE)


def cleaned(source, by: Recipe = WEAK, syntax: Syntax = EXPLICIT_LE) -> Cleaned:
    return by.apply(EncodedDataset.scan(encode(source, syntax), 0, syntax), Keys(), {})


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("knee of Kowalska, Zofia", "knee of"),
        ("KOWALSKA^ZOFIA knee", "knee"),
        ("CT_KOWALSKA_abdomen", "CT_abdomen"),
        ("left knee PID-77313 follow-up", "left knee follow-up"),
        ("born 11.03.1953, knee", "born, knee"),
        ("born 1953-03-11 knee", "born knee"),
        ("see " + UID.format(2) + " there", "see there"),
        ("Kowalska's knee, Zofia", "'s knee"),
        ("Kowalskazofia", ""),
        ("zofia", ""),
        ("tel. +49 30 7654 321 (home)", "tel. (home)"),
    ],
)
def test_the_words_go_and_the_others_stay(before, after):
    found = scrub(cleaned(patient(StudyDescription=before)), WEAK)
    assert decode(found.cleaned.tobytes()).get("StudyDescription") == after
    assert leaks(found.cleaned, WEAK) == []
    assert {finding.path for finding in found.taken} == {"(0008,1030)"}
    assert found.texts == {"(0008,1030)": after}


@pytest.mark.parametrize("undefined", [False, True])
@pytest.mark.parametrize("syntax", SYNTAXES)
def test_lengths_are_right_at_every_depth_and_all_else_is_identical(syntax, undefined):
    def source(text: str):
        inner = dataset(RequestedProcedureDescription=text, ScheduledProcedureStepDescription="knee")
        outer = dataset(RequestAttributesSequence=Sequence([inner, dataset(RequestedProcedureDescription="hip")]))
        result = patient(ReferencedStudySequence=Sequence([outer]), StudyDescription=text, Rows=2)
        for one in (outer["RequestAttributesSequence"], result["ReferencedStudySequence"]):
            one.is_undefined_length = undefined
            for item in one.value:
                item.is_undefined_length_sequence_item = undefined
        result.add_new(0x7FE00010, "OW", b"KOWALSKA")
        result.add_new(0xFFFCFFFC, "OB", b"\0" * 10)
        return result

    found = scrub(cleaned(source("knee Kowalska"), syntax=syntax), WEAK)
    assert found.cleaned.tobytes() == cleaned(source("knee"), syntax=syntax).tobytes()
    assert leaks(found.cleaned, WEAK) == []
    assert len(found.taken) == 2


def test_what_stands_behind_the_pixels_is_scrubbed_too():
    def source(text: str):
        result = patient(Rows=2)
        result.add_new(0x7FE00010, "OW", b"12345678" * 1000)
        result.add_new(0x7FE10010, "LO", "ACME")
        result.add_new(0x7FE11001, "LO", text)
        return result

    found = scrub(cleaned(source("x Kowalska y")), WEAK)
    assert found.cleaned.tobytes() == cleaned(source("x y")).tobytes()
    assert found.cleaned.segments != [found.cleaned.tobytes()], "the pixels are still a range of the original"


def test_several_values_keep_their_places_and_several_character_sets_their_bytes():
    source = patient(
        SpecificCharacterSet="ISO_IR 100", PatientName="MÜLLER^JÖRG", ImageComments="Grüße an Müller\r\nKnie",
        OtherPatientNames="X", RequestedProcedureID="1",
    )  # fmt: skip
    source.add_new(0x00181400, "LO", ["knee", "Jörg hip", "Müller"])
    by = more("REMOVE OtherPatientNames", "REMOVE RequestedProcedureID")
    again = decode(scrub(cleaned(source, by), by).cleaned.tobytes())
    assert again.ImageComments == "Grüße an\r\nKnie"
    assert list(again[0x00181400].value) == ["knee", "hip", ""]


def test_a_value_that_must_be_there_becomes_a_dummy():
    source = patient(SOPClassUID="1.2.840.10008.5.1.4.1.1.481.3", StructureSetLabel="Kowalska")
    assert decode(scrub(cleaned(source), WEAK).cleaned.tobytes()).StructureSetLabel == "REMOVED"


@pytest.mark.parametrize(
    ("keyword", "value"),
    [
        ("OperatorsName", "KOWALSKA"),  # a name
        ("StationName", "KOWALSKA"),  # an element that identifies by itself
        ("BodyPartExamined", "KOWALSKA"),  # a code
        ("PatientWeight", "88441199"),  # a number
        ("DimensionOrganizationUID", "1.2.840.10008.1"),
    ],
)
def test_what_is_no_free_text_is_left_to_be_held(keyword, value):
    result = cleaned(patient(**{keyword: value}))
    found = scrub(result, WEAK)
    assert (found.taken, found.cleaned.tobytes()) == ([], result.tobytes())
    assert [str(one) for one in leaks(found.cleaned, WEAK)] == [str(one) for one in leaks(result, WEAK)]


KEEPING = 'FORMAT dicom\n%profile own\nK (0029,"ACME 1",01)\n%header\nADD StudyID kept\n'


@pytest.mark.parametrize("gate", ["hold", "report"])
def test_a_recipe_that_cleans_texts_takes_known_identity_out_of_those_that_it_keeps(gate):
    source = patient()
    block = source.private_block(0x0029, "ACME 1", create=True)
    block.add_new(1, "LO", "coil of Kowalska, Zofia")
    by_words, without = (
        load_recipe([*map(shipped_recipe, names), RecipeText("own", KEEPING)])
        for names in (("ps3.15-basic", "clean-descriptors"), ("ps3.15-basic",))
    )
    passed = through(cleaned(source, by_words), by_words, gate)
    assert decode(passed.cleaned.tobytes())[0x0029, 0x1001].value == "coil of"
    assert (passed.left, passed.reported) == ([], [])
    assert [finding.path for finding in passed.taken] == ["(0029,1001)"]
    kept = through(cleaned(source, without), without, gate)
    assert [finding.path for finding in kept.left + kept.reported] == ["(0029,1001)"]
    assert decode(kept.cleaned.tobytes())[0x0029, 0x1001].value == "coil of Kowalska, Zofia"
