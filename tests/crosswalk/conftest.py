from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.crosswalk.support import Counter, new_ledger


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ledger in which there is nothing yet: to make one takes longer than most that is done with it."""
    return new_ledger(tmp_path_factory.mktemp("template"))


@pytest.fixture
def make_desk(tmp_path: Path, template: Path) -> Iterator[Callable[[str], Counter]]:
    made: list[Counter] = []

    def make(name: str) -> Counter:
        made.append(Counter(tmp_path / name, template))
        return made[-1]

    yield make
    for one in made:
        one.database.close()


@pytest.fixture
def desk(make_desk: Callable[[str], Counter]) -> Counter:
    return make_desk("desk")
