"""Everything that is wrong in what a person wrote: the configuration, the recipes and certificates that it names."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from node.config import certificate_faults, existing_recipes, load_config
from node.errors import ConfigError, Fault, RecipeError
from node.routing import compile_routes, recipe_faults

if TYPE_CHECKING:
    from node.config import Config
    from node.recipe import Recipe


def load_all(path: Path) -> tuple[Config | None, list[Fault]]:
    """Load the configuration and its recipes; return the configuration (None where it has faults) and all faults.

    The recipes are looked at even where the configuration is wrong, so that one run names everything.
    """
    config, _, faults = load_with_recipes(path)
    return config, faults


def load_with_recipes(path: Path, base: Path | None = None) -> tuple[Config | None, dict[str, Recipe], list[Fault]]:
    """Do as `load_all`, and return the compiled recipes by route too; none where there are faults of them.

    Relative paths count from `base`, by default the file's folder.
    """
    try:
        config = load_config(path, base=base)
    except ConfigError as error:
        return None, {}, [*error.faults, *recipe_faults(existing_recipes(path), path)]
    faults = certificate_faults(config)
    recipes: dict[str, Recipe] = {}
    try:
        recipes = compile_routes(config)
    except RecipeError as error:
        faults += error.faults
    return config, recipes, faults
