"""The pages of the documentation, read as their text: headings, links, blocks of code."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from scripts.titles import slug
from tests.zygote import REPOSITORY

DOCS = REPOSITORY / "docs"
FILES = sorted(DOCS.rglob("*.md"))
NAMES = [str(path.relative_to(DOCS)) for path in FILES]
OUTSIDE = ("README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md")

_LINK = re.compile(r"(?<!!)\[(?:[^\]\[]|\[[^\]]*\])*\]\(([^)\s]+)\)")
_PICTURE = re.compile(r"!\[[^\]]*\]\(([^)\s]+)\)")
_CODE = re.compile(r"(`+)(.+?)\1")
_LISTED = re.compile(r"\s*(?:[-*]|\d+\.) ")


class Block(NamedTuple):
    """A block of code: its page, its first line from 1, its kind (empty where it is indented), its text."""

    page: str
    line: int
    kind: str
    text: str


@cache
def text_of(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def _classified(path: Path) -> Iterator[tuple[int, str, str]]:
    """Each line with its number and kind: empty for prose, four blanks or ``` with its word for code, else a fence."""
    fence: str | None = None
    listed = False
    for number, line in enumerate(text_of(path).splitlines(), 1):
        indent = 8 if listed else 4
        if line.startswith("```"):
            fence = line.strip() if fence is None else None
            yield number, "fence", ""
        elif fence is not None:
            yield number, fence, line
        elif line.startswith(" " * indent):
            yield number, "    ", line[indent:]
        else:
            listed = _in_list(listed, line)
            yield number, "", line


def _in_list(before: bool, line: str) -> bool:
    return bool(_LISTED.match(line)) or (before and (not line or line.startswith(" ")))


@cache
def prose(path: Path) -> tuple[tuple[int, str], ...]:
    """The lines outside of code, with their numbers."""
    return tuple((number, line) for number, kind, line in _classified(path) if not kind)


@cache
def blocks(path: Path) -> tuple[Block, ...]:
    """The blocks of code; indented ones go on behind blank lines."""
    page, found, gap = path.relative_to(REPOSITORY).as_posix(), list[Block](), 0
    for kind, lines in groupby(_classified(path), key=lambda one: one[1]):
        members = list(lines)
        text = "".join(f"{line}\n" for _, _, line in members)
        if kind in ("", "fence"):
            gap = len(members) if not text.strip() and kind == "" else 0
        elif kind == "    " and gap and found and not found[-1].kind:
            found[-1] = found[-1]._replace(text=found[-1].text + "\n" * gap + text)
        else:
            found.append(Block(page, members[0][0], kind.strip("` "), text))
    return tuple(found)


def spans(path: Path) -> Iterator[tuple[int, str]]:
    """Code within sentences, with the number of its line."""
    for number, line in prose(path):
        for match in _CODE.finditer(line):
            yield number, match[2].strip()


def links(path: Path) -> Iterator[tuple[int, str]]:
    for number, line in prose(path):
        plain = _CODE.sub(lambda code: "x" * len(code[0]), line)
        for pattern in (_LINK, _PICTURE):
            for match in pattern.finditer(plain):
                yield number, match[1]


@cache
def anchors(path: Path) -> frozenset[str]:
    found: dict[str, int] = {}
    names = set()
    for _, line in prose(path):
        match = re.match(r"#{1,6} (.+)", line)
        if match is not None:
            name = slug(match[1])
            number = found.get(name, 0)
            found[name] = number + 1
            names.add(f"{name}_{number}" if number else name)
    return frozenset(names)


def navigation() -> list[str]:
    site = yaml.safe_load((REPOSITORY / "mkdocs.yml").read_text(encoding="utf-8"))

    def walk(entry: Any) -> Iterator[str]:
        if isinstance(entry, str):
            yield entry
        else:
            for one in entry.values() if isinstance(entry, dict) else entry:
                yield from walk(one)

    return list(walk(site["nav"]))


def rows(text: str) -> list[list[str]]:
    """The cells of every row of every table."""
    lines = [line for line in text.splitlines() if line.startswith("|") and not re.fullmatch(r"[|\s:-]+", line)]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]
