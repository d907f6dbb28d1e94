"""A route whose recipe names coordinates masks pixels on the way; what cannot be masked right stays in the node."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
import pytest

from tests.road.conftest import EVERY_COPY
from tests.road.support import (
    DEFLATED,
    EXPLICIT,
    SUCCESS,
    data_set_of,
    differences,
    elements_of,
    send,
    shipped_file,
    use_recipe,
)
from tests.support import make_ct, wait_for

RECIPE = """FORMAT dicom
%header
REPLACE PatientName ANONYMOUS
REPLACE SOPInstanceUID func:generate_uid
%filter graylist
LABEL banner
present Rows
coordinates 4,1,40,12
%filter blacklist
LABEL screen shots
equals Manufacturer SCREEN
"""
TOUCHED = {0x00080018, 0x00100010}
PIXEL_DATA = 0x7FE00010


@pytest.fixture(scope="module")
def peers(module_road):
    archive = module_road.archive()
    node = module_road.node(archive, **EVERY_COPY)
    use_recipe(node, RECIPE)
    return node.start(), archive


def through(peers, path: Path) -> Path:
    node, archive = peers
    before = archive.files()
    assert send(node.port, path) == [SUCCESS]
    wait_for(lambda: node.status()["in_flight"] == 0, "nothing is in flight")
    (new,) = set(archive.files()) - set(before)
    return new


def check(sent: Path, arrived: Path, changed: set[int]) -> None:
    """Pixels outside the mask are the decoded original's, those inside are all the same; nothing else changed."""
    before, after = (pydicom.dcmread(path).pixel_array for path in (sent, arrived))
    where = np.zeros(before.shape[:2], bool)
    where[1:12, 4:40] = True
    assert np.array_equal(before[~where], after[~where])
    assert len(np.unique(after[where])) == 1
    assert not np.array_equal(before[where], after[where])
    found = {tag for tag in differences(sent, arrived) if tag & 0xFFFF or tag >> 16 not in {8, 16, 32}}
    assert found == TOUCHED | {PIXEL_DATA} | changed


def test_a_native_image_is_masked_where_it_lies(peers, tmp_path):
    (sent,) = make_ct(tmp_path, 1)
    pixels = np.arange(64 * 64, dtype="<i2")
    dataset = pydicom.dcmread(sent)
    dataset.PixelData = pixels.tobytes()
    dataset.save_as(sent)
    arrived = through(peers, sent)
    check(sent, arrived, set())
    assert pydicom.dcmread(arrived).pixel_array[5, 5] == dataset.PixelPaddingValue
    before, after = elements_of(sent)[PIXEL_DATA], elements_of(arrived)[PIXEL_DATA]
    assert len(before) == len(after)
    assert before[:12] == after[:12]


@pytest.mark.parametrize("name", ["MR_small_RLE.dcm", "MR_small_jpeg_ls_lossless.dcm", "MR_small_jp2klossless.dcm"])
def test_a_compressed_image_is_decoded_masked_and_sent_uncompressed(peers, name):
    sent = shipped_file(name)
    arrived = through(peers, sent)
    assert pydicom.filereader.read_file_meta_info(arrived).TransferSyntaxUID == EXPLICIT
    check(sent, arrived, set())


def test_a_lossy_image_is_not_compressed_again(peers):
    sent = shipped_file("SC_rgb_jpeg_dcmtk.dcm")
    arrived = through(peers, sent)
    assert pydicom.dcmread(arrived).PhotometricInterpretation == "RGB"
    assert pydicom.dcmread(arrived).LossyImageCompression == "01"
    found = differences(sent, arrived)
    assert {PIXEL_DATA, 0x00280004} <= found <= TOUCHED | {PIXEL_DATA, 0x00280004}


def test_a_deflated_image_is_masked_and_deflated_again(peers):
    sent = shipped_file("image_dfl.dcm")
    arrived = through(peers, sent)
    assert pydicom.filereader.read_file_meta_info(arrived).TransferSyntaxUID == DEFLATED
    assert len(data_set_of(sent)) + 1024 > len(data_set_of(arrived))
    check(sent, arrived, set())


def test_an_instance_without_pixels_passes(peers):
    sent = shipped_file("test-SR.dcm")
    assert PIXEL_DATA not in elements_of(through(peers, sent))


@pytest.mark.parametrize(
    ("name", "reason", "detail"),
    [
        ("JPEG-lossy.dcm", "mask-failed", "a frame cannot be decoded at (7FE0,0010)"),
        ("SC_rgb_small_odd.dcm", "mask-failed", "all regions that the filters mask lie outside the image"),
        ("CT_small.dcm", "pixel-risk", "%filter blacklist: LABEL screen shots"),
    ],
)
def test_what_cannot_be_masked_is_held_and_nothing_of_it_leaves(peers, tmp_path, name, reason, detail):
    node, archive = peers
    files, held = archive.files(), node.held()
    sent = tmp_path / name
    dataset = pydicom.dcmread(shipped_file(name))
    if reason == "pixel-risk":
        dataset.Manufacturer = "SCREEN"
    dataset.save_as(sent)
    assert send(node.port, sent) == [SUCCESS]
    new = wait_for(lambda: [one for one in node.held() if one not in held], "it is held")
    assert [(one["reason"], one["detail"]) for one in new] == [(reason, detail)]
    assert archive.files() == files
    assert node.spool_files()["incoming"] == 0
