"""`status`, `pause` and `resume`: what has become of everything received, and where it waits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from node.cli.common import WRONG, add_row, ago, config_option, console, opened_ledger, print_json, quiet_config
from node.errors import OUTCOMES
from node.overview import overview

if TYPE_CHECKING:
    from rich.console import Console


@click.command()
@click.option("--json", "as_json", is_flag=True, help="For machines.")
@config_option
def status(as_json: bool) -> None:
    """Count what was received and what became of it."""
    from node.log import clean_text

    config = quiet_config()
    with opened_ledger(config) as ledger:
        found = overview(ledger, config)
    if as_json:
        print_json(found)
        return
    screen = console()
    if found["stopped"]:
        why = f": {found['stopped']['reason']}" if found["stopped"]["reason"] else ""
        said = f"FORWARDING IS STOPPED, {ago(found['stopped']['since'])}{why} (deid-node go lets it go on)"
        screen.print(clean_text(said), soft_wrap=True, markup=False)
    screen.print(f"{equation(found)}; {found['duplicates']} repeated", soft_wrap=True)
    if found["studies_with_two_recipes"]:
        screen.print(f"{found['studies_with_two_recipes']} studies went out under more than one recipe")
    _print_routes(screen, found["routes"])
    _print_destinations(screen, found["destinations"])
    _print_certificates(screen, found.get("certificates", []))
    _print_audit(screen, found.get("audit"))
    _print_upkeep(screen, found)
    _print_refused(screen, found.get("refused", []))


def equation(found: dict[str, Any]) -> str:
    """Return promise 7 with its numbers, and whether they add up."""
    terms = " + ".join(f"{found[name]} {name.replace('_', ' ')}" for name in OUTCOMES)
    holds = found["received"] == sum(found[name] for name in OUTCOMES)
    verdict = "holds" if holds else "DOES NOT HOLD"
    return f"{found['received']} received = {terms}: {verdict}"


def _print_routes(screen: Console, routes: dict[str, dict[str, Any]]) -> None:
    from rich.table import Table

    columns = ("received", "cleaned", *OUTCOMES)
    table = Table("route", *(name.replace("_", " ") for name in columns))
    for name, counts in routes.items():
        add_row(table, name, *(counts[key] for key in columns))
    screen.print(table)


def _print_destinations(screen: Console, destinations: dict[str, dict[str, Any]]) -> None:
    from rich.table import Table

    table = Table("destination", "delivered", "waiting", "held", "next try", "last error")
    for name, one in destinations.items():
        next_try = "paused by command" if one.get("paused") else ago(one["next_try"])
        add_row(table, name, one["delivered"], one["waiting"], one["held"], next_try, one["last_error"])
    screen.print(table)


def _print_certificates(screen: Console, certificates: list[dict[str, Any]]) -> None:
    if not certificates:
        return
    from rich.table import Table

    from node.tls import WARN_DAYS

    table = Table("certificate of", "file", "days left")
    for one in certificates:
        days = one["days_left"]
        hint = "" if days is None or days >= WARN_DAYS else " (expired)" if days < 0 else " (renew it)"
        add_row(table, one["used_by"], one["file"], one["problem"] if days is None else f"{days}{hint}")
    screen.print(table)


def _print_audit(screen: Console, audit: dict[str, Any] | None) -> None:
    if audit is None:
        return
    from rich.table import Table

    table = Table("audit trail", "entries", "waiting", "last error")
    add_row(table, audit["syslog"], *(audit[key] for key in ("entries", "waiting", "last_error")))
    screen.print(table)


def _print_refused(screen: Console, refused: list[dict[str, Any]]) -> None:
    if not refused:
        return
    from rich.table import Table

    columns = ("refused", "calling AE", "called AE", "address", "UID", "times", "last", "would admit it")
    table = Table(*columns, title="Refused at the door")
    for one in refused:
        keys = ("kind", "calling_ae_title", "called_ae_title", "address", "uid", "times")
        add_row(table, *(one.get(key) for key in keys), ago(one.get("last")), one.get("would_admit"))
    screen.print(table)


def _print_upkeep(screen: Console, found: dict[str, Any]) -> None:
    from node.cli.common import length

    disk = found["disk"]
    if disk is not None:
        full = disk["seconds_to_full"]
        when = "" if full is None else f", full in {length(full)}"
        screen.print(f"disk {disk['state']}: {disk['free'] >> 20} MiB free, floor {disk['floor'] >> 20} MiB{when}")
    if found["erased"]:
        screen.print("erased by age: " + ", ".join(f"{n} {kind}" for kind, n in sorted(found["erased"].items())))
    if "commitment" in found:
        asked = ", ".join(f"{n} {state}" for state, n in found["commitment"].items())
        screen.print(f"storage commitment: {asked}")
    for alert in found["alerts"]:
        screen.print(f"! {alert['kind']}, {ago(alert['since'])}: {alert['text']}", soft_wrap=True, markup=False)


@click.command()
@click.argument("destination")
@config_option
def pause(destination: str) -> int:
    """Stop sending to a destination; what is for it waits."""
    return _set_paused(destination, True)


@click.command()
@click.argument("destination")
@config_option
def resume(destination: str) -> int:
    """Send to a destination again, at once."""
    return _set_paused(destination, False)


def _set_paused(destination: str, paused: bool) -> int:
    config = quiet_config()
    if destination not in config.destinations:
        click.echo(f"deid-node: there is no destination '{destination}' in the configuration.", err=True)
        return WRONG
    with opened_ledger(config, readonly=False) as ledger:
        if paused:
            ledger.pause(destination)
        else:
            ledger.resume(destination)
    return 0
