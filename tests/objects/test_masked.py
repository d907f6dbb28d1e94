"""Ultrasound through the shipped recipes: every frame is masked outside of its regions, and nothing else changes."""

from __future__ import annotations

import numpy as np
import pytest
from pydicom.encaps import encapsulate
from pydicom.uid import MPEG4HP41, JPEG2000Lossless, RLELossless

from node.errors import HoldInstance, HoldReason
from node.objects import Policy
from node.part10 import FileMeta, encode_file_meta, read_file_meta
from node.pixels import mask
from node.recipe import EncodedDataset
from node.syntaxes import lookup
from tests.objects.support import PIXELS, US
from tests.pixels.support import file_of, make, read, samples_of
from tests.pixels.test_compressed import compressed
from tests.recipe.support import Keys, dataset

SHAPE = (36, 48)  # an encoder of JPEG 2000 takes no smaller ones
BLACK = {"RGB": (0, 0, 0), "YBR_FULL": (0, 128, 128), "YBR_FULL_422": (0, 128, 128), "PALETTE COLOR": (37,)}


def ultrasound(photometric: str, **options: object):
    source = make(photometric, allocated=8, shape=SHAPE, **options)
    source.SOPClassUID, source.Modality, source.Manufacturer = US, "US", "PHILIPS"
    source.BurnedInAnnotation = "NO"
    source.SequenceOfUltrasoundRegions = [region(4, 6, 16, 18), region(18, 8, 30, 14)]
    return source


def region(x: int, y: int, right: int, bottom: int):
    corners = {"MinX0": x, "MinY0": y, "MaxX1": right, "MaxY1": bottom}
    return dataset(**{f"RegionLocation{corner}": value for corner, value in corners.items()})


def through(data: bytes) -> bytes:
    meta, start = read_file_meta(data)
    encoded = EncodedDataset.scan(data, start, lookup(meta.transfer_syntax_uid))
    verdict = Policy().judge(PIXELS, encoded)
    cleaned = verdict.finished(PIXELS.apply(encoded, Keys(), {}, masks=verdict.judgement))
    result = mask(cleaned)
    body = b"".join(part if isinstance(part, bytes) else data[part[0] : part[0] + part[1]] for part in result.segments)
    return encode_file_meta(FileMeta(US, "1.2.3", result.syntax.uid)) + body


@pytest.mark.parametrize("frames", [1, 3])
@pytest.mark.parametrize(
    ("photometric", "options"),
    [
        ("MONOCHROME2", {}),
        ("MONOCHROME1", {}),
        ("PALETTE COLOR", {}),
        ("RGB", {"planar": 0}),
        ("RGB", {"planar": 1}),
        ("YBR_FULL", {"planar": 1}),
        ("YBR_FULL_422", {}),
    ],
)
def test_every_frame_of_native_ultrasound_is_masked_outside_of_its_regions(photometric, options, frames):
    check(file_of(ultrasound(photometric, frames=frames, **options)), photometric)


@pytest.mark.parametrize("uid", [RLELossless, JPEG2000Lossless], ids=["RLE", "JPEG 2000"])
def test_compressed_ultrasound_is_decoded_and_masked(uid):
    check(compressed(ultrasound("RGB", frames=2), uid), "RGB")


def check(data: bytes, photometric: str) -> None:
    result = through(data)
    before, after = samples_of(data), samples_of(result)
    black = BLACK.get(photometric, (255,) if photometric == "MONOCHROME1" else (0,))
    inside = np.zeros(SHAPE, bool)
    inside[6:18, 4:16] = inside[8:14, 18:30] = True
    assert np.array_equal(after[:, inside], before[:, inside])
    assert np.array_equal(after[:, ~inside], np.broadcast_to(np.array(black), after[:, ~inside].shape))
    found = read(result)
    assert found.BurnedInAnnotation == "NO"
    assert "113101" in [item.CodeValue for item in found.DeidentificationMethodCodeSequence]


def test_ultrasound_that_cannot_be_decoded_is_held():
    video = ultrasound("MONOCHROME2")
    video.add_new(0x7FE00010, "OB", encapsulate([b"moving pictures "]))
    video["PixelData"].is_undefined_length = True
    data = file_of(video, MPEG4HP41)
    with pytest.raises(HoldInstance) as hold:
        through(data)
    assert hold.value.reason is HoldReason.MASK_FAILED
