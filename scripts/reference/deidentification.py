"""The table of docs/reference/deidentification.md: shipped recipes and options of PS3.15, as the engine decides.

An option counts as applied where its code of CID 7050 is written. Whatever is written, the attributes are counted for
which the option has a code in Table E.1-1, and that come out as it says: K kept, C kept or cleaned.
"""

from __future__ import annotations

from collections.abc import Iterator

from node.recipe import Recipe, load_recipe, shipped_recipe
from node.recipe.method import applied_codes
from node.standard import Attribute, attributes, method_codes
from node.statement import Doings
from scripts.reference.page import table

RECIPES = ("ps3.15-basic", "research", "xnat", "tcia", "strict")
COLUMNS = {
    "113100": "",
    "113101": "",
    "113102": "",
    "113103": "clean_graph",
    "113104": "clean_struct_cont",
    "113105": "clean_desc",
    "113106": "rtn_long_full_dates",
    "113107": "rtn_long_modif_dates",
    "113108": "rtn_pat_chars",
    "113109": "rtn_dev_id",
    "113110": "rtn_uids",
    "113111": "rtn_safe_priv",
    "113112": "rtn_inst_id",
}
"""The column of Table E.1-1 of each code of CID 7050; empty where it has none."""

_DONE = {"K": ("keep",), "C": ("keep", "clean")}


def tables() -> dict[str, str]:
    """Return the table by the name of its place in the page."""
    recipes = {name: _loaded(name) for name in RECIPES}
    doings = {name: Doings(recipe) for name, recipe in recipes.items()}
    rows = []
    for code, column in COLUMNS.items():
        cells = (_cell(recipes[name], doings[name], code, column) for name in RECIPES)
        rows.append((code, method_codes()[code], *cells))
    return {"options": table(("code", "option", *(f"`{name}`" for name in RECIPES)), rows)}


def _loaded(name: str) -> Recipe:
    text = shipped_recipe(name)
    assert text is not None
    return load_recipe([text])


def _cell(recipe: Recipe, doings: Doings, code: str, column: str) -> str:
    always, masked = applied_codes(recipe.profile, masked=False), applied_codes(recipe.profile, masked=True)
    if code in masked and code not in always:
        return "where masked"
    rows = [row for row in _named(column) if row.options[column] in _DONE]
    done = sum(doings.of(_tag(row), _vr(row)).what in _DONE[row.options[column]] for row in rows)
    number = f" ({done} of {len(rows)})" if rows else ""
    if code in always:
        return f"**yes**{number}"
    return f"in part{number}" if done else "no"


def _named(column: str) -> Iterator[Attribute]:
    """Yield the attributes of the table that an option says something of; not what is private."""
    return (row for row in attributes() if row.options.get(column) and row.keyword)


def _tag(row: Attribute) -> int:
    return int(f"{row.tag[1:5]}{row.tag[6:10]}".replace("50xxxxxx", "50003000").replace("xx", "00"), 16)


def _vr(row: Attribute) -> str:
    return row.vr if row.vr.isalpha() and len(row.vr) == 2 else "OW"
