"""What a recipe does to a file: one that is held, or one that a user brings.

A file that a user brings is cleaned by a key that everybody knows, never by the node's own: what it becomes would else
tell anybody who can bring a file with a Patient ID whose pseudonym that is. Of what is held no value is shown, neither
before nor after, unless somebody who may see identity asks for it; then the node's own key and maps are used.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from node.config import Config, Route
from node.config.shipped import shipped_recipe_names
from node.errors import CommandFailed
from node.web.commands import Commands, Ended, Given

SAMPLE, DRAFT = "the sample", "the recipe.dicom"
_WRONG = 1


@dataclass(frozen=True, slots=True)
class Look:
    """What a recipe does to a file: `elements` in order (path, name, vr, what, before, after, lines).

    `held` says why and by which line the file would be held, `excluded` which rule does not want it; `pixels` what is
    masked, `leaks` where the result still shows whose it is; `note` what is to be known of all that.
    """

    elements: list[dict[str, Any]]
    held: dict[str, str] | None = None
    excluded: str | None = None
    pixels: list[str] = field(default_factory=list)
    leaks: list[str] = field(default_factory=list)
    note: str = ""


@dataclass(frozen=True, slots=True)
class Pair:
    """One element under two recipes; `None` where one of them leaves no trace of it, `differs` in what goes out."""

    path: str
    left: dict[str, Any] | None
    right: dict[str, Any] | None
    differs: bool


@dataclass(frozen=True, slots=True)
class Beside:
    """A held original under two recipes: what becomes of it as a whole, and where its elements differ.

    `pairs` is None where one of the two has no elements to compare, since the original would be held or excluded.
    """

    left: Look
    right: Look
    pairs: list[Pair] | None


def choices(config: Config) -> dict[str, str]:
    """Return the recipes that can be chosen, by what the form sends: those of routes, then the shipped ones."""
    routes = {f"route:{route.name}": f"of route {route.name}: {_short(route.recipe)}" for route in config.routes}
    return routes | {f"recipe:{name}": name for name in shipped_recipe_names()}


def _short(entries: Sequence[str]) -> str:
    return ", ".join(entry.rpartition("/")[2] for entry in entries)


def look_at_sample(commands: Commands, config: Config, content: bytes, choice: str, draft: str = "") -> Look:
    """Return what a recipe does to the bytes of a file, by a key that everybody knows. Raises CommandFailed.

    `choice` is one of `choices`, or `draft`: then the text of a recipe is in `draft`.
    """
    files = [Given(SAMPLE, content)]
    arguments = ["preview", SAMPLE, "--json", "--all"]
    if choice == "draft":
        files.append(Given(DRAFT, draft.encode()))
        arguments += ["--recipe", DRAFT]
    else:
        arguments += _recipe(config, choice)
    return _look(commands.run(arguments, files))


def _recipe(config: Config, choice: str) -> list[str]:
    kind, _, name = choice.partition(":")
    if choice not in choices(config):
        raise CommandFailed("there is no such recipe here")
    if kind == "recipe":
        return ["--recipe", name]
    route = next(one for one in config.routes if one.name == name)
    named = [argument for entry in route.recipe for argument in ("--recipe", entry)]
    return [*named, *_as_route(route)]


def _as_route(route: Route) -> list[str]:
    """The rules of a route beside its recipe, but for its project, which would mean the node's own key."""
    variables = [argument for name, value in route.variables.items() for argument in ("--var", f"{name}={value}")]
    rules = ["--gate", route.gate, "--unknown-sop-class", route.unknown_sop_class, "--documents", route.documents]
    return [*variables, *rules, *(["--pixel-risk", route.pixel_risk] if route.pixel_risk else [])]


def look_at_held(
    commands: Commands, config: Config, held: Mapping[str, Any], path: str, choice: str, *, values: bool
) -> Look:
    """Return what a recipe does to the original of `held` (as `held_detail` tells it) at `path`. Raises CommandFailed.

    With `values` they are shown, in the clear: for whoever may see identity, and after that was written down.
    """
    return _look(commands.run(["preview", path, "--json", "--all", *_asked_of_held(config, held, choice, values)]))


def look_beside(  # noqa: PLR0913 -- what is looked at, and how
    commands: Commands,
    config: Config,
    held: Mapping[str, Any],
    path: str,
    choice: str,
    against: str,
    *,
    values: bool,
) -> Beside:
    """Return what two recipes do to an original, as `look_at_held` does for one. Raises CommandFailed.

    Where values are not shown, values that differ still count as different.
    """
    asked = _asked_of_held(config, held, choice, values)
    beside = [argument for entry in _entries(config, against) for argument in ("--against", entry)]
    found = _json(commands.run(["preview", path, "--json", *asked, *beside]))
    left, right = (Look([], **found[side]) for side in ("recipe", "against"))
    whole = not (left.held or left.excluded or right.held or right.excluded)
    rows = ((one["recipe"], one["against"]) for one in found["differences"])
    pairs = [Pair((one or other)["path"], one, other, differs=True) for one, other in rows]
    return Beside(left, right, pairs if whole else None)


def _asked_of_held(config: Config, held: Mapping[str, Any], choice: str, values: bool) -> list[str]:
    """Another recipe, or its own, under the project and rules of the instance's own route."""
    route = next((one for one in config.routes if one.name == held["route"]), None)
    if route is None:
        raise CommandFailed(f"the configuration no longer has the route {held['route']}")
    entries = () if choice in ("", f"route:{route.name}") else _entries(config, choice)
    recipes = [argument for entry in entries for argument in ("--recipe", entry)]
    return ["--route", route.name, *recipes, *([] if values else ["--mask"])]


def _entries(config: Config, choice: str) -> Sequence[str]:
    kind, _, name = choice.partition(":")
    if choice not in choices(config):
        raise CommandFailed("there is no such recipe here")
    return (name,) if kind == "recipe" else next(one.recipe for one in config.routes if one.name == name)


def _json(ended: Ended) -> Any:
    if ended.code not in (0, _WRONG):
        raise CommandFailed(ended.messages or "the file took more memory or time than it may have")
    return ended.json()


def _look(ended: Ended) -> Look:
    found = _json(ended)
    return Look(
        found["elements"], found["held"], found["excluded"], found["pixels"], found["leaks"], str(found["note"] or "")
    )


def side_by_side(left: Look, right: Look) -> list[Pair]:
    """Return every element under two recipes, in the order of tag paths."""
    one, other = ({row["path"]: row for row in look.elements} for look in (left, right))
    return [
        Pair(path, one.get(path), other.get(path), _after(one.get(path)) != _after(other.get(path)))
        for path in sorted({*one, *other})
    ]


def _after(row: dict[str, Any] | None) -> Any:
    return None if row is None else (row["after"], row["what"] == "removed")
