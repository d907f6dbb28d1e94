"""What the generated pages have in common: tables of Markdown, and places in a page that a table fills."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Mapping, Sequence

NOTE = "<!-- Made by scripts/docs --generate; what is changed here is lost. -->"
_CODE = re.compile(r"`([^`]*\|[^`]*)`")
_PLACE = re.compile(r"(<!-- generated: ([\w-]+) -->\n).*?(<!-- end of \2 -->)", re.DOTALL)


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table; a `|` in a cell is kept from ending it, in the ways that all readers of Markdown know."""
    lines = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    lines += ["| " + " | ".join(map(_cell, row)) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    coded = _CODE.sub(lambda code: f"<code>{html.escape(code[1], quote=False)}</code>", text)
    return coded.replace("|", "&#124;")


def filled(page: str, tables: Mapping[str, str]) -> str:
    """Return the page with each `<!-- generated: NAME -->` … `<!-- end of NAME -->` filled by its table.

    Raises ValueError where the page and the tables do not have the same names, each once.
    """
    names = [name for _, name, _ in _PLACE.findall(page)]
    if sorted(names) != sorted(tables):
        raise ValueError(f"the page has places for {sorted(names)}, and there are tables {sorted(tables)}")
    return _PLACE.sub(lambda place: f"{place[1]}\n{tables[place[2]].rstrip()}\n\n{place[3]}", page)
