"""Native pixels: what a mask covers is black, every other byte of the file is as it came (PS3.5 8, PS3.3 C.7.6.3)."""

from __future__ import annotations

import mmap
import os
import tracemalloc

import numpy as np
import pytest
from pydicom.dataset import Dataset

from node.part10 import FileMeta, encode_file_meta
from node.pixels import mask
from node.syntaxes import EXPLICIT_BE, EXPLICIT_LE, IMPLICIT_LE
from tests.pixels import support
from tests.pixels.support import body, expected, file_of, make, masked_file, read, samples_of

GREY = [
    ("MONOCHROME2", 1, 1, False, 0),
    ("MONOCHROME1", 1, 1, False, 1),
    ("MONOCHROME2", 8, 8, False, 0),
    ("MONOCHROME1", 8, 8, False, 255),
    ("MONOCHROME2", 8, 8, True, -128),
    ("MONOCHROME1", 8, 8, True, 127),
    ("MONOCHROME2", 16, 12, False, 0),
    ("MONOCHROME1", 16, 12, False, 4095),
    ("MONOCHROME2", 16, 12, True, -2048),
    ("MONOCHROME1", 16, 16, True, 32767),
    ("MONOCHROME2", 32, 32, False, 0),
    ("MONOCHROME2", 32, 32, True, -(1 << 31)),
    ("PALETTE COLOR", 8, 8, False, 37),
]
COLOURS = [
    ("RGB", 8, 8, (0, 0, 0)),
    ("RGB", 16, 12, (0, 0, 0)),
    ("HSV", 8, 8, (0, 0, 0)),
    ("YBR_FULL", 8, 8, (0, 128, 128)),
    ("YBR_FULL", 16, 16, (0, 32768, 32768)),
    ("ARGB", 8, 8, (0, 0, 0, 0)),
    ("CMYK", 8, 8, (0, 0, 0, 255)),
]


def check(data: bytes, fill: tuple[float, ...], *lines: str, where: np.ndarray | None = None) -> None:
    """The samples are as they should be, and all bytes in front of the pixels and behind them are the same."""
    result = masked_file(data, *lines)
    before, after = samples_of(data), samples_of(result)
    assert np.array_equal(after, expected(before, fill, where))
    assert not np.array_equal(after, before)
    old, new, value = body(data), body(result), bytes(read(data).PixelData)
    start = old.index(value)
    assert new[:start] == old[:start]
    assert new[start + len(value) :] == old[start + len(value) :]
    changed = np.frombuffer(value, np.uint8) != np.frombuffer(new[start : start + len(value)], np.uint8)
    assert changed.any()


@pytest.mark.parametrize("syntax", [IMPLICIT_LE, EXPLICIT_LE], ids=["implicit", "explicit"])
@pytest.mark.parametrize("frames", [1, 3])
@pytest.mark.parametrize(("photometric", "allocated", "stored", "signed", "fill"), GREY)
def test_grey_is_masked_in_every_depth_and_sign(photometric, allocated, stored, signed, fill, frames, syntax):
    image = make(photometric, allocated=allocated, stored=stored, signed=signed, frames=frames)
    check(file_of(image, syntax), (fill,))


@pytest.mark.parametrize("frames", [1, 3])
@pytest.mark.parametrize("planar", [0, 1])
@pytest.mark.parametrize(("photometric", "allocated", "stored", "fill"), COLOURS)
def test_colours_are_masked_by_pixel_and_by_plane(photometric, allocated, stored, fill, planar, frames):
    check(file_of(make(photometric, allocated=allocated, stored=stored, planar=planar, frames=frames)), fill)


@pytest.mark.parametrize("frames", [1, 3])
@pytest.mark.parametrize(
    ("photometric", "allocated", "vr", "signed", "planar", "fill"),
    [
        ("MONOCHROME2", 1, "OW", False, 0, (0,)),
        ("MONOCHROME1", 1, "OB", False, 0, (1,)),
        ("MONOCHROME1", 8, "OW", False, 0, (255,)),
        ("MONOCHROME2", 8, "OB", True, 0, (-128,)),
        ("MONOCHROME1", 16, "OW", False, 0, (65535,)),
        ("MONOCHROME2", 16, "OW", True, 0, (-32768,)),
        ("MONOCHROME2", 32, "OW", False, 0, (0,)),
        ("YBR_FULL", 8, "OW", False, 0, (0, 128, 128)),
        ("YBR_FULL", 8, "OW", False, 1, (0, 128, 128)),
        ("YBR_FULL", 8, "OB", False, 1, (0, 128, 128)),
        ("PALETTE COLOR", 8, "OW", False, 0, (37,)),
    ],
)
def test_big_endian_words_and_bytes_are_masked(photometric, allocated, vr, signed, planar, fill, frames):
    image = make(photometric, allocated=allocated, signed=signed, planar=planar, frames=frames, shape=(7, 10))
    if photometric == "PALETTE COLOR":
        for colour in ("Red", "Green", "Blue"):
            name = f"{colour}PaletteColorLookupTableData"
            setattr(image, name, np.frombuffer(image[name].value, "<u2").byteswap().tobytes())
    data = file_of(support.big_endian(image, vr), EXPLICIT_BE)
    if allocated == 1:
        # pydicom does not swap the words of bit-packed pixels; the standard does (PS3.5 Annex D).
        result = masked_file(data)
        width = 2 if vr == "OW" else 1
        bits = [
            np.unpackbits(
                np.frombuffer(read(one).PixelData, f">u{width}").astype(f"<u{width}").view("u1"), bitorder="little"
            )
            for one in (data, result)
        ]
        before, after = (one[: frames * 70].reshape(frames, 7, 10, 1) for one in bits)
        assert np.array_equal(after, expected(before, fill))
        assert np.array_equal(bits[0][frames * 70 :], bits[1][frames * 70 :])
        return
    check(data, fill)


@pytest.mark.parametrize("frames", [1, 3])
@pytest.mark.parametrize(("photometric", "luma"), [("YBR_FULL_422", 0), ("YBR_PARTIAL_422", 16)])
def test_subsampled_pixels_are_masked_two_by_two(photometric, luma, frames):
    data = file_of(make(photometric, allocated=8, frames=frames))
    # pydicom knows the layout under one name alone.
    as_full, result = (data.replace(b"YBR_PARTIAL_422 ", b"YBR_FULL_422    "), masked_file(data))
    after = samples_of(result.replace(b"YBR_PARTIAL_422 ", b"YBR_FULL_422    "))
    assert np.array_equal(after, expected(samples_of(as_full), (luma, 128, 128)))


def test_a_pixel_that_shares_its_chroma_with_a_masked_one_is_masked_too():
    data = file_of(make("YBR_FULL_422", allocated=8))
    where = np.zeros((7, 10), bool)
    where[2:4, 2:6] = True
    after = samples_of(masked_file(data, "coordinates 3,2,5,4"))
    assert np.array_equal(after, expected(samples_of(data), (0, 128, 128), where))


@pytest.mark.parametrize(
    ("keyword", "allocated", "padding", "fill"),
    [
        ("FloatPixelData", 32, {}, 0.0),
        ("FloatPixelData", 32, {"FloatPixelPaddingValue": -3.5}, -3.5),
        ("DoubleFloatPixelData", 64, {}, 0.0),
        ("DoubleFloatPixelData", 64, {"DoubleFloatPixelPaddingValue": 1e300}, 1e300),
    ],
)
@pytest.mark.parametrize("syntax", [EXPLICIT_LE, IMPLICIT_LE, EXPLICIT_BE], ids=["explicit", "implicit", "big"])
def test_floating_point_pixels_are_masked(keyword, allocated, padding, fill, syntax):
    image = make(frames=2)
    numbers = np.random.default_rng(3).normal(size=(2, 7, 10, 1)) + 20
    order = "<" if syntax.little_endian else ">"
    del image.PixelData, image.BitsStored, image.HighBit, image.PixelRepresentation
    image.BitsAllocated = allocated
    setattr(image, keyword, numbers.astype(f"{order}f{allocated // 8}").tobytes())
    for name, value in padding.items():
        setattr(image, name, value)
    data = file_of(image, syntax)
    result = masked_file(data)
    before, after = (
        np.frombuffer(read(one)[keyword].value, f"{order}f{allocated // 8}").reshape(2, 7, 10, 1)
        for one in (data, result)
    )
    assert np.array_equal(after, expected(before, (fill,)))
    assert len(body(result)) == len(body(data))


@pytest.mark.parametrize(
    ("options", "padding", "fill"),
    [
        ({"signed": True}, -2000, -2000),
        ({"photometric": "MONOCHROME1", "stored": 12}, 4000, 4000),
        ({"stored": 12}, 5000, 0),
    ],
    ids=["signed", "MONOCHROME1", "outside Bits Stored"],
)
def test_the_value_that_pads_an_image_also_masks_it(options, padding, fill):
    image = make(**options)
    image.add_new(0x00280120, "SS" if options.get("signed") else "US", padding)
    check(file_of(image), (fill,))


def test_samples_that_do_not_begin_at_the_lowest_bit_are_filled_where_they_lie():
    image = make("MONOCHROME1", stored=12)
    image.HighBit = 15
    image.PixelData = (np.frombuffer(image.PixelData, "<u2") << 4).astype("<u2").tobytes()
    before, after = (
        np.frombuffer(read(one).PixelData, "<u2").reshape(1, 7, 10, 1)
        for one in (file_of(image), masked_file(file_of(image)))
    )
    assert np.array_equal(after, expected(before, (0xFFF0,)))


def test_ges_private_syntax_has_big_endian_samples():
    image = make("MONOCHROME1", stored=12)
    image.PixelData = np.frombuffer(image.PixelData, "<u2").byteswap().tobytes()
    start = body(file_of(image, IMPLICIT_LE))
    private = encode_file_meta(FileMeta("1.2", "1.3", "1.2.840.113619.5.2")) + start
    result = body(masked_file(private))
    at = start.index(image.PixelData)
    before, after = (np.frombuffer(one[at : at + 140], ">u2").reshape(1, 7, 10, 1) for one in (start, result))
    assert np.array_equal(after, expected(before, (4095,)))


@pytest.mark.parametrize("seed", range(25))
def test_any_order_of_regions_masks_what_writing_them_one_after_another_masks(seed):
    random = np.random.default_rng(seed)
    where = np.zeros((support.ROWS, support.COLUMNS), bool)
    lines = ["coordinates 0,0,1,1"]
    where[0, 0] = True
    for _ in range(random.integers(1, 8)):
        x, y = random.integers(0, 9), random.integers(0, 7)
        right, bottom = x + random.integers(1, 9), y + random.integers(1, 9)
        keep = bool(random.integers(0, 2))
        lines.append(f"{'keep' if keep else ''}coordinates {x},{y},{right},{bottom}")
        where[y:bottom, x:right] = not keep
    data = file_of(make(frames=2))
    after = samples_of(masked_file(data, *lines))
    assert np.array_equal(after, expected(samples_of(data), (0,), where))


def test_all_masks_everything_and_keeping_all_of_it_changes_no_byte():
    data = file_of(make("RGB", allocated=8, planar=1, frames=2))
    assert not samples_of(masked_file(data, "coordinates all")).any()
    assert body(masked_file(data, "coordinates all", "keepcoordinates all")) == body(data)


def test_regions_of_the_image_itself_are_kept():
    image = make(Modality="US")
    region = pydicom_region(2, 1, 8, 5)
    image.SequenceOfUltrasoundRegions = [region]
    where = np.ones((7, 10), bool)
    where[1:5, 2:8] = False
    check(
        file_of(image),
        (0,),
        "coordinates all",
        "keepcoordinates from:SequenceOfUltrasoundRegions",
        where=where,
    )


def pydicom_region(*corners: int) -> Dataset:
    item = Dataset()
    names = ("RegionLocationMinX0", "RegionLocationMinY0", "RegionLocationMaxX1", "RegionLocationMaxY1")
    for name, value in zip(names, corners, strict=True):
        setattr(item, name, value)
    return item


def test_the_header_is_cleaned_and_the_pixels_are_masked_wherever_they_are_then():
    image = make(frames=2, PatientName="Simpson^Homer", StudyDescription="short")
    data = file_of(image)
    header = ("REMOVE PatientName", "REPLACE StudyDescription a_much_longer_description", "REMOVE (7FE1,1001)")
    result = masked_file(data, header=header)
    assert np.array_equal(samples_of(result), expected(samples_of(data), (0,)))
    cleaned = read(result)
    assert "PatientName" not in cleaned
    assert (0x7FE1, 0x1001) not in cleaned
    assert cleaned[0x7FE10010].value == "SYNTHETIC"
    assert cleaned.StudyDescription == "a_much_longer_description"


def test_the_memory_that_masking_needs_does_not_grow_with_the_instance(tmp_path):
    image = make(frames=2, shape=(512, 512))
    frames = 600
    # The same header for more frames, and a file with a hole for the pixels: 300 MiB.
    image.NumberOfFrames = frames
    image.PixelData = b"\1\1" * (512 * 512)
    head = file_of(image)
    start = head.index(b"OW\0\0", head.index(b"\xe0\x7f\x10\x00"))
    path = tmp_path / "big.dcm"
    with path.open("wb") as file:
        length = frames * 512 * 512 * 2
        file.write(head[: start + 4] + length.to_bytes(4, "little"))
        os.truncate(file.fileno(), start + 8 + length)
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as whole:
        cleaned = support.apply(whole, "coordinates 100,100,400,140")
        tracemalloc.start()
        pieces = total = 0
        for segment in mask(cleaned).segments:
            pieces += isinstance(segment, bytes)
            total += len(segment) if isinstance(segment, bytes) else segment[1]
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert total == len(whole) - cleaned.dataset.start
        assert pieces >= frames
        assert peak < 4 << 20
        del cleaned
