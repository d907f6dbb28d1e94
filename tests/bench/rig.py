"""One measurement end to end, and what spoils it: an instance that is missing, or a planted name that arrives."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from tests.bench.systems import TOKEN, Archive, Cpu, Node, Series, Target, median, send

_PATIENCE = 300.0  # seconds for one measurement


@dataclass(frozen=True, slots=True)
class Load:
    """What senders send: how many instances, of rows by rows pixels of 16 bits."""

    count: int
    rows: int
    senders: int = 1
    nagle: bool = False
    one_each: bool = False


@dataclass(frozen=True, slots=True)
class Measured:
    """Instances per second, how far the senders lay apart, and core-milliseconds an instance of the node's roles."""

    rate: float
    spread: float
    cost: Mapping[str, Cpu] = field(default_factory=dict)

    @property
    def core_ms(self) -> float:
        """Of the whole node."""
        return sum(one.total for one in self.cost.values())


class Rig:
    """Folders, the destination's port, and whether all that the node was given has arrived, and nothing else."""

    def __init__(self, folder: Path, port: int, stack: ExitStack, target: Target | None = None) -> None:
        self.folder = folder
        self.port = port
        self.direct = Target("127.0.0.1", port, "ARCHIVE")
        self.complete = True
        self._stack = stack
        self._target = target
        self._numbers = iter(range(1_000_000))

    def new(self, name: str) -> Path:
        """A path that nothing has."""
        return self.folder / f"{name}{next(self._numbers)}"

    def node(self, port: int) -> Node:
        """A node in a folder of its own that forwards to the port; not started. It is ended with the run."""
        folder = self.new("node")
        folder.mkdir()
        node = Node(folder, port, self._target)
        self._stack.callback(node.stop)
        return node

    def measure(self, load: Load, name: str, target: Target | Node) -> Measured:
        """Send a load, wait until the destination holds all, and look at what it holds."""
        node = target if isinstance(target, Node) else None
        before = node.cpu() if node else {}
        source = self.new("series")
        series = Series(source, load.count, load.rows)
        archive = Archive(self.new("archive"), self.port)
        to = target.target if isinstance(target, Node) else target
        try:
            start = time.monotonic()
            sent = send(series.files, to, senders=load.senders, nagle=load.nagle, one_each=load.one_each)
            seconds = archive.wait_for(load.count, _PATIENCE) - start
            time.sleep(0.5)
            self.check(archive, load.count, name)
        finally:
            archive.close()
            shutil.rmtree(source)
            shutil.rmtree(archive.folder)
        after = node.cpu() if node else {}
        cost = {role: one.since(before.get(role), load.count) for role, one in after.items()}
        return Measured(load.count / seconds, sent.spread, cost)

    def check(self, archive: Archive, count: int, name: str) -> None:
        """Count what arrived; a loss or a planted name of the node spoils the run."""
        arrived = archive.arrived()
        if arrived != count:
            print(f"{name}: {arrived} of {count} instances arrived", file=sys.stderr)
            self.complete = self.complete and name != "node"
        if name == "node" and archive.shows(TOKEN):
            print("node: a planted name arrived", file=sys.stderr)
            self.complete = False


def median_cost(rounds: list[Measured]) -> dict[str, Cpu]:
    """By role, the median of the rounds."""
    roles = dict.fromkeys(role for one in rounds for role in one.cost)
    costs = {role: [one.cost[role] for one in rounds if role in one.cost] for role in roles}
    return {
        role: Cpu(median([one.user for one in found]), median([one.system for one in found]))
        for role, found in costs.items()
    }
