"""`recipe show`: what several recipes say together, as the engine understood them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from node.cli.common import add_row, config_option, console, opened_ledger, print_json, quiet_config
from node.cli.settings import loaded_recipe
from node.cli.statement import statement

if TYPE_CHECKING:
    from node.recipe import Recipe


@click.group()
@config_option
def recipe() -> None:
    """Look at recipes."""


recipe.add_command(statement)


@recipe.command()
@click.argument("recipes", nargs=-1, required=True, metavar="RECIPE…")
@click.option("--json", "as_json", is_flag=True, help="For machines.")
@config_option
def show(recipes: tuple[str, ...], as_json: bool) -> None:
    """Show the lines of recipes (shipped names, paths) in the order in which they count, and from where they are."""
    from node.log import setup_logging

    setup_logging("human", "warning", "deid-node")
    plain = as_plain(loaded_recipe(recipes))
    if as_json:
        print_json(plain)
    else:
        _print(plain)


@recipe.command()
@click.option("--json", "as_json", is_flag=True, help="For machines.")
@config_option
def studies(as_json: bool) -> None:
    """List the studies that went out under more than one recipe, by their replaced UIDs."""
    with opened_ledger(quiet_config()) as ledger:
        found = ledger.mixed()
    if as_json:
        print_json(found)
        return
    if not found:
        click.echo("No study went out under more than one recipe.")
        return
    from rich.table import Table

    table = Table("study", "project", "recipe", "instances")
    for study in found:
        for one in study["recipes"]:
            began = " (began)" if one["hash"] == study["began"] else ""
            add_row(table, study["study"], study["project"], f"{one['hash'][:12]}{began}", str(one["instances"]))
    console().print(table)


def as_plain(recipe: Recipe) -> dict[str, Any]:
    """Return a recipe as `recipe show --json` prints it."""
    return {
        "hash": recipe.hash,
        "needs_secret": recipe.keyed is not None,
        "variables": sorted(recipe.variables),
        "header": [
            {
                "action": rule.action.value,
                "field": rule.selector.text,
                "value": rule.value.written if rule.value else None,
                "where": rule.where,
            }
            for rule in recipe.rules
        ],
        "lists": [
            {
                "kind": section.kind,
                "name": section.name,
                "lines": [{"text": recipe.line(line.where), "where": line.where} for line in section.lines],
            }
            for section in recipe.lists
        ],
        "filters": [
            {
                "name": section.name,
                "labels": [
                    {
                        "label": label.name,
                        "where": label.where,
                        "criteria": [line.words for line in label.lines],
                        "regions": [{"text": recipe.line(one.where), "where": one.where} for one in label.regions],
                    }
                    for label in section.labels
                ],
            }
            for section in recipe.filters
        ],
        "profile": _profile(recipe),
        "labels": [
            {"action": line.action.value, "field": line.field, "value": line.value, "where": line.where}
            for line in recipe.labels
        ],
        "warnings": [str(warning) for warning in recipe.warnings],
    }


def _profile(recipe: Recipe) -> dict[str, Any] | None:
    if recipe.profile is None:
        return None
    lines = [
        {"code": line.code, "attribute": line.selector.text, "where": line.where}
        for line in recipe.profile.lines.values()
    ]
    return {"names": [*recipe.profile.names, *recipe.profile.own], "lines": lines}


def _print(plain: dict[str, Any]) -> None:
    screen = console()
    screen.print(f"hash {plain['hash']}", soft_wrap=True)
    if plain["needs_secret"]:
        screen.print("calls functions that need the secret")
    if plain["variables"]:
        screen.print(f"needs the variables {', '.join(plain['variables'])}", soft_wrap=True)
    _print_sections(plain)
    for warning in plain["warnings"]:
        screen.print(f"warning: {warning}", soft_wrap=True, markup=False)


def _print_sections(plain: dict[str, Any]) -> None:
    for section in ("header", "labels"):
        if plain[section]:
            _table(f"%{section}", plain[section], ("action", "field", "value", "where"))
    if plain["profile"]:
        names = ", ".join(plain["profile"]["names"])
        _table(f"%profile {names}", plain["profile"]["lines"], ("code", "attribute", "where"))
    for one in plain["lists"]:
        _table(f"%{one['kind']} {one['name']}", one["lines"], ("text", "where"))
    for one in plain["filters"]:
        rows = [
            {"label": label["label"], "text": text, "where": label["where"]}
            for label in one["labels"]
            for text in (*label["criteria"], *(region["text"] for region in label["regions"]))
        ]
        _table(f"%filter {one['name']}", rows, ("label", "text", "where"))


def _table(title: str, rows: list[dict[str, Any]], columns: tuple[str, ...]) -> None:
    from rich.table import Table

    table = Table(*columns, title=title, title_justify="left", box=None)
    for row in rows:
        add_row(table, *(row[column] for column in columns))
    console().print(table)
