"""The routes of a configuration, with the recipes that they have and had, ready to be looked at or applied once more.

Guarantees that nothing is written, and that a recipe of then is the one of its hash, or none (HoldInstance).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path

from node.cleaner.plan import Plan, make_plan
from node.config import Config, Route
from node.errors import NodeError, StartError
from node.files import Settings
from node.identity import fingerprint, load_secret
from node.instances import Scope, make_scope
from node.ledger.database import Database
from node.ledger.maps import LedgerMaps
from node.opening import FINGERPRINT
from node.recipe import Recipe
from node.routing import compile_routes
from node.spool import Spool


@dataclass
class Past:
    """What a configuration's routes do and did. Made for one answer: what changes later is not seen."""

    config: Config
    database: Database
    _plans: dict[str, Plan] = field(default_factory=dict)

    @cached_property
    def secret(self) -> bytes:
        """The node's secret. Raises NodeError where it cannot be read, or is not the one of the ledger."""
        try:
            secret = load_secret(self.config.node.secret_file)
        except StartError as error:
            raise NodeError(str(error)) from None
        if self.database.get(FINGERPRINT) not in (None, fingerprint(secret)):
            path = self.config.node.secret_file
            raise NodeError(f"the secret {path} is not the one that the ledger {self.database.path} was made with.")
        return secret

    @cached_property
    def recipes(self) -> dict[str, Recipe]:
        """The recipes of now, by route. Raises RecipeError."""
        return compile_routes(self.config)

    @cached_property
    def spool(self) -> Spool:
        """The spool, for its files; nothing is checked or made."""
        return Spool(self.config.node.spool, sealing=self.config.node.sealing)

    def route(self, name: str) -> Route | None:
        """Return a route of the configuration, None where it has none of the name."""
        return next((route for route in self.config.routes if route.name == name), None)

    def plan(self, name: str) -> Plan | None:
        """Return a route with its recipe of now, None where the configuration has none of the name.

        Raises RecipeError, NodeError.
        """
        route = self.route(name)
        if route is not None and name not in self._plans:
            self._plans[name] = make_plan(self.config, route, self.recipes[name], self.secret)
        return self._plans.get(name)

    def plan_of_then(self, name: str, recipe_hash: str) -> Plan | None:
        """Return a route with the recipe of a hash. Raises HoldInstance where that cannot be had, RecipeError."""
        plan = self.plan(name)
        if plan is None or plan.recipes is None:
            return None
        return replace(plan, recipe=plan.recipes.past(recipe_hash))

    def scope(self, project: str) -> Scope | None:
        """Return the keys of a project and who its patients are; None where they cannot be had."""
        route = next((route for route in self.config.routes if route.project == project), None)
        try:
            return make_scope(self.config, project, route, self.secret)
        except (NodeError, ValueError):
            return None

    def issuers(self, project: str) -> list[str]:
        """Return the issuers that the routes of a project have for Patient IDs without one; the first is empty."""
        return list(dict.fromkeys(["", *(route.issuer for route in self.config.routes if route.project == project)]))

    def original(self, name: str) -> Path | None:
        """Return where the original of an instance is; None where it is gone."""
        places = self.spool.original(name), self.spool.retained_file(name)
        return next((path for path in places if path.exists()), None)

    def settings(self, plan: Plan) -> Settings:
        """Return how a file is cleaned as an instance of the route is."""
        maps: Callable[[], LedgerMaps] = partial(LedgerMaps, self.database)
        return Settings(plan.recipe, plan.variables, plan.scope, plan.exclude, maps, plan.gate, plan.policy)
