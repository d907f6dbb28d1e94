"""Each page can be reached, and what it points to is there. The site itself is built by `test_build`."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

from scripts.titles import titled
from tests.docs.pages import DOCS, FILES, NAMES, OUTSIDE, anchors, links, navigation, prose
from tests.zygote import REPOSITORY

EVERYWHERE = [*FILES, *(REPOSITORY / name for name in OUTSIDE)]


def test_each_page_is_in_the_navigation_once() -> None:
    assert Counter(navigation()) == Counter(NAMES)


@pytest.mark.parametrize("path", EVERYWHERE, ids=lambda path: path.name)
def test_whatever_a_page_points_to_is_there(path: Path) -> None:
    wrong = [f"{path.name}:{line}: {link}" for line, link in links(path) if not _is_there(path, link)]
    assert not wrong


def _is_there(path: Path, link: str) -> bool:
    if link.startswith("https://"):
        return True
    name, _, anchor = link.partition("#")
    target = (path.parent / name).resolve() if name else path
    if not target.is_file() or (path.is_relative_to(DOCS) and not target.is_relative_to(DOCS)):
        return False
    return not anchor or (target.suffix == ".md" and anchor in anchors(target))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_a_page_has_one_title_and_no_place_of_this_machine(path: Path) -> None:
    assert sum(line.startswith("# ") for _, line in prose(path)) == 1
    text = path.read_text(encoding="utf-8")
    assert not re.search(r"/(?:home|root|work|tmp)/(?!X)\w+/", text)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_a_list_or_a_table_stands_apart_from_the_sentence_before_it(path: Path) -> None:
    """GitHub shows one that does not; the site would not."""
    lines = dict(prose(path))
    wrong = []
    for number, line in lines.items():
        before = lines.get(number - 1, "")
        begins = re.match(r"(?:[-*] |1\. |\|)", line)
        if begins and before and not before.startswith(("- ", "* ", "|", " ", "#", "<!--")) and not before[0].isdigit():
            wrong.append(f"{path.name}:{number}")
    assert not wrong


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_an_entry_of_a_list_stands_apart_from_a_paragraph_of_the_entry_before_it(path: Path) -> None:
    wrong, before, further = [], "", False
    for number, line in prose(path):
        if re.match(r" *(?:[-*]|\d+\.) ", line):
            if before and further:
                wrong.append(f"{path.name}:{number}")
            further = False
        elif line and not before:
            further = line.startswith("  ")
        before = line
    assert not wrong


def test_links_that_lead_nowhere_are_found() -> None:
    page = DOCS / "index.md"
    assert _is_there(page, "start.md#a-first-image")
    assert not _is_there(page, "start.md#a-last-image")
    assert not _is_there(page, "stop.md")
    assert not _is_there(page, "../README.md")


def test_on_the_site_a_link_shows_the_title_of_what_it_leads_to() -> None:
    page = DOCS / "reference/configuration.md"
    assert titled("see [tls.md](../tls.md).", page) == "see [TLS](../tls.md)."
    there = "[operation.md](../operation.md#the-disk)"
    assert titled(there, page) == "[The disk](../operation.md#the-disk)"
    assert titled("[tls.md](../nowhere.md), [TLS](../tls.md)", page) == "[tls.md](../nowhere.md), [TLS](../tls.md)"
