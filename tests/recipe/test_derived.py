"""A cleaned data set that is sent from its original: its pieces are the very bytes of the cleaned file."""

from __future__ import annotations

import mmap
import os
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.derived import Derived, derive
from node.recipe import Segment

SIZE = 200_000
BYTES = os.urandom(SIZE)


@pytest.fixture(scope="module")
def original() -> Iterator[mmap.mmap]:
    with mmap.mmap(-1, SIZE) as memory:
        memory.write(BYTES)
        yield memory


def joined(segments: list[Segment]) -> bytes:
    return b"".join(one if isinstance(one, bytes) else BYTES[one[0] : one[0] + one[1]] for one in segments)


ranges = st.tuples(st.integers(0, SIZE // 2), st.integers(1, SIZE // 2))


@given(segments=st.lists(st.one_of(st.binary(min_size=1, max_size=3000), ranges), max_size=8))
def test_the_pieces_are_the_bytes_of_the_segments(original: mmap.mmap, segments: list[Segment]) -> None:
    derived = derive(segments, original)
    if derived is None:
        lengths = [one[1] if isinstance(one, tuple) else 0 for one in segments]
        assert len(joined(segments)) - max([0, *lengths]) > 64 << 10
        return
    assert joined(derived.segments) == joined(segments)
    assert derived.size == len(joined(segments))
    assert len(derived.before) + len(derived.after) <= 64 << 10


def test_the_longest_range_is_taken_from_the_original_and_the_others_are_kept(original: mmap.mmap) -> None:
    derived = derive([b"new", (10, 5000), b"and", (6000, 100_000), b"end", (150_000, 5000)], original)
    assert derived == Derived(b"new" + BYTES[10:5010] + b"and", 6000, 100_000, b"end" + BYTES[150_000:155_000])


def test_what_is_short_is_kept_whole(original: mmap.mmap) -> None:
    assert derive([b"new", (10, 4000)], original) == Derived(b"new" + BYTES[10:4010], 0, 0, b"")


def test_much_that_is_new_becomes_a_file(original: mmap.mmap) -> None:
    assert derive([b"x" * (64 << 10), (0, 100_000)], original) is not None
    assert derive([b"x" * (64 << 10), (0, 100_000), b"x"], original) is None
    assert derive([(0, 90_000), b"x", (100_000, 90_000)], original) is None
