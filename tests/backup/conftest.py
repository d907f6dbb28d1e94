"""Fixtures of the backup tests: those of the crash tests, and a site that has worked and does not run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.backup.support import Site
from tests.crash.conftest import make_node, node, scp

__all__ = ["make_node", "node", "scp", "site"]


@pytest.fixture(scope="package")
def original(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """The site that the others are copies of: making a ledger takes longer than most tests."""
    return Site(tmp_path_factory.mktemp("original") / "site")


@pytest.fixture
def site(tmp_path: Path, original: Site) -> Iterator[Site]:
    made = Site(tmp_path / "site", copy_of=original)
    yield made
    made.database.close()
