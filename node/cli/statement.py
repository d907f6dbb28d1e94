"""`recipe statement`: what a recipe does, for an ethics board, and for machines."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from node.cli.common import config_option, print_json
from node.cli.settings import told_about

if TYPE_CHECKING:
    from node.config import Project, Route
    from node.statement import Handling, ProjectSettings


@click.command()
@click.option("--recipe", "recipes", metavar="RECIPE", multiple=True, help="A shipped recipe or a path; repeatable.")
@click.option("--route", metavar="NAME", help="Recipe and project of a route of the configuration.")
@click.option("--project", metavar="NAME", help="The project of the configuration whose settings are told.")
@click.option("--json", "as_json", is_flag=True, help="For machines.")
@config_option
def statement(recipes: tuple[str, ...], route: str | None, project: str | None, as_json: bool) -> None:
    """Tell what recipes do with each attribute, as a page of Markdown."""
    from node.log import setup_logging
    from node.statement import facts, page

    setup_logging("human", "warning", "deid-node")
    names, loaded, rules, found = told_about(recipes, route, project)
    told = facts(loaded, names, None if rules is None else _settings(*rules), _handling(found))
    if as_json:
        print_json(told)
    else:
        click.echo(page(told), nl=False)


def _handling(route: Route | None) -> Handling:
    from node.objects import Policy
    from node.statement import Handling

    if route is None:
        return Handling()
    return Handling(Policy(route.unknown_sop_class, route.documents, route.pixel_risk), route.gate)


def _settings(name: str, project: Project) -> ProjectSettings:
    from node.statement import ProjectSettings

    forms = project.forms()
    return ProjectSettings(
        name,
        project.epoch,
        forms.shift.least,
        forms.shift.most,
        forms.shift.whole_weeks,
        project.dates.invalid,
        forms.uid_root,
        forms.pseudonym.length,
    )
