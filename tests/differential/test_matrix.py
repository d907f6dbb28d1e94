"""The same recipe and file through pydicom/deid and through ours: the data sets are equal."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from pathlib import Path

import pytest

from node.errors import HoldInstance, NodeError
from tests.differential.matrix import VARIABLES, filters, recipes
from tests.differential.peer import (
    DeidFailed,
    Found,
    by_deid,
    by_ours,
    changes,
    files,
    filtered_by_deid,
    filtered_by_ours,
    ours,
    without_classes,
)

pytest.importorskip("deid")

# Small, and unlike one another: nested, private, character sets, implicit, big endian, encapsulated, UN sequences.
QUICK = (
    "DICOMDIR-empty.dcm",
    "JPEGLSNearLossless_08.dcm",
    "JPEGLSNearLossless_16.dcm",
    "MR_small_implicit.dcm",
    "SC_rgb_small_odd_big_endian.dcm",
    "UN_sequence.dcm",
    "chrFren.dcm",
    "chrH31.dcm",
    "chrSQEncoding.dcm",
    "rtplan.dcm",
)
LEAST = 2000  # pairs that are compared, with the slow ones
PARTS = 8
CHANGED = 2  # files at least that a recipe changes, where there are so many, of those that it meets in the quick run
FILES = {path.name: path for path in files()}
RECIPES = recipes()
compiled = cache(ours)


def compare(name: str, folder: Path, texts: Iterable[str] = RECIPES) -> int:
    """Compare recipes on one file; return how many pairs there were."""
    return sum(agree(FILES[name].read_bytes(), text, folder) for text in texts)


def agree(data: bytes, text: str, folder: Path) -> bool:
    """Compare one pair; False where the other library fails, or ours holds what it lets pass."""
    try:
        theirs = by_deid(data, text, folder, VARIABLES)
    except DeidFailed:
        return False
    try:
        mine = by_ours(data, compiled(text), VARIABLES)
    except HoldInstance as hold:
        if "not a full date" not in hold.detail:
            raise
        return False
    assert comparable(mine, mine) == comparable(theirs, mine), text
    return True


def meets(number: int, text: str) -> list[str]:
    """The files of QUICK that a recipe is compared on in the quick run.

    What a construct does and how a file is encoded do not depend on one another; so a recipe meets every fifth file,
    another fifth for its neighbors, whatever it does there. An element may stand in few files: therefore also up to
    two files that the recipe changes.
    """
    fifth = {name for place, name in enumerate(QUICK) if (place + number + number // PARTS) % 5 == 0}
    changed = [name for name in QUICK if changes(FILES[name].read_bytes(), compiled(text), VARIABLES)]
    changed.sort(key=lambda name: name not in fifth)
    return sorted(fifth | set(changed[:CHANGED]))


def comparable(found: tuple[Found, Found], mine: tuple[Found, Found]) -> tuple[Found, Found]:
    """Leave out class UIDs, and what ours keeps as UN.

    pydicom writes that with the VR that it knows, and does not see items in it.
    """
    unknown = {path for side in mine for path, (vr, _) in side.items() if vr == "UN"}
    one, other = (
        without_classes({path: value for path, value in side.items() if path not in unknown}) for side in found
    )
    return one, other


def test_there_are_enough_pairs():
    assert len(RECIPES) * len(QUICK) >= LEAST + len(QUICK) * 5


@pytest.mark.parametrize("part", range(PARTS))
def test_every_recipe_gives_the_data_set_that_pydicom_deid_gives(part, tmp_path):
    pairs = [(n, name) for n in range(part, len(RECIPES), PARTS) for name in meets(n, RECIPES[n])]
    compared = sum(compare(name, tmp_path, [RECIPES[n]]) for n, name in pairs)
    assert compared >= len(pairs) - 5
    assert {name for _, name in pairs} == set(QUICK)


@pytest.mark.slow
@pytest.mark.parametrize("name", QUICK)
def test_every_recipe_gives_the_same_on_every_file(name, tmp_path):
    assert compare(name, tmp_path) >= len(RECIPES) - 5


def usable() -> list[str]:
    """Files that both sides can read, without those of QUICK."""
    found = []
    for name, path in sorted(FILES.items()):
        try:
            by_ours(path.read_bytes(), compiled(RECIPES[0]), {})
        except NodeError:
            continue
        if name not in QUICK:
            found.append(name)
    return found


STEP = 9  # recipes; every other file sees each ninth of them, beginning with another one


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("part", range(4))
def test_recipes_give_the_same_on_every_other_file(part, tmp_path):
    names = usable()
    assert len(names) > 50
    compared = sum(compare(name, tmp_path, RECIPES[n % STEP :: STEP]) for n, name in enumerate(names) if n % 4 == part)
    assert compared > 400


@pytest.mark.parametrize("name", ["MR_small_implicit.dcm", "rtplan.dcm", "SC_rgb_small_odd_big_endian.dcm"])
def test_every_filter_detects_what_pydicom_deid_detects(name, tmp_path):
    data = FILES[name].read_bytes()
    for text in filters():
        assert filtered_by_ours(data, text) == filtered_by_deid(data, text, tmp_path), text
