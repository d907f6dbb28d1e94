"""How files are cleaned: which recipe, whose secret, which project; shared by the commands for files.

Guarantees that a secret is never made here, and that the node's own is used only together with its maps, which are
read and never written. A recipe that calls no keyed function needs neither.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from node.cli.common import chosen_config, named_config
from node.errors import NodeError, StartError

if TYPE_CHECKING:
    from node.config import Config, Project, Route
    from node.errors import Fault
    from node.files import Settings
    from node.instances import Maps, Scope
    from node.ledger.database import Database
    from node.objects import Policy
    from node.recipe import Functions, Recipe

EXAMPLE = "example"
_EXAMPLE_SECRET = b"deid-node preview without secret"
_Command = TypeVar("_Command", bound=Callable[..., Any])
_WHAT_TO_DO = (
    "Name the node's configuration with --config, and --route NAME or --project NAME; or a secret with --secret FILE "
    "and --project NAME (docs/files.md says how to make one)."
)


@dataclass(slots=True)
class Asked:
    """What the command line says."""

    recipes: tuple[str, ...] = ()
    route: str | None = None
    project: str | None = None
    secret: Path | None = None
    variables: tuple[str, ...] = ()
    gate: str | None = None
    vocabulary: tuple[Path, ...] = ()
    unknown_sop_class: str | None = None
    documents: str | None = None
    pixel_risk: str | None = None
    example: bool = False  # whether the key that everyone knows had to do
    _databases: list[Database] = field(default_factory=list, init=False)

    def remember(self, database: Database) -> None:
        """Close a database in the end."""
        self._databases.append(database)

    def close(self) -> None:
        """Close what was opened in this process."""
        for database in self._databases:
            database.close()


def settings_options(command: _Command) -> _Command:
    """Add the options that say how files are cleaned."""
    options = (
        click.option("--recipe", "recipes", metavar="RECIPE", multiple=True, help="A shipped recipe or a path."),
        click.option("--route", metavar="NAME", help="Recipe, project, variables, … of a route of the configuration."),
        click.option("--project", metavar="NAME", help="The scope of pseudonyms, UIDs and date shifts."),
        click.option("--secret", metavar="FILE", type=click.Path(path_type=Path), help="In place of the node's own."),
        click.option("--var", "variables", metavar="NAME=VALUE", multiple=True, help="For `var:NAME`; repeatable."),
        click.option(
            "--gate",
            type=click.Choice(["hold", "scrub", "report"]),
            help="What shows identity is held, taken out of texts, or reported; by default as the route, else held.",
        ),
        click.option(
            "--vocabulary",
            metavar="FILE",
            multiple=True,
            type=click.Path(path_type=Path),
            help="Words that cleaned texts keep, besides those of the node and of the configuration; repeatable.",
        ),
        click.option(
            "--unknown-sop-class",
            type=click.Choice(["hold", "pass", "exclude"]),
            help="Objects of classes that the standard does not have; by default as the route, else held.",
        ),
        click.option(
            "--documents",
            type=click.Choice(["hold", "pass", "stub", "exclude"]),
            help="Encapsulated documents and voices; by default as the route, else held.",
        ),
        click.option(
            "--pixel-risk",
            type=click.Choice(["hold", "pass"]),
            help="Images that may show who the patient is; by default as the route, else held with a profile.",
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


@contextlib.contextmanager
def settled(asked: Asked, *, example: bool = False) -> Iterator[Settings]:
    """Find out what the command line means.

    `example` allows a keyed recipe without a secret: results are then made with a key that everyone knows.

    Raises
    ------
    click.UsageError
        It is contradictory, or says too little.
    FaultsError, StartError, NotReachable, NodeError
        Configuration, recipe, secret or ledger cannot be used.
    """
    try:
        yield _settled(asked, example)
    finally:
        asked.close()


def loaded_recipe(recipes: tuple[str, ...]) -> Recipe:
    """Load recipes with the functions of the configuration, where there is one. Raises FaultsError."""
    return _recipe(recipes, _config_of(None))


def told_about(
    recipes: tuple[str, ...], route: str | None, project: str | None
) -> tuple[tuple[str, ...], Recipe, tuple[str, Project] | None, Route | None]:
    """Return which recipes are meant, by name or by a route, loaded; the project and the route, where one is named.

    Raises FaultsError, and click.UsageError where the command line says too little.
    """
    config = _config_of(route)
    found = _route(config, route)
    entries = recipes or (found.recipe if found else ())
    if not entries:
        raise click.UsageError("name a recipe: --recipe RECIPE, or --route NAME.")
    name = project or (found.project if found else None)
    if name is not None and config is None:
        raise click.UsageError("--project is one of a configuration: name that with --config.")
    rules = (name, config.project(name)) if name is not None and config is not None else None
    return entries, _recipe(entries, config, project=name or ""), rules, found


def _settled(asked: Asked, example: bool) -> Settings:
    from node.files import Settings
    from node.instances import NoMaps

    if asked.secret is not None and (asked.route is not None or named_config() is not None):
        raise click.UsageError("--config and --route use the node's own secret; --secret stands in its place.")
    if asked.route is not None and asked.project is not None:
        raise click.UsageError("a route has its project: name one of --route and --project.")
    config = None if asked.secret is not None else _config_of(asked.route)
    route = _route(config, asked.route)
    if not asked.recipes and route is None:
        raise click.UsageError("name a recipe: --recipe RECIPE.")
    project = asked.project or (route.project if route else "")
    recipe = _recipe(asked.recipes or (route.recipe if route else ()), config, asked.vocabulary, project)
    variables = _variables(asked, recipe, route)
    scope, make_maps = _identity(asked, recipe, config, route, example)
    return Settings(
        recipe=recipe,
        variables=variables,
        scope=scope,
        exclude=_exclude(route),
        make_maps=make_maps or NoMaps,
        gate=asked.gate or (route.gate if route else "hold"),
        policy=_policy(asked, route),
    )


def _policy(asked: Asked, route: Route | None) -> Policy:
    from node.objects import Policy

    return Policy(
        asked.unknown_sop_class or (route.unknown_sop_class if route else "hold"),
        asked.documents or (route.documents if route else "hold"),
        asked.pixel_risk or (route.pixel_risk if route else None),
    )


def _config_of(route: str | None) -> Config | None:
    """Load the configuration that was named, or `./config.yaml` where there is one."""
    from node.config import load_config

    path = chosen_config()
    if path is None:
        if route is not None:
            raise click.UsageError("--route names a route of a configuration: name that with --config.")
        return None
    return load_config(path)


def _route(config: Config | None, name: str | None) -> Route | None:
    if name is None or config is None:
        return None
    found = {route.name: route for route in config.routes}
    if name not in found:
        raise click.UsageError(f"the configuration has no route '{name}'; there are {', '.join(found)}.")
    return found[name]


def _recipe(
    entries: tuple[str, ...], config: Config | None, vocabulary: tuple[Path, ...] = (), project: str = ""
) -> Recipe:
    from node.errors import RecipeError
    from node.recipe import load_functions
    from node.routing import load_entries, site_functions, site_vocabulary, trial_text

    functions: Functions = load_functions(())
    faults: list[Fault] = []
    if config is not None:
        functions, faults = site_functions(config)
    words, more = site_vocabulary((*(config.vocabulary if config is not None else ()), *vocabulary))
    if faults or more:
        raise RecipeError([*faults, *more])
    trial = trial_text(config, project) if config is not None and project else None
    return load_entries(entries, Path("--recipe"), functions, words, trial)


def _variables(asked: Asked, recipe: Recipe, route: Route | None) -> dict[str, str]:
    variables = dict(route.variables) if route else {}
    for pair in asked.variables:
        name, equals, value = pair.partition("=")
        if not (name and equals):
            raise click.UsageError("--var takes NAME=VALUE.")
        variables[name] = value
    missing = sorted(recipe.variables - set(variables))
    if missing:
        raise click.UsageError(f"the recipe needs --var {missing[0]}=VALUE.")
    return variables


def _exclude(route: Route | None) -> Any:
    from node.recipe import compile_conditions

    return compile_conditions(list(route.exclude), f"route {route.name}") if route and route.exclude else None


def _identity(
    asked: Asked, recipe: Recipe, config: Config | None, route: Route | None, example: bool
) -> tuple[Scope | None, Callable[[], Maps] | None]:
    """Return for whom files are replaced, and what opens the maps of the ledger where there is one."""
    from node.identity import ProjectKeys
    from node.instances import Scope, make_scope
    from node.recipe.method import date_mode

    project = asked.project or (route.project if route else "")
    rule = recipe.keyed
    needs_mapping = route is not None and route.mapping == "required"
    if rule is None and not needs_mapping:
        return None, None
    if asked.secret is not None:
        if not project:
            raise click.UsageError("--secret needs --project NAME: every project has pseudonyms of its own.")
        return Scope(project, ProjectKeys(_load(asked.secret), project), needs_mapping=needs_mapping), None
    if config is not None and project:
        secret = _load(config.node.secret_file)
        return make_scope(config, project, route, secret), _maps(
            asked, config, project, secret, date_mode(recipe.profile)
        )
    if example:
        asked.example = True
        project = project or EXAMPLE
        return Scope(project, ProjectKeys(_EXAMPLE_SECRET, project)), None
    where = "the route demands a mapping" if rule is None else rule.where
    raise click.UsageError(f"the recipe calls a function that needs a secret and a project ({where}). {_WHAT_TO_DO}")


def _load(path: Path) -> bytes:
    from node.identity import load_secret

    try:
        return load_secret(path)
    except StartError as error:
        # Nothing is started here: it is wrong, no more.
        raise NodeError(str(error)) from None


def _maps(asked: Asked, config: Config, project: str, secret: bytes, mode: str) -> Callable[[], Maps] | None:
    """Return what opens the maps of the node's ledger in the process that asks; None where there is no ledger yet."""
    from node.config import columns_of
    from node.identity import fingerprint
    from node.ledger.database import Database
    from node.ledger.maps import LedgerMaps
    from node.ledger.projects import refuse_changed_project
    from node.opening import FINGERPRINT

    url = config.node.ledger
    database = Database(url, columns_of(config))
    try:
        if not database.exists():
            return None
        database.require()
        if database.get(FINGERPRINT) not in (None, fingerprint(secret)):
            raise NodeError(
                f"the secret {config.node.secret_file} is not the one that the ledger {database.path} was made with."
            )
        refuse_changed_project(database, config, project, mode)
    finally:
        database.close()

    def opened() -> Maps:
        own = Database(url, columns_of(config))
        asked.remember(own)
        return LedgerMaps(own)

    return opened
