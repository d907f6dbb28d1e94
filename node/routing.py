"""Who may send, and which route an association takes: pure, apart from reading the recipes.

The first route that matches decides. How AE titles, addresses and names of certificates compare, `node.config.senders`
says.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from node.config.model import Config, Route, is_recipe_path
from node.config.senders import Caller
from node.config.titles import matches
from node.errors import Fault, RecipeError

if TYPE_CHECKING:
    from node.recipe import Functions, Recipe, RecipeText
    from node.vocabulary import Vocabulary


@dataclass(frozen=True, slots=True)
class Rejection:
    """An A-ASSOCIATE-RJ (PS3.8 9.3.4): its three numbers, and a text for the log that holds nothing of the peer's."""

    result: int
    source: int
    reason: int
    text: str


CALLED_NOT_RECOGNIZED = Rejection(1, 1, 7, "no route has this called AE title")
CALLING_NOT_RECOGNIZED = Rejection(1, 1, 3, "no route takes this calling AE title from this address")
ADDRESS_NOT_ALLOWED = Rejection(1, 1, 3, "no route takes anything from this address")
NOT_CERTIFIED = Rejection(1, 1, 3, "no route takes anything from this address without another certificate")


class Router:
    """Decides by called AE title, calling AE title, address, and the names in a client's certificate."""

    def __init__(self, config: Config) -> None:
        self._routes = tuple((route.from_.called_ae or (config.node.ae_title,), route) for route in config.routes)
        patterns = (config.node.ae_title, *(title for titles, _ in self._routes for title in titles))
        self.called_titles: tuple[str, ...] = tuple(dict.fromkeys(patterns))

    def admit(
        self, called: str, calling: str, address: str, verification_only: bool, names: Sequence[str] = ()
    ) -> Rejection | None:
        """Return why an association is rejected, or None where it is welcome.

        One that only verifies (C-ECHO) needs no more than an address, and a certificate, that some route allows.
        `names` are those in the certificate that was verified; none where there was none.
        """
        if verification_only:
            return self._may_verify(Caller.of(calling, address, names))
        if not any(matches(pattern, called) for pattern in self.called_titles):
            return CALLED_NOT_RECOGNIZED
        return CALLING_NOT_RECOGNIZED if self.route(called, calling, address, names) is None else None

    def _may_verify(self, caller: Caller) -> Rejection | None:
        there = [route for _, route in self._routes if route.from_.is_there(caller)]
        if not there:
            return ADDRESS_NOT_ALLOWED
        return None if any(route.from_.is_certified(caller) for route in there) else NOT_CERTIFIED

    def route(self, called: str, calling: str, address: str, names: Sequence[str] = ()) -> Route | None:
        """Return the route that such an association takes, or None."""
        caller = Caller.of(calling, address, names)
        for titles, route in self._routes:
            if any(matches(pattern, called) for pattern in titles) and route.from_.is_meant(caller):
                return route
        return None


def compile_routes(config: Config) -> dict[str, Recipe]:
    """Load the recipes of every route, by route name.

    Raises
    ------
    RecipeError
        With all faults of all routes: in recipes, in the site's functions, in conditions, and variables that a route
        does not set.
    """
    recipes: dict[str, Recipe] = {}
    functions, faults = site_functions(config)
    vocabulary, more = site_vocabulary(config.vocabulary)
    faults += more
    for index, route in enumerate(config.routes):
        try:
            trial = trial_text(config, route.project)
            recipes[route.name] = recipe = load_entries(route.recipe, config.file, functions, vocabulary, trial)
        except RecipeError as error:
            faults += error.faults
        else:
            faults += _unset_variables(recipe, route, index, config)
        faults += _condition_faults(route)
    faults += _two_modes(config, recipes)
    if faults:
        raise RecipeError(list(dict.fromkeys(faults)))
    return recipes


def load_for_route(config: Config, route: Route, entries: Sequence[str]) -> Recipe:
    """Load another recipe than the route's own for what came by it, checked as the route's is.

    Raises RecipeError with all that stands against it.
    """
    functions, faults = site_functions(config)
    vocabulary, more = site_vocabulary(config.vocabulary)
    if faults or more:
        raise RecipeError([*faults, *more])
    recipe = load_entries(entries, config.file, functions, vocabulary, trial_text(config, route.project))
    index = config.routes.index(route)
    others = {one.name: one for one in config.routes if one.project == route.project and one.name != route.name}
    recipes = {name: load_entries(one.recipe, config.file, functions, vocabulary) for name, one in others.items()}
    faults = [*_unset_variables(recipe, route, index, config), *_two_modes(config, recipes | {route.name: recipe})]
    if faults:
        raise RecipeError(faults)
    return recipe


def date_modes(config: Config, recipes: Mapping[str, Recipe]) -> dict[str, str]:
    """Return by project whether its recipes move or keep dates, `moved` or `kept`; not where they do neither."""
    from node.recipe.method import date_mode

    found = {route.project: mode for route in config.routes if (mode := date_mode(recipes[route.name].profile))}
    return dict(found)


def _two_modes(config: Config, recipes: Mapping[str, Recipe]) -> Iterator[Fault]:
    """Find projects in which one route moves dates and another keeps them: together they tell the shift."""
    from node.recipe.method import date_mode

    known: dict[str, str] = {}
    for route in config.routes:
        mode = date_mode(recipes[route.name].profile) if route.name in recipes else ""
        if mode and known.setdefault(route.project, mode) != mode:
            yield Fault(
                str(config.file),
                None,
                f"the project '{route.project}' has a route that moves dates and one that keeps them: together they "
                f"tell by how much.",
                "Give one of them a project of its own.",
                f"routes.{route.name}.recipe",
            )


def site_functions(config: Config) -> tuple[Functions, list[Fault]]:
    """Return the site's functions, and what is wrong with their files; then any name may be one."""
    from node.recipe import Functions, load_functions

    try:
        return load_functions(config.functions), []
    except RecipeError as error:
        return Functions({}, complete=False), error.faults


def site_vocabulary(paths: Sequence[Path]) -> tuple[Vocabulary | None, list[Fault]]:
    """Return the words that cleaned texts keep, the site's own among them, and what is wrong with its files."""
    from node.vocabulary import load_vocabulary

    try:
        return load_vocabulary(paths) if paths else None, []
    except RecipeError as error:
        return None, error.faults


def recipe_faults(recipes: Sequence[tuple[str, ...]], file: Path) -> list[Fault]:
    """Return what is wrong in lists of recipes, where there is no valid configuration to compile.

    The site's functions are not known then, so that no name of a function is wrong.
    """
    from node.recipe import Functions

    faults: list[Fault] = []
    for entries in recipes:
        try:
            load_entries(entries, file, Functions({}, complete=False))
        except RecipeError as error:
            faults += error.faults
    return list(dict.fromkeys(faults))


def trial_text(config: Config, project: str) -> RecipeText | None:
    """Return the lines that write a project's clinical trial; None where it has none."""
    from node.recipe import RecipeText

    trial = config.project(project).trial
    if trial is None:
        return None
    return RecipeText(f"projects.{project}.trial", "\n".join(("FORMAT dicom", "%header", *trial.lines())))


def load_entries(
    entries: Sequence[str],
    file: Path,
    functions: Functions,
    vocabulary: Vocabulary | None = None,
    trial: RecipeText | None = None,
) -> Recipe:
    """Load a recipe from the names of shipped recipes and paths; `file` is where they are written.

    `vocabulary` are the words that cleaned texts keep; None are those that come with the node. The lines of `trial`
    come after all others where the Basic Profile is part of the recipe, and only there.

    Raises RecipeError with every fault of every text.
    """
    from node.recipe import load_recipe

    faults: list[Fault] = []
    texts: list[RecipeText] = []
    for entry in entries:
        try:
            texts.append(_text(entry, file))
        except RecipeError as error:
            faults += error.faults
    if faults:
        raise RecipeError(faults)
    recipe = load_recipe(texts, functions=functions, vocabulary=vocabulary)
    if trial is None or recipe.profile is None or not recipe.profile.basic:
        return recipe
    return load_recipe([*texts, trial], functions=functions, vocabulary=vocabulary)


def _text(entry: str, file: Path) -> RecipeText:
    from node.recipe import read_recipe, shipped_names, shipped_recipe

    if is_recipe_path(entry):
        return read_recipe(Path(entry))
    text = shipped_recipe(entry)
    if text is None:
        hint = f"There are {', '.join(shipped_names())}; a path holds a / or ends in .dicom."
        raise RecipeError([Fault(str(file), None, f"there is no shipped recipe '{entry}'.", hint)])
    return text


def _unset_variables(recipe: Recipe, route: Route, index: int, config: Config) -> list[Fault]:
    key = f"routes.{index}.variables"
    return [
        Fault(str(config.file), None, f"the recipe of the route '{route.name}' needs the variable '{name}'.", "", key)
        for name in sorted(recipe.variables - set(route.variables))
    ]


def _condition_faults(route: Route) -> list[Fault]:
    if not route.exclude:
        return []
    from node.recipe.conditions import compile_conditions

    try:
        compile_conditions(list(route.exclude), f"route {route.name}")
    except RecipeError as error:
        return error.faults
    return []
