"""The site is built without a warning, and a browser that opens it asks nobody else for anything: from a folder too."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from tests.docs.pages import navigation
from tests.zygote import REPOSITORY

CHROMIUM = Path("/usr/bin/chromium")
pytest.importorskip("mkdocs", reason="no mkdocs: requirements-slow.lock has it")
pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

_LOADING = dict.fromkeys(("script", "img", "iframe", "source", "video", "audio"), "src") | {"object": "data"}
_LINKED = {"stylesheet", "icon", "preload", "preconnect", "dns-prefetch", "manifest", "modulepreload"}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", folder],
        cwd=REPOSITORY,
        check=False,
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


class Loads(HTMLParser):
    """What a browser fetches to show a page."""

    def __init__(self) -> None:
        super().__init__()
        self.found: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag in _LOADING and given.get(_LOADING[tag]):
            self.found.add(str(given[_LOADING[tag]]))
        if tag == "link" and _LINKED & set(str(given.get("rel")).split()):
            self.found.add(str(given.get("href")))


def test_each_page_is_built_and_loads_only_what_is_beside_it(site: Path) -> None:
    for name in navigation():
        page = site / name.replace(".md", ".html")
        loads = Loads()
        loads.feed(page.read_text(encoding="utf-8"))
        assert loads.found
        assert [one for one in loads.found if re.match(r"(?:[a-z]+:)?//", one)] == [], name
        assert [one for one in loads.found if not (page.parent / one.partition("?")[0]).is_file()] == [], name


def test_no_style_sheet_loads_from_elsewhere(site: Path) -> None:
    sheets = list(site.rglob("*.css"))
    assert sheets
    for sheet in sheets:
        assert not re.search(r"(?:@import|url\()\s*[\"']?(?:https?:)?//", sheet.read_text(encoding="utf-8")), sheet.name


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    if not CHROMIUM.exists():
        pytest.skip("no chromium: apt-get install chromium")
    sync_api = pytest.importorskip("playwright.sync_api")
    with sync_api.sync_playwright() as playwright:
        # As root, chromium cannot make a sandbox; nothing but the site is opened in it.
        started = playwright.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox"])
        yield started
        started.close()


def test_a_browser_asks_nobody_else_and_finds_what_is_searched_for(site: Path, browser: Any) -> None:
    asked: set[str] = set()
    page = browser.new_page()
    page.on("request", lambda request: asked.add(request.url))
    for name in navigation():
        page.goto((site / name.replace(".md", ".html")).as_uri())
        assert page.locator("h1").count() == 1, name
    page.goto((site / "index.html").as_uri())
    page.locator("input[name=query]").click()
    page.locator("input[name=query]").press_sequentially("commissioning")
    page.locator(".md-search-result__item").first.wait_for(timeout=30_000)
    assert "selftest.html" in page.locator(".md-search-result__list").inner_html()
    assert [url for url in asked if not url.startswith((site.as_uri(), "data:", "about:", "blob:"))] == []
