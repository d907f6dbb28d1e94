"""The page for those who change the code names each unit of the package."""

from __future__ import annotations

import re

from tests.docs.pages import DOCS, text_of
from tests.test_structure import LAYERS

FOLDERS = text_of(DOCS / "architecture.md").split("\n## Folders\n")[1].split("\n## ")[0]


def test_every_unit_is_named_once_with_what_it_is() -> None:
    rows = [re.split(r"\s{2,}", line.strip()) for line in FOLDERS.splitlines() if line.startswith("      ")]
    named = [name.strip("/") for row in rows for field in row[:-1] for name in field.split(", ")]
    assert all(" " in row[-1] for row in rows)
    units = {unit for layer in LAYERS for unit in layer if unit != "__main__"}
    assert sorted(named) == sorted(units)
