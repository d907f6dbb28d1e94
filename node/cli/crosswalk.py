"""`crosswalk`: pairs that somebody else has chosen, who waits for one, and ids that are one person."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from node.cli.common import add_row, ago, config_option, console, opened_ledger, print_json, quiet_config
from node.errors import FileError

_project = click.option("--project", required=True, metavar="NAME", help="The project of the pairs.")
_separator = click.option(
    "--separator",
    type=click.Choice(["comma", "semicolon", "tab"]),
    default="comma",
    show_default=True,
    help="Between cells; Excel of many languages wants semicolons.",
)
_json = click.option("--json", "as_json", is_flag=True, help="For machines.")


@click.group()
@config_option
def crosswalk() -> None:
    """Import and export pairs, see who waits for one, make two ids one person."""


@crosswalk.command("import")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@_project
@click.option("--issuer", metavar="NAME", help="Of lines without one; else the one that the project's routes have.")
@click.option("--ids-as-written", "as_written", is_flag=True, help="Take ids that look as if Excel had changed them.")
@click.option("--dry-run", is_flag=True, help="Only say what would happen.")
@_json
@config_option
def import_pairs(file: Path, project: str, issuer: str | None, as_written: bool, dry_run: bool, as_json: bool) -> None:
    """Import the pairs of a CSV FILE, all or none; who waited for them goes on."""
    from node.crosswalk import import_file

    try:
        data = sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()
    except OSError as error:
        raise FileError(f"cannot be read ({error.strerror})", str(file)) from None
    config = quiet_config()
    with opened_ledger(config, readonly=False) as ledger:
        done = import_file(
            config, ledger, data, file=str(file), project=project, issuer=issuer, as_written=as_written, dry_run=dry_run
        )
    if as_json:
        print_json(done)
        return
    verb = "would be imported" if dry_run else "imported"
    click.echo(f"{done['new']} pairs {verb} into project {project}; {done['known']} were known.")
    if done["released"]:
        click.echo(f"{done['released']} instances that waited go on.")
    if done["open"]:
        click.echo(f"{done['open']} lines have no pseudonym yet, and were left out.")
    for kind, count in done["ignored"].items():
        click.echo(f"{count} lines of the kind '{kind}' say nothing of patients, and were left out.")


@crosswalk.command()
@_project
@click.option("--out", required=True, metavar="FILE", type=click.Path(path_type=Path), help="A new file; identified!")
@_separator
@_json
@config_option
def export(project: str, out: Path, separator: str, as_json: bool) -> None:
    """Write all pairs of a project to a new file, which `import` reads on another node. It names persons."""
    from node.crosswalk import SEPARATORS, export_pairs

    config = quiet_config()
    with opened_ledger(config, readonly=False) as ledger:
        counts = export_pairs(config, ledger, project, out, separator=SEPARATORS[separator])
    if as_json:
        print_json(counts)
        return
    click.echo(f"{out}: {', '.join(f'{count} {name}' for name, count in counts.items())}. It names persons.")


@crosswalk.command("waiting")
@click.option("--identity", is_flag=True, help="List the ids, as CSV to fill in and import; recorded.")
@click.option("--project", metavar="NAME", help="The project whose ids are listed.")
@click.option("--out", metavar="FILE", type=click.Path(path_type=Path), help="With --identity: to a new file.")
@_separator
@_json
@config_option
def waiting(identity: bool, project: str | None, out: Path | None, separator: str, as_json: bool) -> None:
    """Count who waits for a pair; with --identity say who they are."""
    from node.crosswalk import waiting_list

    if identity != (project is not None) or (out is not None and not identity):
        raise click.UsageError("--identity and --project belong together; --out goes with them.")
    config = quiet_config()
    if project is not None:
        _list(config, project, out, separator)
        return
    with opened_ledger(config) as ledger:
        found = waiting_list(ledger)
    if as_json:
        print_json(found)
        return
    if not found:
        click.echo("Nobody waits for a pair.")
        return
    from rich.table import Table

    table = Table("project", "patients", "instances", "without an id", "since")
    for one in found:
        add_row(table, *(one[key] for key in ("project", "patients", "instances", "without_id")), ago(one["since"]))
    console().print(table)


def _list(config: Any, project: str, out: Path | None, separator: str) -> None:
    from node.crosswalk import SEPARATORS, list_waiting
    from node.crosswalk.writing import write_new

    with opened_ledger(config, readonly=False) as ledger:
        text = list_waiting(config, ledger, project, SEPARATORS[separator])
    if out is None:
        sys.stdout.buffer.write(text.encode("utf-8", "surrogatepass"))
        return
    write_new(out, [text], lambda: None)
    click.echo(f"{out}: {text.count(chr(10)) - 1} patients. It names persons.")


@crosswalk.command()
@_project
@click.option("--issuer", metavar="NAME", help="Of both ids; else the one that the project's routes have.")
@click.option("--new-issuer", metavar="NAME", help="Of the second id, where it is another one.")
@click.argument("old")
@click.argument("new")
@_json
@config_option
def merge(project: str, issuer: str | None, new_issuer: str | None, old: str, new: str, as_json: bool) -> None:
    """Make two Patient IDs one person: from now on NEW has the pseudonym and the shift of OLD."""
    from node.crosswalk import merge_ids

    config = quiet_config()
    with opened_ledger(config, readonly=False) as ledger:
        done = merge_ids(config, ledger, project, old, new, issuer=issuer, new_issuer=new_issuer)
    if as_json:
        print_json(done)
        return
    if done["known"]:
        click.echo("They are one person already.")
        return
    click.echo(f"They are one person; {done['released']} instances that waited go on.")
    if done["dropped"]:
        click.echo("The second id had a pair of its own, that nothing went out under; it is gone.")
