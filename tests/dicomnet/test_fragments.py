"""A data set on its way out, cut into fragments, whatever pieces it consists of."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from node.dicomnet.messages import Piece, in_fragments

FILE = bytes(range(256)) * 20


def joined(pieces: list[Piece]) -> bytes:
    return b"".join(one if isinstance(one, bytes) else FILE[one[0] : one[0] + one[1]] for one in pieces)


pieces = st.one_of(st.binary(max_size=300), st.tuples(st.integers(0, 3000), st.integers(0, 2000)))


@given(segments=st.lists(pieces, max_size=6), size=st.integers(1, 1500))
def test_fragments_are_full_but_for_the_last_and_hold_every_byte_in_order(segments: list[Piece], size: int) -> None:
    found = list(in_fragments(segments, size))
    assert b"".join(joined(parts) for _, _, parts in found) == joined(segments)
    assert [last for _, last, _ in found] == [False] * (len(found) - 1) + [True]
    assert all(count == len(joined(parts)) for count, _, parts in found)
    assert all(count == size for count, last, _ in found if not last)
    assert found[-1][0] > 0 or len(found) == 1, "no empty fragment, but for an empty data set"
