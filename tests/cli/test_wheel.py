"""An installed wheel is whole: it finds the recipes that it ships, and its migrations."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from node.ledger.schema import VERSION

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The unpacked wheel, as an installation would lay it out."""
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)],
        cwd=REPOSITORY,
        check=True,
        capture_output=True,
        timeout=100,
    )
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "site")
    return folder / "site"


def run(installed: Path, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-P", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(installed)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_an_installed_wheel_finds_the_shipped_recipes(installed: Path, tmp_path: Path) -> None:
    script = (
        "import node, node.recipe as r; print(node.__file__);"
        "text = r.shipped_recipe('research'); print(sorted(r.shipped_names())); r.load_recipe([text])"
    )
    result = run(installed, tmp_path, "-c", script)
    assert result.returncode == 0, result.stderr
    assert str(installed) in result.stdout
    assert "'research'" in result.stdout


def test_an_installed_wheel_has_the_tables_that_profiles_go_by(installed: Path, tmp_path: Path) -> None:
    script = (
        "import node.recipe as r, node.standard as s; print(s.__file__);"
        "texts = [r.shipped_recipe(n) for n in ('ps3.15-basic', 'retain-uids')]; r.load_recipe(texts);"
        "print(len(s.attributes()), len(s.safe_private()), len(s.method_codes()), bool(s.required(None)),"
        " s.iod_of('1.2.840.10008.5.1.4.1.1.2'))"
    )
    result = run(installed, tmp_path, "-c", script)
    assert result.returncode == 0, result.stderr
    where, found = result.stdout.splitlines()
    assert where.startswith(str(installed))
    assert found == "657 479 13 True ct-image"


def test_an_installed_wheel_checks_a_configuration_and_makes_a_ledger(installed: Path, tmp_path: Path) -> None:
    script = (
        "from node.ledger import Database; d = Database('sqlite:///ledger.db'); d.migrate(); print(d.version());"
        "import node; print(node.__file__)"
    )
    result = run(installed, tmp_path, "-c", script)
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith(VERSION)
    assert str(installed) in result.stdout
    assert run(installed, tmp_path, "-m", "node", "version").returncode == 0
