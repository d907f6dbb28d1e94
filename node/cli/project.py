"""`project`: what the ledger has of each project, a key of its own, and its end."""

from __future__ import annotations

import json
from pathlib import Path

import click

from node.cli.common import add_row, ago, config_option, console, opened_ledger, print_json, quiet_config, refuse_root


@click.group()
@config_option
def project() -> None:
    """List and close projects; give one a key of its own."""


@project.command("list")
@click.option("--json", "as_json", is_flag=True, help="For machines.")
@config_option
def list_all(as_json: bool) -> None:
    """List the projects of the configuration and of the ledger."""
    from node.closing import list_projects

    config = quiet_config()
    with opened_ledger(config) as ledger:
        found = list_projects(config, ledger.database)
    if as_json:
        print_json(found)
        return
    from rich.table import Table

    keys = ("in_flight", "held", "uids", "patients")
    table = Table("project", "routes", *(key.replace("_", " ") for key in keys), "key", "closed")
    for one in found:
        key = "own" if one["own_key"] or one.get("key") == "own" else "secret"
        add_row(table, one["project"], ", ".join(one["routes"]), *(one[name] for name in keys), key, ago(one["closed"]))
    console().print(table)


@project.command()
@click.argument("name")
@click.option("--yes", is_flag=True, help="Needed: a closed project is closed for good.")
@click.option(
    "--key-file", type=click.Path(path_type=Path), help="The project's key, where the configuration names none."
)
@click.option("--json", "as_json", is_flag=True, help="For machines.")
@config_option
def close(name: str, yes: bool, key_file: Path | None, as_json: bool) -> None:
    """Destroy a project's maps and its key, for good; its name is never used again."""
    from node.closing import close_project

    if not yes:
        raise click.UsageError("closing cannot be undone; say --yes.")
    config = quiet_config()
    with opened_ledger(config, readonly=False) as ledger:
        record = close_project(config, ledger.database, name, key_file)
    if as_json:
        print_json(record)
        return
    for key, value in record.items():
        click.echo(f"{key.replace('_', ' ')}: {value if isinstance(value, str) else json.dumps(value, sort_keys=True)}")


@project.command()
@click.argument("name")
@config_option
def key(name: str) -> None:
    """Make the key of a new project, in the file that its section names; keep a copy apart."""
    from node.closing import make_key
    from node.config import columns_of
    from node.ledger.database import Database

    config = quiet_config()
    refuse_root(config)
    database = Database(config.node.ledger, columns_of(config))
    try:
        path = make_key(config, database, name)
    finally:
        database.close()
    click.echo(f"{path} holds the key of project {name}. Keep a copy of it apart from the data.")
