"""What a route's recipe says otherwise than before: the lines that came and that went."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Any

from node.cleaner.kept import KeptRecipes
from node.config import Config
from node.errors import HoldInstance
from node.recipe import Recipe


def recipe_in_use(config: Config, route: str, wanted: str, now: Recipe) -> Recipe | None:
    """Return the recipe of a hash that a route has had, with the functions and words of `now`.

    None where it cannot be made again.
    """
    try:
        return KeptRecipes(config.node.data / "recipes" / route, now).recipe_of(wanted)
    except HoldInstance:
        return None


def changed_lines(old: Recipe, new: Recipe) -> list[dict[str, Any]]:
    """Return, for each text that differs, its `name`, the lines `added` and `gone`, each with its number."""
    before = {_label(text.name): text.text.splitlines() for text in old.texts}
    after = {_label(text.name): text.text.splitlines() for text in new.texts}
    if len(before) == len(after) == 1:
        # One text in place of another is compared with it, whatever the two are called.
        (name,) = after
        before = {name: next(iter(before.values()))}
    found = []
    for name in dict.fromkeys([*before, *after]):
        added, gone = _differences(before.get(name, []), after.get(name, []))
        if added or gone:
            found.append({"name": name, "added": added, "gone": gone})
    return found


def _label(name: str) -> str:
    return Path(name).name


def _differences(before: list[str], after: list[str]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    added, gone = [], []
    for kind, a, b, c, d in difflib.SequenceMatcher(None, before, after, autojunk=False).get_opcodes():
        if kind != "equal":
            gone += [{"line": number + 1, "text": before[number]} for number in range(a, b)]
            added += [{"line": number + 1, "text": after[number]} for number in range(c, d)]
    return added, gone
