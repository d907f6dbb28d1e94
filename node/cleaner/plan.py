"""What the routes ask of a cleaner, ready to be applied; made once, at the start of the process."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from node.cleaner.kept import KeptRecipes
from node.config import Config, Route
from node.config.canary import PREFIX as CANARYS
from node.instances import Scope, make_scope
from node.ledger.commissioning import Rule, rule_of
from node.objects import Policy
from node.recipe import Conditions, Recipe, compile_conditions


@dataclass(frozen=True, slots=True)
class Plan:
    """One route: its recipe, its destinations, and whom it replaces.

    `recipes` are those that it had, and `kept` the same where a study is finished under the one that it began with;
    `alone` says that `recipe` was chosen for one instance. `same` and `header` are what happens to an instance that
    came before (`node.config.model.Duplicates`). `viewed` says which studies wait until a person has looked at them;
    None for none. `review` collects the texts that are kept. `follows` keeps what the completeness of studies needs,
    and `receipts` what receipts need beside it.
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
    recipes: KeptRecipes | None = None
    alone: bool = False
    same: str = "once"
    header: str = "hold"
    viewed: Rule | None = None
    review: bool = False
    follows: bool = False
    receipts: bool = False


def make_plans(config: Config, recipes: Mapping[str, Recipe], secret: bytes) -> dict[str, Plan]:
    """Return the plan of every route by its name; the recipes are kept. Raises SpoolError."""
    plans = {route.name: make_plan(config, route, recipes[route.name], secret) for route in config.routes}
    for name, recipe in recipes.items():
        kept_recipes(config, name, recipe).keep()
    return plans


def make_plan(config: Config, route: Route, recipe: Recipe, secret: bytes) -> Plan:
    """Return the plan of a route; nothing is written. Raises StartError where the project's key cannot be read."""
    kept = kept_recipes(config, route.name, recipe)
    followed = config.completeness if _is_followed(route) else None
    return Plan(
        route=route.name,
        recipe=recipe,
        destinations=tuple(route.to),
        variables=dict(route.variables),
        exclude=compile_conditions(list(route.exclude), f"route {route.name}") if route.exclude else None,
        scope=make_scope(config, route.project, route, secret),
        gate=route.gate,
        policy=Policy(route.unknown_sop_class, route.documents, route.pixel_risk),
        kept=kept if route.recipe_change == "next-study" else None,
        recipes=kept,
        same=config.duplicates.same,
        header=config.duplicates.header,
        viewed=rule_of(route),
        review=config.project(route.project).review,
        follows=followed is not None,
        receipts=followed is not None and followed.receipts,
    )


def _is_followed(route: Route) -> bool:
    return not route.name.startswith(CANARYS)


def kept_recipes(config: Config, route: str, now: Recipe) -> KeptRecipes:
    """Return the recipes that a route has had; `now` is its recipe."""
    return KeptRecipes(config.node.data / "recipes" / route, now)
