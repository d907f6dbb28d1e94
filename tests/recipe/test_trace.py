"""Watching the engine changes nothing, and tells all that it does."""

from __future__ import annotations

from pathlib import Path

import pydicom
import pytest

from node.errors import DatasetError, HoldInstance
from node.part10 import read_file_meta
from node.recipe import EncodedDataset, load_recipe, shipped_recipe
from node.recipe.trace import What, trace
from node.syntaxes import lookup
from tests.recipe.support import Keys, text

LISTS = text(
    "%values names", "FIELD PatientName", "SPLIT PatientID by=-", "%fields times", "FIELD endswith:Time",
    "%header", "BLANK values:names", "REMOVE fields:times", "REMOVE select:private", "KEEP Modality",
    "KEEP RequestAttributesSequence", "REPLACE StudyID X", "REPLACE select:VR:PN N", "BLANK ConceptNameCodeSequence",
)  # fmt: skip
FILES = sorted((Path(pydicom.__file__).parent / "data/test_files").glob("*.dcm"))


def scanned(path: Path) -> EncodedDataset | None:
    data = path.read_bytes()
    try:
        meta, start = read_file_meta(data)
        syntax = lookup(meta.transfer_syntax_uid)
        return None if syntax is None or syntax.deflated else EncodedDataset.scan(data, start, syntax)
    except DatasetError:
        return None


@pytest.mark.parametrize(
    "recipe", [load_recipe([shipped_recipe("research")]), load_recipe([LISTS])], ids=["research", "lists"]
)
def test_the_watched_engine_makes_the_same_bytes_or_holds_for_the_same_reason(recipe):
    cleaned = 0
    for path in FILES:
        dataset = scanned(path)
        if dataset is None or len(dataset.buffer) > 100_000:
            continue
        found = trace(recipe, dataset, Keys(), {})
        if found.held is not None:
            with pytest.raises(HoldInstance) as hold:
                recipe.apply(dataset, Keys(), {})
            assert (found.held.reason, found.held.detail) == (hold.value.reason, hold.value.detail)
            continue
        assert found.cleaned.tobytes() == recipe.apply(dataset, Keys(), {}).tobytes(), path.name
        assert all(one.rules for one in found.elements if one.what is not What.KEPT)
        assert len({one.path for one in found.elements}) == len(found.elements)
        changed = trace(recipe, dataset, Keys(), {}, only=())
        assert _in_short(changed) == _in_short(found), "what stays may be left out, and nothing else"
        assert not any(one.what is What.KEPT and not one.rules for one in changed.elements)
        cleaned += 1
    assert cleaned > 40


def _in_short(found):
    """What changed, without values."""
    return [(one.path, one.name, one.vr, one.what, one.rules) for one in found.elements if one.what is not What.KEPT]


def test_of_what_stays_only_that_is_told_which_is_asked_for():
    path = next(one for one in FILES if one.name == "CT_small.dcm")
    recipe, dataset = load_recipe([shipped_recipe("research")]), scanned(path)
    whole = {one.path: one for one in trace(recipe, dataset, Keys(), {}).elements}
    kept = [path for path, one in whole.items() if one.what is What.KEPT]
    found = {one.path: one for one in trace(recipe, dataset, Keys(), {}, only=kept[:2]).elements}
    assert [found[path] for path in kept[:2]] == [whole[path] for path in kept[:2]]
    assert all(one.rules for path, one in found.items() if one.what is What.KEPT and path not in kept[:2])
    assert len(found) < len(whole)
