"""Burned In Annotation and Recognizable Visual Features of what goes out."""

from __future__ import annotations

import pytest

from node.objects import Policy
from node.recipe import EncodedDataset, load_recipe, shipped_recipe
from node.syntaxes import EXPLICIT_BE, EXPLICIT_LE, IMPLICIT_LE
from tests.objects.support import BASIC, CT, HEADER_ONLY, MR, PIXELS, ROOT, SC, US, XA, cleaned, held, image, scanned
from tests.recipe.support import Keys, dataset, encode, text

BURNED_IN = "BurnedInAnnotation"
HEAD = dataset(AnatomicRegionSequence=[dataset(CodeValue="69536005", CodingSchemeDesignator="SCT")])


@pytest.mark.parametrize(
    ("sop_class", "modality"), [(CT, "CT"), (MR, "MR"), (ROOT + "128", "PT"), (ROOT + "1.1", "DX")]
)
def test_the_own_no_of_a_scanner_stays(sop_class, modality):
    assert cleaned(image(sop_class, modality, BurnedInAnnotation="NO"))[BURNED_IN].value == "NO"


@pytest.mark.parametrize(("sop_class", "modality"), [(SC, "CT"), (US, "US"), (XA, "XA"), (ROOT + "12.2", "RF")])
def test_the_own_no_of_a_capture_an_ultrasound_or_an_angiography_goes(sop_class, modality):
    assert BURNED_IN not in cleaned(image(sop_class, modality, BurnedInAnnotation="NO"), pixel_risk="pass")


def test_where_the_iod_requires_a_value_the_own_no_becomes_yes():
    source = image(ROOT + "7.2", "CT", BurnedInAnnotation="NO")
    assert cleaned(source, pixel_risk="pass")[BURNED_IN].value == "YES"


def test_yes_never_becomes_no_by_itself():
    assert cleaned(image(BurnedInAnnotation="YES"), pixel_risk="pass")[BURNED_IN].value == "YES"
    assert BURNED_IN not in cleaned(image())


@pytest.mark.parametrize("syntax", [EXPLICIT_LE, IMPLICIT_LE, EXPLICIT_BE], ids=["explicit", "implicit", "big"])
@pytest.mark.parametrize("before", ["YES", "NO", None])
def test_what_a_person_let_go_is_said_to_be_clean_and_the_group_length_follows(before, syntax):
    source = image(SC, "CT", BurnedInAnnotation=before, BodyPartExamined="HEAD")
    plain = scanned(source, syntax)
    first = next(element for element in plain.elements if element[0] >> 32 == 0x28)
    there = sum(element[4] - element[1] for element in plain.elements if element[0] >> 32 == 0x28)
    length = plain.coding.header(0x00280000, "UL", 4) + there.to_bytes(4, plain.coding.order)
    data = encode(source, syntax)
    encoded = EncodedDataset.scan(data[: first[1]] + length + data[first[1] :], 0, syntax)
    verdict = Policy().judge(BASIC, encoded, held(source)[1])
    result = verdict.finished(BASIC.apply(encoded, Keys(), {}, masks=verdict.judgement)).tobytes()
    found = EncodedDataset.scan(result, 0, syntax)
    assert found.ordered
    assert (found.text(0x00280301), found.text(0x00280302)) == ("NO", "YES")
    group = [element for element in found.elements if element[0] >> 32 == 0x28]
    size = int.from_bytes(found.raw(group[0]), found.coding.order)
    assert size == sum(element[4] - element[1] for element in group[1:])


def test_a_mask_for_this_size_makes_it_no_and_one_for_any_size_does_not():
    lines = ("%filter graylist", "LABEL a", "equals Modality US", "coordinates 0,0,2,2")
    basic = shipped_recipe("ps3.15-basic")
    source = image(US, "US", BurnedInAnnotation="NO")
    sized = load_recipe([basic, text(*lines, "equals Rows 6")])
    assert cleaned(source, sized)[BURNED_IN].value == "NO"
    assert BURNED_IN not in cleaned(source, load_recipe([basic, text(*lines)]))


@pytest.mark.parametrize("before", ["YES", None])
def test_no_line_of_a_recipe_says_that_an_image_is_clean(before):
    recipe = load_recipe([shipped_recipe("ps3.15-basic"), text("%header", "ADD BurnedInAnnotation NO")])
    assert cleaned(image(BurnedInAnnotation=before), recipe, pixel_risk="pass").get(BURNED_IN) == before
    assert cleaned(image(BurnedInAnnotation="NO"), recipe)[BURNED_IN].value == "NO"


def test_without_the_basic_profile_nothing_is_said():
    source = image(US, "US", BurnedInAnnotation="NO", BodyPartExamined="HEAD")
    assert cleaned(source, HEADER_ONLY)[BURNED_IN].value == "NO"
    assert "RecognizableVisualFeatures" not in cleaned(image(BodyPartExamined="HEAD"), HEADER_ONLY)


@pytest.mark.parametrize(
    "source",
    [
        image(BodyPartExamined="HEAD"),
        image(MR, "MR", BodyPartExamined="BRAIN"),
        image(StudyDescription="CT Skull native"),
        image(MR, "MR", SeriesDescription="t1_mprage_brain_sag"),
        image(AnatomicRegionSequence=[dataset(CodeValue="69536005", CodingSchemeDesignator="SCT")]),
        image(AnatomicRegionSequence=[dataset(CodeValue="T-D1100", CodingSchemeDesignator="SRT")]),
        image(ROOT + "4.1", "MR", SharedFunctionalGroupsSequence=[dataset(FrameAnatomySequence=[HEAD])]),
        image(
            ROOT + "2.1",
            "CT",
            PerFrameFunctionalGroupsSequence=[dataset(), dataset(FrameAnatomySequence=[HEAD])],
        ),
    ],
)
def test_a_head_in_ct_or_mr_has_recognizable_features(source):
    assert cleaned(source).RecognizableVisualFeatures == "YES"
    source.RecognizableVisualFeatures = "NO"
    assert cleaned(source).RecognizableVisualFeatures == "NO"


@pytest.mark.parametrize(
    "source",
    [
        image(BodyPartExamined="CHEST"),
        image(StudyDescription="hip, femoral head", SeriesDescription="overhead arms"),
        image(AnatomicRegionSequence=[dataset(CodeValue="51185008", CodingSchemeDesignator="SCT")]),
        image(ROOT + "128", "PT", BodyPartExamined="HEAD"),
        image(BodyPartExamined="HEAD", PixelData=None),
    ],
)
def test_no_other_image_is_said_to_have_them(source):
    assert "RecognizableVisualFeatures" not in cleaned(source)


def test_ultrasound_is_masked_outside_of_its_regions_and_said_to_be_clean():
    region = {"RegionLocationMinX0": 0, "RegionLocationMinY0": 2, "RegionLocationMaxX1": 7, "RegionLocationMaxY1": 5}
    source = image(US, "US", SequenceOfUltrasoundRegions=[dataset(**region)])
    assert cleaned(source, PIXELS)[BURNED_IN].value == "NO"
    whole = {"RegionLocationMinY0": 0, "RegionLocationMaxX1": 8, "RegionLocationMaxY1": 6}
    for other in ({"RegionLocationMaxX1": 9}, {"RegionLocationMinY0": 5}, whole):
        source.SequenceOfUltrasoundRegions = [dataset(**region | other)]
        assert "ultrasound" in held(source, PIXELS)[1]
    source.SequenceOfUltrasoundRegions = []
    assert "ultrasound" in held(source, PIXELS)[1]
