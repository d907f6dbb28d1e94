"""`review`: the texts that a project's recipes keep, and what a person says of them."""

from __future__ import annotations

from pathlib import Path

import click

from node.cli.common import WRONG, add_row, ago, config_option, console, opened_ledger, print_json, quiet_config

_PROJECT = click.option("--project", metavar="NAME", required=True)


@click.group()
@config_option
def review() -> None:
    """Look at the texts that left the node (`projects.NAME.review: true`), and say what they are."""


@review.command("list")
@_PROJECT
@click.option("--tag", metavar="TAG", default="", help="Only texts of this element, such as (0008,103E).")
@click.option("--undecided", is_flag=True, help="Only those of which nothing was said.")
@click.option("--json", "as_json", is_flag=True, help="For machines.")
@config_option
def list_texts(project: str, tag: str, undecided: bool, as_json: bool) -> None:
    """List texts by tag, with how many instances they left; this look is written to the audit trail."""
    from node.ledger.review import texts_of

    with opened_ledger(quiet_config(), readonly=False) as ledger:
        found = texts_of(ledger.database, project, tag, ledger.trail)
    found = [one for one in found if not (undecided and one["decision"])]
    if as_json:
        print_json(found)
        return
    from rich.table import Table

    table = Table("id", "tag", "text", "instances", "last", "decision")
    for one in found:
        cells = (one["id"], one["tag"], one["text"], one["instances"], ago(one["last"]), one["decision"])
        add_row(table, *cells)
    console().print(table)


@review.command()
@click.argument("ids", type=int, nargs=-1, required=True)
@_PROJECT
@click.option("--harmless", "decision", flag_value="harmless", help="They identify nobody.")
@click.option("--identifying", "decision", flag_value="identifying", help="They identify somebody.")
@click.option("--json", "as_json", is_flag=True, help="For machines.")
@config_option
def decide(ids: tuple[int, ...], project: str, decision: str | None, as_json: bool) -> int:
    """Say what texts are, by their ids; of identifying ones tell what left with them."""
    from node.ledger.review import decide as write
    from node.ledger.review import impact

    if decision is None:
        raise click.UsageError("say --harmless or --identifying.")
    with opened_ledger(quiet_config(), readonly=False) as ledger:
        found = write(ledger.database, project, ids, decision, ledger.trail)
        left = impact(ledger.database, found) if decision == "identifying" else []
    unknown = [one for one in ids if one not in found]
    if as_json:
        print_json({"decided": found, "unknown": unknown, "instances": left})
        return WRONG if unknown else 0
    click.echo(f"{len(found)} are {decision}")
    for one in unknown:
        click.echo(f"deid-node: project {project} has no text {one}.", err=True)
    if left:
        from rich.table import Table

        table = Table("id", "route", "SOP Instance UID that was sent", "destination", "state", "at")
        for instance in left:
            add_row(table, *instance.values())
        console().print(table)
    return WRONG if unknown else 0


@review.command()
@_PROJECT
@click.option("--out", metavar="FILE", type=click.Path(path_type=Path, dir_okay=False), help="By default the screen.")
@config_option
def words(project: str, out: Path | None) -> None:
    """Write what was decided as a file of words, for `vocabulary` in the configuration; look it over before."""
    from node.ledger.review import vocabulary_lines

    with opened_ledger(quiet_config(), readonly=False) as ledger:
        text = "\n".join(["# words of reviewed texts", *vocabulary_lines(ledger.database, project, ledger.trail), ""])
    if out is None:
        click.echo(text, nl=False)
    else:
        out.write_text(text, encoding="utf-8")
