"""`commitment`: what senders asked about (storage commitment), and what they were told."""

from __future__ import annotations

from typing import Any

import click

from node.cli.common import WRONG, add_row, ago, config_option, console, opened_ledger, print_json, quiet_config


@click.group()
@config_option
def commitment() -> None:
    """Look at requests for storage commitment, and answer one again."""


@commitment.command("list")
@click.option("--all", "every", is_flag=True, help="Also those of which everything was committed, and that is told.")
@click.option("--json", "as_json", is_flag=True, help="For machines.")
@config_option
def list_requests(every: bool, as_json: bool) -> None:
    """List requests, latest first: those under way, and those that did not go well."""
    from node.ledger.asked import listed

    with opened_ledger(quiet_config()) as ledger:
        found = listed(ledger.database, every=every)
    if as_json:
        print_json(found)
        return
    if not found:
        click.echo("No requests." if every else "No requests but those of which everything was committed.")
        return
    from rich.table import Table

    table = Table("id", "since", "state", "route", "sender", "instances", "failed", "next look", "last error")
    for one in found:
        keys = ("state", "route", "calling_ae_title", "instances", "failed")
        add_row(table, one["id"], ago(one["since"]), *(one[key] for key in keys), ago(one["next"]), one["last_error"])
    console().print(table)


@commitment.command()
@click.argument("number", metavar="ID", type=int)
@click.option("--identity", is_flag=True, help="Also the original UIDs; this is recorded.")
@click.option("--json", "as_json", is_flag=True, help="For machines.")
@config_option
def show(number: int, identity: bool, as_json: bool) -> int:
    """Show one request, what became of each instance, and which destinations were asked."""
    from node.ledger.asked import shown

    with opened_ledger(quiet_config(), readonly=False) as ledger:
        found = shown(ledger.database, number, identity=identity, trail=ledger.trail)
    if found is None:
        click.echo(f"deid-node: there is no request {number}.", err=True)
        return WRONG
    if as_json:
        print_json(found)
    else:
        _print(found)
    return 0


def _print(found: dict[str, Any]) -> None:
    from rich.table import Table

    from node.ledger.asked import MEANING
    from node.log import clean_text

    screen = console()
    for key, value in found.items():
        if key not in ("references", "questions") and value is not None:
            screen.print(f"{key.replace('_', ' ')}: {clean_text(value)}", soft_wrap=True, markup=False)
    for one in found["questions"]:
        answered = "has not said yet" if one["answered"] is None else f"has said {ago(one['answered'])}"
        screen.print(f"destination {one['destination']} was asked {ago(one['asked'])}, and {answered}", markup=False)
    identity = ["original"] if "transaction_uid" in found else []
    table = Table("SOP Instance UID as sent", *identity, "result")
    for one in found["references"]:
        add_row(table, one["sop_instance_uid"], *(one[key] for key in identity), one["result"])
    screen.print(table)
    for reason, text in MEANING.items():
        if any(one["result"] == f"{reason:04X}H" for one in found["references"]):
            screen.print(f"{reason:04X}H: {text}", soft_wrap=True)


@commitment.command()
@click.argument("number", metavar="ID", type=int)
@config_option
def again(number: int) -> int:
    """Give the answer to a request at once, also where it was given up."""
    from node.ledger.asked import answer_again

    with opened_ledger(quiet_config(), readonly=False) as ledger:
        found = answer_again(ledger.database, number, ledger.trail)
    if not found:
        click.echo(f"deid-node: there is no request {number} that is not answered.", err=True)
        return WRONG
    return 0
