from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.copies.support import RECIPE, Desk
from tests.crash.conftest import make_node, scp

__all__ = ["desk", "make_desk", "make_node", "scp"]


@pytest.fixture
def make_desk(tmp_path: Path) -> Iterator[Callable[..., Desk]]:
    made: list[Desk] = []

    def make(recipe: str = RECIPE, **duplicates: str) -> Desk:
        made.append(Desk(tmp_path, recipe, **duplicates))
        return made[-1]

    yield make
    for desk in made:
        desk.database.close()


@pytest.fixture
def desk(make_desk: Callable[..., Desk]) -> Desk:
    return make_desk()
