"""What a masked pixel becomes: black, or what comes nearest to it, inside the range of the stored values.

| photometric interpretation | value |
|---|---|
| MONOCHROME2 | Pixel Padding Value, where the image has one; else the lowest value of Bits Stored |
| MONOCHROME1 | Pixel Padding Value, where the image has one; else the highest value of Bits Stored |
| PALETTE COLOR | the index of the darkest entry; 0 where the palette cannot be read |
| RGB, HSV, ARGB | 0 in every sample |
| CMYK | 0, 0, 0 and the highest value of Bits Stored |
| YBR_FULL, YBR_FULL_422, YBR_PARTIAL_422 | 0 (16 of 256 for the partial range), and chroma in the middle |
| floating point | Float or Double Float Pixel Padding Value, where the image has one; else 0 |

Pixel Padding Value is what the maker of the image chose for pixels that show nothing (PS3.3 C.7.5.1.1.2); without one,
the end of the range is black in every window, while 0 of a signed CT would be the grey of water.
"""

from __future__ import annotations

import struct

import numpy as np

from node.pixels.image import Image
from node.recipe import EncodedDataset

PIXEL_PADDING_VALUE = 0x00280120
_REAL_PADDING = {32: (0x00280122, "f"), 64: (0x00280123, "d")}
_PALETTE = ((0x00281101, 0x00281201), (0x00281102, 0x00281202), (0x00281103, 0x00281203))


def cells(image: Image, dataset: EncodedDataset) -> tuple[int, ...]:
    """Return the value of each sample of a masked pixel, as the unsigned number that its allocated bits hold."""
    if image.real:
        return (_real(image, dataset),)
    shift, allocated = image.high_bit + 1 - image.stored, (1 << image.allocated) - 1
    return tuple((value << shift) & allocated for value in _values(image, dataset))


def _values(image: Image, dataset: EncodedDataset) -> tuple[int, ...]:
    """Return stored values, negative ones too."""
    highest, half = (1 << image.stored) - 1, 1 << (image.stored - 1)
    match image.photometric:
        case "MONOCHROME1" | "MONOCHROME2":
            return (_grey(image, dataset, (-half, half - 1) if image.signed else (0, highest)),)
        case "PALETTE COLOR":
            return (_darkest(dataset, highest),)
        case "CMYK":
            return 0, 0, 0, highest
        case "YBR_PARTIAL_422":
            return 16 * (highest + 1) // 256, half, half
        case "YBR_FULL" | "YBR_FULL_422" | "YBR_ICT" | "YBR_RCT":
            return 0, half, half
        case _:
            return (0,) * image.samples


def _grey(image: Image, dataset: EncodedDataset, allowed: tuple[int, int]) -> int:
    low, high = allowed
    element = dataset.find(PIXEL_PADDING_VALUE)
    if element is not None and element[4] - element[2] == 2:
        padding = int.from_bytes(dataset.raw(element), dataset.coding.order, signed=image.signed)
        if low <= padding <= high:
            return padding
    return high if image.photometric == "MONOCHROME1" else low


def _real(image: Image, dataset: EncodedDataset) -> int:
    tag, code = _REAL_PADDING[image.allocated]
    element = dataset.find(tag)
    if element is None or element[4] - element[2] != struct.calcsize(code):
        return 0
    return int.from_bytes(dataset.raw(element), dataset.coding.order)


def _darkest(dataset: EncodedDataset, highest: int) -> int:
    """Return the index of the darkest palette entry (PS3.3 C.7.6.3.1.5 and .6), 0 where the palette is not plain."""
    total: np.ndarray[tuple[int], np.dtype[np.int64]] | None = None
    firsts = set()
    for descriptor_tag, data_tag in _PALETTE:
        descriptor, data = dataset.find(descriptor_tag), dataset.find(data_tag)
        if descriptor is None or data is None or descriptor[4] - descriptor[2] != 6:
            return 0
        order = ">" if dataset.coding.order == "big" else "<"
        count, first, _ = struct.unpack(f"{order}HHH", dataset.raw(descriptor))
        count, raw = count or 1 << 16, dataset.raw(data)
        width = 2 if len(raw) >= 2 * count else 1
        if len(raw) < count:
            return 0
        entries = np.frombuffer(raw, f"{order}u{width}", count).astype(np.int64)
        if total is not None and len(total) != count:
            return 0
        total = entries if total is None else total + entries
        firsts.add(first)
    if total is None or len(firsts) != 1:
        return 0
    first = firsts.pop()
    usable = total[: max(highest + 1 - first, 0)]
    return first + int(usable.argmin()) if len(usable) else 0
