"""Recipes, with the interface of pydicom/deid's `DeidRecipe`.

Guarantees that a recipe is there only if it loaded as a whole, and that what `deid` shows is what is carried out: a
dictionary that was changed is loaded anew. Refuses (RecipeError, with every fault) what the node would refuse, and no
recipe at all.
"""

from __future__ import annotations

import copy
import os
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias, Union

from node.deid.lines import Entries, as_entries, as_text
from node.errors import Fault, RecipeError
from node.recipe import Recipe, RecipeText, load_recipe, read_recipe, shipped_names, shipped_recipe
from node.recipe.dictionary import nearest
from node.recipe.header import Scope
from node.recipe.language import parse

One: TypeAlias = Union[str, os.PathLike[str], Mapping[str, Any], "DeidRecipe"]
Recipes: TypeAlias = One | Sequence[One]

_OUTSIDE = Scope(in_node=False)
_IN_MEMORY = "recipe"


class DeidRecipe:
    """A recipe of one or more texts.

    Parameters
    ----------
    deid
        A path (with a `/`, or ending in `.dicom`), the name of a shipped recipe, a dictionary as `deid` has it, another
        recipe, or several of these: the lines of a later one come after those of an earlier one.
    base
        Put a shipped recipe in front.
    default_base
        Which one.

    Attributes
    ----------
    deid
        What the recipe says: `format`, and by section `header`, `labels`, `values`, `fields`, `filter`. It may be
        changed.

    Raises
    ------
    RecipeError
        With every fault of every text; also where no recipe is named.
    """

    def __init__(self, deid: Recipes | None = None, base: bool = False, default_base: str = "research") -> None:
        self._texts = [text for one in [*([default_base] if base else []), *_several(deid)] for text in _texts(one)]
        self._load()

    def __repr__(self) -> str:
        return f"DeidRecipe({[text.name for text in self._texts]})"

    def load(self, deid: Recipes) -> None:
        """Put another recipe behind this one. Raises RecipeError; then nothing changed."""
        before, self._texts = self._texts, [text for one in [self, *_several(deid)] for text in _texts(one)]
        try:
            self._load()
        except RecipeError:
            self._texts = before
            raise

    def _load(self) -> None:
        self._compiled = load_recipe(self._texts, in_node=False)
        self.deid: Entries = as_entries([parse(text, _OUTSIDE) for text in self._texts])
        self._loaded = copy.deepcopy(self.deid)
        for warning in self._compiled.warnings:
            warnings.warn(str(warning), stacklevel=3)

    @property
    def texts(self) -> list[RecipeText]:
        """What is carried out, as text."""
        if self.deid == self._loaded:
            return list(self._texts)
        return [RecipeText(_IN_MEMORY, as_text(self.deid, _IN_MEMORY))]

    @property
    def compiled(self) -> Recipe:
        """The recipe as the engine takes it. Raises RecipeError where `deid` was changed into something else."""
        if self.deid != self._loaded:
            self._texts = self.texts
            self._compiled = load_recipe(self._texts, in_node=False)
            self._loaded = copy.deepcopy(self.deid)
        return self._compiled

    def get_format(self) -> str:
        """Return the format, `dicom`."""
        return str(self.deid["format"])

    def get_actions(self, action: str | None = None, field: str | None = None) -> list[Entries]:
        """Return the lines of `%header` in order, only those of an action or field where one is given, in any case.

        Each is a dictionary of `action`, `field` and, where there is one, `value`.
        """
        return [
            entry
            for entry in self.deid.get("header", [])
            if (action is None or entry["action"].upper() == action.upper())
            and (field is None or entry["field"].upper() == field.upper())
        ]

    def get_filters(self, name: str | None = None) -> Any:
        """Return the filters by name, or the labels of one; None where there is no `%filter`, [] where not this one."""
        return self._named("filter", name)

    def get_values_lists(self, name: str | None = None) -> Any:
        """Return the lists of values by name, or the lines of one."""
        return self._named("values", name)

    def get_fields_lists(self, name: str | None = None) -> Any:
        """Return the lists of fields by name, or the lines of one."""
        return self._named("fields", name)

    def get_labels(self) -> list[Entries]:
        """Return the lines of `%labels`."""
        return list(self.deid.get("labels", []))

    def has_actions(self) -> bool:
        """Tell whether there is any line of `%header`."""
        return bool(self.deid.get("header"))

    def has_values_lists(self) -> bool:
        """Tell whether there is any list of values."""
        return bool(self.deid.get("values"))

    def has_fields_lists(self) -> bool:
        """Tell whether there is any list of fields."""
        return bool(self.deid.get("fields"))

    def listof(self, section: str) -> list[str]:
        """Return the names in a section: `filter`, `values` or `fields`."""
        return list(self.deid.get(section, {}))

    def ls_filters(self) -> list[str]:
        """Return the names of the filters."""
        return self.listof("filter")

    def ls_valuelists(self) -> list[str]:
        """Return the names of the lists of values."""
        return self.listof("values")

    def ls_fieldlists(self) -> list[str]:
        """Return the names of the lists of fields."""
        return self.listof("fields")

    def _named(self, section: str, name: str | None) -> Any:
        found = self.deid.get(section)
        return found if name is None or found is None else found.get(name, [])


def _several(deid: Recipes | None) -> list[One]:
    if deid is None:
        return []
    if isinstance(deid, str | os.PathLike | Mapping | DeidRecipe):
        return [deid]
    return list(deid)


def _texts(one: One) -> list[RecipeText]:
    if isinstance(one, DeidRecipe):
        return one.texts
    if isinstance(one, Mapping):
        return [RecipeText(_IN_MEMORY, as_text(one, _IN_MEMORY))]
    if not isinstance(one, str) or "/" in one or one.endswith(".dicom"):
        return [read_recipe(Path(one))]
    found = shipped_recipe(one)
    if found is None:
        hint = f"A path has a / or ends in .dicom. {nearest(one, shipped_names())}"
        raise RecipeError([Fault(one, None, "No recipe of this name comes with the program.", hint)])
    return [found]
