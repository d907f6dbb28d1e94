"""How the node's rate and cost grow: with senders, with the size of an instance, with what waits already.

    python -m tests.bench.growth [--only NAME …] [--rounds N] [--scale X] [--json]

Each point is measured end to end as in `road`, beside no proxy at all, in turns: the ratio of the rates, and what an
instance costs of one core, by role. NAME is a point, or all along one axis. What waits is for the same destination,
due 500 s after it was written, and has no files: a point with a backlog has a node of its own, and is over by then.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from tests.bench.rig import Load, Measured, Rig, median_cost
from tests.bench.systems import Cpu, Node, Target, median, work_folder
from tests.ledger.support import fill
from tests.support import free_port

_ONE_OF = 4  # instances of a filled ledger, one waits; the others are delivered


@dataclass(frozen=True, slots=True)
class Point:
    """A load at one place of an axis; how many deliveries wait already."""

    axis: str
    at: str
    load: Load
    backlog: int | None = None

    @property
    def name(self) -> str:
        """Axis and place."""
        return f"{self.axis}-{self.at}"


POINTS = (
    *(Point("senders", str(number), Load(480, 512, senders=number)) for number in (1, 2, 4, 8, 16)),
    Point("size", "16kB", Load(2000, 64)),
    Point("size", "128kB", Load(1000, 256)),
    Point("size", "525kB", Load(500, 512)),
    Point("size", "2MB", Load(160, 1024)),
    Point("size", "8MB", Load(40, 2048)),
    *(Point("backlog", str(number), Load(500, 512), backlog=number) for number in (0, 10_000, 100_000)),
)


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the table: instances per second, their ratio; core-milliseconds an instance, of all and by role."""

    axis: str
    at: str
    direct: float
    node: float
    ratio: float
    core_ms: float
    roles: Mapping[str, Cpu]


def rows(rig: Rig, points: list[Point], rounds: int, scale: float) -> Iterator[Row]:
    """Measure the points; those without a backlog share a node."""
    shared: Node | None = None
    for point in points:
        if point.backlog is None:
            node = shared = shared or _started(rig, None)
        else:
            node = _started(rig, int(point.backlog * scale))
        load = replace(point.load, count=max(point.load.senders, int(point.load.count * scale)))
        yield _row(rig, point, load, node, rounds)
        if node is not shared:
            node.stop()


def _started(rig: Rig, backlog: int | None) -> Node:
    node = rig.node(rig.port)
    print(node.settings, file=sys.stderr)
    node.start()
    if backlog:
        node.stop()
        fill(node.ledger, backlog * _ONE_OF, waiting=_ONE_OF, unsettled=0, names="demo research archive")
        node.start()
    return node


def _row(rig: Rig, point: Point, load: Load, node: Node, rounds: int) -> Row:
    systems: dict[str, Target | Node] = {"direct": rig.direct, "node": node}
    found: dict[str, list[Measured]] = {name: [] for name in systems}
    for number in range(rounds):
        for name, target in systems.items():
            one = rig.measure(load, name, target)
            print(f"{point.name} round {number + 1} {name:8} {one.rate:7.1f}/s", file=sys.stderr)
            found[name].append(one)
    direct, ours = found["direct"], found["node"]
    return Row(
        point.axis,
        point.at,
        median([one.rate for one in direct]),
        median([one.rate for one in ours]),
        median([mine.rate / theirs.rate for mine, theirs in zip(ours, direct, strict=True)]),
        median([one.core_ms for one in ours]),
        median_cost(ours),
    )


def main(arguments: list[str] | None = None) -> int:
    """Measure and print; 1 where an instance was lost or a planted name arrived."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = list(dict.fromkeys(name for point in POINTS for name in (point.axis, point.name)))
    parser.add_argument("--only", action="append", choices=names)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--scale", type=float, default=1.0, help="of all counts")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    chosen = set(options.only or names)
    points = [point for point in POINTS if chosen & {point.axis, point.name}]
    with work_folder() as folder, ExitStack() as stack:
        rig = Rig(Path(folder), free_port(), stack)
        found = list(rows(rig, points, options.rounds, options.scale))
    _print(found, as_json=options.json)
    return 0 if rig.complete else 1


def _print(found: list[Row], *, as_json: bool, show: Callable[[str], None] = print) -> None:
    if as_json:
        show(json.dumps([asdict(row) for row in found], indent=1))
        return
    roles = list(dict.fromkeys(role for row in found for role in row.roles))
    heads = "".join(f"  {role:>16}" for role in roles)
    show(f"{'':8} {'':>7}  {'direct/s':>8}  {'node/s':>8}  {'ratio':>6}  {'core-ms':>8}{heads}")
    for row in found:
        costs = (row.roles.get(role, Cpu()) for role in roles)
        each = "".join(f"  {one.user:7.2f} +{one.system:7.2f}" for one in costs)
        show(
            f"{row.axis:8} {row.at:>7}  {row.direct:8.1f}  {row.node:8.1f}  {row.ratio:6.2f}  {row.core_ms:8.2f}{each}"
        )
    show("core-ms: of one core, an instance; of each role in the program + in the kernel")


if __name__ == "__main__":
    sys.exit(main())
