"""The page about the Python API: every block does what the page says, and the examples print what it shows."""

from __future__ import annotations

import contextlib
import io
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.support import REPOSITORY

PAGE = (REPOSITORY / "docs/python.md").read_text(encoding="utf-8")
EXAMPLES = REPOSITORY / "docs/examples/header_manipulation"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")


def blocks(*kinds: str) -> list[tuple[str, str]]:
    return [(match[1], match[2]) for match in BLOCK.finditer(PAGE) if match[1] in kinds]


@pytest.mark.filterwarnings("ignore")
def test_every_block_of_the_page_prints_what_the_page_shows(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    printed, shown = "", 0
    for kind, text in blocks("python", "output"):
        if kind == "output":
            assert printed.replace(os.fspath(tmp_path), "…") == text
            printed, shown = "", shown + 1
            continue
        assert not printed, "what a block prints is shown"
        with contextlib.redirect_stdout(io.StringIO()) as out:
            exec(compile(text, "docs/python.md", "exec"), names)
        printed = out.getvalue()
    assert not printed
    assert shown == len(blocks("python"))


@pytest.mark.parametrize("name", ["header_manipulation", "nested"])
def test_an_example_prints_what_the_page_shows(name, tmp_path):
    done = subprocess.run(
        [sys.executable, "-W", "ignore", EXAMPLES / f"{name}.py"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY), "TMPDIR": str(tmp_path)},
    )
    assert (done.returncode, done.stderr) == (0, "")
    ((_, expected),) = blocks(name)
    assert UUID.sub("<uuid>", done.stdout) == UUID.sub("<uuid>", expected)
    assert len(UUID.findall(done.stdout)) == 3


def test_the_recipe_of_the_example_is_that_of_the_original():
    lines = (EXAMPLES / "deid.dicom").read_text().split("\n")
    assert [line for line in lines if line] == [
        "FORMAT dicom",
        "%header",
        "REPLACE StudyInstanceUID func:generate_uid",
        "REPLACE SeriesInstanceUID func:generate_uid",
        "ADD FrameOfReferenceUID func:generate_uid",
    ]


def test_the_test_images_are_an_extra_of_the_package():
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    assert [name.split(">")[0] for name in project["optional-dependencies"]["data"]] == ["deid-data"]
    assert "deid-node[data]" in PAGE
    assert Path(EXAMPLES, "nested.py").read_text().count("deid-node[data]") == 1
