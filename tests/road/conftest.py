"""Fixtures of the road: nodes and archives that are ended whatever a test does."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.road.support import use_recipe
from tests.support import RunningNode, StoreSCP

EVERY_COPY = {"duplicates": {"same": "resend", "header": "replace"}}
"""For a node to which many tests send the same instance: each copy goes on, under the same UID."""


@dataclass
class Road:
    """Makes nodes and archives in `folder`; all of them end with the test."""

    folder: Path
    stack: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)

    def archive(self, name: str = "archive", *, start: bool = True, options: tuple[str, ...] = ()) -> StoreSCP:
        """DCMTK's storescp that keeps the bytes as they came."""
        archive = StoreSCP(self.folder / name, options=("+B", "-pm", *options))
        self.stack.callback(archive.stop)
        return archive.start() if start else archive

    def node(self, archive: StoreSCP | None, name: str = "node", **changes: Any) -> RunningNode:
        """A node, not yet started, that sends to `archive` by the small recipe."""
        folder = self.folder / name
        folder.mkdir()
        node = RunningNode(folder, {"dest": archive.port} if archive is not None else {}, **changes)
        use_recipe(node)
        self.stack.callback(node.close)
        return node


@pytest.fixture
def road(tmp_path: Path) -> Iterator[Road]:
    made = Road(tmp_path)
    with made.stack:
        yield made


@pytest.fixture(scope="module")
def module_road(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Road]:
    made = Road(tmp_path_factory.mktemp("road"))
    with made.stack:
        yield made
