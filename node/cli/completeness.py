"""`completeness`: whether studies are complete at their destinations, what differs, and the receipts."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from node.cli.common import (
    WRONG,
    add_row,
    ago,
    chosen_config,
    config_option,
    console,
    opened_ledger,
    print_json,
    quiet_config,
)

if TYPE_CHECKING:
    from rich.console import Console

    from node.config import Config
    from node.ledger import Ledger

_STUDY = click.argument("study")
_JSON = click.option("--json", "as_json", is_flag=True, help="For machines.")


@click.group()
@config_option
def completeness() -> None:
    """Tell whether studies are complete at their destinations (section `completeness`), and print receipts.

    STUDY is a Study Instance UID: the replaced one, or the original, and then the look is recorded; or - for the first
    line of the standard input, since a command line can be seen by others.
    """


@completeness.command("list")
@click.option("--problems", is_flag=True, help="Only studies that differ or cannot be compared; then exit code 1.")
@click.option("--limit", type=click.IntRange(1), default=1000, show_default=True, help="So many studies.")
@_JSON
@config_option
def list_studies(problems: bool, limit: int, as_json: bool) -> int:
    """List the studies that are followed, the last that changed first."""
    from node.ledger.completeness import listed

    with opened_ledger(quiet_config()) as ledger:
        found = listed(ledger.database, problems=problems, limit=limit)
    if as_json:
        print_json(found)
    else:
        _print_studies(found)
    return WRONG if problems and found else 0


def _print_studies(found: list[dict[str, Any]]) -> None:
    from rich.table import Table

    table = Table("study", "project", "state", "changed", "received", "held", "delivered", "differences")
    for one in found:
        delivered = ", ".join(f"{name} {n}" for name, n in one.get("delivered", {}).items())
        state = f"{one['state']}, changed since" if one["changed_since"] else one["state"]
        cells = (one.get("received"), one.get("held"), delivered, one.get("differences"))
        add_row(table, one["study_instance_uid"], one["project"], state, ago(one["changed"]), *cells)
    console().print(table if found else "None.")


@completeness.command()
@_STUDY
@_JSON
@config_option
def show(study: str, as_json: bool) -> int:
    """Tell all of one study; exit code 1 where it differs or cannot be compared."""
    from node.ledger.completeness import PROBLEMS, asked_of, report
    from node.ledger.receipts import receipts_of

    config = quiet_config()
    with opened_ledger(config, readonly=False) as ledger:
        project, key = _named(config, ledger, study)
        found = report(ledger.database, project, key, asked_of(config))
        found["receipts"] = receipts_of(ledger.database, project, key)
    if as_json:
        print_json(found)
    else:
        _print_report(console(), found)
    return WRONG if found["state"] in PROBLEMS else 0


def _print_report(screen: Console, found: dict[str, Any]) -> None:
    from rich.table import Table

    expected = "not known" if found["expected"] is None else found["expected"]
    screen.print(f"study {found['study_instance_uid']}, project {found['project']}: {found['state']}", soft_wrap=True)
    screen.print(
        f"expected {expected}, received {found['received']}, held {found['held']}, excluded {found['excluded']}, "
        f"discarded {found['discarded']}"
    )
    columns = ("delivered", "waiting", "held", "discarded", "confirmed", "missing", "did_not_answer")
    table = Table("destination", *(name.replace("_", " ") for name in columns), "asked")
    for name, one in found["destinations"].items():
        asked = one["asked"] if one["asked"] == "not asked" else ago(one["asked"])
        add_row(table, name, *(one[key] for key in columns), asked)
    screen.print(table)
    table = Table("series", "received", "expected", "held", "excluded", "at destinations")
    for one in found["by_series"]:
        places = "; ".join(f"{name}: {_in_words(part)}" for name, part in one["destinations"].items())
        held = ", ".join(f"{n} {reason}" for reason, n in one["held"].items())
        add_row(table, one["series_instance_uid"], one["received"], one["expected"], held, one["excluded"], places)
    screen.print(table)
    _print_differences(screen, found["differences"])
    _print_references(screen, found["references"])
    for one in found["receipts"]:
        replaces = "" if one["replaces"] is None else f", replaces {one['replaces']}"
        screen.print(f"receipt {one['number']} of {one['destination']}, {ago(one['at'])}{replaces}")


def _in_words(part: dict[str, Any]) -> str:
    told = f"{part['delivered']} delivered"
    held = sum(part["held"].values())
    for n, what in ((part["waiting"], "waiting"), (held, "held"), (part["discarded"], "discarded")):
        told += f", {n} {what}" if n else ""
    if part["confirmed"] is not None:
        told += f", {part['confirmed']} confirmed"
    return told + (f", {part['others_there']} others there" if part["others_there"] else "")


def _print_differences(screen: Console, differences: list[dict[str, Any]]) -> None:
    from rich.table import Table

    if not differences:
        return
    table = Table("difference", "instances", "destination", "series", "which", title="What differs")
    for one in differences:
        reasons = ", ".join(one.get("reasons", {}))
        which = "\n".join([*([reasons] if reasons else []), *one.get("ids", ()), *one.get("sop_instance_uids", ())])
        series = one["series_instance_uid"] or "the study"
        table.add_row(one["kind"], str(one["instances"]), one.get("destination", ""), series, which)
    screen.print(table)


def _print_references(screen: Console, found: dict[str, Any]) -> None:
    kinds = ("never_came", "held", "excluded", "discarded", "not_known")
    if not any(found[kind] for kind in kinds):
        return
    screen.print(f"Of {found['count']} instances that it refers to did not go:")
    for kind in kinds:
        for uid in found[kind]:
            screen.print(f"  {kind.replace('_', ' ')}: {uid}", soft_wrap=True)


@completeness.command("check")
@_STUDY
@config_option
def check_now(study: str) -> int:
    """Let the node look at a study now, and ask its destinations again."""
    from node.ledger.completeness import followed_row
    from node.ledger.following import look_again

    config = quiet_config()
    with opened_ledger(config, readonly=False) as ledger:
        row = followed_row(ledger.database, *_named(config, ledger, study))
        if row is None:
            click.echo("deid-node: this study is not followed: it changed before `completeness` was on.", err=True)
            return WRONG
        look_again(ledger.database, row)
    click.echo("The node looks at it within seconds, where it runs.")
    return 0


@completeness.command()
@_STUDY
@config_option
def accept(study: str) -> int:
    """Take the differences of a study as they are: no alert tells of them until they are others. This is recorded."""
    from node.ledger.completeness import accept as write
    from node.ledger.completeness import asked_of

    config = quiet_config()
    with opened_ledger(config, readonly=False) as ledger:
        project, key = _named(config, ledger, study)
        assert ledger.trail is not None, "opened for writing"
        count = write(ledger.database, project, key, asked_of(config), ledger.trail)
    if not count:
        click.echo("deid-node: there is no difference to be accepted.", err=True)
        return WRONG
    click.echo(f"accepted: {count} instances")
    return 0


@completeness.command()
@_STUDY
@click.option("--destination", metavar="NAME", help="Needed where the study has receipts of several.")
@config_option
def receipt(study: str, destination: str | None) -> int:
    """Print the newest receipt of a study at a destination."""
    from node.ledger.receipts import receipt as read
    from node.ledger.receipts import receipts_of

    config = quiet_config()
    with opened_ledger(config, readonly=False) as ledger:
        found = receipts_of(ledger.database, *_named(config, ledger, study))
        newest = {one["destination"]: one["number"] for one in found if destination in (None, one["destination"])}
        if len(newest) > 1:
            raise click.UsageError(f"name one with --destination; there are {', '.join(sorted(newest))}.")
        if not newest:
            click.echo("deid-node: there is no receipt: completeness show says what is missing.", err=True)
            return WRONG
        print_json(read(ledger.database, *newest.values()))
    return 0


@completeness.command()
@click.option("--from", "since", type=click.IntRange(1), default=1, show_default=True, help="From this number on.")
@config_option
def receipts(since: int) -> None:
    """Print all receipts, one in each line, oldest first."""
    from node.ledger.receipts import every_receipt

    with opened_ledger(quiet_config()) as ledger:
        for one in every_receipt(ledger.database, since):
            click.echo(json.dumps(one, ensure_ascii=False))


@completeness.command()
@config_option
def key() -> None:
    """Print the public key that receipts can be checked with."""
    click.echo(_own_key(quiet_config()))


@completeness.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path, allow_dash=True))
@click.option("--key", "known", metavar="KEY", help="The node's public key; by default that of the configuration.")
@config_option
def verify(files: tuple[Path, ...], known: str | None) -> int:
    """Check receipts: that the node wrote them so, and that one follows the other. Needs its public key alone."""
    from node.receipt import problems, public_key, read_envelopes

    if known is not None:
        known = public_key(known)
    elif chosen_config() is not None:
        known = _own_key(quiet_config())
    else:
        raise click.UsageError("name the node's public key with --key (`completeness key` prints it there).")
    envelopes = [one for file in files for one in read_envelopes(_read(file), str(file))]
    found = problems(envelopes, known)
    for problem in found:
        click.echo(problem)
    if not found:
        click.echo(f"{len(envelopes)} receipts are as node {envelopes[0]['receipt']['node']} wrote them")
    return WRONG if found else 0


def _read(file: Path) -> str:
    from node.errors import FileError

    try:
        return sys.stdin.read() if str(file) == "-" else file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = (error.strerror or "it cannot be read") if isinstance(error, OSError) else "it is not UTF-8"
        raise FileError(why, str(file)) from None


def _own_key(config: Config) -> str:
    from node.errors import NodeError, StartError
    from node.identity import load_secret, receipt_key
    from node.receipt import Signer

    try:
        return Signer(receipt_key(load_secret(config.node.secret_file))).public
    except StartError as error:
        raise NodeError(str(error)) from None


def _named(config: Config, ledger: Ledger, term: str) -> tuple[str, str]:
    """Return project and key of the study that a term names; a look by an original is recorded before it is shown."""
    from node.cli.explain import search
    from node.ledger.completeness import known

    term = (sys.stdin.readline() if term == "-" else term).strip()
    found = known(ledger.database, term)
    if not found:
        studies = search(config, ledger, term, 10_000).studies
        found = list(dict.fromkeys((one["project"], str(one["study"])) for one in studies if one["study"]))
    if not found:
        raise click.ClickException("nothing is known of such a study.")
    if len(found) > 1:
        projects = ", ".join(sorted({project for project, _ in found}))
        raise click.ClickException(f"several studies are known by that (projects {projects}): name one by its UID.")
    return found[0]
