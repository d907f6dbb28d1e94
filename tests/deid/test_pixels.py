"""`has_burned_pixels` and `DicomCleaner`: beside pydicom/deid, and where pydicom/deid spoils the image."""

from __future__ import annotations

import inspect
import shutil
from pathlib import Path

import deid.dicom
import deid.dicom.pixels
import numpy as np
import pydicom
import pytest
from pydicom.pixels import pixel_array

import node.deid
import node.deid.dicom.pixels
from node.deid import DeidRecipe, DicomCleaner, clean_pixel_data, has_burned_pixels
from node.errors import FilesError, HoldInstance, RecipeError
from tests.deid.support import PYDICOM
from tests.pixels import support
from tests.pixels.support import covered, expected, file_of, make

DATA = Path(node.deid.get_dataset("dicom-cookies")).parent
COOKIE = DATA / "dicom-cookies/image1.dcm"
ULTRASOUND = DATA / "ultrasounds/RGB_IMAGE.dcm"
IMAGES = [COOKIE, DATA / "humans/ctbrain1.dcm", DATA / "ultrasounds/GREYSCALE_IMAGE.dcm", ULTRASOUND]
RECIPE = """FORMAT dicom

%filter dangerouscookie
LABEL men
contains PatientSex M
coordinates 10,20,100,200
LABEL nobody || anybody
missing PatientName || present Modality
coordinates 0,300,5000,5000
keepcoordinates 10,30,20,40

%filter other
LABEL large
present Rows
ctpcoordinates 300,10,50,50
LABEL no coordinates
present Columns
"""
MASKING = "FORMAT dicom\n%filter x\nLABEL a\n" + "\n".join(support.LINES)


@pytest.fixture
def recipe(tmp_path) -> str:
    path = tmp_path / "r.dicom"
    path.write_text(RECIPE)
    return str(path)


@pytest.fixture
def masking(tmp_path) -> str:
    path = tmp_path / "masking.dicom"
    path.write_text(MASKING)
    return str(path)


@pytest.mark.parametrize("image", IMAGES, ids=lambda path: path.name)
@pytest.mark.filterwarnings("ignore")
def test_what_pydicom_deid_does_right_is_the_same_here(image, recipe, tmp_path):
    theirs = deid.dicom.DicomCleaner(output_folder=str(tmp_path / "theirs"), deid=recipe)
    ours = DicomCleaner(output_folder=str(tmp_path / "ours"), deid=recipe)
    found = ours.detect(str(image))
    assert found == theirs.detect(str(image))
    assert found["flagged"]
    assert np.array_equal(ours.clean(), theirs.clean())
    first, second = Path(ours.save_dicom()), Path(theirs.save_dicom())
    assert first.name == second.name == f"cleaned-{image.stem}.dcm"
    assert np.array_equal(pydicom.dcmread(first).pixel_array, pydicom.dcmread(second).pixel_array)


@pytest.mark.filterwarnings("ignore")
def test_a_list_is_judged_as_pydicom_deid_judges_it(recipe, tmp_path):
    path = tmp_path / "men.dicom"
    path.write_text(RECIPE[: RECIPE.index("LABEL nobody")])
    files = list(map(str, [*IMAGES, PYDICOM / "CT_small.dcm", PYDICOM / "MR_small.dcm"]))
    result = has_burned_pixels(files, deid=str(path))
    assert result == deid.dicom.has_burned_pixels(files, deid=str(path))
    assert result["clean"]
    assert result["flagged"]
    assert has_burned_pixels(files, deid=DeidRecipe(str(path))) == result
    for name, found in result["flagged"].items():
        assert has_burned_pixels(name, deid=str(path)) == found


def test_a_file_of_a_list_that_cannot_be_judged_is_named_and_the_others_are_judged(recipe, tmp_path):
    broken = tmp_path / "broken.dcm"
    broken.write_bytes(b"no image at all" * 20)
    with pytest.raises(FilesError) as failed:
        has_burned_pixels([str(COOKIE), str(broken)], deid=recipe)
    assert set(failed.value.failed) == {str(broken)}
    assert list(failed.value.done[0]["flagged"]) == [str(COOKIE)]


def test_the_names_are_where_pydicom_deid_has_them():
    for ours, theirs in ((node.deid.dicom, deid.dicom), (node.deid.dicom.pixels, deid.dicom.pixels)):
        for name in ("has_burned_pixels", "DicomCleaner", "clean_pixel_data"):
            parameters = list(inspect.signature(getattr(ours, name)).parameters)
            assert parameters == list(inspect.signature(getattr(theirs, name)).parameters)
    for name in ("detect", "clean", "save_dicom"):
        ours, theirs = getattr(DicomCleaner, name), getattr(deid.dicom.DicomCleaner, name)
        assert list(inspect.signature(ours).parameters) == list(inspect.signature(theirs).parameters)


def test_a_recipe_has_to_be_named():
    for call in (lambda: has_burned_pixels(str(COOKIE)), DicomCleaner):
        with pytest.raises(RecipeError, match="No recipe is named"):
            call()


@pytest.mark.parametrize(
    ("options", "fill"),
    [
        ({"photometric": "RGB", "allocated": 8, "planar": 1, "frames": 2}, (0, 0, 0)),
        ({"photometric": "YBR_FULL", "allocated": 8}, (0, 128, 128)),
        ({"photometric": "YBR_FULL_422", "allocated": 8}, (0, 128, 128)),
        ({"allocated": 8, "signed": True}, (-128,)),
        ({"allocated": 1, "frames": 3}, (0,)),
    ],
    ids=["planes", "YBR_FULL", "YBR_FULL_422", "8 bits signed", "1 bit"],
)
def test_images_that_pydicom_deid_spoils_are_right(options, fill, masking, tmp_path):
    path = tmp_path / "image.dcm"
    path.write_bytes(file_of(make(**options)))
    cleaner = DicomCleaner(output_folder=tmp_path / "out", deid=masking)
    cleaner.detect(path)
    cleaned = cleaner.clean()
    saved = Path(cleaner.save_dicom()).read_bytes()
    before = support.samples_of(path.read_bytes())
    assert np.array_equal(support.samples_of(saved), expected(before, fill))
    assert np.array_equal(cleaned, pydicom.dcmread(cleaner.save_dicom()).pixel_array)
    assert support.elements(saved) == support.elements(path.read_bytes())


def test_floating_point_pixels_are_masked_and_saved(masking, tmp_path):
    image = make()
    del image.PixelData
    image.BitsAllocated, image.FloatPixelData = 32, np.arange(1, 71, dtype="<f4").tobytes()
    path = tmp_path / "image.dcm"
    path.write_bytes(file_of(image))
    cleaner = DicomCleaner(output_folder=tmp_path / "out", deid=masking)
    cleaner.detect(path)
    found = cleaner.clean(pixel_data_attribute="FloatPixelData")
    assert np.array_equal(found == 0, covered())
    assert np.array_equal(pydicom.dcmread(cleaner.save_dicom()).pixel_array, found)
    with pytest.raises(Exception, match="no pixels in the element"):
        cleaner.clean()


def test_compressed_pixels_are_compressed_again_only_without_loss(masking, tmp_path):
    cleaner = DicomCleaner(output_folder=tmp_path / "out", deid=masking)
    cleaner.detect(PYDICOM / "MR_small_RLE.dcm")
    pixels = cleaner.clean()
    uncompressed = pydicom.dcmread(cleaner.save_dicom())
    assert uncompressed.file_meta.TransferSyntaxUID == "1.2.840.10008.1.2.1"
    kept = pydicom.dcmread(cleaner.save_dicom(preserve_compression=True))
    assert kept.file_meta.TransferSyntaxUID == "1.2.840.10008.1.2.5"
    other = pydicom.dcmread(cleaner.save_dicom(compression="1.2.840.10008.1.2.4.90"))
    assert other.file_meta.TransferSyntaxUID == "1.2.840.10008.1.2.4.90"
    for saved in (uncompressed, kept, other):
        assert np.array_equal(pixel_array(saved), pixels)
        assert saved.SOPInstanceUID == pydicom.dcmread(PYDICOM / "MR_small_RLE.dcm").SOPInstanceUID


def test_lossy_pixels_are_not_compressed_again(masking, tmp_path):
    cleaner = DicomCleaner(output_folder=tmp_path / "out", deid=masking)
    cleaner.detect(COOKIE)
    cleaner.clean()
    with pytest.warns(UserWarning, match="saved uncompressed"):
        saved = cleaner.save_dicom(preserve_compression=True)
    assert pydicom.dcmread(saved).file_meta.TransferSyntaxUID == "1.2.840.10008.1.2.1"


def test_regions_of_one_image_do_not_mask_another(tmp_path):
    recipe = tmp_path / "r.dicom"
    recipe.write_text(
        "FORMAT dicom\n%filter x\nLABEL a\npresent Rows\ncoordinates all\n"
        "keepcoordinates from:SequenceOfUltrasoundRegions\n"
    )
    cleaner = DicomCleaner(deid=str(recipe), output_folder=tmp_path / "out")
    kept = []
    for number, corners in enumerate([(0, 0, 3, 3), (5, 2, 9, 6)]):
        item = pydicom.Dataset()
        names = ("RegionLocationMinX0", "RegionLocationMinY0", "RegionLocationMaxX1", "RegionLocationMaxY1")
        for name, value in zip(names, corners, strict=True):
            setattr(item, name, value)
        path = tmp_path / f"{number}.dcm"
        path.write_bytes(file_of(make(SequenceOfUltrasoundRegions=[item])))
        cleaner.detect(path)
        kept.append(np.argwhere(cleaner.clean()))
    assert kept[0].max() == 2
    assert kept[1].min(axis=0).tolist() == [2, 5]


def test_nothing_is_saved_of_an_image_that_was_not_masked(masking, tmp_path):
    cleaner = DicomCleaner(deid=masking, output_folder=tmp_path / "out")
    with pytest.warns(UserWarning, match="Call detect"):
        assert cleaner.clean() is None
    with pytest.warns(UserWarning, match="Call detect"):
        assert cleaner.save_dicom() is None
    cleaner.detect(PYDICOM / "JPGExtended.dcm")
    with pytest.raises(HoldInstance, match="cannot be decoded"):
        cleaner.clean()
    with pytest.warns(UserWarning, match="Call detect"):
        assert cleaner.save_dicom() is None
    cleaner.detect(COOKIE)
    cleaner.clean()
    cleaner.detect(ULTRASOUND)
    with pytest.warns(UserWarning, match="Call detect"):
        assert cleaner.save_dicom() is None
    with pytest.warns(UserWarning, match="only the cleaned image"):
        assert cleaner.save_dicom(image_type="original") is None
    assert not (tmp_path / "out").exists()


def test_a_label_without_coordinates_masks_nothing_and_says_so(tmp_path):
    recipe = tmp_path / "r.dicom"
    recipe.write_text("FORMAT dicom\n%filter x\nLABEL a\npresent Rows\n")
    cleaner = DicomCleaner(deid=str(recipe))
    assert cleaner.detect(COOKIE)["flagged"]
    with pytest.warns(UserWarning, match="names no coordinates"):
        cleaned = cleaner.clean()
    assert np.array_equal(cleaned, pydicom.dcmread(COOKIE).pixel_array)


def test_files_without_preamble_deflated_ones_and_data_sets_are_masked(masking, tmp_path):
    whole = file_of(make())
    bare = tmp_path / "bare.dcm"
    bare.write_bytes(support.body(whole))
    data_set = pydicom.dcmread(PYDICOM / "CT_small.dcm")
    deflated = shutil.copy(PYDICOM / "image_dfl.dcm", tmp_path)
    cleaner = DicomCleaner(deid=masking, output_folder=tmp_path / "out")
    for source, original in (
        (bare, pydicom.dcmread(bare, force=True)),
        (data_set, data_set),
        (deflated, pydicom.dcmread(deflated)),
    ):
        cleaner.detect(source)
        cleaned = cleaner.clean()
        if not hasattr(original.file_meta, "TransferSyntaxUID"):
            original.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.1"
        outside = ~covered(*cleaned.shape[:2])
        assert np.array_equal(cleaned[outside], original.pixel_array[outside])
        assert len(np.unique(cleaned[~outside])) == 1
        saved = pydicom.dcmread(cleaner.save_dicom())
        assert np.array_equal(saved.pixel_array, cleaned)


def test_regions_may_be_changed_by_hand(masking, tmp_path):
    results = has_burned_pixels(str(COOKIE), deid=masking)
    results["results"][0]["coordinates"] = [[0, "all"], [1, ["0,0,4,5"]]]
    cleaned = clean_pixel_data(str(COOKIE), results)
    assert np.argwhere(cleaned.any(axis=2)).max(axis=0).tolist() <= [4, 3]
    assert not cleaned[5:].any()
