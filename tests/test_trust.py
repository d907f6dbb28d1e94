"""The page about what can go wrong names tests that are there."""

from __future__ import annotations

import re

import pytest

from tests.zygote import REPOSITORY

PAGE = (REPOSITORY / "docs/trust.md").read_text(encoding="utf-8")
NAMED = sorted(set(re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", PAGE)))


@pytest.mark.parametrize(("path", "name"), NAMED, ids=[name for _, name in NAMED])
def test_a_test_that_the_page_names_is_there(path: str, name: str) -> None:
    assert f"\ndef {name}(" in (REPOSITORY / path).read_text(encoding="utf-8")


def test_the_page_names_tests_for_each_failure_of_its_catalogue() -> None:
    assert {int(number) for number in re.findall(r"\bF(\d+)\b", PAGE)} == set(range(1, 24))
    assert all("tests/" in row for row in PAGE.splitlines() if row.startswith("| F"))
