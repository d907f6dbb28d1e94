"""The tables are those of the standard, and the generated recipes are made of them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from node.recipe.dictionary import entry, target
from node.standard import EDITION, attributes, iod_of, method_codes, required, safe_private
from scripts.recipes import FOLDER, texts
from tests.profile.support import iods, resolved, rows

ROOT = Path(__file__).resolve().parents[2]


def test_the_tables_have_the_rows_of_the_edition():
    assert (EDITION, len(attributes()), len(safe_private()), len(method_codes())) == ("2026d", 657, 479, 13)
    assert len(iods()) == 180
    assert iod_of("1.2.840.10008.5.1.4.1.1.2") == "ct-image"
    assert iod_of("1.2.3") is None


def test_the_dictionary_knows_every_attribute_of_the_table_and_gives_its_vr():
    for row in rows():
        found = entry(row["number"])
        assert found is not None, row
        assert row["vr"] in found.vr.split(" or ") or row["vr"] == "OW", (row, found)
        known = target(row["keyword"])
        assert known is not None, row
        assert known.covers(row["number"]), row


def test_every_resolved_type_is_known():
    for iod, places in resolved().items():
        types = required(iod)
        for place, action in places.items():
            above, _, tag = place.partition(">")
            assert types[int(above or "0", 16), int(tag, 16)] <= {"D": 1, "U": 1, "Z": 2}[action]


def test_any_iod_is_as_strict_as_each():
    anyone = required(None)
    for iod in resolved():
        assert all(anyone[place] <= kind for place, kind in required(iod).items())


def test_the_recipes_are_what_the_script_makes_of_the_tables():
    for name, text in texts().items():
        assert (FOLDER / name).read_text(encoding="utf-8") == text, f"run scripts/generate_recipes: {name} differs"
        assert f"PS3.15 {EDITION}" in text.partition("FORMAT dicom")[0]


def test_the_script_says_whether_they_are():
    done = subprocess.run(
        [sys.executable, "-m", "scripts.recipes", "--check"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_every_row_of_the_table_stands_in_the_recipe():
    text = texts()["ps3.15-basic.dicom"].splitlines()
    for row in attributes():
        line = next(line for line in text if row.tag in line) if row.keyword else "X select:private"
        assert row.basic in line.split()[:2], row


def test_the_tables_are_read_only_where_a_profile_asks_for_them():
    script = (
        "from node.recipe import load_recipe, shipped_recipe; from node.standard import tables;"
        "load_recipe([shipped_recipe('research')]);"
        "loaders = tables.attributes, tables.safe_private, tables._modules, tables._iods;"
        "print([loader.cache_info().currsize for loader in loaders])"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[0, 0, 0, 0]"
