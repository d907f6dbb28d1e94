"""`support-bundle`: what a developer needs to know, in one file that may leave the house."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from node.cli.common import config_option, config_path


@click.command("support-bundle")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--last", type=click.IntRange(0), default=50, show_default=True, help="So many holds and failures.")
@click.option("--log", type=click.Path(path_type=Path, dir_okay=False), help="The log, where the node cannot tell it.")
@config_option
def support_bundle(file: Path, last: int, log: Path | None) -> None:
    """Write versions, configuration, counters, failures to FILE (zip), without values, secrets and names."""
    from node.cli.check import look
    from node.log import setup_logging
    from node.support import write_bundle

    setup_logging("human", "error", "deid-node")
    config, faults, findings = look(config_path())
    said = [{"kind": "fault", "about": one.key, "line": one.line, "text": one.problem} for one in faults]
    said += [{"line": None} | asdict(one) for one in findings]
    names = write_bundle(config, file, said, last=last, log=log)
    click.echo(f"{file} has {', '.join(names)}. Look through it before you send it.")
