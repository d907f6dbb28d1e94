"""Whoever does what the quick start says sees what it says, with the shipped configuration."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from node.recipe import RecipeText, load_recipe, shipped_recipe
from tests.docs.pages import DOCS, blocks
from tests.support import REPOSITORY, RunningNode, free_port, storescu, wait_for

BLOCKS = blocks(DOCS / "start.md")
RECIPE = next(block.text for block in BLOCKS if block.kind == "recipe")
ROUTE = next(yaml.safe_load(block.text) for block in BLOCKS if block.text.startswith("routes:"))["routes"][0]
IMAGE = next(Path(REPOSITORY).glob(".venv/lib/python3*/site-packages/pydicom/data/test_files/CT_small.dcm"), Path())


def test_the_recipe_of_the_quick_start_loads_behind_research() -> None:
    research = shipped_recipe("research")
    assert research is not None
    assert load_recipe([research, RecipeText("own/first.dicom", RECIPE)]).profile is not None


@pytest.fixture
def node(tmp_path: Path) -> Iterator[RunningNode]:
    """The shipped configuration, at ports that are free."""
    made = RunningNode(tmp_path, {})
    archive = free_port()
    shipped = yaml.safe_load((REPOSITORY / "config.yaml").read_text(encoding="utf-8"))
    shipped["node"] |= {"listen": f"127.0.0.1:{made.port}", "min_free_disk": "1 MiB"}
    shipped["destinations"]["archive"]["address"] = shipped["trial_destination"]["listen"] = f"127.0.0.1:{archive}"
    made.config = shipped
    made.write_config()
    (tmp_path / "own").mkdir()
    (tmp_path / "own/first.dicom").write_text(RECIPE)
    yield made
    made.close()


@pytest.mark.slow
def test_the_quick_start_from_the_first_start_to_a_route_of_ones_own(node: RunningNode) -> None:
    node.start()
    assert node.status()["received"] == 0
    storescu(node.port, IMAGE, options=("-aec", "DEIDNODE"))
    node.wait_delivered(1)
    wait_for(lambda: len(list((node.folder / "var/archive").rglob("*.dcm"))) == 1, "the file of the first image")
    storescu(node.port, IMAGE, options=("-aec", "DEIDNODE"))
    node.wait_status(lambda status: status["duplicates"] == 1, "the same image is counted")
    node.cli("selftest", check=True)
    shown = node.cli("preview", str(IMAGE), "--recipe", "research", "--recipe", "own/first.dicom", check=True).stdout
    assert "own/first.dicom" in shown
    node.config["routes"].insert(0, ROUTE)
    node.write_config()
    node.cli("check", check=True)
    node.cli("reload", check=True)
    told = node.cli("recipe", "statement", "--route", "trial-7", check=True).stdout
    assert "# De-identification by research" in told
