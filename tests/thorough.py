"""How much a test does that could go on for ever: all of it by `scripts/test --all`, a part of it otherwise."""

import os

import pytest

EVERYTHING = bool(os.environ.get("DEID_NODE_TEST_ALL"))


def share(number: int, part: int = 3) -> int:
    """Return `number` for a run of everything, else one of `part` parts of it, as examples or rounds of a test."""
    return number if EVERYTHING else max(1, number // part)


def slow(*values: object) -> list[object]:
    """Return values of a parameter that only a run of everything takes."""
    return [pytest.param(one, marks=pytest.mark.slow) for one in values]
