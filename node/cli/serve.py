"""`serve` and `reload`: running the node, and telling a running one to take a changed configuration."""

from __future__ import annotations

import os
import signal
import sys
from typing import TYPE_CHECKING

import click

from node.cli.common import CANNOT_START, WRONG, config_option, config_path
from node.errors import Fault, FaultsError, NotReachable, StartError

if TYPE_CHECKING:
    from node.config import Config

_ANSWER_SECONDS = 60.0


@click.command()
@config_option
def serve() -> int:
    """Run the node until SIGTERM."""
    from node.cli.faults import load_with_recipes
    from node.log import setup_logging

    if sys.platform != "linux":
        raise StartError("deid-node serve runs on Linux only.")
    path = config_path()
    config, recipes, faults = load_with_recipes(path)
    if config is None or faults:
        show(faults)
        return CANNOT_START
    setup_logging(config.node.log.format, config.node.log.level, "supervisor")
    from node.serving import serve as run

    try:
        return run(path, config, recipes)
    except FaultsError as error:
        show(error.faults)
        return CANNOT_START


@click.command()
@config_option
def reload() -> int:
    """Make the running node take the configuration; refused where the configuration has faults."""
    from node.cli.faults import load_all
    from node.log import clean_text

    config, faults = load_all(config_path())
    if config is None or faults:
        show(faults)
        click.echo("deid-node: reload refused; the node goes on with the configuration it has.", err=True)
        return WRONG
    from node.reloading import last, wait_for_answer

    before = last(config.node.spool)
    try:
        os.kill(_process_of(config), signal.SIGHUP)
    except PermissionError:
        raise NotReachable("the node runs as another user.") from None
    except ProcessLookupError:
        raise NotReachable("the node has just ended.") from None
    answer = wait_for_answer(config.node.spool, before, _ANSWER_SECONDS)
    if answer is None:
        raise NotReachable(f"the node has not answered within {_ANSWER_SECONDS:g} s; its log tells why.")
    for fault in answer.faults:
        click.echo(clean_text(fault, 2000), err=True)
    if answer.faults:
        click.echo("deid-node: reload refused; the node goes on with the configuration it has.", err=True)
        return WRONG
    return 0


def _process_of(config: Config) -> int:
    from node.opening import running_node

    try:
        process = running_node(config)
    except OSError as error:
        raise NotReachable(f"the lock of the spool cannot be read: {error.strerror}.") from None
    if process is None:
        raise NotReachable("no node is running on the spool of this configuration.")
    return process


def show(faults: list[Fault]) -> None:
    """Print faults, one a line."""
    from node.log import clean_text

    for fault in faults:
        click.echo(clean_text(fault, 2000), err=True)
