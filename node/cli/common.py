"""What all commands share: exit codes, `--config`, the ledger, and how things are shown."""

from __future__ import annotations

import json
import os
import pwd
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from node import telling

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from node.config import Config
    from node.ledger import Ledger

WRONG = 1
CANNOT_START = 3
NOT_REACHABLE = 4
INTERRUPTED = 130

ENVIRONMENT_VARIABLE = "DEID_NODE_CONFIG"
DEFAULT_CONFIG = "config.yaml"

ago, length = telling.ago, telling.length

_KEY = "node.cli.config"
_Command = TypeVar("_Command", bound=Callable[..., Any])


def config_option(command: _Command) -> _Command:
    """Add `--config`; every command has it, so that it can stand before or after the command's name."""

    def remember(context: click.Context, _parameter: click.Parameter, value: Path | None) -> None:
        if value is not None:
            context.find_root().meta[_KEY] = value

    return click.option(
        "--config",
        metavar="FILE",
        type=click.Path(path_type=Path),
        expose_value=False,
        is_eager=True,
        callback=remember,
        help=f"The configuration; else {ENVIRONMENT_VARIABLE}, else ./{DEFAULT_CONFIG}.",
    )(command)


def config_path() -> Path:
    """Return the configuration's path: the option, else the environment, else `./config.yaml`."""
    return chosen_config() or Path(DEFAULT_CONFIG)


def chosen_config() -> Path | None:
    """Return the path that was chosen, or `./config.yaml` where there is one: for what can do without."""
    named = named_config() or os.environ.get(ENVIRONMENT_VARIABLE)
    if named:
        return Path(named)
    return Path(DEFAULT_CONFIG) if Path(DEFAULT_CONFIG).exists() else None


def named_config() -> Path | None:
    """Return what the option `--config` names."""
    chosen = click.get_current_context().find_root().meta.get(_KEY)
    return chosen if isinstance(chosen, Path) else None


def quiet_config() -> Config:
    """Load the configuration for a command that a person runs: only warnings of the node are logged."""
    from node.config import load_config
    from node.log import setup_logging

    setup_logging("human", "warning", "deid-node")
    return load_config(config_path())


@contextmanager
def opened_ledger(config: Config, readonly: bool = True) -> Iterator[Ledger]:
    """Open the ledger; raises NotReachable where there is none. What is done there is written to the audit trail."""
    from node.audit.actor import this_person
    from node.ledger import open_ledger

    if not readonly:
        refuse_root(config)
    ledger = open_ledger(config, None if readonly else this_person(_command_name()))
    try:
        yield ledger
    finally:
        ledger.close()


def refuse_root(config: Config) -> None:
    """Refuse to write as root into what another user's node has made: that user could not read it, and not start.

    Raises NodeError.
    """
    from node.errors import NodeError

    if os.geteuid() != 0 or not config.node.data.exists():
        return
    owner = config.node.data.stat().st_uid
    if owner != 0:
        try:
            name = pwd.getpwuid(owner).pw_name
        except KeyError:
            name = f"'#{owner}'"
        raise NodeError(
            f"{config.node.data} is not root's, and the node could not read what root writes there: "
            f"sudo -u {name} deid-node …"
        )


def _command_name() -> str:
    """What was called, such as `held discard`, without its arguments."""
    return click.get_current_context().command_path.partition(" ")[2]


def print_json(value: object) -> None:
    """Print a machine's answer."""
    click.echo(json.dumps(value, indent=2, ensure_ascii=False))


def console() -> Console:
    """Return a console that writes tables in full where its output is no terminal."""
    from rich.console import Console

    return Console(highlight=False, width=None if sys.stdout.isatty() else 200)


def add_row(table: Table, *cells: object) -> None:
    """Add a row of plain texts: no markup, no control characters, since AE titles come from peers."""
    from rich.text import Text

    from node.log import clean_text

    table.add_row(*(Text("" if cell is None else clean_text(cell)) for cell in cells))
