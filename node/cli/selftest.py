"""`selftest`: whether every route does what it should, tried out with a study that is nobody's."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from node.cli.common import WRONG, add_row, config_option, config_path, console, print_json
from node.cli.tools import DURATION

if TYPE_CHECKING:
    from node.config import Config
    from node.probe import RouteReport

_LOOK_SECONDS = 0.3


@click.command()
@click.option("--route", "routes", metavar="NAME", multiple=True, help="Only this one; repeatable.")
@click.option("--real", is_flag=True, help="Let the running node do it, by its own listener, ledger and processes.")
@click.option("--timeout", type=DURATION, default="45s", show_default=True, help="For everything to arrive.")
@click.option("--json", "as_json", is_flag=True, help="For machines.")
@config_option
def selftest(routes: tuple[str, ...], real: bool, timeout: float, as_json: bool) -> int:
    """Send a synthetic study through each route, and look at what arrives.

    Every route runs with its own recipe and options in a node of its own, in a temporary folder, to a sink of its own:
    the maps, counts and destinations of the node that serves stay as they are.
    """
    from node.config import load_config
    from node.log import setup_logging

    setup_logging("human", "error", "deid-node")
    config = load_config(config_path())
    reports = _real(config, routes, timeout) if real else _own(config, routes, timeout)
    failed = any(report.verdict == "failed" for report in reports)
    if as_json:
        print_json({"passed": not failed, "routes": [report.told() for report in reports]})
    else:
        _print(reports)
    return WRONG if failed else 0


def _own(config: Config, routes: tuple[str, ...], timeout: float) -> list[RouteReport]:
    from node.selftest import run

    return run(config, routes, timeout)


def _real(config: Config, routes: tuple[str, ...], timeout: float) -> list[RouteReport]:
    import time

    from node.cli.common import opened_ledger
    from node.errors import NodeError, NotReachable
    from node.ledger.canary import ask, results
    from node.opening import running_node
    from node.probe.report import read

    if running_node(config) is None:
        raise NotReachable("no node is running on the spool of this configuration.")
    if config.canary is None:
        raise NotReachable("the node has no canary: add `canary: {every: 1h}` to the configuration, and reload.")
    known = config.canary.routes or tuple(route.name for route in config.routes)
    unknown = [name for name in routes if name not in known]
    if unknown:
        raise NodeError(f"the canary does not stand for a route '{unknown[0]}'; it does for {', '.join(known)}")
    with opened_ledger(config) as ledger:
        asked = ask(ledger.database)
        until = time.monotonic() + timeout
        while time.monotonic() < until:
            found = results(ledger.database)
            if found and found["at"] >= asked:
                reports = [read(one) for one in found["routes"].values()]
                return [one for one in reports if not routes or one.route in routes]
            time.sleep(_LOOK_SECONDS)
    raise NotReachable(f"the canary has not come back within {timeout:g} s; the log of the node tells why.")


def _print(reports: list[RouteReport]) -> None:
    from rich.table import Table

    screen = console()
    marks = {True: "ok", False: "FAILED", None: "-"}
    for report in reports:
        title = f"{report.route} → {', '.join(report.destinations)}: {report.verdict} ({report.seconds:g} s)"
        table = Table("check", "result", "what was seen", title=title, title_justify="left")
        for check in report.checks:
            add_row(table, check.name, marks[check.ok], check.text)
        for kept in report.kept:
            said = "as configured" if kept.meant else "FAILED"
            add_row(table, kept.outcome, said, f"{kept.instances} of {kept.reason}: {kept.detail}".rstrip(": "))
        for note in report.notes:
            add_row(table, "note", "", note)
        screen.print(table)
