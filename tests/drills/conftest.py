from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.crash.conftest import make_node, scp
from tests.drills.support import Site

__all__ = ["make_node", "make_site", "scp", "site"]


@pytest.fixture
def make_site(tmp_path: Path) -> Iterator[Callable[..., Site]]:
    made: list[Site] = []

    def make(recipe: str | None = None) -> Site:
        made.append(Site(tmp_path) if recipe is None else Site(tmp_path, recipe))
        return made[-1]

    yield make
    for one in made:
        one.database.close()


@pytest.fixture
def site(make_site: Callable[..., Site]) -> Site:
    return make_site()
