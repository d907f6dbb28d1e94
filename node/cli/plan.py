"""`plan`: what a changed configuration or recipe would do, before the node takes it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click

from node.cli.common import WRONG, config_option, config_path, print_json


@click.command()
@click.option(
    "--new",
    "candidate",
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False),
    help="A configuration in the place of the one in use; relative paths in it count from that one's folder.",
)
@click.option(
    "--recipe", "recipes", metavar="OLD=NEW", multiple=True, help="Another recipe in the place of one; repeatable."
)
@click.option(
    "--samples", type=click.IntRange(0, 10_000), default=20, show_default=True, help="Originals of each route."
)
@click.option("--json", "as_json", is_flag=True, help="For machines.")
@config_option
def plan(candidate: Path | None, recipes: tuple[str, ...], samples: int, as_json: bool) -> int:
    """Show which routes and results a changed configuration or recipe would change; nothing is changed."""
    from node.cli.faults import load_with_recipes
    from node.log import setup_logging
    from node.planning import make_plan, with_other_recipes

    setup_logging("human", "warning", "deid-node")
    replaced = dict(_pair(one) for one in recipes)
    path = config_path()
    config, compiled, faults = load_with_recipes(candidate or path, Path(os.path.abspath(path)).parent)
    if config is None or faults:
        return _refused(list(map(str, faults)), as_json)
    if replaced:
        config, compiled = with_other_recipes(config, replaced)
    found = make_plan(path, config, compiled, samples)
    if as_json:
        print_json(found)
    else:
        _print(found)
    return WRONG if found["faults"] else 0


def _pair(text: str) -> tuple[str, str]:
    from node.config.model import is_recipe_path

    old, equals, new = text.partition("=")
    if not (old and equals and new):
        raise click.UsageError("--recipe takes OLD=NEW: shipped names, or paths.")
    paths = [os.path.abspath(one) if is_recipe_path(one) else one for one in (old, new)]
    return paths[0], paths[1]


def _refused(faults: list[str], as_json: bool) -> int:
    from node.log import clean_text

    if as_json:
        print_json({"faults": faults})
    for fault in faults:
        click.echo(clean_text(fault, 2000), err=True)
    return WRONG


def _print(found: dict[str, Any]) -> None:
    from node.log import clean_text

    for line in _lines(found):
        click.echo(clean_text(line, 2000))


def _lines(found: dict[str, Any]) -> list[str]:
    since = f"what the node took {found['since']}" if found["since"] else "the configuration as it stands"
    lines = [f"compared with {since}"]
    if not found["changes"]:
        return [*lines, "no change"]
    lines += [f"refused: {fault}" for fault in found["faults"]]
    lines += [f"needs a restart: {one}" for one in found["restart"]]
    if found["keys"]:
        lines.append(f"changed keys: {', '.join(found['keys'])}")
    lines += [f"certificate of {one['used_by']}: {one['file']} has another content" for one in found["certificates"]]
    routes = found["routes"]
    lines += [f"route {name}: new" for name in routes["new"]]
    lines += [
        f"route {name}: gone; what it has in flight goes on, what is not cleaned is held" for name in routes["gone"]
    ]
    lines += [f"route {one['route']}: {', '.join(one['keys'])}" for one in routes["changed"]]
    if routes["moved"]:
        lines.append(f"order of routes: {', '.join(routes['moved'])}")
    for one in found["senders"]:
        lines += [f"{_step(one)}: {_who(who)}" for who in one["who"]]
    if not found["all_asked"]:
        lines.append("not every combination of AE titles and networks was asked about: there are too many")
    lines += [
        f"{_step(one)}: {one['calling_ae']} at {one['address']}, who sent {one['instances']} instances of late"
        for one in found["recent_senders"]
    ]
    for one in found["recipes"]:
        lines += _of_recipe(one)
    return lines


def _step(one: dict[str, Any]) -> str:
    before, after = (one[key] or "refused" for key in ("before", "after"))
    return f"{before} -> {after}"


def _who(who: dict[str, list[str]]) -> str:
    return "; ".join(f"{key} {', '.join(values)}" for key, values in who.items())


def _of_recipe(one: dict[str, Any]) -> list[str]:
    route = one["route"]
    lines = [f"recipe of {route}: {one['before'] or 'unknown'} -> {one['after']}"]
    for text in one["lines"] or ():
        lines += [f"  - {text['name']}:{line['line']}: {line['text']}" for line in text["gone"]]
        lines += [f"  + {text['name']}:{line['line']}: {line['text']}" for line in text["added"]]
    samples = one["samples"]
    if samples is None:
        return [*lines, *([f"  no samples: {one['why']}"] if one.get("why") else [])]
    lines.append(f"  of {samples['samples']} stored originals {samples['changed']} would come out otherwise")
    lines += [f"  newly held: {count} as {reason}" for reason, count in samples["new_holds"].items()]
    lines += [f"  no longer held: {count} as {reason}" for reason, count in samples["ended_holds"].items()]
    if samples["pixels"]:
        lines.append(f"  other pixels or documents: {samples['pixels']}")
    for element in samples["elements"]:
        before = f"{element['before']} ({element['line_before'] or 'no line'})"
        after = f"{element['after']} ({element['line_after'] or 'no line'})"
        lines.append(f"  {element['path']} {element['name']}: {before} -> {after}, {element['instances']} of them")
    return lines
