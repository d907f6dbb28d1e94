"""`destinations`: how each one is, and whether it answers."""

from __future__ import annotations

from typing import Any

import click

from node.cli.common import WRONG, add_row, ago, config_option, console, opened_ledger, print_json, quiet_config


@click.group(invoke_without_command=True)
@click.option("--json", "as_json", is_flag=True, help="For machines.")
@config_option
@click.pass_context
def destinations(context: click.Context, as_json: bool) -> None:
    """List the destinations: what waits for each, what it has, whether it answers."""
    if context.invoked_subcommand is not None:
        return
    from node.ledger.targets import destinations_of

    config = quiet_config()
    with opened_ledger(config) as ledger:
        found = destinations_of(ledger.database, config.destinations)
    if as_json:
        print_json(found)
    else:
        _print(found)


def _print(found: dict[str, dict[str, Any]]) -> None:
    from rich.table import Table

    heads = ("destination", "state", "waiting", "oldest", "delivered", "held", "last success", "next try", "last error")
    table = Table(*heads)
    for name, one in found.items():
        add_row(
            table,
            name,
            one["state"],
            one["waiting"],
            ago(one["oldest_waiting"]),
            one["delivered"],
            one["held"],
            ago(one["last_success"]),
            "paused by command" if one["paused"] else ago(one["next_try"]),
            one["last_error"],
        )
    console().print(table)


@destinations.command()
@click.argument("name")
@config_option
def echo(name: str) -> int:
    """Ask a destination whether it answers (C-ECHO), as the node would."""
    from node.reaching import unanswered

    config = quiet_config()
    destination = config.destinations.get(name)
    if destination is None:
        click.echo(f"deid-node: there is no destination '{name}' in the configuration.", err=True)
        return WRONG
    problem = unanswered(name, destination)
    if problem:
        click.echo(f"deid-node: {name} ({destination.address}) does not answer C-ECHO: {problem}", err=True)
        return WRONG
    click.echo(f"{name} ({destination.address}) answers.")
    return 0
