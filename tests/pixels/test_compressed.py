"""Compressed pixels: decoded, masked, and written as Explicit VR Little Endian; nothing else of the header changes."""

from __future__ import annotations

import subprocess
import tracemalloc
from io import BytesIO
from pathlib import Path

import numpy as np
import pydicom
import pytest
from PIL import Image as Pillow
from pydicom.encaps import encapsulate, encapsulate_extended, generate_frames
from pydicom.pixels import pixel_array
from pydicom.uid import JPEG2000Lossless, JPEGLSLossless, RLELossless

from node.pixels import mask
from node.pixels.compressed import DECODERS
from node.syntaxes import EXPLICIT_LE, KNOWN
from tests.pixels.support import apply, covered, elements, expected, file_of, make, masked_file, read, samples_of

FILES = Path(pydicom.__file__).parent / "data/test_files"
LARGER = (32, 40)  # smaller images do not get smaller, and some encoders then give up
BASELINE = "1.2.840.10008.1.2.4.50"
LOSSLESS = [
    ({}, (0,)),
    ({"allocated": 8}, (0,)),
    ({"stored": 12}, (0,)),
    ({"signed": True}, (-32768,)),
    ({"signed": True, "stored": 12}, (-2048,)),
    ({"signed": True, "allocated": 8}, (-128,)),
    ({"photometric": "MONOCHROME1", "stored": 12}, (4095,)),
    ({"photometric": "PALETTE COLOR", "allocated": 8}, (37,)),
    ({"frames": 3, "allocated": 8, "shape": (33, 41)}, (0,)),
    ({"photometric": "RGB", "allocated": 8}, (0, 0, 0)),
    ({"photometric": "RGB", "allocated": 8, "frames": 2}, (0, 0, 0)),
]
IDS = [",".join(map(str, (o or {"grey": 16}).values())) for o, _ in LOSSLESS]


def compressed(image: pydicom.Dataset, uid: str) -> bytes:
    """The image in a lossless syntax, by pydicom's encoders."""
    source = read(file_of(image))
    source.compress(uid, encoding_plugin=DECODERS[uid], generate_instance_uid=False)
    return file_of(source, uid)


def dcmtk(tmp_path: Path, image: pydicom.Dataset, *command: str) -> bytes:
    """The image as a DCMTK tool compresses it."""
    source, target = tmp_path / "source.dcm", tmp_path / "target.dcm"
    source.write_bytes(file_of(image))
    subprocess.run([command[0], *command[1:], source, target], check=True, capture_output=True)
    return target.read_bytes()


def smooth(photometric: str, shape: tuple[int, int] = (64, 96)) -> pydicom.Dataset:
    """An image without noise, so that lossy compression keeps it nearly as it is; bright everywhere."""
    image = make(photometric, allocated=8, shape=shape)
    y, x = np.mgrid[: shape[0], : shape[1]]
    colours = [60 + x, 200 - y, 90 + (x + y) // 3][: image.SamplesPerPixel]
    numbers = np.stack(colours, axis=-1).astype(np.uint8)
    numbers[0, 0], numbers[0, 1] = 0, 255  # DCMTK stretches grey to its whole range
    image.PixelData = numbers.tobytes()
    return image


def check_header(data: bytes, result: bytes, **changed: str | int) -> None:
    """All elements but the named ones are the same, in VR and every byte."""
    before, after = elements(data), elements(result)
    tags = {pydicom.datadict.tag_for_keyword(keyword): value for keyword, value in changed.items()}
    assert {tag for tag in before | after if before.get(tag) != after.get(tag)} == set(tags)
    cleaned = read(result)
    assert cleaned.file_meta.TransferSyntaxUID == EXPLICIT_LE.uid
    assert {keyword: cleaned[keyword].value for keyword in changed} == changed
    assert cleaned[0x7FE10010].value == "SYNTHETIC" if 0x7FE10010 in read(data) else True
    assert not {0x7FE00001, 0x7FE00002, 0x7FE00003} & set(cleaned.keys())


@pytest.mark.parametrize(("options", "fill"), LOSSLESS, ids=IDS)
@pytest.mark.parametrize("uid", [RLELossless, JPEGLSLossless, JPEG2000Lossless], ids=["RLE", "JPEG-LS", "JPEG2000"])
def test_lossless_pixels_keep_every_sample_outside_the_mask(uid, options, fill):
    image = make(**{"shape": LARGER, **options})
    before = samples_of(file_of(image))
    data = compressed(image, uid)
    changed = {}
    if read(data).PhotometricInterpretation != "RGB" and len(fill) == 3:
        changed["PhotometricInterpretation"] = "RGB"
    result = masked_file(data)
    where = covered(*before.shape[1:3])
    assert np.array_equal(samples_of(result), expected(before, fill, where))
    check_header(data, result, **changed)


@pytest.mark.parametrize(("options", "fill"), LOSSLESS, ids=IDS)
@pytest.mark.parametrize("process", ["+e1", "+el"], ids=["first-order", "process 14"])
def test_lossless_jpeg_of_another_maker_keeps_every_sample_outside_the_mask(tmp_path, process, options, fill):
    image = make(**{"shape": LARGER, **options})
    before = samples_of(file_of(image))
    data = dcmtk(tmp_path, image, "dcmcjpeg", process, "+un")
    result = masked_file(data)
    assert np.array_equal(samples_of(result), expected(before, fill, covered(*before.shape[1:3])))
    check_header(data, result)


@pytest.mark.parametrize("frames", [1, 2])
@pytest.mark.parametrize("planar", [0, 1])
@pytest.mark.parametrize(("photometric", "fill"), [("YBR_FULL", (0, 128, 128)), ("RGB", (0, 0, 0))])
def test_rle_planes_of_another_maker_become_pixels_of_the_same_colours(tmp_path, photometric, fill, planar, frames):
    image = make(photometric, allocated=8, planar=planar, frames=frames)
    before = samples_of(file_of(image))
    data = dcmtk(tmp_path, image, "dcmcrle", "+un")
    result = masked_file(data)
    assert np.array_equal(samples_of(result), expected(before, fill))
    check_header(data, result, **({"PlanarConfiguration": 0} if read(data).PlanarConfiguration else {}))


@pytest.mark.parametrize(
    "options",
    [("+eb",), ("+eb", "+cy", "+s4"), ("+eb", "+cy", "+s2"), ("+eb", "+cy", "+np"), ("+eb", "+cr"), ("+ee",)],
    ids=" ".join,
)
@pytest.mark.parametrize("photometric", ["RGB", "MONOCHROME2"])
def test_lossy_jpeg_becomes_what_its_decoder_gives_and_is_not_compressed_again(tmp_path, photometric, options):
    image = smooth(photometric)
    original = samples_of(file_of(image)).astype(int)
    data = dcmtk(tmp_path, image, "dcmcjpeg", *options, "+q", "98", "+un")
    before = read(data)
    decoded = pixel_array(before, decoding_plugin="pillow").reshape(original.shape)
    assert np.abs(decoded.astype(int) - original).mean() < 3, "the decoder shows the colours of the original"
    result = masked_file(data)
    where = covered(64, 96)
    assert np.array_equal(samples_of(result), expected(decoded, (0,) * original.shape[-1], where))
    changed = {} if before.PhotometricInterpretation in ("RGB", "MONOCHROME2") else {"PhotometricInterpretation": "RGB"}
    check_header(data, result, **changed)
    after = read(result)
    assert after.LossyImageCompression == "01"
    assert after.SOPInstanceUID == before.SOPInstanceUID


def jpeg(image: pydicom.Dataset, photometric: str, marker: bytes) -> bytes:
    """A JPEG Baseline image of YCbCr components with a marker of one's own in place of JFIF's."""
    stream = BytesIO()
    pixels = np.frombuffer(image.PixelData, np.uint8).reshape(image.Rows, image.Columns, 3)
    Pillow.fromarray(pixels).save(stream, "JPEG", quality=98, subsampling=0)
    frame = stream.getvalue()
    length = int.from_bytes(frame[4:6], "big")
    assert frame[6:10] == b"JFIF"
    frame = frame[:2] + marker + frame[4 + length :]
    image.PhotometricInterpretation = photometric
    image.add_new(0x7FE00010, "OB", encapsulate([frame]))
    image["PixelData"].is_undefined_length = True
    return file_of(image, BASELINE)


def adobe(transform: int) -> bytes:
    return b"\xff\xee\x00\x0eAdobe\x00\x64\x00\x00\x00\x00" + bytes([transform])


@pytest.mark.parametrize(
    ("photometric", "marker"),
    [("YBR_FULL_422", adobe(1)), ("RGB", adobe(1)), ("YBR_FULL_422", b"")],
    ids=["Adobe says YCbCr", "Adobe says YCbCr against the header", "the header says YCbCr"],
)
def test_the_colours_of_a_jpeg_are_right_whichever_marker_tells_them(photometric, marker):
    image = smooth("RGB")
    original = samples_of(file_of(image)).astype(int)
    result = samples_of(masked_file(jpeg(image, photometric, marker))).astype(int)
    outside = ~covered(64, 96)
    assert np.abs(result - original)[:, outside].mean() < 3
    assert not result[:, covered(64, 96)].any()


@pytest.mark.parametrize(
    "name",
    [
        "JPEGLSNearLossless_08.dcm",
        "JPEGLSNearLossless_16.dcm",
        "SC_rgb_jls_lossy_line.dcm",
        "SC_rgb_jls_lossy_sample.dcm",
        "JPEG2000.dcm",
        "693_J2KI.dcm",
        "J2K_pixelrep_mismatch.dcm",
        "GDCMJ2K_TextGBR.dcm",
        "examples_jpeg2k.dcm",
        "SC_rgb_rle_16bit_2frame.dcm",
        "SC_rgb_rle_32bit.dcm",
        "rtdose_rle.dcm",
        "examples_ybr_color.dcm",
        "SC_jpeg_no_color_transform.dcm",
        "SC_rgb_jpeg_app14_dcmd.dcm",
        "SC_rgb_jpeg_gdcm.dcm",
    ],
)
def test_files_of_many_makers_equal_what_pydicom_decodes(name):
    data = (FILES / name).read_bytes()
    before = read(data)
    shape = (int(before.get("NumberOfFrames", 1)), before.Rows, before.Columns, before.SamplesPerPixel)
    decoded = pixel_array(before, decoding_plugin=DECODERS[before.file_meta.TransferSyntaxUID]).reshape(shape)
    after = samples_of(masked_file(data)).reshape(shape)
    outside = ~covered(before.Rows, before.Columns)
    assert np.array_equal(after[:, outside], decoded[:, outside])
    assert len(np.unique(after[:, ~outside])) == 1


def frames_of(image: pydicom.Dataset) -> list[bytes]:
    source = read(compressed(image, RLELossless))
    return list(generate_frames(source.PixelData, number_of_frames=int(source.get("NumberOfFrames", 1))))


def encapsulated(image: pydicom.Dataset, value: bytes, **values: bytes) -> bytes:
    image.PixelData = value
    image["PixelData"].VR = "OB"
    image["PixelData"].is_undefined_length = True
    for keyword, offsets in values.items():
        setattr(image, keyword, offsets)
    return file_of(image, RLELossless)


@pytest.mark.parametrize("table", ["basic", "none", "extended", "one frame in pieces"])
def test_frames_are_found_by_whatever_table_tells_of_them(table):
    count = 1 if table == "one frame in pieces" else 3
    image = make(frames=count)
    before = samples_of(file_of(image))
    frames = frames_of(image)
    if table == "extended":
        value, offsets, lengths = encapsulate_extended(frames)
        tables = {"ExtendedOffsetTable": offsets, "ExtendedOffsetTableLengths": lengths}
        data = encapsulated(image, value, **tables)
    else:
        pieces = 1 if table == "none" else 3
        data = encapsulated(image, encapsulate(frames, fragments_per_frame=pieces, has_bot=table == "basic"))
    result = masked_file(data)
    assert np.array_equal(samples_of(result), expected(before, (0,)))
    check_header(data, result)


def test_lengths_of_groups_that_would_be_wrong_go():
    data = jpeg(smooth("RGB"), "YBR_FULL_422", b"")
    for first in (b"\x10\0\x20\0LO", b"\x28\0\x02\0US", b"\xe0\x7f\x10\0O"):
        assert data.count(first) == 1
        data = data.replace(first, first[:2] + b"\0\0UL\4\0\x64\0\0\0" + first)
    assert {0x00100000, 0x00280000, 0x7FE00000} <= set(read(data).keys())
    result = read(masked_file(data))
    assert 0x00280000 not in result
    assert 0x7FE00000 not in result
    assert result[0x00100000].value == 100


def test_one_frame_at_a_time_is_in_memory():
    image = make(frames=1, shape=(256, 256))
    frame = frames_of(image)[0]
    count = 60
    image.NumberOfFrames = count
    data = encapsulated(image, encapsulate([frame] * count))
    cleaned = apply(data, "coordinates 0,0,256,20")
    total = 0
    tracemalloc.start()
    for segment in mask(cleaned).segments:
        total += len(segment) if isinstance(segment, bytes) else segment[1]
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert total > count * 256 * 256 * 2
    assert peak < 12 * 256 * 256 * 2


def test_every_decoder_is_of_a_syntax_that_is_known_and_is_there():
    assert set(DECODERS) <= set(KNOWN)
    for uid, plugin in DECODERS.items():
        assert plugin in pydicom.pixels.get_decoder(uid).available_plugins
