"""Every console example of the page about files prints what the page says."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path

import pytest

from tests.cli.files import public, secret

PAGE = Path(__file__).parents[2] / "docs/files.md"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
RECIPES = {"recipe": "short", "other": "other", "strict": "strict"}
BLOCKS = [(match[1], match[2]) for match in BLOCK.finditer(PAGE.read_text(encoding="utf-8"))]
EXAMPLES = [text for kind, text in BLOCKS if kind == "console"]


def plain(text: str) -> list[str]:
    return [line.rstrip() for line in text.splitlines()]


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.splitlines()[0][12:40])
def test_an_example_prints_what_the_page_says(deid, tmp_path, example):
    for kind, text in BLOCKS:
        if kind in RECIPES:
            (tmp_path / f"{RECIPES[kind]}.dicom").write_text(text)
    (tmp_path / "scans").mkdir()
    shutil.copy(public("CT_small.dcm"), tmp_path / "scans/ct.dcm")
    (tmp_path / "scans/notes.txt").write_text("a note")
    secret(tmp_path)
    command, _, expected = example.partition("\n")
    done = deid(*shlex.split(command.removeprefix("$ deid-node ")), gate=None)
    assert plain(done.err + done.out) == plain(expected)


def test_the_page_has_an_example_of_each_command():
    commands = {" ".join(example.split()[2:4]) for example in EXAMPLES}
    assert {command.split()[0] for command in commands} == {"clean", "preview", "recipe"}
