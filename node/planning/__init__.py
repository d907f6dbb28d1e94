"""What a new configuration, or another recipe, would change against what the node runs with; nothing is changed by it.

senders     who reaches which route
recipes     which lines of a recipe came and went
samples     how stored originals would come out
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sqlalchemy import func, select

from node import in_use
from node.config import Config, Route, columns_of, load_config
from node.errors import ConfigError, Fault, NodeError, RecipeError, StartError
from node.files import Settings
from node.fixed import needs_restart
from node.identity import load_secret
from node.instances import make_scope
from node.ledger.database import Database
from node.ledger.maps import LedgerMaps
from node.ledger.projects import refuse_changed
from node.ledger.schema import instances
from node.ledger.times import iso
from node.objects import Policy
from node.planning.recipes import changed_lines, recipe_in_use
from node.planning.samples import compare, stored
from node.planning.senders import changed_senders, transitions
from node.recipe import Recipe, compile_conditions
from node.routing import compile_routes, date_modes
from node.spool import Spool

_SEEN = 100_000  # the newest instances, whose senders are asked about
_NOT_CLEANING = frozenset({"name", "from", "to", "recipe", "recipe_change"})
_NO_KEYS = frozenset({"routes", "file", "warnings"})


def make_plan(config_path: Path, new: Config, recipes: Mapping[str, Recipe], most: int) -> dict[str, Any]:
    """Compare a configuration, and its routes' recipes, with what the node runs with.

    Parameters
    ----------
    config_path
        The node's configuration, which counts where no node has noted what it runs with.
    new, recipes
        What would be taken.
    most
        How many stored originals of each route are cleaned in both ways, at most.

    Returns
    -------
    dict
        `against` (`running` or `file`), `since`, `changes` (bool), `faults`, `restart`, `keys`, `routes`, `senders`,
        `all_asked`, `recent_senders`, `recipes`, `certificates`; `docs/operation.md` explains them.

    Raises
    ------
    ConfigError, RecipeError
        What the node runs with cannot be read here.
    """
    used = in_use.read(new.node.data)
    old = load_config(config_path) if used is None else load_config(used.file, text=used.text)
    database = Database(new.node.ledger, columns_of(new))
    try:
        there = database.exists()
        if there:
            database.require()
        senders, all_asked = transitions(old, new)
        before = used.recipes if used is not None else {}
        found: dict[str, Any] = {
            "against": "file" if used is None else "running",
            "since": None if used is None else iso(used.at),
            "faults": [*map(str, _faults(database, new, recipes))] if there else [],
            "restart": needs_restart(old, new),
            "keys": _changed_keys(old, new),
            "routes": _routes(old, new),
            "senders": senders,
            "all_asked": all_asked,
            "recent_senders": list(changed_senders(_recent(database), new)) if there else [],
            "recipes": _Recipes(old, new, recipes, before, database if there else None, most).all(),
            "certificates": [
                {"used_by": what, "file": str(file)} for what, file in in_use.changed_certificates(used, new)
            ],
        }
    finally:
        database.close()
    routes = found["routes"]
    found["changes"] = any(
        [
            *(found[key] for key in ("keys", "senders", "recipes", "restart", "faults", "certificates")),
            *routes.values(),
        ]
    )
    return found


def _faults(database: Database, new: Config, recipes: Mapping[str, Recipe]) -> list[Fault]:
    """Return what a reload would refuse it for, besides what is wrong in itself."""
    try:
        refuse_changed(database, new, date_modes(new, dict(recipes)))
    except ConfigError as error:
        return error.faults
    return []


def _changed_keys(old: Config, new: Config) -> list[str]:
    """Return the keys, routes apart, that have another value: never the values, some of which are keys themselves."""
    # pydantic warns of values that its serializers meet as they already came out of one: sizes, with their validators.
    one, other = (_flat(config.model_dump(exclude=set(_NO_KEYS), warnings=False)) for config in (old, new))
    return [key for key in dict.fromkeys([*one, *other]) if one.get(key) != other.get(key)]


def _flat(section: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in section.items():
        if isinstance(value, dict) and value:
            found |= _flat(value, f"{prefix}{key}.")
        else:
            found[f"{prefix}{key}"] = value
    return found


def _routes(old: Config, new: Config) -> dict[str, Any]:
    before, after = ({route.name: route for route in config.routes} for config in (old, new))
    common = [name for name in after if name in before]
    changed = [{"route": name, "keys": _route_keys(before[name], after[name])} for name in common]
    return {
        "new": [name for name in after if name not in before],
        "gone": [name for name in before if name not in after],
        "changed": [one for one in changed if one["keys"]],
        "moved": common if common != [name for name in before if name in after] else [],
    }


def _route_keys(one: Route, other: Route) -> list[str]:
    left, right = (_flat(route.model_dump(by_alias=True)) for route in (one, other))
    return [key for key in dict.fromkeys([*left, *right]) if left.get(key) != right.get(key)]


def _recent(database: Database) -> list[tuple[str, str, str, str, int]]:
    with database.read() as connection:
        last = connection.execute(select(func.max(instances.c.seq))).scalar() or 0
        who = (instances.c.calling_ae_title, instances.c.called_ae_title, instances.c.address, instances.c.route)
        query = select(*who, func.count()).where(instances.c.seq > last - _SEEN).group_by(*who)
        return [tuple(row) for row in connection.execute(query)]


class _Recipes:
    """What becomes of the recipes of routes that both configurations have."""

    def __init__(
        self,
        old: Config,
        new: Config,
        recipes: Mapping[str, Recipe],
        hashes: Mapping[str, str],
        database: Database | None,
        most: int,
    ) -> None:
        self._old, self._new, self._recipes, self._hashes = old, new, recipes, hashes
        self._database, self._most = database, most
        self._compiled: dict[str, Recipe] | None = None

    def all(self) -> list[dict[str, Any]]:
        before = {route.name: route for route in self._old.routes}
        found = (self._one(before[route.name], route) for route in self._new.routes if route.name in before)
        return [one for one in found if one is not None]

    def _one(self, old: Route, new: Route) -> dict[str, Any] | None:
        now = self._recipes[new.name]
        was = self._recipe_of(old, now)
        wanted = self._hashes.get(old.name) or (was.hash if was is not None else "")
        cleaning = [key for key in _route_keys(old, new) if key.partition(".")[0] not in _NOT_CLEANING]
        if wanted == now.hash and not cleaning:
            return None
        told: dict[str, Any] = {"route": new.name, "before": wanted[:12], "after": now.hash[:12], "keys": cleaning}
        if was is None:
            return told | {"lines": None, "samples": None, "why": "the recipe in use cannot be made again here"}
        told["lines"] = changed_lines(was, now)
        if self._database is None or not self._most:
            return told | {"samples": None, "why": "no originals are stored" if self._database is None else ""}
        try:
            return told | {"samples": self._samples(self._database, (old, was), (new, now))}
        except StartError as error:
            return told | {"samples": None, "why": str(error)}

    def _recipe_of(self, route: Route, now: Recipe) -> Recipe | None:
        if route.name in self._hashes:
            wanted = self._hashes[route.name]
            return now if wanted == now.hash else recipe_in_use(self._old, route.name, wanted, now)
        if self._compiled is None:
            try:
                self._compiled = compile_routes(self._old)
            except RecipeError:
                self._compiled = {}
        return self._compiled.get(route.name)

    def _samples(self, database: Database, old: tuple[Route, Recipe], new: tuple[Route, Recipe]) -> dict[str, Any]:
        spool = Spool(self._new.node.spool, sealing=self._new.node.sealing)
        names = stored(database, spool, new[0].name, self._most)
        before = _settings(self._old, *old, database)
        return compare(spool, names, before, _settings(self._new, *new, database)).told()


def _settings(config: Config, route: Route, recipe: Recipe, database: Database) -> Settings:
    """Return how a route cleans. Raises StartError where the secret, or the project's key, cannot be read."""
    secret = load_secret(config.node.secret_file)
    return Settings(
        recipe=recipe,
        variables=dict(route.variables),
        scope=make_scope(config, route.project, route, secret),
        exclude=compile_conditions(list(route.exclude), f"route {route.name}") if route.exclude else None,
        make_maps=lambda: LedgerMaps(database),
        gate=route.gate,
        policy=Policy(route.unknown_sop_class, route.documents, route.pixel_risk),
    )


def with_other_recipes(config: Config, replaced: Mapping[str, str]) -> tuple[Config, dict[str, Recipe]]:
    """Return a configuration with other recipes in the place of some, and its recipes.

    `replaced` are entries of routes' `recipe` as they stand in the configuration (a shipped name, or a path, absolute),
    with what comes in their place.

    Raises
    ------
    NodeError
        No route has such an entry.
    RecipeError
        What comes in their place has faults.
    """
    named = {entry for route in config.routes for entry in route.recipe}
    for entry in replaced:
        if entry not in named:
            raise NodeError(f"no route has the recipe '{entry}'; there are {', '.join(sorted(named))}")
    routes = tuple(
        route.model_copy(update={"recipe": tuple(replaced.get(entry, entry) for entry in route.recipe)})
        for route in config.routes
    )
    config = config.model_copy(update={"routes": routes})
    return config, compile_routes(config)
