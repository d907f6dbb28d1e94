"""The same recipe and file through pydicom/deid and through ours: the data sets are equal."""

from __future__ import annotations

import pytest

from node.errors import HoldInstance, NodeError
from tests.differential.matrix import VARIABLES, filters, recipes
from tests.differential.peer import (
    DeidFailed,
    Found,
    by_deid,
    by_ours,
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
LEAST = 2000  # pairs that are compared
FILES = {path.name: path for path in files()}
RECIPES = {text: ours(text) for text in recipes()}


def compare(name: str, folder, start: int = 0, step: int = 1) -> int:
    """Compare recipes on one file; return how many pairs there were."""
    data = FILES[name].read_bytes()
    compared = 0
    for text, recipe in list(RECIPES.items())[start::step]:
        try:
            theirs = by_deid(data, text, folder, VARIABLES)
        except DeidFailed:
            continue
        try:
            mine = by_ours(data, recipe, VARIABLES)
        except HoldInstance as hold:
            if "not a full date" not in hold.detail:
                raise
            continue
        assert comparable(mine, mine) == comparable(theirs, mine), text
        compared += 1
    return compared


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


@pytest.mark.parametrize("name", QUICK)
def test_every_recipe_gives_the_data_set_that_pydicom_deid_gives(name, tmp_path):
    assert compare(name, tmp_path) >= len(RECIPES) - 5


def usable() -> list[str]:
    """Files that both sides can read, without those of QUICK."""
    found = []
    for name, path in sorted(FILES.items()):
        try:
            by_ours(path.read_bytes(), next(iter(RECIPES.values())), {})
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
    compared = sum(compare(name, tmp_path, n % STEP, STEP) for n, name in enumerate(names) if n % 4 == part)
    assert compared > 400


@pytest.mark.parametrize("name", ["MR_small_implicit.dcm", "rtplan.dcm", "SC_rgb_small_odd_big_endian.dcm"])
def test_every_filter_detects_what_pydicom_deid_detects(name, tmp_path):
    data = FILES[name].read_bytes()
    for text in filters():
        assert filtered_by_ours(data, text) == filtered_by_deid(data, text, tmp_path), text
