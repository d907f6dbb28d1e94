"""Converting in a test, and telling two data sets apart by pydicom alone."""

from __future__ import annotations

import os
import struct
import tempfile
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import pydicom
from pydicom.dataelem import RawDataElement

from node.transcode import transcode

IMPLICIT, EXPLICIT = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1"
BIG, DEFLATED = "1.2.840.10008.1.2.2", "1.2.840.10008.1.2.1.99"


def convert(data: bytes, source: str, target: str, offset: int = 0) -> bytes:
    """Convert the data set that begins at `offset`."""
    with tempfile.TemporaryFile() as file, tempfile.TemporaryFile() as out:
        file.write(data)
        file.flush()
        length = transcode(file.fileno(), offset, source, target, out.fileno(), lambda _size: None)
        assert length == os.fstat(out.fileno()).st_size
        out.seek(0)
        return out.read()


def encode(ds: pydicom.Dataset, syntax: str) -> bytes:
    buffer = pydicom.filebase.DicomBytesIO()
    buffer.is_implicit_VR, buffer.is_little_endian = syntax == IMPLICIT, syntax != BIG
    pydicom.filewriter.write_dataset(buffer, ds)
    return buffer.getvalue()


def decode(data: bytes, syntax: str) -> pydicom.Dataset:
    return pydicom.filereader.read_dataset(BytesIO(data), syntax == IMPLICIT, syntax != BIG)


_DECODED_WHILE_READING = (0x00080005, 0x00280103)


def raw(ds: pydicom.Dataset, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every element that is no group length, with its encoded value; of a sequence the number of its items."""
    for tag in sorted(ds.keys()):
        item, where = ds.get_item(tag), f"{path}{tag}"
        if not tag.element:
            continue
        if ds[tag].VR == "SQ":
            yield where, len(ds[tag].value)
            for number, inner in enumerate(ds[tag].value):
                yield from raw(inner, f"{where}[{number}]")
        elif isinstance(item, RawDataElement) and tag not in _DECODED_WHILE_READING:
            yield where, item.value or ""
        else:
            yield where, str(ds[tag].value or "")


_WORDS = {"OW": "H", "OF": "I", "OL": "I", "OD": "Q", "OV": "Q"}


def values(ds: pydicom.Dataset, syntax: str, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every element that is no group length and no Pixel Data, decoded; pydicom leaves strings of words as they are."""
    for element in ds:
        where = f"{path}{element.tag}"
        if not element.tag.element or element.keyword == "PixelData":
            continue
        if element.VR == "SQ":
            yield where, str(len(element.value))
            for number, inner in enumerate(element.value):
                yield from values(inner, syntax, f"{where}[{number}]")
        else:
            yield where, _comparable(element, syntax)


def _comparable(element: pydicom.DataElement, syntax: str) -> str:
    value = element.value
    if syntax == BIG and element.VR in _WORDS and value:
        width = _WORDS[element.VR]
        count = len(value) // struct.calcsize(width)
        value = struct.pack(f"<{count}{width}", *struct.unpack(f">{count}{width}", value))
    if isinstance(value, bytes):
        value = value.decode("latin-1").rstrip(" \0") if element.tag.is_private else value
    return "" if value is None or len(str(value)) == 0 or value == b"" else str(value)


def test_files() -> list[Path]:
    """Every uncompressed or deflated file that comes with pydicom and has file meta information."""
    folder = Path(pydicom.__file__).parent / "data/test_files"
    found = []
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.read_bytes()[128:132] == b"DICM":
            meta = pydicom.filereader.read_file_meta_info(path)
            whole = "truncated" not in path.name and "nooffset" not in path.name
            if whole and meta.get("TransferSyntaxUID") in (IMPLICIT, EXPLICIT, BIG, DEFLATED):
                found.append(path)
    return found


test_files.__test__ = False  # type: ignore[attr-defined]
