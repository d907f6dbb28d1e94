"""Fixtures of the backup tests: those of the crash tests, and a site that has worked and does not run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.backup.support import Site
from tests.crash.conftest import make_node, node, scp

__all__ = ["make_node", "node", "scp", "site"]


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path / "site")
    yield made
    made.database.close()
