"""`web`: who may sign in at the web page, and the tokens of programs."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from node.cli.common import add_row, ago, config_option, console, opened_ledger, print_json, quiet_config

if TYPE_CHECKING:
    from node.config import Config
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
@click.option("--keep-password", is_flag=True, help="Give a user other roles, and nothing else.")
@config_option
def add(name: str, roles: tuple[str, ...], no_password: bool, password_stdin: bool, keep_password: bool) -> None:
    """Add a user, or give one other roles and another password."""
    from node.web.users import Role

    if no_password + password_stdin + keep_password > 1:
        raise click.UsageError("--no-password, --password-stdin and --keep-password exclude one another.")
    config = quiet_config()
    users, wanted = _users(config), [Role(role) for role in roles]
    told = f"roles: {', '.join(sorted({'viewer', *roles}))}"
    if keep_password:
        users.need(name)
        _note(config, name, told)
        made = users.set_roles(name, wanted)
    else:
        password = None if no_password else _password(from_stdin=password_stdin)
        users.check(name, password)
        _note(config, name, f"{told}; {'no' if password is None else 'another'} password")
        made = users.put(name, wanted, password)
    click.echo(f"{made.name}: {', '.join(sorted(made.roles))}")


def _password(*, from_stdin: bool) -> str:
    if from_stdin:
        return sys.stdin.readline().rstrip("\r\n")
    return str(click.prompt("Password", hide_input=True, confirmation_prompt=True))


@user.command("list")
@click.option("--json", "as_json", is_flag=True, help="For machines.")
@config_option
def list_users(as_json: bool) -> None:
    """List the users, their roles and the labels of their tokens."""
    found = _users(quiet_config()).all()
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
    config = quiet_config()
    users = _users(config)
    users.need(name)
    _note(config, name, "removed")
    users.remove(name)


@token.command("add")
@click.argument("name")
@click.argument("label")
@config_option
def add_token(name: str, label: str) -> None:
    """Make a token for a user, and print it: nobody can be told it again."""
    config = quiet_config()
    users = _users(config)
    users.check_label(name, label)
    _note(config, name, f"token {label} made")
    click.echo(users.add_token(name, label))


@token.command("remove")
@click.argument("name")
@click.argument("label")
@config_option
def remove_token(name: str, label: str) -> None:
    """Make a token worthless."""
    config = quiet_config()
    users = _users(config)
    users.check_label(name, label, there=True)
    _note(config, name, f"token {label} removed")
    users.remove_token(name, label)


def _users(config: Config) -> Users:
    from node.config import users_path
    from node.web.users import Users

    return Users(users_path(config))


def _note(config: Config, user: str, text: str) -> None:
    """Write to the audit trail what is about to be changed; a node that was never started has none yet."""
    from node.audit import kinds
    from node.ledger import Database

    if not Database(config.node.ledger).exists():
        return
    with opened_ledger(config, readonly=False) as ledger:
        assert ledger.trail is not None, "opened for writing"
        ledger.record(kinds.user_changed(ledger.trail.source, ledger.trail.by, user, text))
