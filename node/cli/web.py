"""`web`: who may sign in at the web page, and the tokens of programs."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from node.cli.common import add_row, ago, config_option, console, print_json, quiet_config

if TYPE_CHECKING:
    from node.web.users import Users

ROLES = ("viewer", "operator", "re-identifier")


@click.group()
@config_option
def web() -> None:
    """Say who may use the web page and the API."""


@web.group()
@config_option
def user() -> None:
    """Add, list or remove users."""


@web.group()
@config_option
def token() -> None:
    """Make or remove tokens, by which programs use the API in a user's name."""


@user.command()
@click.argument("name")
@click.option("--role", "roles", type=click.Choice(ROLES), multiple=True, help="Repeatable; viewers everybody is.")
@click.option("--no-password", is_flag=True, help="Sign in by a reverse proxy or a token alone.")
@click.option("--password-stdin", is_flag=True, help="Read the password from stdin.")
@config_option
def add(name: str, roles: tuple[str, ...], no_password: bool, password_stdin: bool) -> None:
    """Add a user, or give one other roles and another password."""
    from node.web.users import Role

    if no_password and password_stdin:
        raise click.UsageError("--no-password and --password-stdin exclude one another.")
    users = _users()
    password = None
    if password_stdin:
        password = sys.stdin.readline().rstrip("\r\n")
    elif not no_password:
        password = click.prompt("Password", hide_input=True, confirmation_prompt=True)
    made = users.put(name, map(Role, roles), password)
    click.echo(f"{made.name}: {', '.join(sorted(made.roles))}")


@user.command("list")
@click.option("--json", "as_json", is_flag=True, help="For machines.")
@config_option
def list_users(as_json: bool) -> None:
    """List the users, their roles and the labels of their tokens."""
    found = _users().all()
    if as_json:
        print_json(
            [
                {
                    "name": one.name,
                    "roles": sorted(one.roles),
                    "password": one.password is not None,
                    "tokens": [*one.tokens],
                }
                for one in found
            ]
        )
        return
    from rich.table import Table

    from node.ledger.times import iso

    table = Table("user", "roles", "password", "tokens")
    for one in found:
        tokens = ", ".join(f"{label} ({ago(iso(made))})" for label, (_, made) in one.tokens.items())
        add_row(table, one.name, ", ".join(sorted(one.roles)), "yes" if one.password else "no", tokens)
    console().print(table)


@user.command()
@click.argument("name")
@config_option
def remove(name: str) -> None:
    """Remove a user; sessions and tokens end with it."""
    _users().remove(name)


@token.command("add")
@click.argument("name")
@click.argument("label")
@config_option
def add_token(name: str, label: str) -> None:
    """Make a token for a user, and print it: nobody can be told it again."""
    click.echo(_users().add_token(name, label))


@token.command("remove")
@click.argument("name")
@click.argument("label")
@config_option
def remove_token(name: str, label: str) -> None:
    """Make a token worthless."""
    _users().remove_token(name, label)


def _users() -> Users:
    from node.config import users_path
    from node.web.users import Users

    return Users(users_path(quiet_config()))
