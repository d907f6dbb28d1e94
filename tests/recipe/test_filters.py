"""Filters (language page 1.11, section 7; contract "Cleaning")."""

from __future__ import annotations

import pytest
from pydicom.dataset import Dataset

from node.errors import HoldInstance, HoldReason, RecipeError
from node.recipe import Detection, EncodedDataset, Region, load_recipe
from node.syntaxes import EXPLICIT_LE, IMPLICIT_LE
from tests.recipe.support import Keys, apply, dataset, encode, text


def image(**values: object) -> Dataset:
    source = dataset(Modality="US", Manufacturer="ACME", Rows=480, **values)
    source.ImageType = ["DERIVED", "SECONDARY"]
    return source


def region(*corners: int) -> Dataset:
    names = ("RegionLocationMinX0", "RegionLocationMinY0", "RegionLocationMaxX1", "RegionLocationMaxY1")
    return dataset(**dict(zip(names, corners, strict=True)))


def detect(source: Dataset, *lines: str, syntax=EXPLICIT_LE) -> Detection:
    recipe = load_recipe([text(*lines)], in_node=False)
    return recipe.detect(EncodedDataset.scan(encode(source, syntax), 0, syntax))


def faults(*lines: str) -> list[str]:
    with pytest.raises(RecipeError) as refused:
        load_recipe([text(*lines)], in_node=False)
    return [str(fault) for fault in refused.value.faults]


@pytest.mark.parametrize("syntax", [EXPLICIT_LE, IMPLICIT_LE], ids=["explicit", "implicit"])
def test_a_match_flags_the_image_with_reason_group_and_coordinates(syntax):
    lines = (
        "%filter graylist",
        "LABEL Scanner of ACME # note",
        "contains Modality US || contains Modality CT",
        "+ equals Manufacturer acme|other # note",
        "coordinates 0,0,512,110",
        "ctpcoordinates 10,20,30,40",
        "KeepCoordinates 1, 2, 3, 4",
        "coordinates ALL",
        "LABEL other",
        "missing Modality",
    )
    found = detect(image(), *lines, syntax=syntax)
    assert found.as_dict() == {
        "flagged": True,
        "results": [
            {
                "reason": "and Modality contains US or Modality contains CT Manufacturer equals acme|other",
                "group": "graylist",
                "coordinates": [[0, "0,0,512,110"], [0, "10,20,40,60"], [1, "1,2,3,4"], [0, "all"]],
            }
        ],
    }
    assert found.results[0].label == "Scanner of ACME"
    assert detect(dataset(Modality="MR"), *lines).as_dict() == {"flagged": False, "results": []}


@pytest.mark.parametrize("name", ["whitelist", "Graylist", "a name with blanks"])
def test_every_group_flags_and_none_stops_the_others(name):
    lines = (f"%filter {name}", "LABEL a", "present Modality", "%filter last", "LABEL b", "present Modality")
    assert [finding.group for finding in detect(image(), *lines).results] == [name, "last"]


@pytest.mark.parametrize(
    ("lines", "flagged"),
    [
        (("equals Modality US", "equals Manufacturer ACME"), True),
        (("equals Modality US", "equals Manufacturer X"), False),
        (("equals Modality US", "|| equals Manufacturer X"), False),
        (("|| equals Modality US",), True),
        (("+ equals Modality US", "+ equals Manufacturer ACME"), True),
        (("equals Modality CT || equals Manufacturer ACME + equals Rows 480",), True),
        (("equals Modality US + equals Manufacturer X || equals Rows 480",), True),
        (("missing StudyDate || contains Modality CT",), True),
        (("missing Modality || contains Modality US",), True),
        (("contains 0x00080060 ^us$",), True),
        (("equals 0x00080060 US",), True),
        (("contains ImageType DERIVED+SECONDARY",), False),
        (("contains ImageType SECONDARY",), True),
        (
            (
                "# a note",
                "  contains Modality US   # another",
            ),
            True,
        ),
    ],
)
def test_lines_are_joined_by_and_criteria_of_a_line_from_left_to_right(lines, flagged):
    assert detect(image(), "%filter x", "LABEL a", *lines).flagged is flagged


def test_a_line_that_begins_with_or_means_and_and_is_warned_of():
    lines = ("%filter x", "LABEL a", "equals Modality US", "|| equals Manufacturer X")
    (warning,) = load_recipe([text(*lines)]).warnings
    assert (warning.file, warning.line, warning.key) == ("r.dicom", 5, "|| equals Manufacturer X")
    assert "AND" in warning.problem


def test_a_label_with_coordinates_alone_is_always_met_also_as_the_first():
    found = detect(image(), "%filter x", "LABEL everything", "coordinates 0,0,1,1")
    assert found.as_dict()["results"] == [{"reason": " everything", "group": "x", "coordinates": [[0, "0,0,1,1"]]}]


def test_regions_come_from_each_image_anew():
    lines = (
        "%filter x",
        "LABEL a",
        "equals Modality US",
        "coordinates all",
        "keepcoordinates from:SequenceOfUltrasoundRegions",
    )
    recipe = load_recipe([text(*lines)], in_node=False)

    def coordinates(source: Dataset) -> list[object]:
        scanned = EncodedDataset.scan(encode(source), 0, EXPLICIT_LE)
        return recipe.detect(scanned).as_dict()["results"][0]["coordinates"]

    one = image(SequenceOfUltrasoundRegions=[region(1, 2, 3, 4), dataset(RegionFlags=1), region(5, 6, 7, 8)])
    assert coordinates(one) == [[0, "all"], [1, ["1,2,3,4", "5,6,7,8"]]]
    assert coordinates(image(SequenceOfUltrasoundRegions=[region(9, 9, 10, 10)])) == [[0, "all"], [1, ["9,9,10,10"]]]
    assert coordinates(image()) == [[0, "all"], [1, []]]
    with pytest.raises(HoldInstance):
        coordinates(image(SequenceOfUltrasoundRegions=[region(3, 2, 1, 4)]))


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("startswith Modality U", "startswith is no line of %filter"),
        ("containsX Modality U", "Did you mean contains?"),
        ("contain Modality U", "Did you mean contains?"),
        ("equals Modaliti US", "Did you mean Modality?"),
        ("equals Modality", "needs a value"),
        ("contains Modality (", "regular expression"),
        ("missing", "names no element"),
        ("+", "no line of %filter"),
        ("coordinates 1,2,3", "no coordinates"),
        ("coordinates 1,2,3,4.5", "no coordinates"),
        ("coordinates 1,2,-3,4", "no coordinates"),
        ("coordinates", "no coordinates"),
        ("coordinates 1,2,1,4", "holds nothing"),
        ("coordinates 5,2,3,4", "holds nothing"),
        ("ctpcoordinates 1,2,0,4", "holds nothing"),
        ("ctpkeepcoordinates 1,2,3", "x,y,width,height"),
        ("ctpcoordinates from:SequenceOfUltrasoundRegions", "corners"),
        ("coordinates from:SequenceOfUltrasoundRegion", "Did you mean SequenceOfUltrasoundRegions?"),
        ("coordinates from:Rows", "Rows is no sequence"),
        ("REMOVE PatientName", "Write %header before it"),
        ("FIELD PatientName", "no line of %filter"),
    ],
)
def test_a_line_that_cannot_be_meant_is_a_fault(line, words):
    (fault,) = faults("%filter x", "LABEL a", "present Modality", line)
    assert fault.startswith("r.dicom:5")
    assert words in fault


@pytest.mark.parametrize("line", ["coordinates 0,0,10,10", "keepcoordinates 0,0,10,10", "coordinates all"])
def test_what_is_excluded_has_no_coordinates(line):
    (fault,) = faults("%filter exclude", "LABEL a", "present Modality", line)
    assert fault.startswith("r.dicom:5")
    assert "mean nothing" in fault


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (("%filter",), "%filter has no name"),
        (("%filter x", "contains Modality US"), "before any LABEL"),
        (("%filter x", "LABEL a", "LABEL b", "present Modality"), "LABEL has no criterion"),
    ],
)
def test_a_section_that_cannot_be_meant_is_a_fault(lines, words):
    assert words in faults(*lines)[0]


def test_filters_of_one_name_are_joined_over_sections_and_recipes():
    first = text("%filter x", "LABEL a", "equals Modality US", "%filter x", "LABEL b", "present Rows", name="a")
    second = text("%filter x", "LABEL c", "present Rows", "%filter y", "LABEL d", "present Rows", name="b")
    recipe = load_recipe([first, second])
    assert [(s.name, [label.name for label in s.labels]) for s in recipe.filters] == [
        ("x", ["a", "b", "c"]),
        ("y", ["d"]),
    ]


def test_in_the_node_a_match_without_coordinates_holds_the_image_and_a_whitelist_does_nothing():
    lines = (
        "%filter blacklist",
        "LABEL Screen shots",
        "contains ImageType SECONDARY",
        "%header",
        "REMOVE Manufacturer",
    )
    with pytest.raises(HoldInstance) as held:
        apply(load_recipe([text(*lines)]), image())
    assert held.value.reason is HoldReason.PIXEL_RISK
    assert held.value.detail == "%filter blacklist: LABEL Screen shots"
    assert "Manufacturer" not in apply(load_recipe([text(*lines)]), dataset(Modality="CT", Manufacturer="X"))
    white = [line.replace("blacklist", "Whitelist") for line in lines]
    assert "Manufacturer" not in apply(
        load_recipe([text(*white, "%filter whitelist", "LABEL r", "coordinates all")]), image()
    )


def regions(source: Dataset, *lines: str, in_node: bool = True) -> tuple[Region, ...]:
    recipe = load_recipe([text(*lines)], in_node=in_node)
    return recipe.apply(EncodedDataset.scan(encode(source), 0, EXPLICIT_LE), Keys(), {}, masks=True).regions


def test_in_the_node_a_match_with_coordinates_says_what_to_mask_in_order():
    lines = (
        "%filter graylist",
        "LABEL a",
        "equals Modality US",
        "coordinates all",
        "keepcoordinates 1,2,3,4",
        "%filter whitelist",
        "LABEL b",
        "equals Modality US",
        "coordinates 0,0,5,5",
        "%filter x",
        "LABEL c",
        "equals Modality US",
        "ctpcoordinates 10,10,5,5",
        "LABEL d",
        "equals Modality CT",
        "coordinates 7,7,8,8",
    )
    masks = (Region(False, None), Region(True, (1, 2, 3, 4)), Region(False, (10, 10, 15, 15)))
    assert regions(image(), *lines) == masks
    assert regions(dataset(Modality="MR"), *lines) == ()
    assert regions(image(), *lines, in_node=False) == ()


def test_an_image_that_has_to_be_masked_is_held_where_nobody_masks():
    with pytest.raises(HoldInstance) as held:
        apply(load_recipe([text("%filter x", "LABEL a", "present Modality", "coordinates all")]), image())
    assert held.value.reason is HoldReason.PIXEL_RISK


@pytest.mark.parametrize(
    "lines",
    [
        ("LABEL a", "present Modality", "LABEL b", "present Modality", "coordinates all"),
        ("LABEL a", "present Modality", "coordinates from:SequenceOfUltrasoundRegions"),
        ("LABEL a", "present Modality", "keepcoordinates 0,0,1,1"),
    ],
    ids=["one LABEL names nothing", "the image names no regions", "nothing is masked that could be kept"],
)
def test_in_the_node_a_match_that_leaves_nothing_to_mask_holds_the_image(lines):
    with pytest.raises(HoldInstance) as held:
        regions(image(), "%filter x", *lines)
    assert held.value.reason is HoldReason.PIXEL_RISK
    assert held.value.detail == "%filter x: LABEL a"


def test_the_judgment_is_about_the_original():
    lines = ("%filter x", "LABEL a", "contains ImageType SECONDARY", "%header", "REMOVE ImageType")
    with pytest.raises(HoldInstance):
        load_recipe([text(*lines)]).apply(EncodedDataset.scan(encode(image()), 0, EXPLICIT_LE), Keys(), {})
