"""What is installed is what was locked, by hash; and the bill of materials says the same."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from scripts.locks import differences, read_lock, read_sbom
from tests.support import REPOSITORY

LOCKS = (
    "requirements.lock",
    "requirements-test.lock",
    "requirements-slow.lock",
    "requirements-docs.lock",
    "requirements-sbom.lock",
)
SCRIPTS = ("_env", "run", "test", "soak", "sbom", "bench", "fuzz", "docs")


@pytest.mark.parametrize("name", LOCKS)
def test_every_requirement_is_pinned_to_a_version_and_hashes(name: str) -> None:
    assert len(read_lock((REPOSITORY / name).read_text())) > 20


@pytest.mark.parametrize("name", LOCKS)
def test_a_lock_names_no_place_to_install_from(name: str) -> None:
    assert "://" not in (REPOSITORY / name).read_text()
    assert "-index" not in (REPOSITORY / name).read_text()


@pytest.mark.parametrize(
    "line",
    [
        "alembic>=1.20",
        "alembic==1.20.1",
        "alembic==1.20.1 --hash=md5:0123",
        "git+ssh://example.org/alembic",
        "-r another.txt",
    ],
)
def test_a_requirement_that_is_not_pinned_is_found(line: str) -> None:
    with pytest.raises(ValueError, match="not pinned"):
        read_lock(line + "\n")


def test_what_is_tested_is_what_is_locked_for_the_node() -> None:
    """The node's lock may have a newer version beside it, for a newer Python."""
    mine, tested = (read_lock((REPOSITORY / name).read_text()) for name in LOCKS[:2])
    names = {name for name, _ in mine}
    shared = {package: hashes for package, hashes in tested.items() if package[0] in names}
    assert {name for name, _ in shared} == names
    assert all(mine.get(package) == hashes for package, hashes in shared.items())


def test_every_way_of_installing_checks_the_hashes() -> None:
    """`pip install` stands in the scripts for locks, with hashes, and for the package itself, without dependencies."""
    lines = [
        line
        for path in [REPOSITORY / "scripts" / name for name in SCRIPTS]
        for line in path.read_text().splitlines()
        if "pip install" in line
    ]
    assert len(lines) == 3
    assert all("--require-hashes" in line or "--no-deps --no-build-isolation" in line for line in lines)


def test_a_bill_of_materials_that_differs_from_the_lock_is_told() -> None:
    component = {
        "name": "alembic",
        "version": "1.20.1",
        "externalReferences": [{"hashes": [{"alg": "SHA-256", "content": "a" * 64}]}],
    }
    lock = read_lock(f"alembic==1.20.1 \\\n    --hash=sha256:{'a' * 64}\n")
    assert differences(lock, read_sbom({"components": [component]})) == []
    assert differences(lock, read_sbom({"components": []})) == ["alembic 1.20.1: only in the lock"]
    newer = read_sbom({"components": [component | {"version": "2"}]})
    assert differences(lock, newer) == ["alembic 1.20.1: only in the lock", "alembic 2: not in the lock"]
    changed = read_sbom({"components": [component | {"externalReferences": []}]})
    assert differences(lock, changed) == ["alembic 1.20.1: other hashes"]


@pytest.mark.slow
def test_the_bill_of_materials_names_each_locked_package_and_is_the_same_each_time(tmp_path: Path) -> None:
    files = [tmp_path / "one.json", tmp_path / "two.json"]
    for file in files:
        subprocess.run([REPOSITORY / "scripts/sbom", file], check=True, capture_output=True, timeout=100)
    assert files[0].read_bytes() == files[1].read_bytes()
    content = json.loads(files[0].read_bytes())
    assert content["bomFormat"] == "CycloneDX"
    assert differences(read_lock((REPOSITORY / LOCKS[0]).read_text()), read_sbom(content)) == []
