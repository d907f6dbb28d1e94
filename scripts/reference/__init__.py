"""The pages of the documentation that are made of the program: `scripts/docs --generate`.

configuration   docs/reference/configuration.md: every key, from the models of `node.config`
commands        docs/reference/commands.md: every command, from the tree of `node.cli`
conformance     tables of docs/reference/conformance.md: SOP classes, transfer syntaxes, statuses, times
deidentification  tables of docs/reference/deidentification.md: recipes and the options of PS3.15

Guarantees that the same program gives the same pages, on every machine. Refuses to guess: a key without a docstring, a
value whose notation nobody has named, and a page without a place for its table are errors.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from scripts.reference import commands, configuration, conformance, deidentification
from scripts.reference.page import filled

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "docs" / "reference"

WHOLE = {"configuration.md": configuration.page, "commands.md": commands.page}
TABLES = {"conformance.md": conformance.tables, "deidentification.md": deidentification.tables}


def pages() -> Iterator[tuple[Path, str]]:
    """Make each page, with its path."""
    for name, make in WHOLE.items():
        yield FOLDER / name, make()
    for name, tables in TABLES.items():
        yield FOLDER / name, filled_page(name, tables())


def filled_page(name: str, tables: Mapping[str, str]) -> str:
    """Return the page as it is, with its tables made anew."""
    return filled((FOLDER / name).read_text(encoding="utf-8"), tables)
