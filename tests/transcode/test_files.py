"""Every uncompressed file that comes with pydicom, in each other syntax: same elements, same values, same pixels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
import pytest

from node.errors import DatasetError
from node.part10 import read_file_meta
from tests.transcode.support import BIG, DEFLATED, EXPLICIT, IMPLICIT, convert, decode, raw, test_files, values

FILES = test_files()
UNCERTAIN_WORDS = "big endian Pixel Data of other than 8 or 16 bits"


def cases() -> list[tuple[Path, str]]:
    found = []
    for path in FILES:
        source = pydicom.filereader.read_file_meta_info(path).TransferSyntaxUID
        targets = {IMPLICIT: (EXPLICIT,), EXPLICIT: (IMPLICIT,), BIG: (EXPLICIT, IMPLICIT), DEFLATED: (EXPLICIT,)}
        found += [(path, target) for target in targets[source]]
    return found


def test_there_is_something_to_convert() -> None:
    assert len(cases()) > 40


@pytest.mark.parametrize(("path", "target"), cases(), ids=lambda value: getattr(value, "name", str(value)[-3:]))
def test_values_and_pixels_stay(path: Path, target: str) -> None:
    content = path.read_bytes()
    meta, offset = read_file_meta(content)
    source = meta.transfer_syntax_uid
    original = pydicom.dcmread(path)
    if source == BIG and original.get("BitsAllocated", 8) not in (8, 16):
        with pytest.raises(DatasetError, match=UNCERTAIN_WORDS):
            convert(content, source, target, offset)
        return
    converted = convert(content, source, target, offset)
    found = decode(converted, target)
    if source == BIG:
        assert list(values(found, target)) == list(values(original, source))
    else:
        assert dict(raw(found)) == dict(raw(pydicom.dcmread(path)))
    assert list(found.keys()) == sorted(found.keys())
    same_pixels(original, found, target)


def same_pixels(original: pydicom.FileDataset, found: pydicom.Dataset, target: str) -> None:
    if "PixelData" not in original:
        return
    found.file_meta = pydicom.dataset.FileMetaDataset()
    found.file_meta.TransferSyntaxUID = pydicom.uid.UID(target)
    try:
        expected = original.pixel_array
    except (AttributeError, ValueError, NotImplementedError):
        return  # pydicom has no pixels for it either; its bytes were compared
    assert np.array_equal(found.pixel_array, expected)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_a_truncated_file_is_refused_and_nothing_else_happens(path: Path) -> None:
    content = path.read_bytes()
    meta, offset = read_file_meta(content)
    source = meta.transfer_syntax_uid
    target = IMPLICIT if source == EXPLICIT else EXPLICIT
    size = len(content) - offset
    for cut in sorted({1, 3, 7, 9, size // 7, size // 3, size // 2, size - 5, size - 1} & set(range(1, size))):
        try:
            converted = convert(content[: offset + cut], source, target, offset)
        except DatasetError:
            continue
        # The cut fell between two elements: what is left is whole.
        assert len(list(decode(converted, target).keys())) > 0
