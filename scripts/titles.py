"""On the site, a link whose text is the name of a file shows the title of what it leads to: a hook of MkDocs.

In a checkout `[operation.md](operation.md#the-disk)` says where to look; on the site it reads *The disk*.
"""

from __future__ import annotations

import re
import unicodedata
from functools import cache
from pathlib import Path
from typing import Any

_LINK = re.compile(r"\[(?P<text>[\w./-]+\.md)\]\((?P<file>[\w./-]+\.md)(?P<anchor>#[\w-]+)?\)")
_FENCED = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
_HEADING = re.compile(r"^#{1,6} (.+)$", re.MULTILINE)


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Called by MkDocs with the text of each page."""
    return titled(markdown, Path(page.file.abs_src_path))


def titled(markdown: str, path: Path) -> str:
    """Return the text of the page at `path` with such links changed; one that leads nowhere stays as it is."""

    def with_title(link: re.Match[str]) -> str:
        headings = headings_of((path.parent / link["file"]).resolve())
        anchor = (link["anchor"] or "")[1:]
        title = headings.get(anchor) if anchor else next(iter(headings.values()), None)
        return link[0] if title is None else f"[{title}]({link['file']}{link['anchor'] or ''})"

    return _LINK.sub(with_title, markdown)


@cache
def headings_of(path: Path) -> dict[str, str]:
    """Return the headings of a page by their anchors, its title first."""
    if not path.is_file():
        return {}
    found: dict[str, str] = {}
    for heading in _HEADING.findall(_FENCED.sub("", path.read_text(encoding="utf-8"))):
        found.setdefault(slug(heading), re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading))
    return found


def slug(heading: str) -> str:
    """Return the anchor of a heading, as Python-Markdown makes it."""
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).replace("`", "")
    text = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    return re.sub(r"[-\s]+", "-", re.sub(r"[^\w\s-]", "", text).strip().lower())
