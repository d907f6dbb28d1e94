"""A held instance under another recipe: what that would do, and cleaning it again with it.

Guarantees
    The recipe is checked as the route's own is, and kept under its hash before the instance is released with it. It is
    used for that instance alone: its study goes on under its own. Gate, policies and all else stay the route's; nothing
    that the gate holds gets out by it.

Refuses
    (NodeError) an instance whose route or original is gone; (FaultsError) a recipe that the route could not have.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from sqlalchemy import select

from node.audit import kinds
from node.cleaner.plan import kept_recipes
from node.config import Config, Route
from node.errors import HoldReason, NodeError
from node.ledger import Ledger
from node.ledger.database import Database
from node.ledger.letting_go import clean_again
from node.ledger.projects import refuse_changed_project
from node.ledger.schema import instances
from node.recipe import Recipe
from node.recipe.method import date_mode
from node.routing import load_for_route
from node.story.past import Past
from node.story.views import View, look

_NOT_BY_A_RECIPE = (HoldReason.FILE_MISSING, HoldReason.PATIENT_CORRECTED, HoldReason.REJECTION_NOTE)


@dataclass(frozen=True, slots=True)
class Looked:
    """What the recipe of now does to an instance, and another one where one was named; `gate` is the route's."""

    now: View
    other: View | None
    gate: str


def look_at(config: Config, database: Database, instance_id: str, entries: Sequence[str] = ()) -> Looked | None:
    """Return what becomes of an instance whose original is in the spool, with values; None where there is no such id.

    Raises NodeError, FaultsError.
    """
    past, found = Past(config, database), _route_of(database, instance_id)
    if found is None:
        return None
    plan = past.plan(found)
    if plan is None:
        raise NodeError(f"the configuration has no route {found} any more.")
    original = past.original(instance_id)
    if original is None:
        raise NodeError(f"the original of {instance_id} is not in the spool any more.")
    views = [look(past.settings(plan), original, lambda: config.node.sealing)]
    if entries:
        recipe = _checked(config, database, found, entries)
        views.append(look(past.settings(replace(plan, recipe=recipe)), original, lambda: config.node.sealing))
    return Looked(views[0], views[1] if entries else None, plan.gate)


@dataclass
class Recleaner:
    """Lets held instances be cleaned again with another recipe, which is checked once for each route."""

    config: Config
    ledger: Ledger
    entries: Sequence[str]
    _recipes: dict[str, Recipe] = field(default_factory=dict)

    def release(self, instance_id: str) -> bool:
        """Release an instance with the recipe; False where none of that id is held for cleaning.

        Raises NodeError, FaultsError, SpoolError; then nothing was changed.
        """
        name = _route_of(self.ledger.database, instance_id)
        return name is not None and _release(self.ledger, instance_id, self._recipe(name))

    def _recipe(self, route: str) -> Recipe:
        if route not in self._recipes:
            recipe = _checked(self.config, self.ledger.database, route, self.entries)
            kept_recipes(self.config, route, recipe).keep()
            self._recipes[route] = recipe
        return self._recipes[route]


def _release(ledger: Ledger, instance_id: str, recipe: Recipe) -> bool:
    with ledger.database.write(durable=True) as connection:
        released = clean_again(
            connection,
            instance_id,
            instances.c.reason.not_in([str(reason) for reason in _NOT_BY_A_RECIPE]),
            detail=f"released with the recipe {recipe.hash[:12]}",
            asked_recipe=recipe.hash,
        )
        if released and ledger.trail is not None:
            text = f"released with the recipe {recipe.hash}"
            ledger.trail.append(connection, kinds.restricted(ledger.trail.source, ledger.trail.by, text, instance_id))
    return released > 0


def _route_of(database: Database, instance_id: str) -> str | None:
    with database.read() as connection:
        found: str | None = connection.execute(select(instances.c.route).where(instances.c.id == instance_id)).scalar()
    return found


def _checked(config: Config, database: Database, name: str, entries: Sequence[str]) -> Recipe:
    """Load a recipe for what came by a route. Raises NodeError, FaultsError."""
    route: Route | None = next((route for route in config.routes if route.name == name), None)
    if route is None:
        raise NodeError(f"the configuration has no route {name} any more.")
    recipe = load_for_route(config, route, entries)
    refuse_changed_project(database, config, route.project, date_mode(recipe.profile))
    return recipe
