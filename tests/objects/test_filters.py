"""The shipped filters: device signatures that mask, and dose pages that are excluded."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from pydicom.datadict import dictionary_VR, tag_for_keyword

from node.errors import HoldInstance, HoldReason
from node.pixels import mask
from node.recipe import EncodedDataset, Region, load_recipe, shipped_recipe
from node.syntaxes import EXPLICIT_LE
from tests.objects.support import CT, PIXELS, SC, image, judge, shipped
from tests.pixels.support import LINES
from tests.recipe.support import Keys, dataset, encode, text

SIGNATURES = json.loads((Path(__file__).parents[2] / "node/standard/data/burned-in-regions.json").read_text())
DOSE = shipped("ps3.15-basic", "dose-screens")
_FACTOR = re.compile(r'(?:(\w+)|\[(\w{4}),(\w{4})\])\.\w+ ?\("([^"]*)"\)')
SECONDARY = ["DERIVED", "SECONDARY"]


def of_device(signature: str):
    """A capture that has what a signature asks for; of alternatives the last one."""
    source = image(SC, "CT", Rows=3000, Columns=3000, ImageType=SECONDARY, PixelData=None)
    for keyword, group, number, value in _FACTOR.findall(signature):
        name = "Manufacturer" if keyword == "ImplementationVersionName" else keyword
        tag = tag_for_keyword(name) if name else int(group + number, 16)
        vr = "LO" if tag >> 16 == 0x6000 else dictionary_VR(tag)
        source.add_new(tag, vr, int(value) if vr == "US" else value)
    source.add_new(0x7FE00010, "OB", b"\0\0")
    return source


@pytest.mark.parametrize("one", SIGNATURES, ids=range(1, len(SIGNATURES) + 1))
def test_a_device_is_masked_where_it_writes_and_said_to_be_clean_only_for_its_size(one):
    verdict = judge(of_device(one["signature"]), PIXELS)
    boxes = [(x, y, x + width, y + height) for x, y, width, height in one["regions_xywh"]]
    assert {Region(False, box) for box in boxes} <= set(verdict.judgement.regions)
    others = [other for other in SIGNATURES if other is not one]
    if not any(_matches(of_device(one["signature"]), other["signature"]) for other in others):
        assert verdict.judgement.sized == bool(re.search(r"Rows|Columns|0028,001[01]", one["signature"]))


def _matches(source, signature: str) -> bool:
    found = [
        str(source.get(name or int(group + number, 16), "")).upper() if name else
        str(source.get((int(group, 16), int(number, 16)), ""))
        for name, group, number, _ in _FACTOR.findall(signature)
    ]  # fmt: skip
    return all(
        value.upper() in there.upper() for there, (*_, value) in zip(found, _FACTOR.findall(signature), strict=True)
    )


def test_a_device_of_another_name_is_held():
    with pytest.raises(HoldInstance):
        judge(image(SC, "CT", Manufacturer="NOBODY"), PIXELS)


@pytest.mark.parametrize(
    "values",
    [
        {"ImageType": [*SECONDARY, "SCREEN SAVE"], "SeriesDescription": "Dose Report"},
        {"ImageType": ["ORIGINAL", "SECONDARY", "DOSE_INFO"]},
        {"ImageType": [*SECONDARY, "OTHER", "CT_SOM5 PROT"], "SeriesDescription": "Patient Protocol"},
        {"SOPClassUID": SC, "Modality": "OT", "ImageType": None, "SeriesDescription": "dose_summary"},
    ],
)
def test_a_dose_page_is_excluded_by_the_words_of_its_label(values):
    assert judge(image(**{"sop_class": CT, **values}), DOSE).excluded.startswith("%filter exclude: LABEL ")


@pytest.mark.parametrize(
    "values",
    [
        {"SeriesDescription": "Dose Report"},
        {"SeriesDescription": "LOW DOSE LUNG"},
        {"SeriesDescription": "Patient Protocol", "ImageType": ["ORIGINAL", "SECONDARY", "AXIAL", "OTHER"]},
        {"SeriesDescription": "low dose cor", "ImageType": [*SECONDARY, "MPR"]},
        {"SeriesDescription": "dose info", "ImageType": [*SECONDARY, "REFORMATTED", "AVERAGE"]},
        {"Modality": "RTDOSE", "ImageType": [*SECONDARY, "DOSE REPORT"]},
    ],
)
def test_what_was_reconstructed_is_never_excluded(values):
    assert judge(image(**{"sop_class": CT, **values}), DOSE, pixel_risk="pass").excluded == ""


def masked(source, *header: str):
    recipe = load_recipe([text("%filter graylist", "LABEL a", *LINES, "%header", "REMOVE PatientID", *header)])
    encoded = EncodedDataset.scan(encode(source), 0, EXPLICIT_LE)
    return mask(recipe.apply(encoded, Keys(), {}, masks=True))


@pytest.mark.parametrize("depth", [0, 1])
def test_a_masked_image_does_not_go_out_beside_a_private_copy(depth):
    source = image(Rows=64, Columns=96)
    source.add_new(0x7FE00010, "OB", bytes(64 * 96))
    item = dataset()
    place = item if depth else source
    place.add_new(0x00990010, "LO", "ACME")
    place.add_new(0x00991001, "OB", bytes(64 * 96))
    if depth:
        source.add_new(0x00990010, "LO", "ACME")
        source.add_new(0x00991002, "SQ", [item])
    with pytest.raises(HoldInstance) as hold:
        masked(source)
    assert hold.value.reason is HoldReason.MASK_FAILED
    assert "(0099,10" in hold.value.detail
    assert masked(source, "REMOVE select:private").changed
    place.add_new(0x00991001, "OB", bytes(200))
    assert masked(source).changed


def test_a_masked_image_does_not_go_out_beside_its_icon():
    source = image(Rows=64, Columns=96, IconImageSequence=[image()])
    source.add_new(0x7FE00010, "OB", bytes(64 * 96))
    with pytest.raises(HoldInstance) as hold:
        masked(source)
    assert hold.value.detail == "what may be a copy of the pixels stays at (0088,0200)"
    assert masked(source, "REMOVE IconImageSequence").changed


def test_the_recipe_has_every_rectangle():
    found = shipped_recipe("clean-pixel-data")
    assert found is not None
    assert found.text.count("ctpcoordinates ") == sum(len(one["regions_xywh"]) for one in SIGNATURES) == 62
