"""What of compressed pixel data is text: marker segments and boxes.

Guarantees that application data and comments are found in JPEG and JPEG-LS (ISO/IEC 10918-1 B.2.4.5, B.2.4.6) wherever
they stand, in JPEG 2000 codestreams (15444-1 A.9) in the main header and in tile-part headers, and every box but the
codestream in JP2 and JPEG XL files; further what stands behind the end of an image. Entropy-coded data is never given.
Other compressions (RLE, MPEG, …) have nothing of the kind here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from node.recipe import EncodedDataset
from node.recipe.encoded import SEQUENCE_END, Element

_SOI, _EOI = b"\xff\xd8", b"\xff\xd9"
# APPn and COM. Entropy-coded data has no FF without a 00 or a restart marker behind it (in JPEG-LS: below 80).
_SEGMENT = re.compile(rb"\xff[\xe0-\xef\xfe]")
_SOC, _SOT, _SOD = b"\xff\x4f\xff\x51", b"\xff\x90", b"\xff\x93"
_JP2, _JXL = b"\0\0\0\x0cjP  ", b"\0\0\0\x0cJXL "
_CODESTREAMS = (b"jp2c", b"jxlc", b"jxlp")


def texts(dataset: EncodedDataset, pixels: Element) -> Iterator[bytes]:
    """Give the marker segments and boxes of encapsulated Pixel Data."""
    position, end = pixels[2], pixels[4]
    while position + 8 <= end:
        group, number, length = dataset.coding.tag(dataset.buffer, position)
        if group << 16 | number == SEQUENCE_END:
            return
        position += 8
        yield from _of_fragment(bytes(dataset.buffer[position : position + length]))
        position += length


def _of_fragment(data: bytes) -> Iterator[bytes]:
    if data.startswith(_SOI):
        yield from _of_jpeg(data)
    elif data.startswith(_SOC):
        yield from _of_codestream(data)
    elif data.startswith((_JP2, _JXL)):
        yield from _of_boxes(data)
    else:
        # The rest of a frame in several fragments: of what it may be, JPEG alone says where its segments are.
        yield from _segments(data, 0)


def _of_jpeg(data: bytes) -> Iterator[bytes]:
    yield from _segments(data, 2)
    end = data.rfind(_EOI)
    if end >= 0:
        yield data[end + 2 :]


def _segments(data: bytes, start: int) -> Iterator[bytes]:
    found = _SEGMENT.search(data, start)
    while found is not None:
        at = found.start() + 2
        length = max(2, int.from_bytes(data[at : at + 2], "big"))
        yield data[at + 2 : at + length]
        found = _SEGMENT.search(data, at + length)


def _of_codestream(data: bytes) -> Iterator[bytes]:
    first = data.find(_SOT)
    yield data[: first if first >= 0 else len(data)]
    while first >= 0:
        # Nothing above FF8F stands in packets, so that these two are markers.
        body = data.find(_SOD, first)
        if body < 0:
            break
        yield data[first:body]
        first = data.find(_SOT, body)
    end = data.rfind(_EOI)
    if end >= 0:
        yield data[end + 2 :]


def _of_boxes(data: bytes) -> Iterator[bytes]:
    position = 0
    while position + 8 <= len(data):
        length, kind, head = int.from_bytes(data[position : position + 4], "big"), data[position + 4 : position + 8], 8
        if length == 1:
            length, head = int.from_bytes(data[position + 8 : position + 16], "big"), 16
        end = position + length if length >= head else len(data)
        if kind not in _CODESTREAMS:
            yield data[position + head : end]
        elif data.startswith(_SOC, position + head):
            yield from _of_codestream(data[position + head : end])
        position = end
