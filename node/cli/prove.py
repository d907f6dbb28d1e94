"""`prove`: that nothing which was acknowledged is missing, instance by instance."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any, TextIO

import click

from node.cli.common import WRONG, add_row, config_option, console, opened_ledger, print_json, quiet_config
from node.cli.status import equation
from node.errors import OUTCOMES

if TYPE_CHECKING:
    from rich.console import Console

    from node.proof import Acknowledged, Report

_LINES_TOLD = 20


@click.command()
@click.option("--json", "as_json", is_flag=True, help="For machines.")
@click.option("--content", is_flag=True, help="Read every original that is still needed, and compare its digest.")
@click.option(
    "--acknowledged",
    metavar="FILE",
    type=click.File("r", encoding="utf-8", errors="replace"),
    help="SOP Instance UIDs that a sender was answered 0000H for, one per line; - is standard input.",
)
@config_option
def prove(as_json: bool, content: bool, acknowledged: TextIO | None) -> int:
    """Prove that nothing is missing: ledger, spool, and what a sender counted."""
    from node.errors import NotReachable
    from node.proof import Proof
    from node.spool import Spool

    config = quiet_config()
    with opened_ledger(config) as ledger:
        if not config.node.spool.is_dir():
            raise NotReachable(f"no spool at {config.node.spool}: is node.spool the node's own?")
        node, retains = config.node, config.retention.originals > 0
        report = Proof(ledger.database, Spool(node.spool, 0, node.sealing, retains=retains), content).run(acknowledged)
    if as_json:
        print_json(as_dict(report))
    else:
        _print(console(), report, content=content)
    return 0 if report.holds else WRONG


def as_dict(report: Report) -> dict[str, Any]:
    """Return a report as `prove --json` prints it."""
    return {
        "holds": report.holds,
        **report.counts,
        "deliveries": report.deliveries,
        "files": {name: report.files[name] for name in ("originals", "cleaned", "to_be_removed", "young", "read")},
        "acknowledged": None if report.acknowledged is None else asdict(report.acknowledged),
        "faults_found": report.found,
        "faults": [asdict(fault) for fault in report.faults],
    }


def _print(screen: Console, report: Report, *, content: bool) -> None:
    counts = ", ".join(f"{n} {state}" for state, n in sorted(report.deliveries.items())) or "none"
    files = report.files
    lines = [
        equation(report.counts),
        f"deliveries: {counts}",
        f"files: {files['originals']} originals, {files['cleaned']} cleaned",
        f"of these wait to be removed {files['to_be_removed']}, and for their row {files['young']}",
    ]
    if content:
        lines.append(f"content: {files['read']} originals were read")
    if report.acknowledged is not None:
        lines += _told(report.acknowledged)
    for line in lines:
        screen.print(line, soft_wrap=True, markup=False)
    if report.faults:
        _print_faults(screen, report)
    verdict = "The proof holds." if report.holds else f"The proof does NOT hold: {report.found} faults."
    screen.print(verdict, soft_wrap=True, markup=False)


def _told(told: Acknowledged) -> list[str]:
    terms = " + ".join(f"{told.outcomes[name]} {name.replace('_', ' ')}" for name in OUTCOMES)
    lines = [f"acknowledged: {told.lines} = {terms} + {len(told.unknown)} UNKNOWN"]
    for what, numbers in (
        ("never received, by the ledger", told.unknown),
        ("acknowledged more often than received", told.fewer),
    ):
        if numbers:
            shown = ", ".join(map(str, numbers[:_LINES_TOLD]))
            more = f" and {len(numbers) - _LINES_TOLD} more" if len(numbers) > _LINES_TOLD else ""
            lines.append(f"{what}: line {shown}{more} of the list")
    return lines


def _print_faults(screen: Console, report: Report) -> None:
    from rich.table import Table

    table = Table("problem", "id", "route", "destination", "detail")
    for fault in report.faults:
        add_row(table, fault.problem, fault.id, fault.route, fault.destination, fault.detail)
    screen.print(table)
