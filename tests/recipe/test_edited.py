"""Edits of edits: what a cleaned data set becomes is what both lists do after one another."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from node.recipe.encoded import EncodedDataset
from node.recipe.output import Cleaned, Output
from node.syntaxes import IMPLICIT_LE

SOURCE = bytes(range(64)) * 80  # longer than what is always read


def edits(length: int) -> st.SearchStrategy[list[tuple[int, int, bytes]]]:
    cuts = st.lists(st.integers(0, length), max_size=8, unique=True).map(sorted)
    return st.tuples(cuts, st.lists(st.binary(max_size=5), min_size=4, max_size=4)).map(
        lambda pair: [(*pair[0][n : n + 2], pair[1][n // 2]) for n in range(0, len(pair[0]) - 1, 2)]
    )


def by_hand(source: bytes, changes: list[tuple[int, int, bytes]]) -> bytes:
    for start, end, new in reversed(changes):
        source = source[:start] + new + source[end:]
    return source


def cleaned(changes: list[tuple[int, int, bytes]]) -> Cleaned:
    dataset = EncodedDataset(SOURCE, 0, len(SOURCE), IMPLICIT_LE)
    output = Output(dataset)
    output.take(changes, {1: "known"}, [])
    return output.cleaned(dataset.codec)


@given(st.data())
def test_edits_of_edits(data):
    first = data.draw(edits(len(SOURCE)))
    once = by_hand(SOURCE, first)
    second = data.draw(edits(len(once)))
    result = cleaned(first).edited(second)
    assert result.tobytes() == by_hand(once, second)
    assert result.text(1) == "known"
    assert all(one[1] <= other[0] for one, other in zip(result.edits, result.edits[1:], strict=False))
    kept = [part for part in result.segments if not isinstance(part, bytes)]
    assert all(length > 0 for _, length in kept)
