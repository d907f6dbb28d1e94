from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from node.ledger import Database
from tests.ledger.support import new_database


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    made = new_database(tmp_path)
    yield made
    made.close()
