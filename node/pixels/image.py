"""What the header says about the pixels of an image (PS3.3 C.7.6.3, PS3.5 8).

Guarantees that an `Image` is consistent with itself: its samples, bits and photometric interpretation are a combination
whose encoding PS3.5 defines. Refuses all others with HoldInstance; an instance without pixels is no `Image`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from node.errors import HoldInstance, HoldReason
from node.recipe import EncodedDataset
from node.recipe.coding import FRAGMENTS, VR_NAMES
from node.recipe.dictionary import PIXEL_DATA, show
from node.recipe.encoded import Element

FLOAT_PIXEL_DATA = 0x7FE00008
DOUBLE_FLOAT_PIXEL_DATA = 0x7FE00009
PIXEL_DATA_PROVIDER_URL = 0x00287FE0

SAMPLES_PER_PIXEL = 0x00280002
PHOTOMETRIC_INTERPRETATION = 0x00280004
PLANAR_CONFIGURATION = 0x00280006
NUMBER_OF_FRAMES = 0x00280008
ROWS = 0x00280010
COLUMNS = 0x00280011
BITS_ALLOCATED = 0x00280100
BITS_STORED = 0x00280101
HIGH_BIT = 0x00280102
PIXEL_REPRESENTATION = 0x00280103

SAMPLES: Mapping[str, int] = {
    "MONOCHROME1": 1,
    "MONOCHROME2": 1,
    "PALETTE COLOR": 1,
    "RGB": 3,
    "HSV": 3,
    "YBR_FULL": 3,
    "YBR_FULL_422": 3,
    "YBR_PARTIAL_422": 3,
    "YBR_ICT": 3,
    "YBR_RCT": 3,
    "ARGB": 4,
    "CMYK": 4,
}
"""Samples per Pixel of a photometric interpretation."""

_REAL = {FLOAT_PIXEL_DATA: 32, DOUBLE_FLOAT_PIXEL_DATA: 64}


@dataclass(frozen=True, slots=True)
class Image:
    """The pixels of an instance.

    Parameters
    ----------
    element, tag, vr
        The element that holds them; `vr` is empty where the header has none.
    rows, columns, frames, samples
        As in the header; `frames` is 1 where it does not say.
    allocated, stored, high_bit
        Bits of one sample; floating point samples use all of them.
    signed, real
        Two's complement; floating point.
    planar
        Planar Configuration is 1: one colour after the other.
    photometric
        Photometric Interpretation.
    """

    element: Element
    tag: int
    vr: str
    rows: int
    columns: int
    frames: int
    samples: int
    allocated: int
    stored: int
    high_bit: int
    signed: bool
    real: bool
    planar: bool
    photometric: str

    @property
    def encapsulated(self) -> bool:
        """Whether the value is a sequence of fragments."""
        return self.element[0] & 0xFFFF == FRAGMENTS


def refused(problem: str, tag: int = 0) -> HoldInstance:
    """Return the hold of an image that cannot be masked right."""
    return HoldInstance(HoldReason.MASK_FAILED, f"{problem} at {show(tag)}" if tag else problem)


def read_image(dataset: EncodedDataset) -> Image | None:
    """Return the pixels of a data set, or None where it has none.

    Raises
    ------
    HoldInstance
        The header does not describe them, or they lie elsewhere (PS3.3 C.7.6.3.1, Pixel Data Provider URL).
    DatasetError
        Text that cannot be decoded.
    """
    present = [tag for tag in (FLOAT_PIXEL_DATA, DOUBLE_FLOAT_PIXEL_DATA, PIXEL_DATA) if dataset.find(tag)]
    if dataset.find(PIXEL_DATA_PROVIDER_URL):
        raise refused("the pixels lie elsewhere", PIXEL_DATA_PROVIDER_URL)
    if not present:
        return None
    if len(present) > 1:
        raise refused("more than one element holds pixels", present[-1])
    tag = present[0]
    element = dataset.find(tag)
    assert element is not None
    allocated = _number(dataset, BITS_ALLOCATED)
    real = tag in _REAL
    stored = allocated if real else _number(dataset, BITS_STORED)
    samples = _number(dataset, SAMPLES_PER_PIXEL)
    return _checked(
        Image(
            element=element,
            tag=tag,
            vr=VR_NAMES.get(element[0] & 0xFFFF, ""),
            rows=_number(dataset, ROWS),
            columns=_number(dataset, COLUMNS),
            frames=_frames(dataset),
            samples=samples,
            allocated=allocated,
            stored=stored,
            high_bit=allocated - 1 if real else _number(dataset, HIGH_BIT),
            signed=not real and bool(_number(dataset, PIXEL_REPRESENTATION)),
            real=real,
            planar=samples > 1 and bool(_number(dataset, PLANAR_CONFIGURATION)),
            photometric=dataset.text(PHOTOMETRIC_INTERPRETATION) or "",
        )
    )


def _number(dataset: EncodedDataset, tag: int) -> int:
    element = dataset.find(tag)
    if element is None or element[4] - element[2] != 2:
        raise refused("the element that describes the pixels is missing or malformed", tag)
    return int.from_bytes(dataset.raw(element), dataset.coding.order)


def _frames(dataset: EncodedDataset) -> int:
    text = dataset.text(NUMBER_OF_FRAMES) or "1"
    if not (text.isascii() and text.isdecimal()):
        raise refused("not a number", NUMBER_OF_FRAMES)
    return int(text) or 1


def _allocated(image: Image) -> tuple[int, ...]:
    """Return the values of Bits Allocated that such an image may have."""
    if image.real:
        return (_REAL[image.tag],) if image.samples == 1 else ()
    return (8, 16, 24, 32, 64) if image.samples > 1 else (1, 8, 16, 24, 32, 64)


def _checked(image: Image) -> Image:
    if not (image.rows and image.columns):
        raise refused("the image has no pixels", ROWS)
    if SAMPLES.get(image.photometric) != image.samples:
        raise refused("Photometric Interpretation and Samples per Pixel do not fit", PHOTOMETRIC_INTERPRETATION)
    if image.allocated not in _allocated(image):
        raise refused("this number of bits is not masked in such pixels", BITS_ALLOCATED)
    if not 0 < image.stored <= image.high_bit + 1 <= image.allocated:
        raise refused("Bits Allocated, Bits Stored and High Bit do not fit", HIGH_BIT)
    if image.signed and (image.samples > 1 or image.photometric == "PALETTE COLOR"):
        raise refused("colours are never signed", PIXEL_REPRESENTATION)
    return image
