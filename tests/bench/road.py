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
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.bench.systems import TOKEN, Archive, Node, Series, Target, big_instance, median, orthanc, send, work_folder
from tests.ledger.support import fill
from tests.support import free_port

_PATIENCE = 300.0  # seconds for one measurement
_BIG = 2_000_000_000
_HEADERS = 100_000  # bytes by which the cleaned file may be the smaller one
_KNOWN, _WAITING = 1_000_000, 100_000


@dataclass(frozen=True, slots=True)
class Load:
    """What senders send, and what the node is to reach: of direct, of Orthanc, core-milliseconds an instance."""

    name: str
    about: str
    count: int
    rows: int
    goal: float
    senders: int = 1
    nagle: bool = False
    one_each: bool = False
    of_orthanc: float = 0.0
    core_ms: float = 0.0


LOADS = (
    Load("slices", "CT slices of 525 kB, one sender", 500, 512, 0.60, of_orthanc=8),
    Load("slices-8", "CT slices of 525 kB, 8 senders", 500, 512, 0.45, senders=8, core_ms=2.5),
    Load("small", "instances of 16 kB, one sender", 2000, 64, 0.50),
    Load("nagle", "instances of 16 kB, DCMTK's defaults", 300, 64, 8, nagle=True),
    Load("one-each", "CT slices of 525 kB, an association for each", 700, 512, 0.5, one_each=True),
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
        self._folder = folder
        self._options = options
        self._stack = stack
        self._port = options.dest or free_port()
        self._numbers = iter(range(1_000_000))
        self.complete = True

    def figures(self) -> Iterator[Figure]:
        """Measure what was asked for."""
        chosen = self._options.only or [*(load.name for load in LOADS), "idle", "memory", "backlog"]
        if any(load.name in chosen for load in LOADS) or "idle" in chosen:
            node = self._node(self._port)
            print(node.settings, file=sys.stderr)
            node.start()
            peer = None
            for load in LOADS:
                if load.name in chosen:
                    if load.of_orthanc and self._options.orthanc and peer is None:
                        peer = self._stack.enter_context(orthanc(self._folder / "orthanc", self._port))
                    yield from self._of(load, node, peer)
            if "idle" in chosen:
                yield from _idle(node)
            node.stop()
        for name, measure in (("memory", self._memory), ("backlog", self._backlog)):
            if name in chosen and not self._options.node:
                yield from measure()

    def _node(self, port: int) -> Node:
        folder = self._folder / f"node{next(self._numbers)}"
        folder.mkdir()
        node = Node(folder, port, self._options.node)
        self._stack.callback(node.stop)
        return node

    def _of(self, load: Load, node: Node, peer: Target | None) -> Iterator[Figure]:
        systems = {"direct": Target("127.0.0.1", self._port, "ARCHIVE"), "node": node.target}
        if load.of_orthanc and peer is not None:
            systems["orthanc"] = peer
        rates: dict[str, list[float]] = {name: [] for name in systems}
        spreads, cores = [], []
        for number in range(self._options.rounds):
            for name, target in systems.items():
                before = node.cpu()
                rate, spread = self._measure(load, name, target)
                print(f"{load.name} round {number + 1} {name:8} {rate:7.1f}/s", file=sys.stderr)
                rates[name].append(rate)
                if name == "node":
                    spreads.append(spread)
                    cores.append(1000 * (node.cpu() - before) / self._count(load))
        yield from _ratios(load, rates)
        if load.senders > 1:
            yield Figure(f"{load.name}: slowest / fastest", "senders", median(spreads), "≤ 2", median(spreads) <= 2)
        if load.core_ms and node.is_ours:
            cost, goal = median(cores), f"≤ {load.core_ms:g}"
            yield Figure(f"{load.name}: core-milliseconds", "of the node, each", cost, goal, cost <= load.core_ms)

    def _count(self, load: Load) -> int:
        return max(load.senders, int(load.count * self._options.scale))

    def _measure(self, load: Load, name: str, target: Target) -> tuple[float, float]:
        """Return instances per second, and how far the senders lay apart."""
        count, number = self._count(load), next(self._numbers)
        source = self._folder / f"series{number}"
        series = Series(source, count, load.rows)
        archive = Archive(self._folder / f"archive{number}", self._port)
        try:
            start = time.monotonic()
            sent = send(series.files, target, senders=load.senders, nagle=load.nagle, one_each=load.one_each)
            seconds = archive.wait_for(count, _PATIENCE) - start
            time.sleep(0.5)
            self._check(archive, count, name)
        finally:
            archive.close()
            shutil.rmtree(source)
            shutil.rmtree(archive.folder)
        return count / seconds, sent.spread

    def _check(self, archive: Archive, count: int, name: str) -> None:
        arrived = archive.arrived()
        if arrived != count:
            print(f"{name}: {arrived} of {count} instances arrived", file=sys.stderr)
            self.complete = self.complete and name != "node"
        if name == "node" and archive.shows(TOKEN):
            print("node: a planted name arrived", file=sys.stderr)
            self.complete = False

    def _memory(self) -> Iterator[Figure]:
        """One large instance: how far the memory of the whole tree of processes rises above what it is at rest."""
        port = free_port()
        node = self._node(port)
        node.start()
        archive = Archive(self._folder / "large", port, ("+B",))
        file = big_instance(self._folder / "large.dcm", int(_BIG * self._options.scale))
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
            self._check(archive, 1, "node")
        finally:
            archive.close()
            node.stop()
            file.unlink()
        risen = (peak - rest) / (1 << 20)
        yield Figure("memory", f"MiB above rest, an instance of {size / 1e9:.1f} GB", risen, "≤ 64", risen <= 64)

    def _backlog(self) -> Iterator[Figure]:
        """Reception with a long history and many that wait for a destination that is down, beside an empty node."""
        port = free_port()
        nodes = {"empty": self._node(port), "full": self._node(port)}
        rates: dict[str, list[float]] = {"empty": [], "full": []}
        nodes["full"].start()
        nodes["full"].stop()
        known, waiting = int(_KNOWN * self._options.scale), int(_WAITING * self._options.scale)
        fill(nodes["full"].ledger, known, waiting=max(4, known // waiting), unsettled=0, names="demo research archive")
        starts = {name: node.start() for name, node in nodes.items()}
        for _ in range(self._options.rounds):
            for name, node in nodes.items():
                source = self._folder / f"series{next(self._numbers)}"
                series = Series(source, 500, 64)
                rates[name].append(len(series.files) / send(series.files, node.target).seconds)
                shutil.rmtree(source)
        ratio = median([full / empty for full, empty in zip(rates["full"], rates["empty"], strict=True)])
        about = f"reception, {known:,} known and {waiting:,} waiting / empty"
        yield Figure("backlog", about, ratio, "≥ 0.9", ratio >= 0.9)
        yield Figure("backlog: restart", "seconds to the first answer", starts["full"], "≤ 5", starts["full"] <= 5)


def _ratios(load: Load, rates: dict[str, list[float]]) -> Iterator[Figure]:
    for other, goal in (("direct", load.goal), ("orthanc", load.of_orthanc)):
        if other in rates:
            ratio = median([ours / theirs for ours, theirs in zip(rates["node"], rates[other], strict=True)])
            yield Figure(f"{load.name}: node / {other}", load.about, ratio, f"≥ {goal:g}", ratio >= goal)


def _idle(node: Node) -> Iterator[Figure]:
    if not node.is_ours:
        return
    time.sleep(3)
    before, start = node.cpu(), time.monotonic()
    time.sleep(20)
    share = 100 * (node.cpu() - before) / (time.monotonic() - start)
    yield Figure("idle", "percent of one core", share, "≤ 1", share <= 1)


def main(arguments: list[str] | None = None) -> int:
    """Measure and print; 1 where an instance was lost or a planted name arrived."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", action="append", choices=[*(one.name for one in LOADS), "idle", "memory", "backlog"])
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
