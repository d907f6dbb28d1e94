"""Masks native (uncompressed) pixels where they lie: only the rows that a mask touches are read.

Guarantees that the segments have the length of the value, that every byte of a pixel outside the mask is the source's,
and that memory holds a few rows at a time. Covers every byte order and Planar Configuration of PS3.5 8.1 and 8.2, also
bit-packed images. Where pixels share samples (4:2:2), the pixels that share them are masked together.
Refuses with HoldInstance a value that is longer or shorter than its header says, and byte orders that are not certain.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np

from node.pixels.image import PHOTOMETRIC_INTERPRETATION, Image, refused
from node.pixels.regions import Band
from node.recipe import EncodedDataset, Segment
from node.syntaxes import GE_PRIVATE

_CHUNK = 1 << 20  # bytes
_PACKED_CHUNK = 1 << 16  # bytes, each of which becomes 8 numbers for bit-packed pixels
_MAX_PACKED_FRAME = 1 << 28  # bits or bytes

Bytes: TypeAlias = np.ndarray[tuple[int, ...], np.dtype[np.uint8]]


@dataclass(frozen=True, slots=True)
class Plane:
    """A part of a frame in which rows of equal units follow one another.

    `offset` is that in the frame, `width` the number of units in a row, `pattern` the unit of a masked pixel, or of the
    `pixels` ones that share samples.
    """

    offset: int
    width: int
    pattern: bytes
    pixels: int = 1


@dataclass(frozen=True, slots=True)
class Layout:
    """How the frames of a native value are laid out; `length` is that of one frame, in bytes or, `packed`, in bits."""

    length: int
    planes: tuple[Plane, ...]


def native(dataset: EncodedDataset, image: Image, bands: Sequence[Band], cells: tuple[int, ...]) -> Iterator[Segment]:
    """Return the masked value of native pixels, as ranges of the source and new bytes.

    Raises
    ------
    HoldInstance
        When called, not while it is read: the value does not fit its header, or its byte order is not certain.
    """
    order, swapped = _order(dataset, image, cells)
    bits = image.allocated == 1
    layout = _layout(image, _samples(cells, image, order))
    _check_length(dataset, image, layout.length if not bits else 0)
    if not bits and not swapped:
        return _patched(dataset, image, layout, bands)
    if layout.length > _MAX_PACKED_FRAME or (image.element[4] - image.element[2]) % 2:
        raise refused("a value of this length is not masked in this encoding", image.tag)
    return _packed(dataset, image, layout, bands, swapped=swapped)


def _samples(cells: tuple[int, ...], image: Image, order: Literal["little", "big"]) -> list[bytes]:
    if image.allocated == 1:
        return [bytes([cell]) for cell in cells]
    return [cell.to_bytes(image.allocated // 8, order) for cell in cells]


def _order(dataset: EncodedDataset, image: Image, cells: tuple[int, ...]) -> tuple[Literal["little", "big"], bool]:
    """Return the byte order of samples, and whether the bytes of each 16-bit word are swapped (PS3.5 8.1.1)."""
    private = dataset.syntax.uid == GE_PRIVATE.uid
    if dataset.coding.little and not private:
        return "little", False
    words = private or image.vr == "OW"
    if image.real:
        return "big", False
    if image.allocated == 16 and words:
        return "big", False
    if image.allocated <= 8 and not private and image.vr in ("OB", "OW"):
        return "little", words
    if image.allocated in (32, 64) and words and not any(cells):
        return "big", False  # zeros are zeros in any order
    raise refused("the byte order of such big endian pixels is not certain", image.tag)


def _layout(image: Image, samples: list[bytes]) -> Layout:
    area = image.rows * image.columns
    if image.photometric in ("YBR_ICT", "YBR_RCT"):
        raise refused("this Photometric Interpretation has no native encoding", PHOTOMETRIC_INTERPRETATION)
    if image.photometric in ("YBR_FULL_422", "YBR_PARTIAL_422"):
        if image.planar or image.columns % 2 or image.allocated == 1:
            raise refused("subsampled pixels have an even number of columns and no planes", PHOTOMETRIC_INTERPRETATION)
        luma, *chroma = samples  # Y Y Cb Cr (PS3.3 C.7.6.3.1.2)
        return Layout(2 * area * len(luma), (Plane(0, image.columns // 2, b"".join([luma, luma, *chroma]), 2),))
    length = area * sum(map(len, samples))
    if image.planar:
        step = length // len(samples)
        return Layout(length, tuple(Plane(n * step, image.columns, one) for n, one in enumerate(samples)))
    return Layout(length, (Plane(0, image.columns, b"".join(samples)),))


def _check_length(dataset: EncodedDataset, image: Image, frame: int) -> None:
    _, _, value, _, end = image.element
    bits = image.rows * image.columns * image.samples * image.frames
    expected = image.frames * frame if frame else -(-bits // 8)
    excess = end - value - expected
    if excess < 0:
        raise refused("there are fewer pixels than the header says", image.tag)
    # Some writers pad with more than the one byte that makes the length even; pixels that no header tells of do not go.
    if excess >= max(expected // image.frames, 2) or (
        excess > 1 and bytes(dataset.buffer[end - excess : end]).strip(b"\0")
    ):
        raise refused("there are more pixels than the header says", image.tag)


def _patched(dataset: EncodedDataset, image: Image, layout: Layout, bands: Sequence[Band]) -> Iterator[Segment]:
    _, _, value, _, end = image.element
    position = value
    for frame in range(image.frames):
        for plane in layout.planes:
            start = value + frame * layout.length + plane.offset
            for band in bands:
                for place, piece in _pieces(dataset, plane, start, band.widened(plane.pixels)):
                    if place > position:
                        yield position, place - position
                    yield piece
                    position = place + len(piece)
    if end > position:
        yield position, end - position


def _pieces(dataset: EncodedDataset, plane: Plane, start: int, band: Band) -> Iterator[tuple[int, bytes]]:
    """Give the rows of a band, masked, each piece with its offset."""
    row = plane.width * len(plane.pattern)
    left = band.spans[0][0] // plane.pixels * len(plane.pattern)
    right = band.spans[-1][1] // plane.pixels * len(plane.pattern)
    rows_at_once = max(_CHUNK // row, 1)
    for top in range(band.top, band.bottom, rows_at_once):
        rows = min(rows_at_once, band.bottom - top)
        first = start + top * row + left
        last = start + (top + rows - 1) * row + right
        whole = bytearray(rows * row)
        whole[left : left + last - first] = dataset.buffer[first:last]
        units = np.frombuffer(whole, np.uint8).reshape(rows, plane.width, len(plane.pattern))
        _fill(units, plane, band)
        yield first, bytes(whole[left : left + last - first])


def _fill(units: Bytes, plane: Plane, band: Band) -> None:
    """Write the pattern into the spans of a band; `units` has rows, units in a row, and bytes of a unit."""
    pattern = np.frombuffer(plane.pattern, np.uint8)
    for left, right in band.spans:
        units[:, left // plane.pixels : right // plane.pixels] = pattern


def _packed(
    dataset: EncodedDataset, image: Image, layout: Layout, bands: Sequence[Band], *, swapped: bool
) -> Iterator[Segment]:
    """Give the masked value of pixels that share bytes or words with others: bits, or bytes swapped in words.

    Both are a row of units, bits or bytes, that goes on from frame to frame without a gap (PS3.5 8.1.1).
    """
    bits = image.allocated == 1
    masked, fills = _template(layout, image, bands)
    _, _, value, _, end = image.element
    for start in range(value, end, _PACKED_CHUNK):
        stop = min(start + _PACKED_CHUNK, end)
        piece = np.frombuffer(bytes(dataset.buffer[start:stop]), np.uint8)
        units = _unpacked(piece, bits=bits, swapped=swapped)
        first = (start - value) * (8 if bits else 1)
        index = np.arange(first, first + len(units))
        index = index[index < layout.length * image.frames] % layout.length
        hit = np.flatnonzero(masked[index])
        if not len(hit):
            yield start, stop - start
            continue
        units[hit] = fills[index[hit]]
        yield _repacked(units, bits=bits, swapped=swapped).tobytes()


def _template(layout: Layout, image: Image, bands: Sequence[Band]) -> tuple[Bytes, Bytes]:
    """Return for each unit of a frame whether it is masked, and what it becomes."""
    masked, fills = np.zeros(layout.length, np.uint8), np.zeros(layout.length, np.uint8)
    for plane in layout.planes:
        size = image.rows * plane.width * len(plane.pattern)
        for target, one in ((masked, b"\1" * len(plane.pattern)), (fills, plane.pattern)):
            shaped = target[plane.offset : plane.offset + size].reshape(image.rows, plane.width, len(one))
            for band in bands:
                wide = band.widened(plane.pixels)
                _fill(shaped[band.top : band.bottom], Plane(0, plane.width, one, plane.pixels), wide)
    return masked, fills


def _unpacked(piece: Bytes, *, bits: bool, swapped: bool) -> Bytes:
    ordered = piece.reshape(-1, 2)[:, ::-1].reshape(-1) if swapped else piece
    return np.unpackbits(ordered, bitorder="little") if bits else ordered.copy()


def _repacked(units: Bytes, *, bits: bool, swapped: bool) -> Bytes:
    ordered = np.packbits(units, bitorder="little") if bits else units
    return ordered.reshape(-1, 2)[:, ::-1].reshape(-1) if swapped else ordered
