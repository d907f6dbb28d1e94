"""Copies of an image's pixels elsewhere in its data set, which a mask does not reach.

Guarantees that a masked image does not go out beside an element that may hold the same picture: an Icon Image or other
sequence with Pixel Data inside, or a private binary value of the size of a frame, that the recipe lets stand.
"""

from __future__ import annotations

from node.pixels.image import Image, refused
from node.recipe import Cleaned, EncodedDataset
from node.recipe.coding import VR_NAMES, Coding
from node.recipe.compiled import effective_vr
from node.recipe.dictionary import PIXEL_DATA, is_private
from node.recipe.encoded import ITEM, ITEM_END, UNDEFINED, Element, inner_coding

_BINARY = frozenset(("OB", "OD", "OF", "OL", "OV", "OW", "UN", "UT", ""))
_SMALLEST = 4096  # bytes; in a smaller picture nothing can be read
_ITEMS = (b"\xfe\xff\x00\xe0", b"\xff\xfe\xe0\x00")
_HEADERS = (b"SV10", b"SV20")  # Siemens' CSA headers: texts and numbers, often larger than a small frame


def refuse_copies(cleaned: Cleaned, image: Image) -> None:
    """Raise HoldInstance where a copy of the pixels may stay; DatasetError for items that cannot be parsed."""
    dataset = cleaned.dataset
    frame = max(_SMALLEST, image.rows * image.columns * image.samples * image.allocated // 8)
    for element in dataset.elements:
        if element is image.element or not _may_hold(element, dataset, frame):
            continue
        start, end, _ = cleaned.span(element[1], element[4])
        if start < end:
            raise refused("what may be a copy of the pixels stays", element[0] >> 16)


def _may_hold(element: Element, dataset: EncodedDataset, frame: int) -> bool:
    key, _, value, length, end = element
    if _is_sequence(key, dataset):
        coding = inner_coding(dataset.walker, element, dataset.coding)
        return _Items(dataset, frame).hold(value, end, coding, 1)
    if not is_private(key >> 16):
        return False
    if length == UNDEFINED:
        return True  # fragments
    head = bytes(dataset.buffer[value : value + 4])
    if head in _ITEMS:  # a sequence, though its header does not say so
        found = dataset.walker.is_sequence(value, end, public=False)
        return found is None or _Items(dataset, frame).hold(value, end, found, 1)
    return _is_binary(key) and end - value >= frame and head not in _HEADERS


def _is_sequence(key: int, dataset: EncodedDataset) -> bool:
    return effective_vr(key, None, dataset.signed)[0] == "SQ"


def _is_binary(key: int) -> bool:
    return VR_NAMES.get(key & 0xFFFF, "") in _BINARY


class _Items:
    """Looks into the items of a sequence, at any depth."""

    def __init__(self, dataset: EncodedDataset, frame: int) -> None:
        self._dataset = dataset
        self._walker = dataset.walker
        self._frame = frame

    def hold(self, position: int, last: int, coding: Coding, depth: int) -> bool:
        """Tell whether Pixel Data stands there, or a private binary value of the size of a frame."""
        while position < last:
            tag, length = self._walker.item_header(position, last, coding)
            position += 8
            if tag != ITEM:
                return False  # the delimiter
            end = last if length == UNDEFINED else position + length
            while position < end:
                if self._walker.item_header(position, end, coding)[0] == ITEM_END:
                    position += 8
                    break
                element = self._walker.element(position, end, coding, depth)
                if self._holds(element, coding, depth):
                    return True
                position = element[4]
        return False

    def _holds(self, element: Element, coding: Coding, depth: int) -> bool:
        key, _, value, _, end = element
        if key >> 16 == PIXEL_DATA:
            return True
        if _is_sequence(key, self._dataset):
            return self.hold(value, end, inner_coding(self._walker, element, coding), depth + 1)
        return is_private(key >> 16) and _is_binary(key) and end - value >= self._frame
