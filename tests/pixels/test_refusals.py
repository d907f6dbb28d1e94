"""What cannot be masked with certainty is held, and says where."""

from __future__ import annotations

import time

import pydicom
import pytest
from pydicom.encaps import encapsulate
from pydicom.uid import JPEGLSLossless, RLELossless

from node.errors import HoldInstance, HoldReason
from node.pixels import mask
from node.recipe import EncodedDataset, load_recipe
from node.syntaxes import EXPLICIT_BE, EXPLICIT_LE
from tests.pixels import support
from tests.pixels.support import apply, body, file_of, make, masked_file, read
from tests.pixels.test_compressed import FILES, adobe, compressed, encapsulated, frames_of, jpeg, smooth
from tests.recipe.support import Keys, encode, text

VALUE_OF_NOBODY = "Simpson"


def held(data: bytes, *lines: str, header: tuple[str, ...] = ()) -> HoldInstance:
    with pytest.raises(HoldInstance) as hold:
        masked_file(data, *lines, header=header)
    return hold.value


def changed(**values: object) -> bytes:
    image = make(**values.pop("options", {}))
    for keyword, value in values.items():
        if value is None:
            delattr(image, keyword)
        else:
            setattr(image, keyword, value)
    return file_of(image)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"Rows": None}, "(0028,0010)"),
        ({"BitsStored": None}, "(0028,0101)"),
        ({"Rows": 0}, "no pixels"),
        ({"Rows": 8}, "fewer pixels"),
        ({"Rows": 6}, "more pixels"),
        ({"NumberOfFrames": 2}, "fewer pixels"),
        ({"options": {"frames": 3}, "NumberOfFrames": 2}, "more pixels"),
        ({"PhotometricInterpretation": "RGB"}, "(0028,0004)"),
        ({"PhotometricInterpretation": "UNHEARD"}, "(0028,0004)"),
        ({"PhotometricInterpretation": None}, "(0028,0004)"),
        ({"BitsAllocated": 12}, "(0028,0100)"),
        ({"BitsStored": 17}, "(0028,0102)"),
        ({"HighBit": 3}, "(0028,0102)"),
        ({"options": {"photometric": "RGB", "allocated": 8}, "PixelRepresentation": 1}, "(0028,0103)"),
        ({"options": {"photometric": "YBR_FULL", "allocated": 8}, "PhotometricInterpretation": "YBR_RCT"}, "native"),
        ({"options": {"photometric": "YBR_FULL_422", "allocated": 8}, "PlanarConfiguration": 1}, "subsampled"),
        ({"PixelDataProviderURL": "http://127.0.0.1/pixels"}, "(0028,7FE0)"),
        ({"FloatPixelData": b"\0" * 280}, "more than one element"),
    ],
    ids=str,
)
@pytest.mark.filterwarnings("ignore")
def test_a_header_that_does_not_describe_the_pixels_is_refused(values, words):
    hold = held(changed(**values))
    assert hold.reason is HoldReason.MASK_FAILED
    assert words in hold.detail


def test_regions_outside_the_image_are_refused():
    hold = held(file_of(make()), "coordinates 10,0,20,7", "coordinates 0,7,10,9")
    assert "outside the image" in hold.detail
    assert "too many" in held(file_of(make()), *["coordinates 0,0,1,1"] * 1001).detail


def test_many_regions_cost_little():
    lines = [f"coordinates {n},{n},{2000 - n},{2000 - n}" for n in range(999)]
    data = file_of(make(shape=(2000, 2000)))
    start = time.process_time()
    assert len(masked_file(data, *lines)) > 8_000_000
    assert time.process_time() - start < 5


def test_pixels_that_no_header_tells_of_do_not_pass_but_padding_does():
    image = make()
    image.PixelData += b"\0" * 20
    assert masked_file(file_of(image))
    image.PixelData = image.PixelData[:-1] + b"\1"
    assert "more pixels" in held(file_of(image)).detail


@pytest.mark.parametrize(("allocated", "vr"), [(32, "OW"), (16, "OB")])
def test_big_endian_samples_whose_order_is_not_certain_are_refused(allocated, vr):
    image = support.big_endian(make("MONOCHROME1", allocated=allocated, stored=allocated - 1), "OW")
    image["PixelData"].VR = vr
    assert "byte order" in held(file_of(image, EXPLICIT_BE)).detail


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("JPEG-lossy.dcm", "cannot be decoded"),  # 12 bits, for which there is no decoder
        ("JPGExtended.dcm", "cannot be decoded"),
        ("JPEG2000-embedded-sequence-delimiter.dcm", "size of a frame"),
    ],
)
def test_files_that_no_decoder_takes_are_refused(name, words):
    assert words in held((FILES / name).read_bytes()).detail


@pytest.mark.parametrize(
    "uid",
    ["1.2.840.10008.1.2.1.98", "1.2.840.10008.1.2.4.102", "1.2.840.10008.1.2.4.201", "1.2.840.10008.1.2.8.1"],
    ids=["encapsulated uncompressed", "MPEG-4", "HTJ2K", "deflated frames"],
)
def test_syntaxes_without_a_decoder_are_refused(uid):
    image = make()
    data = encapsulated(image, encapsulate(frames_of(image)))
    rle, other = RLELossless.encode(), uid.encode()
    at = data.index(rle)
    length = len(rle) + len(rle) % 2
    padded = other + b"\0" * (len(other) % 2)
    data = data[: at - 2] + len(padded).to_bytes(2, "little") + padded + data[at + length :]
    group = int.from_bytes(data[140:144], "little") + len(padded) - length
    data = data[:140] + group.to_bytes(4, "little") + data[144:]
    assert "not decoded" in held(data).detail


def test_frames_that_contradict_the_header_are_refused():
    colour = jpeg(smooth("RGB"), "YBR_FULL_422", adobe(0))
    assert "colours" in held(colour).detail
    image = smooth("RGB", (64, 80))
    wide = jpeg(image, "YBR_FULL_422", b"")
    other = wide.replace(b"\x28\0\x11\0US\2\0\x50\0", b"\x28\0\x11\0US\2\0\x48\0")
    assert other != wide
    assert "size of a frame" in held(other).detail
    deep = read(compressed(make(shape=(32, 40)), JPEGLSLossless))
    deep.BitsStored, deep.HighBit = 12, 11
    assert "Bits Stored" in held(file_of(deep, JPEGLSLossless)).detail


@pytest.mark.parametrize("count", [2, 4])
def test_frames_that_cannot_be_counted_are_refused(count):
    image = make(frames=3)
    frames = frames_of(image)
    data = encapsulated(image, encapsulate((frames * 2)[:count], has_bot=False))
    assert "shared out" in held(data).detail


def test_an_offset_table_that_points_elsewhere_is_refused():
    image = make(frames=2)
    data = encapsulated(image, encapsulate(frames_of(image), fragments_per_frame=2))
    table = data.index(b"\xfe\xff\x00\xe0\x08\0\0\0") + 8
    wrong = data[: table + 4] + (int.from_bytes(data[table + 4 : table + 8], "little") + 2).to_bytes(4, "little")
    assert "Offset Table" in held(wrong + data[table + 8 :]).detail


def test_native_pixels_where_fragments_must_be_are_refused():
    data = file_of(make()).replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2.5\0")
    assert "not encapsulated" in held(data).detail


def test_images_that_are_too_large_for_native_pixels_are_refused():
    image = make(shape=(64, 64))
    frame = frames_of(image)
    image.NumberOfFrames = 700_000
    assert "too large" in held(encapsulated(image, encapsulate(frame))).detail
    image = make()
    value = encapsulate(frames_of(image))
    image.Rows = image.Columns = 60_000
    assert "too large" in held(encapsulated(image, value)).detail


def test_frames_that_take_too_long_are_refused():
    image = make(frames=3)
    cleaned = apply(encapsulated(image, encapsulate(frames_of(image))))
    assert len(list(mask(cleaned, seconds=60).segments)) > 3
    with pytest.raises(HoldInstance, match="too long"):
        list(mask(cleaned, seconds=0).segments)


def test_a_recipe_that_rewrites_what_describes_the_pixels_is_refused():
    data = (FILES / "examples_ybr_color.dcm").read_bytes()
    hold = held(data, header=("REPLACE PhotometricInterpretation RGB",))
    assert hold.reason is HoldReason.ACTION_FAILED
    assert "(0028,0004)" in hold.detail


def test_an_instance_without_pixels_passes_as_it_is():
    source = pydicom.dcmread(FILES / "test-SR.dcm")
    scanned = EncodedDataset.scan(encode(source), 0, EXPLICIT_LE)
    recipe = load_recipe([text("%filter x", "LABEL a", *support.LINES)])
    result = mask(recipe.apply(scanned, Keys(), {}, masks=True))
    assert not result.changed
    assert result.syntax is EXPLICIT_LE


def test_pixels_that_the_recipe_takes_away_are_not_masked():
    image = make()
    del image.PixelData
    image.BitsAllocated, image.FloatPixelData = 32, b"\0" * 280
    data = file_of(image)
    assert b"\x08\0\xe0\x7f" not in body(masked_file(data, header=("REMOVE FloatPixelData",)))
    assert held(data, header=("REPLACE FloatPixelData abcd",)).reason is HoldReason.ACTION_FAILED


def test_no_message_holds_a_value():
    image = make(PatientName=f"{VALUE_OF_NOBODY}^Homer")
    image.PhotometricInterpretation = "SIMPSON"
    assert "simpson" not in str(held(file_of(image))).lower()
