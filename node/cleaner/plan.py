"""What the routes ask of a cleaner, ready to be applied; made once, at the start of the process."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from node.cleaner.kept import KeptRecipes
from node.config import Config
from node.instances import Scope, make_scope
from node.ledger.commissioning import Rule, rule_of
from node.objects import Policy
from node.recipe import Conditions, Recipe, compile_conditions


@dataclass(frozen=True, slots=True)
class Plan:
    """One route: its recipe, its destinations, and whom it replaces.

    `kept` are the recipes that it had, where a study is finished under the one that it began with. `same` and `header`
    are what happens to an instance that came before (`node.config.model.Duplicates`). `viewed` says which studies wait
    until a person has looked at them; None for none. `review` collects the texts that are kept.
    """

    route: str
    recipe: Recipe
    destinations: tuple[str, ...]
    variables: Mapping[str, str]
    exclude: Conditions | None
    scope: Scope
    gate: str
    policy: Policy
    kept: KeptRecipes | None = None
    same: str = "once"
    header: str = "hold"
    viewed: Rule | None = None
    review: bool = False


def make_plans(config: Config, recipes: Mapping[str, Recipe], secret: bytes) -> dict[str, Plan]:
    """Return the plan of every route by its name; the recipes are kept. Raises SpoolError."""
    kept = {name: KeptRecipes(config.node.data / "recipes" / name, recipe) for name, recipe in recipes.items()}
    for one in kept.values():
        one.keep()
    return {
        route.name: Plan(
            route=route.name,
            recipe=recipes[route.name],
            destinations=tuple(route.to),
            variables=dict(route.variables),
            exclude=compile_conditions(list(route.exclude), f"route {route.name}") if route.exclude else None,
            scope=make_scope(config, route.project, route, secret),
            gate=route.gate,
            policy=Policy(route.unknown_sop_class, route.documents, route.pixel_risk),
            kept=kept[route.name] if route.recipe_change == "next-study" else None,
            same=config.duplicates.same,
            header=config.duplicates.header,
            viewed=rule_of(route),
            review=config.project(route.project).review,
        )
        for route in config.routes
    }
