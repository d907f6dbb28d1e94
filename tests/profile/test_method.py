"""What a de-identified instance says of how it was done."""

from __future__ import annotations

import pytest
from pydicom.dataset import Dataset

from node.recipe import EncodedDataset, RecipeText, load_recipe, shipped_recipe
from node.recipe.trace import trace
from node.syntaxes import EXPLICIT_LE
from tests.profile.support import CODES, COLUMNS, cleaned, element, item, profile, sop_class
from tests.recipe.support import CODINGS, Keys, apply, dataset, encode, text

CT = "1.2.840.10008.5.1.4.1.1.2"


def codes(result: Dataset) -> list[str]:
    return [code.CodeValue for code in result.DeidentificationMethodCodeSequence]


@pytest.mark.parametrize("option", CODES)
def test_each_option_has_its_code_and_its_name(option):
    again = apply(profile(option), dataset(SOPClassUID=CT))
    assert again.PatientIdentityRemoved == "YES"
    assert codes(again) == ["113100", CODES[option]]
    assert {code.CodingSchemeDesignator for code in again.DeidentificationMethodCodeSequence} == {"DCM"}
    meanings = [code.CodeMeaning for code in again.DeidentificationMethodCodeSequence]
    assert list(again.DeidentificationMethod) == meanings
    assert meanings[0] == "Basic Application Confidentiality Profile"


@pytest.mark.parametrize(
    ("options", "said"),
    [((), "REMOVED"), (("retain-full-dates",), "UNMODIFIED"), (("retain-modified-dates",), "MODIFIED")],
)
def test_what_became_of_the_dates_is_said(options, said):
    for source in (dataset(SOPClassUID=CT), dataset(SOPClassUID=CT, LongitudinalTemporalInformationModified="TOKEN")):
        assert apply(profile(*options), source).LongitudinalTemporalInformationModified == said


def test_what_is_said_does_not_depend_on_the_order_of_the_options():
    one = apply(profile("clean-descriptors", "retain-modified-dates"), dataset(SOPClassUID=CT))
    other = apply(profile("retain-modified-dates", "clean-descriptors"), dataset(SOPClassUID=CT))
    assert codes(one) == codes(other) == ["113100", "113105", "113107"]
    assert one == other


def test_pixels_count_as_cleaned_only_where_they_are_masked():
    filters = text("%filter x", "LABEL a", "equals Modality US", "coordinates 0,0,2,2", name="f.dicom")
    shipped = [shipped_recipe(name) for name in ("ps3.15-basic", "clean-pixel-data")]
    recipe = load_recipe([*[one for one in shipped if one is not None], filters])
    found = {}
    for modality in ("US", "CT"):
        source = dataset(SOPClassUID=CT, Modality=modality, Rows=4, Columns=4, PixelData=b"\0" * 16)
        source["PixelData"].VR = "OB"
        scanned = EncodedDataset.scan(encode(source), 0, EXPLICIT_LE)
        found[modality] = recipe.apply(scanned, Keys(), {}, masks=True).tobytes()
    assert b"113101" in found["US"]
    assert b"113101" not in found["CT"]


@pytest.mark.parametrize("syntax", CODINGS, ids=["implicit", "explicit", "big"])
@pytest.mark.parametrize("undefined", [False, True])
def test_codes_are_added_to_those_of_an_earlier_step(syntax, undefined):
    source = dataset(SOPClassUID=CT, StudyDate="20200111", DeidentificationMethod="TOKEN", PixelData=b"12")
    source["PixelData"].VR = "OW"
    earlier = dataset(CodeValue="113111", CodingSchemeDesignator="DCM", CodeMeaning="earlier")
    source.DeidentificationMethodCodeSequence = [earlier]
    source["DeidentificationMethodCodeSequence"].is_undefined_length = undefined
    earlier.is_undefined_length_sequence_item = undefined
    again = apply(profile(), source, syntax)
    assert codes(again) == ["113111", "113100"]
    assert again.DeidentificationMethod == "Basic Application Confidentiality Profile"
    assert (again.PixelData, again.LongitudinalTemporalInformationModified) == (b"12", "REMOVED")


@pytest.mark.parametrize("value", [b"", item(b"")])
def test_codes_are_added_to_a_sequence_that_came_as_un(value):
    result = cleaned(profile(), sop_class(CT) + element(0x00120064, "UN", value) + element(0x00280010, "US", b"\1\0"))
    assert b"113100" in result.encoded
    assert result.after.Rows == 1
    assert EncodedDataset.scan(result.encoded, 0, EXPLICIT_LE).find(0x00280010) is not None


def test_group_lengths_count_what_is_added():
    encoded = b"".join(
        (
            sop_class(CT),
            element(0x00120000, "UL", (12).to_bytes(4, "little")),
            element(0x00120062, "CS", b"NO  "),
        )
    )
    again = cleaned(profile(), encoded)
    start = again.encoded.index(b"\x12\0\0\0UL") + 12
    stated = int.from_bytes(again.encoded[start - 4 : start], "little")
    assert again.encoded[start + stated : start + stated + 2] == b"\x28\0"


@pytest.mark.parametrize("line", ["REMOVE (0012,0064)", "BLANK DeidentificationMethodCodeSequence", "REMOVE ALL"])
@pytest.mark.parametrize("earlier", [0, 1])
def test_a_line_that_takes_the_codes_away_is_carried_out(line, earlier):
    basic = shipped_recipe("ps3.15-basic")
    assert basic is not None
    recipe = load_recipe([basic, text("%header", line)])
    source = dataset(SOPClassUID=CT)
    if earlier:
        source.DeidentificationMethodCodeSequence = [dataset(CodeValue="1")]
    assert not apply(recipe, source).get("DeidentificationMethodCodeSequence")
    scanned = EncodedDataset.scan(encode(source), 0, EXPLICIT_LE)
    told = {one.path: one.after for one in trace(recipe, scanned, Keys(), {}).elements}
    assert told.get("(0012,0064)") in (None, "", "0 items")


def test_a_list_of_values_does_not_take_the_codes_away():
    basic = shipped_recipe("ps3.15-basic")
    assert basic is not None
    own = text("%values v", "FIELD PatientID", "%header", "REMOVE values:v")
    again = apply(load_recipe([basic, own]), dataset(SOPClassUID=CT, PatientID="E123", SeriesNumber="7"))
    assert codes(again) == ["113100"]


def test_nothing_is_said_without_the_basic_profile():
    recipe = load_recipe([text("%profile ours", "X (0010,1040)")])
    again = apply(recipe, dataset(SOPClassUID=CT, PatientAddress="TOKEN", PatientName="A"))
    assert [element.keyword for element in again] == ["SOPClassUID", "PatientName"]


def test_a_profile_of_the_site_is_named_and_has_no_code():
    basic = shipped_recipe("ps3.15-basic")
    assert basic is not None
    own = RecipeText("own.dicom", "FORMAT dicom\n%profile site-7\nK (0008,1010)")
    again = apply(load_recipe([basic, own]), dataset(SOPClassUID=CT, StationName="CT1"))
    assert again.StationName == "CT1"
    assert list(again.DeidentificationMethod) == ["Basic Application Confidentiality Profile", "site-7"]
    assert codes(again) == ["113100"]


def test_every_option_is_shipped_and_has_a_code():
    assert set(CODES) | {"clean-pixel-data"} == set(COLUMNS)
