"""What a compressed frame says of itself: its size, samples and bits.

Guarantees the numbers of the first frame header of a JPEG (ISO/IEC 10918-1), JPEG-LS (14495-1), JPEG 2000 or HTJ2K
(15444-1) codestream. They are compared with the header of the instance before a decoder sees the frame: where both
differ, a mask would lie elsewhere. Refuses (None) what is no such codestream.
"""

from __future__ import annotations

import struct
from typing import TypeAlias

Size: TypeAlias = tuple[int, int, int, int]
"""Rows, columns, samples per pixel, bits per sample."""

_SOI, _SOC_SIZ = b"\xff\xd8", b"\xff\x4f\xff\x51"
_JP2 = b"\0\0\0\x0cjP  "
# Start of frame: SOF0 to SOF15 without DHT, JPG and DAC, and SOF55 of JPEG-LS.
_SOF = frozenset({*range(0xC0, 0xD0), 0xF7} - {0xC4, 0xC8, 0xCC})


def size(frame: bytes) -> Size | None:
    """Return what a frame says of itself, or None where it is no codestream that is known here."""
    try:
        return _jpeg(frame) if frame[:2] == _SOI else _jpeg_2000(frame)
    except (struct.error, IndexError):
        return None


def _jpeg(frame: bytes) -> Size | None:
    position = 2
    while frame[position] == 0xFF:
        marker = frame[position + 1]
        if marker == 0xFF:  # fill bytes may stand in front of a marker
            position += 1
            continue
        length = struct.unpack_from(">H", frame, position + 2)[0]
        if marker in _SOF:
            bits, rows, columns, samples = struct.unpack_from(">BHHB", frame, position + 4)
            return rows, columns, samples, bits
        position += 2 + length
    return None


def _jpeg_2000(frame: bytes) -> Size | None:
    start = _codestream(frame)
    if start < 0 or frame[start : start + 4] != _SOC_SIZ:
        return None
    right, bottom, left, top = struct.unpack_from(">LLLL", frame, start + 8)
    samples, depth = struct.unpack_from(">HB", frame, start + 40)
    return bottom - top, right - left, samples, (depth & 0x7F) + 1


def _codestream(frame: bytes) -> int:
    """Return where the codestream starts: behind the boxes of a JP2 file, which has no place in DICOM but is met."""
    position = 0
    while frame.startswith(_JP2) and position < len(frame):
        length, box = struct.unpack_from(">L4s", frame, position)
        if box == b"jp2c":
            return position + 8
        if length < 8:
            return -1
        position += int(length)
    return 0
