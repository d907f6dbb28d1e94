"""Decodes encapsulated pixels frame by frame, masks them, and gives them as native little endian ones.

Guarantees that the samples outside the mask are those that the decoder gives, in the order of Planar Configuration 0;
JPEG's subsampled YCbCr becomes RGB, as its decoders have it, since native pixels that are not subsampled are never
YBR_FULL_422 (PS3.3 C.7.6.3.1.2). Each transfer syntax has one decoder, so that two nodes give the same bytes; one
frame is in memory at a time.
Refuses with HoldInstance syntaxes without a decoder, frames that it cannot decode, codestreams that contradict the
header in size, samples, bits or colour, and sizes that native pixels cannot have.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from node.pixels.codestream import size
from node.pixels.decoding import HELPER, Frame
from node.pixels.fragments import Range, frames
from node.pixels.image import BITS_ALLOCATED, PHOTOMETRIC_INTERPRETATION, Image, refused
from node.pixels.regions import Band
from node.recipe import EncodedDataset, Segment
from node.recipe.dictionary import PIXEL_DATA
from node.syntaxes import Syntax

_ROOT = "1.2.840.10008.1.2"
_JPEG = (f"{_ROOT}.4.50", f"{_ROOT}.4.51")
_RLE = f"{_ROOT}.5"
DECODERS = {
    **dict.fromkeys(_JPEG, "pillow"),
    **dict.fromkeys((f"{_ROOT}.4.57", f"{_ROOT}.4.70"), "gdcm"),
    **dict.fromkeys((f"{_ROOT}.4.80", f"{_ROOT}.4.81"), "pyjpegls"),
    **dict.fromkeys((f"{_ROOT}.4.{n}" for n in (90, 91)), "pylibjpeg"),
    _RLE: "pydicom",
}
"""Transfer syntaxes that are decoded, and pydicom's plugin for each."""

MAX_FRAME = 1 << 29  # bytes; a frame is in memory some times over while it is decoded
_LONGEST = 0xFFFFFFFE


@dataclass(frozen=True, slots=True)
class Decoded:
    """What native pixels an image becomes: their photometric interpretation, and their length without padding."""

    photometric: str
    length: int


def decoded(image: Image, syntax: Syntax) -> Decoded:
    """Return what an image becomes. Raises HoldInstance for one that is not decoded."""
    if syntax.uid not in DECODERS:
        raise refused("pixels in this transfer syntax are not decoded", image.tag)
    if image.real or image.allocated not in (8, 16, 32) or image.high_bit + 1 != image.stored:
        raise refused("compressed pixels of this number of bits are not decoded", BITS_ALLOCATED)
    frame = image.rows * image.columns * image.samples * image.allocated // 8
    if frame > MAX_FRAME or frame * image.frames > _LONGEST:
        raise refused("the pixels are too large to be written uncompressed", image.tag)
    return Decoded(_photometric(image, syntax), frame * image.frames)


def _photometric(image: Image, syntax: Syntax) -> str:
    if image.samples == 1:
        return image.photometric
    if syntax.uid in _JPEG and image.photometric in ("RGB", "YBR_FULL", "YBR_FULL_422"):
        return "RGB"
    if DECODERS[syntax.uid] == "pylibjpeg" and image.photometric in ("YBR_ICT", "YBR_RCT"):
        return "RGB"  # the transformation is part of the codestream, and undone with it (PS3.5 8.2.4)
    if syntax.uid not in _JPEG and image.photometric in ("RGB", "YBR_FULL"):
        return image.photometric
    raise refused("compressed pixels of this Photometric Interpretation are not decoded", PHOTOMETRIC_INTERPRETATION)


def masked_frames(
    dataset: EncodedDataset, image: Image, target: Decoded, bands: Sequence[Band], cells: tuple[int, ...]
) -> Iterator[Segment]:
    """Give the native value, a frame at a time. Raises HoldInstance while it is read."""
    for fragments in frames(dataset, image):
        pixels = _decode(dataset, image, target, fragments)
        unsigned = pixels.view(f"<u{image.allocated // 8}")
        for band in bands:
            for left, right in band.spans:
                unsigned[band.top : band.bottom, left:right] = cells if image.samples > 1 else cells[0]
        yield pixels.tobytes()
    if target.length % 2:
        yield b"\0"


def in_time(frames: Iterator[Segment], seconds: float) -> Iterator[Segment]:
    """Give frames as long as they come within `seconds` of the first demand. Raises HoldInstance when they do not."""
    end = time.monotonic() + seconds
    for frame in frames:
        if time.monotonic() > end:
            raise refused("the frames take too long to be decoded", PIXEL_DATA)
        yield frame


def _decode(dataset: EncodedDataset, image: Image, target: Decoded, fragments: list[Range]) -> NDArray[Any]:
    """Return one frame, by rows, columns, and samples where there are several."""
    encoded = b"".join(bytes(dataset.buffer[offset : offset + length]) for offset, length in fragments)
    uid = dataset.syntax.uid
    if uid != _RLE:
        _compare(size(encoded), image)
    frame = HELPER.decode(encoded, _options(image, uid))
    if frame is None:
        raise refused("a frame cannot be decoded", image.tag)
    pixels = _array(frame, image)
    if image.samples == 1:
        return pixels
    if uid in _JPEG:
        return _as_rgb(image, frame, pixels)
    if frame.photometric != target.photometric:
        raise refused("the colours of a frame contradict the header", PHOTOMETRIC_INTERPRETATION)
    return pixels


def _compare(found: tuple[int, int, int, int] | None, image: Image) -> None:
    if found is None:
        raise refused("a frame is no codestream of its transfer syntax", image.tag)
    rows, columns, samples, bits = found
    if (rows, columns, samples) != (image.rows, image.columns, image.samples) or bits > image.allocated:
        raise refused("the size of a frame contradicts the header", image.tag)


def _options(image: Image, uid: str) -> dict[str, Any]:
    return {
        "uid": uid,
        "plugin": DECODERS[uid],
        "rows": image.rows,
        "columns": image.columns,
        "samples_per_pixel": image.samples,
        "number_of_frames": 1,
        "bits_allocated": image.allocated,
        "bits_stored": image.stored,
        "pixel_representation": int(image.signed),
        "photometric_interpretation": image.photometric,
        # The header's does not matter for a codestream (PS3.5 8.2); a decoder that gives planes says so itself.
        "planar_configuration": 0,
        "pixel_keyword": "PixelData",
    }


def _array(frame: Frame, image: Image) -> NDArray[Any]:
    """Return the samples as an array of one's own. Raises HoldInstance where they are not what the header says."""
    shape = (image.rows, image.columns, image.samples)[: 2 if image.samples == 1 else 3]
    width = image.allocated // 8
    if frame.shape != shape or len(frame.samples) != image.rows * image.columns * image.samples * width:
        raise refused("a frame is decoded to another size than the header says", image.tag)
    pixels = np.frombuffer(bytearray(frame.samples), f"<{'i' if image.signed else 'u'}{width}").reshape(shape)
    half = 1 << (image.stored - 1)
    low, high = (-half, half - 1) if image.signed else (0, 2 * half - 1)
    if int(pixels.min()) < low or int(pixels.max()) > high:
        raise refused("a frame has samples that Bits Stored cannot hold", image.tag)
    return pixels


def _as_rgb(image: Image, frame: Frame, pixels: NDArray[Any]) -> NDArray[Any]:
    """Return RGB of what Pillow gives for a JPEG.

    With Adobe's marker Pillow has converted already, by what the marker says. Without one it gives the components as
    they are, and the header says what they are, unless a JFIF marker tells pydicom that they are YCbCr.
    """
    from pydicom.pixels.processing import convert_color_space

    if frame.adobe == 0 and image.photometric != "RGB":
        raise refused("the colours of a frame contradict the header", PHOTOMETRIC_INTERPRETATION)
    if frame.adobe is not None or frame.photometric == "RGB":
        return pixels
    return np.ascontiguousarray(convert_color_space(pixels, "YBR_FULL", "RGB"))
