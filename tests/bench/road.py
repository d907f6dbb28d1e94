"""End to end: DCMTK storescu → system → DCMTK storescp, the node beside no proxy at all, and beside Orthanc.

    python -m tests.bench.road [--only NAME …] [--rounds N] [--scale X] [--orthanc] [--json]
    python -m tests.bench.road --node HOST:PORT:AET --dest PORT …      a node that runs already and forwards to the port

The clock stops when the destination holds all. Systems take turns round by round, so that a busy neighbor hits all of
them; a ratio is the median of the rounds' ratios. The node runs with everything on that keeps data safe: all syncs, the
Basic Profile of PS3.15, the leak gate on hold. A run in which an instance is missing, or a planted name arrives, counts
as failed whatever its speed.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from tests.bench.rig import Load, Measured, Rig, median_cost
from tests.bench.systems import Archive, Node, Series, Target, big_instance, median, orthanc, send, work_folder
from tests.ledger.support import fill
from tests.support import free_port

_PATIENCE = 300.0  # seconds for one measurement
_BIG = 2_000_000_000
_HEADERS = 100_000  # bytes by which the cleaned file may be the smaller one
_KNOWN, _WAITING = 1_000_000, 100_000


@dataclass(frozen=True, slots=True)
class Goal:
    """A load, and what the node is to reach with it: of direct, of Orthanc, core-milliseconds an instance."""

    name: str
    about: str
    load: Load
    goal: float
    of_orthanc: float = 0.0
    core_ms: float = 0.0


GOALS = (
    Goal("slices", "CT slices of 525 kB, one sender", Load(500, 512), 0.60, of_orthanc=8),
    Goal("slices-8", "CT slices of 525 kB, 8 senders", Load(500, 512, senders=8), 0.45, core_ms=2.5),
    Goal("small", "instances of 16 kB, one sender", Load(2000, 64), 0.50),
    Goal("nagle", "instances of 16 kB, DCMTK's defaults", Load(300, 64, nagle=True), 8),
    Goal("one-each", "CT slices of 525 kB, an association for each", Load(700, 512, one_each=True), 0.5),
)


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the table."""

    name: str
    about: str
    value: float
    goal: str
    met: bool


class Bench:
    """One run."""

    def __init__(self, folder: Path, options: argparse.Namespace, stack: ExitStack) -> None:
        self._options = options
        self._stack = stack
        self._rig = Rig(folder, options.dest or free_port(), stack, options.node)

    @property
    def complete(self) -> bool:
        """Whether nothing was lost and no planted name arrived."""
        return self._rig.complete

    def figures(self) -> Iterator[Figure]:
        """Measure what was asked for."""
        chosen = self._options.only or [*(goal.name for goal in GOALS), "idle", "memory", "backlog"]
        if any(goal.name in chosen for goal in GOALS) or "idle" in chosen:
            node = self._rig.node(self._rig.port)
            print(node.settings, file=sys.stderr)
            node.start()
            peer = None
            for goal in GOALS:
                if goal.name in chosen:
                    if goal.of_orthanc and self._options.orthanc and peer is None:
                        peer = self._stack.enter_context(orthanc(self._rig.folder / "orthanc", self._rig.port))
                    yield from self._of(goal, node, peer)
            if "idle" in chosen:
                yield from _idle(node)
            node.stop()
        for name, measure in (("memory", self._memory), ("backlog", self._backlog)):
            if name in chosen and not self._options.node:
                yield from measure()

    def _of(self, goal: Goal, node: Node, peer: Target | None) -> Iterator[Figure]:
        systems: dict[str, Target | Node] = {"direct": self._rig.direct, "node": node}
        if goal.of_orthanc and peer is not None:
            systems["orthanc"] = peer
        load = replace(goal.load, count=max(goal.load.senders, int(goal.load.count * self._options.scale)))
        found: dict[str, list[Measured]] = {name: [] for name in systems}
        for number in range(self._options.rounds):
            for name, target in systems.items():
                one = self._rig.measure(load, name, target)
                print(f"{goal.name} round {number + 1} {name:8} {one.rate:7.1f}/s", file=sys.stderr)
                found[name].append(one)
        yield from _ratios(goal, {name: [one.rate for one in some] for name, some in found.items()})
        if load.senders > 1:
            spread = median([one.spread for one in found["node"]])
            yield Figure(f"{goal.name}: slowest / fastest", "senders", spread, "≤ 2", spread <= 2)
        if node.is_ours:
            yield from _costs(goal, found["node"])

    def _memory(self) -> Iterator[Figure]:
        """One large instance: how far the memory of the whole tree of processes rises above what it is at rest."""
        port = free_port()
        node = self._rig.node(port)
        node.start()
        archive = Archive(self._rig.folder / "large", port, ("+B",))
        file = big_instance(self._rig.folder / "large.dcm", int(_BIG * self._options.scale))
        try:
            time.sleep(2)
            rest, peak, size = node.memory(), 0, file.stat().st_size - _HEADERS
            sender = threading.Thread(target=send, args=([file], node.target))
            sender.start()
            until = time.monotonic() + _PATIENCE
            while time.monotonic() < until and (sender.is_alive() or not archive.holds(size)):
                peak = max(peak, node.memory())
                time.sleep(0.05)
            sender.join()
            self._rig.check(archive, 1, "node")
        finally:
            archive.close()
            node.stop()
            file.unlink()
        risen = (peak - rest) / (1 << 20)
        yield Figure("memory", f"MiB above rest, an instance of {size / 1e9:.1f} GB", risen, "≤ 64", risen <= 64)

    def _backlog(self) -> Iterator[Figure]:
        """Reception with a long history and many that wait for a destination that is down, beside an empty node."""
        port = free_port()
        nodes = {"empty": self._rig.node(port), "full": self._rig.node(port)}
        rates: dict[str, list[float]] = {"empty": [], "full": []}
        nodes["full"].start()
        nodes["full"].stop()
        known, waiting = int(_KNOWN * self._options.scale), int(_WAITING * self._options.scale)
        fill(nodes["full"].ledger, known, waiting=max(4, known // waiting), unsettled=0, names="demo research archive")
        starts = {name: node.start() for name, node in nodes.items()}
        for _ in range(self._options.rounds):
            for name, node in nodes.items():
                source = self._rig.new("series")
                series = Series(source, 500, 64)
                rates[name].append(len(series.files) / send(series.files, node.target).seconds)
                shutil.rmtree(source)
        ratio = median([full / empty for full, empty in zip(rates["full"], rates["empty"], strict=True)])
        about = f"reception, {known:,} known and {waiting:,} waiting / empty"
        yield Figure("backlog", about, ratio, "≥ 0.9", ratio >= 0.9)
        yield Figure("backlog: restart", "seconds to the first answer", starts["full"], "≤ 5", starts["full"] <= 5)


def _ratios(goal: Goal, rates: dict[str, list[float]]) -> Iterator[Figure]:
    for other, least in (("direct", goal.goal), ("orthanc", goal.of_orthanc)):
        if other in rates:
            ratio = median([ours / theirs for ours, theirs in zip(rates["node"], rates[other], strict=True)])
            yield Figure(f"{goal.name}: node / {other}", goal.about, ratio, f"≥ {least:g}", ratio >= least)


def _costs(goal: Goal, rounds: list[Measured]) -> Iterator[Figure]:
    if goal.core_ms:
        cost = median([one.core_ms for one in rounds])
        most = f"≤ {goal.core_ms:g}"
        yield Figure(f"{goal.name}: core-milliseconds", "of the node, each", cost, most, cost <= goal.core_ms)
    for role, one in median_cost(rounds).items():
        about = f"each: {one.user:.2f} in the program, {one.system:.2f} in the kernel"
        yield Figure(f"{goal.name}: {role}, core-ms", about, one.total, "", met=False)


def _idle(node: Node) -> Iterator[Figure]:
    if not node.is_ours:
        return
    time.sleep(3)
    before, start = _used(node), time.monotonic()
    time.sleep(20)
    share = (_used(node) - before) / 10 / (time.monotonic() - start)
    yield Figure("idle", "percent of one core", share, "≤ 1", share <= 1)


def _used(node: Node) -> float:
    """Milliseconds of one core, of all roles."""
    return sum(one.total for one in node.cpu().values())


def main(arguments: list[str] | None = None) -> int:
    """Measure and print; 1 where an instance was lost or a planted name arrived."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", action="append", choices=[*(one.name for one in GOALS), "idle", "memory", "backlog"])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--scale", type=float, default=1.0, help="of all counts and sizes")
    parser.add_argument("--orthanc", action="store_true", help="beside Orthanc too")
    parser.add_argument("--node", type=Target.parse, help="HOST:PORT:AET of a node that runs already")
    parser.add_argument("--dest", type=int, help="the port that it forwards to, AE title ARCHIVE")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    if (options.node is None) != (options.dest is None):
        parser.error("--node and --dest go together")
    with work_folder() as folder, ExitStack() as stack:
        bench = Bench(Path(folder), options, stack)
        figures = list(bench.figures())
    _print(figures, as_json=options.json)
    return 0 if bench.complete else 1


def _print(figures: list[Figure], *, as_json: bool, show: Callable[[str], None] = print) -> None:
    if as_json:
        show(json.dumps([asdict(figure) for figure in figures], indent=1))
        return
    width = max((len(figure.name) for figure in figures), default=0)
    for figure in figures:
        mark = "reached" if figure.met else ""
        show(f"{figure.name:{width}}  {figure.value:8.2f}  {figure.goal:8}  {mark:8}  {figure.about}")


if __name__ == "__main__":
    sys.exit(main())
