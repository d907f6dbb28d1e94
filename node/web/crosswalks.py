"""Crosswalks, by the node's own commands: importing pairs, exporting them, and who waits for one.

A file of pairs is refused whole where one line of it cannot be, with every line that is wrong; so is a person who has
instances delivered already. All of that the command decides, as at the command line.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from node.config import Config
from node.errors import CommandFailed
from node.web.commands import Commands, Given, working_folder

FILE = "the file"


@dataclass(frozen=True, slots=True)
class Imported:
    """What became of a file: what the command counted, or why it was refused, line by line."""

    counts: dict[str, Any]
    faults: list[str]


def projects(config: Config) -> list[str]:
    """The projects that have a route."""
    return list(dict.fromkeys(route.project for route in config.routes))


def import_file(
    commands: Commands, project: str, content: bytes, on_behalf: str, *, dry_run: bool = False, as_written: bool = False
) -> Imported:
    """Import pairs into a project. Raises CommandFailed where that could not be tried."""
    options = [*(["--dry-run"] if dry_run else []), *(["--ids-as-written"] if as_written else [])]
    arguments = ["crosswalk", "import", FILE, "--project", project, "--json", *options]
    ended = commands.run(arguments, [Given(FILE, content)], on_behalf)
    if ended.code == 0:
        return Imported(dict(ended.json()), [])
    return Imported({}, ended.messages.splitlines() or ["the file was refused"])


def export(commands: Commands, project: str, on_behalf: str) -> bytes:
    """Return all pairs of a project, as `import` reads them. Raises CommandFailed."""
    with tempfile.TemporaryDirectory(dir=working_folder()) as folder:
        file = Path(folder) / "crosswalk.csv"
        ended = commands.run(["crosswalk", "export", "--project", project, "--out", str(file)], on_behalf=on_behalf)
        if ended.code != 0 or not file.exists():
            raise CommandFailed(ended.messages or "the crosswalk could not be written")
        return file.read_bytes()


def list_waiting(commands: Commands, project: str, on_behalf: str) -> bytes:
    """Return who waits in a project, as a file to be filled in and imported. Raises CommandFailed."""
    ended = commands.run(["crosswalk", "waiting", "--identity", "--project", project], on_behalf=on_behalf)
    if ended.code != 0:
        raise CommandFailed(ended.messages or "the list could not be made")
    return ended.output


def waiting(commands: Commands) -> Any:
    """Return who waits for a mapping, in numbers, by project. Raises CommandFailed."""
    ended = commands.run(["crosswalk", "waiting", "--json"])
    if ended.code != 0:
        raise CommandFailed(ended.messages)
    return ended.json()
