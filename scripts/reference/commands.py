"""docs/reference/commands.md: every command, from the tree of the command line."""

from __future__ import annotations

from collections.abc import Iterator

import click

from node.cli import cli
from scripts.reference.page import NOTE, table

_HEAD = f"""\
# Every command

{NOTE}

`deid-node COMMAND --help` says the same. `--config FILE` may stand before or after the command; else the environment
variable `DEID_NODE_CONFIG` counts, else `config.yaml` in the working directory.

| exit code | meaning |
|---|---|
| 0 | done |
| 1 | found or did something wrong |
| 2 | wrong usage |
| 3 | `serve` cannot start |
| 4 | no ledger, or no running node, where one is needed |
| 130 | interrupted (Ctrl-C) |
"""


def page() -> str:
    """Return the whole page."""
    parts = [_HEAD]
    for path, command in sorted(commands(cli)):
        parts.append("\n".join(_section(path, command)))
    return "\n".join(parts)


def commands(group: click.Group, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Yield each command with the words by which it is called, those of groups too."""
    for name, command in group.commands.items():
        yield (*path, name), command
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))


def _section(path: tuple[str, ...], command: click.Command) -> Iterator[str]:
    context = click.Context(command, info_name=" ".join(("deid-node", *path)))
    yield f"{'##' if len(path) == 1 else '###'} {' '.join(path)}\n"
    yield f"    {context.command_path} {' '.join(command.collect_usage_pieces(context))}\n"
    yield from _help(command)
    rows = [
        (f"`{record[0]}`", record[1] or "")
        for option in command.get_params(context)
        if isinstance(option, click.Option) and "--config" not in option.opts and "--help" not in option.opts
        if (record := option.get_help_record(context)) is not None
    ]
    if rows:
        yield table(("option", "meaning"), rows)


def _help(command: click.Command) -> Iterator[str]:
    """Yield the paragraphs of a command's help; one that click was told to leave as it is, as a block."""
    for paragraph in (command.help or "").replace("\f", "").split("\n\n"):
        lines = [line.strip() for line in paragraph.strip("\n").split("\n")]
        if lines[0] == "\b":
            yield "\n".join(f"    {line}" for line in lines[1:]) + "\n"
        else:
            yield " ".join(filter(None, lines)) + "\n"
