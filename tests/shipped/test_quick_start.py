"""What the quick start shows of the first image is what the default recipe does with it."""

from __future__ import annotations

import re
from pathlib import Path

from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset

from tests.deidset.cleaning import clean, settings

PAGE = Path(__file__).parents[2] / "docs/start.md"
_ROW = re.compile(r"\| \((\w{4}),(\w{4})\) [^|]*\|([^|]*)\|([^|]*)\|")
_MADE = {0x00080018, 0x00080020, 0x00100010, 0x00100020, 0x0020000D}  # by the secret


def value(dataset: Dataset, tag: int) -> str:
    return str(dataset[tag].value) if tag in dataset else ""


def test_each_row_of_the_table_is_what_research_does(tmp_path):
    source = Path(get_testdata_file("CT_small.dcm", download=False))
    clean(settings(("research",)), source_folder(tmp_path, source), tmp_path / "out")
    before, after = dcmread(source), dcmread(tmp_path / "out" / source.name)
    rows = _ROW.findall(PAGE.read_text(encoding="utf-8"))
    assert len(rows) == 10
    for group, element, was, becomes in rows:
        tag = int(group + element, 16)
        if tag == 0x7FE00010:
            assert before[tag].value == after[tag].value
            continue
        said = re.search("`([^`]*)`", becomes)
        assert value(before, tag) == was.strip(" `")
        assert bool(value(after, tag)) == (said is not None)
        if said is not None and tag in _MADE:
            assert value(after, tag) != value(before, tag)
            assert len(value(after, tag)) >= 8
        elif said is not None:
            assert value(after, tag) == said[1]


def source_folder(folder: Path, source: Path) -> Path:
    place = folder / "in"
    place.mkdir()
    (place / source.name).write_bytes(source.read_bytes())
    return place
