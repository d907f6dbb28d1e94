"""The shape of the package: imports go one way, and roles know nothing of one another."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parent.parent / "node"

# From the ground up; what stands in one row may not import one another, but for the packages' own modules.
LAYERS = (
    ("errors", "durable"),
    ("log", "jotting", "telling"),
    ("age", "identity", "receipt", "tls"),
    ("sealing",),
    ("config",),
    ("audit", "disk", "digest", "part10", "syntaxes", "shared", "grouping", "reloading", "retry", "roster", "spare"),
    ("removal",),
    ("spool",),
    ("deflated",),
    ("standard", "vocabulary"),
    ("recipe",),
    ("pixels", "gate", "objects", "derived"),
    ("instances", "statement", "effects"),
    ("routing", "files", "admission"),
    ("ledger",),
    ("transcode",),
    ("dicomnet",),
    ("query", "reaching", "refused"),
    ("commitment",),
    ("receiver", "cleaner", "forwarder", "committer", "sink", "auditor", "notifier", "completeness"),
    ("deid", "probe", "viewing"),
    ("sweeper",),
    ("backups", "privacy"),
    ("upgrading",),
    ("housekeeping", "opening", "canary"),
    ("closing", "crosswalk", "health", "withdrawing", "rejecting"),
    ("metrics", "recalling"),
    ("rebuild", "encrypting", "proof", "restored", "story"),
    ("restore", "support"),
    ("children", "listeners", "overview", "role"),
    ("web",),
    ("fixed", "in_use"),
    ("supervisor", "planning"),
    ("serving",),
    ("selftest",),
    ("cli",),
    ("__main__",),
)
LEVEL = {name: level for level, names in enumerate(LAYERS) for name in names}


def unit(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported(path: Path) -> set[str]:
    names: set[str] = set()
    for statement in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(statement, ast.Import):
            names |= {alias.name for alias in statement.names}
        elif isinstance(statement, ast.ImportFrom) and statement.module:
            names.add(statement.module)
            if statement.module == "node":
                names |= {f"node.{alias.name}" for alias in statement.names}
    return {name.split(".")[1] for name in names if name.startswith("node.")}


MODULES = sorted(path for path in PACKAGE.rglob("*.py") if path != PACKAGE / "__init__.py")


def test_every_module_has_a_layer() -> None:
    assert {unit(path) for path in MODULES} == set(LEVEL)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_go_one_way(path: Path) -> None:
    me = unit(path)
    upwards = {name for name in imported(path) - {me, "__version__"} if LEVEL[name] >= LEVEL[me]}
    assert not upwards


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_modules_stay_small_enough_to_read(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 500
