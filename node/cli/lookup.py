"""`lookup`: from originals to replacements, and back, for whoever may."""

from __future__ import annotations

import csv
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from node.cli.common import WRONG, add_row, config_option, console, opened_ledger, print_json, quiet_config

if TYPE_CHECKING:
    from node.config import Config
    from node.ledger.lookup import Direction, Pair

_COLUMNS = ("asked", "kind", "project", "epoch", "issuer", "original", "replacement", "shift_days", "origin")
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


@click.group()
@config_option
def lookup() -> None:
    """Look up replacements of originals, or originals of replacements; every look is recorded.

    Whoever can read the node's secret and its ledger may do this, and nobody else.
    """


def _options(command: Any) -> Any:
    command = config_option(command)
    options = (
        click.argument("terms", nargs=-1),
        click.option("--project", metavar="NAME", help="Needed where the configuration has several."),
        click.option(
            "--file",
            "source",
            type=click.Path(path_type=Path, allow_dash=True),
            help="Look up each line of a file (-: standard input).",
        ),
        click.option("--csv", "as_csv", is_flag=True, help="As CSV, on standard output."),
        click.option("--json", "as_json", is_flag=True, help="For machines."),
    )
    for option in reversed(options):
        command = option(command)
    return command


@lookup.command()
@_options
@click.option("--issuer", help="Of Patient IDs; else those of the project's routes.")
def original(
    terms: tuple[str, ...], project: str | None, source: Path | None, as_csv: bool, as_json: bool, issuer: str | None
) -> int:
    """Patient ID → pseudonym and date shift; UID → UID. What was never handed out is computed."""
    return _look("original", _terms(terms, source), project, issuer, as_csv=as_csv, as_json=as_json)


@lookup.command()
@_options
def replacement(terms: tuple[str, ...], project: str | None, source: Path | None, as_csv: bool, as_json: bool) -> int:
    """Pseudonym → Patient ID and date shift; UID → UID."""
    return _look("replacement", _terms(terms, source), project, None, as_csv=as_csv, as_json=as_json)


def _terms(terms: tuple[str, ...], source: Path | None) -> list[str]:
    if bool(terms) == (source is not None):
        raise click.UsageError("name what to look up, or a file with --file.")
    found: Sequence[str] = terms
    if source is not None:
        try:
            text = sys.stdin.read() if str(source) == "-" else source.read_text(encoding="utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            why = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
            raise click.UsageError(f"{source} cannot be read: {why}.") from None
        found = text.splitlines()
    return list(dict.fromkeys(one for term in found if (one := term.strip(" \0\t"))))


def _look(
    direction: Direction, terms: list[str], project: str | None, issuer: str | None, *, as_csv: bool, as_json: bool
) -> int:
    from node.ledger.lookup import audited, look_up
    from node.story.past import Past

    config = quiet_config()
    name = _project(config, project)
    with opened_ledger(config, readonly=False) as ledger:
        past = Past(config, ledger.database)
        past.secret  # noqa: B018 -- raises, with what is wrong
        scope = past.scope(name)
        if scope is None:
            raise click.UsageError(f"the keys of project {name} cannot be read.")
        issuers = [issuer] if issuer is not None else past.issuers(name)
        found = look_up(ledger.database, scope, direction, terms, issuers)
        pairs = [pair for some in found.values() for pair in some]
        assert ledger.trail is not None, "opened for writing"
        audited(ledger.database, ledger.trail, name, pairs)
    _show(pairs, as_csv=as_csv, as_json=as_json)
    unknown = sum(not some for some in found.values())
    if unknown:
        click.echo(f"deid-node: of {len(found)} looked up nothing is known of {unknown}.", err=True)
    return WRONG if unknown else 0


def _project(config: Config, name: str | None) -> str:
    known = list(dict.fromkeys([*(route.project for route in config.routes), *config.projects]))
    if name is None and len(known) == 1:
        return known[0]
    if name not in known:
        raise click.UsageError(f"name a project with --project; there are {', '.join(known)}.")
    return name


def _show(pairs: list[Pair], *, as_csv: bool, as_json: bool) -> None:
    from dataclasses import asdict

    if as_json:
        print_json([asdict(pair) | {"known": pair.known} for pair in pairs])
    elif as_csv:
        writer = csv.writer(sys.stdout)
        writer.writerow(_COLUMNS)
        writer.writerows([_cell(getattr(pair, name)) for name in _COLUMNS] for pair in pairs)
    elif pairs:
        from rich.table import Table

        table = Table(*(name.replace("_", " ") for name in _COLUMNS))
        for pair in pairs:
            add_row(table, *(getattr(pair, name) for name in _COLUMNS[:-1]), pair.origin or "not handed out yet")
        console().print(table)


def _cell(value: object) -> object:
    """A cell that a spreadsheet does not take for a formula: such texts get an apostrophe in front, as there."""
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else "" if value is None else value
