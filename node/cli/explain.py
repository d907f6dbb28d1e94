"""`explain`: find instances by what is known of them, and tell the whole story of one."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from node.cli.common import WRONG, add_row, ago, config_option, console, opened_ledger, print_json, quiet_config

if TYPE_CHECKING:
    from rich.console import Console

    from node.config import Config
    from node.ledger import Ledger
    from node.ledger.finding import Found


_SOURCE = {
    "said": "What changed: ",
    "instance": "The other instance: ",
    "not_noted": "Not noted: what became ",
    "because": "It was not found out anew: ",
}


@click.command()
@click.argument("term")
@click.option("--identity", is_flag=True, help="Also the original UIDs and the patient; this is recorded.")
@click.option("--all", "everything", is_flag=True, help="The story of each, where the term names several.")
@click.option("--limit", type=click.IntRange(1), default=1000, show_default=True, help="Look at so many instances.")
@click.option("--json", "as_json", is_flag=True, help="For machines.")
@config_option
def explain(term: str, identity: bool, everything: bool, limit: int, as_json: bool) -> int:
    """Tell what became of what TERM names, and why.

    TERM is an instance's id; a UID of a study, series or instance, the original or the replaced one; a pseudonym; a
    Patient ID; an accession number; or - for the first line of the standard input, since a command line can be seen by
    others. A search by an original is recorded.
    """
    config = quiet_config()
    with opened_ledger(config, readonly=False) as ledger:
        found = search(config, ledger, term, limit)
        ids = found.ids
        stories = _stories(config, ledger, ids if everything else ids[:1] if len(ids) == 1 else [], identity)
    if as_json:
        print_json(
            {"known_as": found.kinds, "truncated": found.truncated, "studies": found.studies, "stories": stories}
        )
    else:
        _print(found, stories)
    if not ids:
        click.echo("deid-node: nothing is known by that.", err=True)
        return WRONG
    return 0


def search(config: Config, ledger: Ledger, term: str, limit: int) -> Found:
    """Find instances; a search by an original is written to the audit trail before anything of it is shown."""
    from node.ledger.finding import find
    from node.story.past import Past

    past = Past(config, ledger.database)
    past.secret  # noqa: B018 -- raises, with what is wrong: else originals would seem not to be there
    term = sys.stdin.readline() if term == "-" else term
    found = find(ledger.database, term.strip(), past.scope, limit=limit)
    if found.by_identity and ledger.trail is not None:
        from node.audit import kinds

        for project in {study["project"] for study in found.studies}:
            seen = [
                str(study["pseudonym"] or study["study"] or study["instances"][0]["id"])
                for study in found.studies
                if study["project"] == project
            ]
            ledger.record(*kinds.identities_seen(ledger.trail.by, list(dict.fromkeys(seen)), project))
    return found


def _stories(config: Config, ledger: Ledger, ids: list[str], identity: bool) -> list[dict[str, Any]]:
    from node.audit import kinds
    from node.story.explain import explain as tell
    from node.story.explain import pseudonyms_of
    from node.story.past import Past

    told, past = [], Past(config, ledger.database)
    for one in ids:
        story = tell(config, ledger.database, one, identity=identity, past=past)
        if story is None:
            continue
        ledger.looked_at(one)
        if identity and ledger.trail is not None:
            ledger.record(*kinds.identities_seen(ledger.trail.by, pseudonyms_of(story), story["project"]))
        told.append(story)
    return told


def _print(found: Found, stories: list[dict[str, Any]]) -> None:
    screen = console()
    if not stories:
        _print_studies(screen, found)
    for story in stories:
        _print_story(screen, story)


def _print_studies(screen: Console, found: Found) -> None:
    from rich.table import Table

    for study in found.studies:
        title = (
            f"project {study['project']}, study {study['study'] or 'not known'}, {study['pseudonym'] or 'nobody yet'}"
        )
        table = Table("id", "received", "route", "state", "reason", "SOP Instance UID", title=title)
        for one in study["instances"]:
            outcome = one["outcome"].replace("_", " ")
            uid = one["sop_instance_uid"]
            add_row(table, one["id"], ago(one["received"]), one["route"], outcome, one["reason"], uid)
        screen.print(table)
    if found.truncated:
        screen.print("There are more: --limit.")


def _print_story(screen: Console, story: dict[str, Any]) -> None:
    from rich.table import Table

    head = Table(show_header=False, title=f"instance {story['id']}")
    for key in ("state", "outcome", "project", "route"):
        add_row(head, key, story[key])
    for section, key, value in _told(story):
        add_row(head, f"{section}: {key.replace('_', ' ')}", ago(value) if key == "at" else _plain(value))
    add_row(head, "gate", story["gate"])
    screen.print(head)
    _print_rows(screen, "what happened", story["timeline"])
    for section in ("deliveries", "copies", "concerns"):
        _print_rows(screen, section, story[section])
    _print_changes(screen, story)


def _print_changes(screen: Console, story: dict[str, Any]) -> None:
    from rich.table import Table

    if story["changes"] is None:
        screen.print(f"What changed is not known: {story['changes_unknown']}.", soft_wrap=True, markup=False)
        return
    table = Table("element", "VR", "what", "line", title="what changed, by which line", box=None)
    for one in story["changes"]:
        rule = one["rules"][-1] if one["rules"] else None
        line = "" if rule is None else f"{rule['where']}: {rule['text']}"
        add_row(table, f"{one['path']} {one['name']}".rstrip(), one["vr"], one["what"], line)
    screen.print(table)
    for region in story["pixels"]:
        screen.print(f"pixels {region}", markup=False)
    for key, text in story["changes_from"].items():
        if key != "source":
            screen.print(f"{_SOURCE[key]}{text}.", soft_wrap=True, markup=False)


def _told(story: dict[str, Any]) -> Iterator[tuple[str, str, Any]]:
    """What the sections of a story say, one by one."""
    admitted = story["admitted_by"] or {"route": "", "from": {}}
    sections = {name: story.get(name) or {} for name in ("received", "cleaned", "recipe", "held", "identity")}
    sections[f"admitted by {admitted['route']}"] = admitted["from"]
    for section, values in sections.items():
        for key, value in values.items():
            if value is not None:
                yield section, key, value


def _plain(value: object) -> object:
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else value


def _print_rows(screen: Console, title: str, rows: list[dict[str, Any]]) -> None:
    from rich.table import Table

    if rows:
        keys = [key for key in rows[0] if any(row[key] is not None for row in rows)]
        table = Table(*(key.replace("_", " ") for key in keys), title=title)
        for row in rows:
            add_row(table, *(row[key] for key in keys))
        screen.print(table)
