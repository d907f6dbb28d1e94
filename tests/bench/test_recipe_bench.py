"""The benchmark compares like with like; how fast it is, no test asks."""

from __future__ import annotations

import pytest

from node.part10 import read_file_meta
from node.recipe import EncodedDataset
from node.syntaxes import EXPLICIT_LE
from tests.bench.recipe import CT, PLAIN, header_of, multi_frame, plain_recipe, quiet, same_result, structure_set


def test_both_engines_make_the_same_of_the_plain_recipe():
    text = PLAIN.read_text(encoding="utf-8")
    assert sum(line.startswith(("REMOVE ", "BLANK ", "REPLACE ", "JITTER ")) for line in text.splitlines()) > 100
    with quiet():
        recipe, deid = plain_recipe(text)
        assert same_result(recipe, deid, header_of(CT))
        other, _ = plain_recipe(text.replace("REMOVE StudyDescription\n", ""))
        assert not same_result(other, deid, header_of(CT)), "the comparison sees a difference"


@pytest.mark.slow
def test_the_large_headers_grow_as_they_say():
    for make in (structure_set, multi_frame):
        small, large = make(200), make(800)
        assert 3.5 < len(large) / len(small) < 4.5
        _, start = read_file_meta(large)
        EncodedDataset.scan(large, start, EXPLICIT_LE)
