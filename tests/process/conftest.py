"""Fixtures of the process tests: whatever happens, no process stays."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.crash.support import Deadly
from tests.support import StoreSCP


@pytest.fixture
def scp(tmp_path: Path) -> Iterator[StoreSCP]:
    """A destination that writes a file of its own for each copy that comes."""
    one = StoreSCP(tmp_path / "sink")
    try:
        yield one.start()
    finally:
        one.stop()


@pytest.fixture
def make_node(tmp_path: Path) -> Iterator[Callable[..., Deadly]]:
    """Nodes in folders of their own; not started."""
    made: list[Deadly] = []

    def make(destinations: dict[str, int], name: str = "node", **changes: Any) -> Deadly:
        folder = tmp_path / name
        folder.mkdir()
        made.append(Deadly(folder, destinations, **changes))
        return made[-1]

    try:
        yield make
    finally:
        for node in made:
            node.kill()


@pytest.fixture
def node(make_node: Callable[..., Deadly], scp: StoreSCP) -> Deadly:
    """A node that forwards to `scp`; not started."""
    return make_node({"dest": scp.port})
