"""Any data set is cleaned or refused by an error with a name; `scripts/fuzz header` looks for others."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

from tests.thorough import share

from .header import check, corpus, examples

KEPT = [path.read_bytes() for path in corpus()]
MOST = 256 << 10  # KiB: far more than all of them need, far less than the lengths that they claim


@pytest.fixture(scope="module", autouse=True)
def _bounded() -> Iterator[None]:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    yield
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < MOST, "memory follows what is there"


@pytest.mark.parametrize("path", corpus(), ids=lambda path: path.stem)
def test_a_data_set_that_was_worth_keeping_is_cleaned_or_refused(path: Path) -> None:
    check(path.read_bytes())


@settings(
    max_examples=share(250), derandomize=True, deadline=None, database=None, suppress_health_check=list(HealthCheck)
)
@given(example=examples(KEPT))
def test_any_data_set_is_cleaned_or_refused(example: bytes) -> None:
    check(example)
