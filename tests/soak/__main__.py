"""Drives a node with random peers and faults, and proves in the end that nothing is missing; see `scripts/soak`."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tests.soak.compare import Row, differences, summary
from tests.soak.faults import Faults
from tests.soak.harvest import Harvest
from tests.soak.senders import ROUTES, Count, Sender
from tests.soak.sinks import Rude
from tests.soak.stock import EXCLUDE, Stock
from tests.support import RunningNode, StoreSCP

SENDERS = ("storescu", "pynetdicom", "raw", "raw")
PATIENCE = 120.0  # seconds for what has to come to an end by itself
LEAST = 0.5  # of all rows have to be delivered, else the run says nothing
_HARVEST_SECONDS = 5.0
_PROVE_SECONDS = 20.0


class Node(RunningNode):
    """A node whose data lie wherever the soak has a disk for them."""

    place = Path()

    @property
    def data(self) -> Path:
        """Where spool and ledger are."""
        return self.place


class Soak:
    """One run in `folder`; the node's data lie in `data`, which may be a small disk of its own."""

    def __init__(self, folder: Path, data: Path, seed: int, rate: float, every: float, *, small: bool) -> None:
        self.count = Count()
        self.stock = Stock(folder / "stock")
        self.steady = StoreSCP(folder / "steady", aet="STEADY")
        self.shaky = StoreSCP(folder / "shaky", aet="SHAKY")
        self.rude = Rude(folder / "rude", f"{seed}/rude")
        ports = {"steady": self.steady.port, "shaky": self.shaky.port, "rude": self.rude.port}
        self.node = Node(folder, ports)
        self.node.place = data
        self._configure(data)
        self.sinks = {
            "steady": Harvest("steady", self.steady.folder),
            "shaky": Harvest("shaky", self.shaky.folder, torn=True),
            "rude": Harvest("rude", folder / "rude"),
        }
        self.senders = [
            Sender(
                name,
                f"{seed}/{place}",
                self.count,
                self.stock,
                self.node.port,
                folder / f"sender{place}",
                rate / len(SENDERS),
            )
            for place, name in enumerate(SENDERS)
        ]
        self.faults = Faults(f"{seed}/faults", self.node, self.shaky, data if small else None, every)
        self._acknowledged = folder / "acknowledged.txt"
        self.proofs: Counter[int] = Counter()  # amid faults, by exit code
        self.amid: list[str] = []

    def _configure(self, data: Path) -> None:
        node = self.node.config["node"]
        node |= {"data": str(data), "spool": str(data / "spool"), "ledger": f"sqlite:///{data / 'ledger.db'}"}
        model = {"recipe": ["research"], "exclude": [EXCLUDE]}
        self.node.config["routes"] = [
            {
                "name": called.lower(),
                "project": called.lower(),
                "from": {"called_ae": [called], "address": ["127.0.0.0/8"]},
                "to": ["steady", other],
                **model,
            }
            for called, other in zip(ROUTES, ("rude", "shaky"), strict=True)
        ]
        self.node.write_config()

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Everything runs inside, and nothing does afterwards."""
        with contextlib.ExitStack() as stack:
            for sink in (self.steady, self.shaky, self.rude):
                stack.callback(sink.stop)
                sink.start()
            stack.callback(self.node.kill)
            self.node.start()
            yield

    def run(self, seconds: float) -> None:
        """Send and make faults for so long, then let everything come to rest."""
        stop = threading.Event()
        works: list[Callable[[threading.Event], None]] = [*(one.run for one in self.senders), self.faults.run]
        threads = [threading.Thread(target=work, args=(stop,), daemon=True) for work in works]
        for thread in threads:
            thread.start()
        try:
            end = time.monotonic() + seconds
            proving = time.monotonic() + _PROVE_SECONDS / 2
            while (left := end - time.monotonic()) > 0 and not self._errors():
                time.sleep(min(left, _HARVEST_SECONDS))
                self._gather()
                if time.monotonic() > proving:
                    self._prove_meanwhile()
                    proving = time.monotonic() + _PROVE_SECONDS
        finally:
            stop.set()
            for thread in threads:
                thread.join(PATIENCE)
        assert not any(thread.is_alive() for thread in threads), "a sender does not come to its end"
        for error in self._errors():
            raise error
        self.rude.calm.set()
        self.node.wait_status(lambda status: not status["in_flight"], "everything has come to rest", PATIENCE)
        self.faults.settle(PATIENCE)
        self.node.wait_status(lambda status: not status["in_flight"], "and nothing begins anew", PATIENCE)
        self._gather(everything=True)

    def _errors(self) -> list[BaseException]:
        return [error for one in (*self.senders, self.faults) for error in one.errors]

    def _prove_meanwhile(self) -> None:
        """Amid all that goes on the proof has to hold as well; only a ledger on a full disk need not be readable."""
        done = self.node.cli("prove", "--json")
        self.proofs[done.returncode] += 1
        if done.returncode not in {0, 4}:
            self.amid += [f"proof amid faults: {json.dumps(one)}" for one in json.loads(done.stdout)["faults"]]

    def _gather(self, *, everything: bool = False) -> None:
        for sink in self.sinks.values():
            sink.gather(everything=everything)

    def judge(self) -> tuple[list[str], dict[str, Any]]:
        """What does not fit, and what `deid-node prove` says."""
        uids = [item.uid for item, times in self.count.acknowledged.items() for _ in range(times)]
        self._acknowledged.write_text("\n".join(uids) + "\n", encoding="ascii")
        done = self.node.cli("prove", "--json", "--content", "--acknowledged", str(self._acknowledged))
        found = [] if done.returncode == 0 else [f"deid-node prove: exit code {done.returncode}\n{done.stderr}"]
        proof = json.loads(done.stdout or "{}")
        found += [f"deid-node prove: {json.dumps(fault)}" for fault in proof.get("faults", ())]
        if proof.get("files", {}).get("to_be_removed"):
            found.append("files are left behind")
        found += self.amid
        rows = self.rows()
        digests = {item: self.stock.digest(item) for item in self.count.sent}
        found += differences(
            self.count.acknowledged,
            self.count.sent,
            digests,
            rows,
            {name: sink.found for name, sink in self.sinks.items()},
        )
        found += [one for sink in self.sinks.values() for one in sink.differences]
        outcomes = summary(rows)
        # What the node does with a repeat decides whether it is delivered again, or excluded.
        if outcomes["delivered"] + outcomes["excluded"] < LEAST * len(rows) or not rows:
            found.append(f"too little came through to say anything: {dict(outcomes)}")
        return found, proof

    def rows(self) -> list[Row]:
        """The ledger's rows, read past the node's own code."""
        with contextlib.closing(sqlite3.connect(self.node.data / "ledger.db", timeout=60)) as connection:
            sent: dict[int, dict[str, str]] = {}
            for seq, destination, state in connection.execute("SELECT instance, destination, state FROM deliveries"):
                sent.setdefault(seq, {})[destination] = state
            query = (
                "SELECT seq, sop_instance_uid, called_ae_title, outcome, reason, clean_sop_instance_uid, digest"
                " FROM instances ORDER BY seq"
            )
            return [Row(*rest, sent.get(seq, {})) for seq, *rest in connection.execute(query)]

    def table(self, proof: dict[str, Any]) -> list[str]:
        """What happened, for people."""
        states = ("received", "in_flight", "delivered", "held", "excluded", "discarded")
        count = self.count
        return [
            f"sent          {len(count.sent)} instances",
            f"answers       {count.acknowledged.total()} success, {count.refused} refused, {count.lost} missing",
            "ledger        " + ", ".join(f"{proof.get(state)} {state.replace('_', ' ')}" for state in states),
            *(
                f"{name:13} {sink.files} files of {len(sink.found)} instances, {sink.half} half-written"
                for name, sink in self.sinks.items()
            ),
            "rude answers  " + _listed(self.rude.ways),
            f"proofs        {self.proofs[0]} held amid faults, for {self.proofs[4]} the ledger could not be read",
            "faults        " + _listed(self.faults.made),
        ]


def _listed(counts: dict[str, int]) -> str:
    return ", ".join(f"{n} {name}" for name, n in sorted(counts.items())) or "none"


def _end(_signal: int, _frame: object) -> None:
    raise KeyboardInterrupt


def soak(arguments: argparse.Namespace, folder: Path) -> int:
    """Run, and print what came of it; the exit code."""
    small = arguments.disk is not None
    data = arguments.disk or folder / "var"
    one = Soak(folder, data, arguments.seed, arguments.rate, arguments.every, small=small)
    with one.running():
        try:
            one.run(60 * arguments.minutes)
            found, proof = one.judge()
        except (AssertionError, OSError, subprocess.SubprocessError) as error:
            found, proof = [f"it did not come to its end: {str(error)[:1000]}"], {}
        if found and small:
            shutil.copytree(data, folder / "data")  # the small disk ends with the run
    for line in one.table(proof):
        print(line)
    for difference in found[:100]:
        print("DIFFERENCE   ", difference)
    verdict = f"{len(found)} differences" if found else "acknowledged = delivered + held + excluded + discarded: holds"
    print(f"{verdict}; again with --seed {arguments.seed}", flush=True)
    return 1 if found else 0


def main() -> int:
    """Parse the arguments and run in a folder that is gone afterwards."""
    parser = argparse.ArgumentParser(prog="scripts/soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=2.0, metavar="N", help="how long to send and to break (2)")
    parser.add_argument("--seed", type=int, default=None, metavar="S", help="of all decisions; random by default")
    parser.add_argument("--rate", type=float, default=4.0, metavar="R", help="instances a second, about (4)")
    parser.add_argument("--every", type=float, default=5.0, metavar="S", help="seconds between faults, about (5)")
    parser.add_argument("--keep", action="store_true", help="keep the folder, also when all is well")
    parser.add_argument("--disk", type=Path, default=None, metavar="FOLDER", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.seed is None:
        arguments.seed = random.randrange(1 << 32)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _end)
    os.nice(10)
    folder = Path(tempfile.mkdtemp(prefix="deid-node-soak-"))
    limits = "without a small disk" if arguments.disk is None else "on a small disk"
    print(f"seed {arguments.seed}, {arguments.minutes:g} minutes, {limits}, in {folder}", flush=True)
    code = 1
    try:
        code = soak(arguments, folder)
    except KeyboardInterrupt:
        print(f"interrupted; again with --seed {arguments.seed}", file=sys.stderr)
        code = 130
    finally:
        if arguments.keep or code == 1:
            print(f"kept: {folder}", flush=True)
        else:
            shutil.rmtree(folder, ignore_errors=True)
    return code


if __name__ == "__main__":
    sys.exit(main())
