"""What a recipe keeps on purpose: what a KEEP line holds, and what a profile keeps by name (code K).

Guarantees that nothing counts as meant because no line speaks of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

from node.recipe import Recipe
from node.recipe.dictionary import entry
from node.recipe.header import Action
from node.recipe.selectors import NO_INDEX, Field, Selector, Step

_RETAIN_UIDS = "retain-uids"


class Keeping:
    """What one recipe means to keep."""

    def __init__(self, recipe: Recipe) -> None:
        self._recipe = recipe

    @cached_property
    def uids(self) -> bool:
        """Whether all UIDs are to stay: the standard's option for it is in the recipe."""
        return self._recipe.profile is not None and _RETAIN_UIDS in self._recipe.profile.names

    @cached_property
    def _selectors(self) -> list[Selector]:
        return [rule.selector for rule in self._recipe.rules if rule.action is Action.KEEP]

    @cached_property
    def _named(self) -> frozenset[int]:
        lines = self._recipe.profile.lines.items() if self._recipe.profile is not None else ()
        return frozenset(int(key[1]) for key, line in lines if line.code == "K" and key[0] == "tag")

    def means(self, path: Sequence[int]) -> bool:
        """Whether a line keeps the element at a path of tags, or a sequence around it as a whole."""
        if path[-1] in self._named:
            return True
        return any(self._is_held(path[: depth + 1]) for depth in range(len(path)))

    def _is_held(self, path: Sequence[int]) -> bool:
        known = entry(path[-1])
        parents = tuple(Step(tag, NO_INDEX) for tag in path[:-1])
        field = Field(parents, path[-1], None, known.vr if known is not None else "UN")
        return any(selector.matches(field) for selector in self._selectors)
