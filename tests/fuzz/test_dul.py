"""The receiver takes any stream as the standard says; `scripts/fuzz dul` looks for others."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

from tests.protocol.receiving import Plain, Receiving, receiving
from tests.thorough import share

from .conversations import streams
from .dul import Resources, check, corpus

KEPT = [path.read_bytes() for path in corpus()]


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiving]:
    with receiving(Plain()) as made:
        made.serves()
        made.settled()
        resources = Resources()
        yield made
        made.serves()
        made.settled()
        assert resources.returned(), "threads and descriptors come back"


@pytest.mark.parametrize("path", corpus(), ids=lambda path: path.stem)
def test_a_stream_that_was_worth_keeping_is_taken_as_the_standard_says(receiver: Receiving, path: Path) -> None:
    check(receiver, path.read_bytes())


@settings(
    max_examples=share(250), derandomize=True, deadline=None, database=None, suppress_health_check=list(HealthCheck)
)
@given(stream=streams(KEPT))
def test_any_stream_is_taken_as_the_standard_says(receiver: Receiving, stream: bytes) -> None:
    check(receiver, stream)
