"""Tries every durable step of the small road with what can go wrong there: `laboratory.py FOLDER some|all|recovery`.

Runs without a fault tell the steps: as many of each as every run has, since how many commits a forwarder needs for
three instances depends on how quickly they come. Then, for each of them, a process in which it goes wrong, and one
without a fault that goes on where the first one ended; at last the sender repeats what was not acknowledged. `some`
tries one fault for each step, in turn; `all` every one; `recovery` every one at the steps of an opening, after a death
and for the first time.

It prints a line of JSON for each trial: step, number, kind, and what was wrong, if anything.
"""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import pydicom
from pydicom.uid import DeflatedExplicitVRLittleEndian

import node.cleaner.worker
import node.forwarder.lane
import node.removal
import node.spool
from tests.crash.faults import KINDS, Fault
from tests.crash.smallroad import Report, Sent, SmallRoad
from tests.road.support import DEFLATED, EXPLICIT
from tests.support import make_ct

# Deaths that leave something to recover, and what: half a file, a file without a row, a cleaned file before its row,
# files whose rows no longer need them.
LEFT = (
    Fault("receiver fdatasync var/spool/incoming/*.part", 2, "dies before"),
    Fault("receiver COMMIT ledger", 2, "dies before"),
    Fault("cleaner COMMIT ledger", 2, "dies before"),
    Fault("cleaner COMMIT ledger", 2, "dies after"),
    Fault("forwarder unlink var/spool/originals/*.dcm", 1, "dies before"),
)


def instances(folder: Path) -> list[Sent]:
    """One that is derived from its original, one that is masked and copied, and a deflated one."""
    plain, masked, deflated = (make_ct(folder / name, 1, rows=rows)[0] for name, rows in SIZES.items())
    ds = pydicom.dcmread(masked)
    ds.Manufacturer = "BANNER"
    ds.save_as(masked)
    found = [_sent(plain, EXPLICIT), _sent(masked, EXPLICIT)]
    ds = pydicom.dcmread(deflated)
    ds.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    ds.save_as(deflated)
    return [*found, _sent(deflated, DEFLATED)]


_TRIES = 5
SIZES = {"plain": 48, "masked": 160, "deflated": 48}


def _sent(path: Path, syntax: str) -> Sent:
    meta = pydicom.filereader.read_file_meta_info(path)
    content = path.read_bytes()
    start = 144 + int.from_bytes(content[140:144], "little")
    return Sent(str(meta.MediaStorageSOPInstanceUID), content[start:], 1 if syntax == EXPLICIT else 3)


def counted(steps: Sequence[str]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for step in steps:
        counts[step] = counts.get(step, 0) + 1
    return counts


def points(steps: Sequence[str]) -> list[tuple[str, int]]:
    """Every step with its number, in the order in which they were taken."""
    seen = dict[str, int]()
    found = []
    for step in steps:
        seen[step] = seen.get(step, 0) + 1
        found.append((step, seen[step]))
    return found


class Laboratory:
    """Runs trials and says what is wrong with them."""

    def __init__(self, folder: Path) -> None:
        self.sent = instances(folder / "sent")
        self.uids = {one.uid for one in self.sent}
        self.road = SmallRoad(folder)
        self.road.make()
        self.road.warm(self.sent)
        self.road.recording = True
        whole = self.road.run(self.sent)
        assert whole.acknowledged == self.uids, whole
        assert not whole.crashes, whole.crashes
        (result,) = whole.results
        assert not result["files"], result
        self.steps = self._in_every_run(whole.steps)
        self.expected: dict[str, str] = result["delivered"]
        assert len(self.expected) == len(self.sent), result
        self.road.recording = False

    def _in_every_run(self, steps: Sequence[str]) -> list[str]:
        least = counted(steps)
        for _ in range(2):
            self.road.restore()
            found = counted(self.road.run(self.sent).steps)
            least = {step: min(number, found.get(step, 0)) for step, number in least.items()}
        return [step for step, number in points(steps) if number <= least[step]]

    def some(self) -> Iterator[Fault]:
        """One fault for each step, at its last time; like steps get another one in turn."""
        turns: dict[str, int] = {}
        for step, number in counted(self.steps).items():
            operation = step.split()[1]
            turn = turns[operation] = turns.get(operation, len(turns)) + 1
            yield Fault(step, number, KINDS[turn % len(KINDS)])

    def every(self) -> Iterator[Fault]:
        for step, number in points(self.steps):
            for kind in KINDS:
                yield Fault(step, number, kind)

    def trial(self, fault: Fault) -> list[str]:
        """What is wrong after a fault on the way; a run that did not come to it is none."""
        # A step that is there now and then alone: the one before it of its kind has its turn.
        for number in (fault.number,) * _TRIES + tuple(range(fault.number - 1, 0, -1)):
            self.road.restore()
            first = self.road.run(self.sent, fault._replace(number=number))
            if first.happened:
                break
        return [*self._hit(first, fault), *self._goes_on(first)]

    def recovery(self) -> Iterator[tuple[Fault, Fault, list[str]]]:
        """Every fault at each step of the opening after a death, with what is wrong after both."""
        for death in LEFT:
            self.road.restore()
            self._hit(self.road.run(self.sent, death), death)
            self.road.recording = True
            steps = [step for step in self.road.run([]).steps if step.startswith("opening ")]
            self.road.recording = False
            for step, number in points(steps):
                for kind in KINDS:
                    fault = Fault(step, number, kind)
                    self.road.restore()
                    first = self.road.run(self.sent, death)
                    second = self.road.run([], fault)
                    wrong = [*self._hit(first, death), *self._hit(second, fault), *self._goes_on(first)]
                    yield death, fault, wrong

    def first_start(self) -> Iterator[tuple[Fault, list[str]]]:
        """Every fault at each step of the very first opening, with what is wrong after it."""
        self.road.remove()
        self.road.recording = True
        steps = [step for step in self.road.run([]).steps if step.startswith("opening ")]
        self.road.recording = False
        for step, number in points(steps):
            for kind in KINDS:
                fault = Fault(step, number, kind)
                self.road.remove()
                first = self.road.run([], fault)
                # The secret is another one, and with it every UID.
                after = self.road.go_on(self.sent)
                wrong = list(self._hit(first, fault))
                if after.acknowledged != self.uids or not after.results or after.results[0]["files"]:
                    wrong.append(f"the node does not begin: {after}")
                elif after.results[0]["status"]["delivered"] != len(self.sent):
                    wrong.append(f"not all is delivered: {after.results}")
                yield fault, wrong

    @staticmethod
    def _hit(report: Report, fault: Fault) -> Iterator[str]:
        if report.happened != [f"! {fault.kind}"]:
            yield f"the step was not come to: {report.happened}"
        died = report.status == -9
        if died != fault.kind.startswith("dies"):
            yield f"the process ended with {report.status}"
        if report.crashes:
            yield f"a fault that nobody expected: {report.crashes}"

    def _goes_on(self, before: Report) -> Iterator[str]:
        """What is wrong when the node goes on without a fault, before and after the sender repeats."""
        if set(before.statuses) - {0x0000, 0xA700}:
            yield f"the sender was answered {before.statuses}"
        rest = [one for one in self.sent if one.uid not in before.acknowledged]
        after = self.road.go_on([], rest) if rest else self.road.go_on([])
        if after.refused or after.ended or after.crashes or len(after.results) != 1 + bool(rest):
            yield f"the node does not go on: {after}"
            return
        yield from self._as_it_should_be(after.results[0], before.acknowledged)
        if after.acknowledged != {one.uid for one in rest}:
            yield f"what was repeated is answered {after.statuses}"
        yield from self._as_it_should_be(after.results[-1], self.uids if rest else before.acknowledged)

    def _as_it_should_be(self, result: dict[str, Any], acknowledged: set[str]) -> Iterator[str]:
        status, delivered = result["status"], result["delivered"]
        repeated = status["duplicates"]  # where it was acknowledged to nobody, and came again
        if status["received"] != status["delivered"] + repeated or status["excluded"] != repeated:
            yield f"not all is delivered: {status}"
        arrived = {Path(path).stem for path in delivered}
        if not {result["uids"].get(uid) for uid in acknowledged} <= arrived:
            yield f"acknowledged and not delivered: {len(acknowledged)}, {sorted(delivered)}, {status}"
        if acknowledged == self.uids and delivered != self.expected:
            yield f"other files than without a fault: {sorted(delivered)}"
        if not delivered.items() <= self.expected.items():
            yield f"other bytes than without a fault: {sorted(delivered)}"
        if result["files"]:
            yield f"files that nobody needs: {result['files']}"


def replace(module: ModuleType, name: str, value: object) -> None:
    assert hasattr(module, name), f"{module.__name__} has no {name} any more"
    setattr(module, name, value)


def main(folder: Path, which: str) -> None:
    logging.disable(logging.CRITICAL)
    # What is waited out in earnest is not here.
    replace(node.cleaner.worker, "_TROUBLE_SECONDS", 0.02)
    replace(node.forwarder.lane, "_TROUBLE_SECONDS", 0.02)
    replace(node.removal, "_WORTH_IT", 20_000)  # the large one is kept to be written over, the others are removed
    # One folder stands for the 256 over which files are fanned out.
    replace(node.spool, "_FAN_OUT", ["00"])
    replace(node.spool, "_fan", lambda _: "00")
    laboratory = Laboratory(folder)
    print(json.dumps({"steps": counted(laboratory.steps), "points": len(points(laboratory.steps))}), flush=True)
    if which == "recovery":
        for death, fault, wrong in laboratory.recovery():
            print(json.dumps({"after": death, "fault": fault, "wrong": wrong}), flush=True)
        for fault, wrong in laboratory.first_start():
            print(json.dumps({"after": None, "fault": fault, "wrong": wrong}), flush=True)
        return
    for fault in laboratory.some() if which == "some" else laboratory.every():
        print(json.dumps({"fault": fault, "wrong": laboratory.trial(fault)}), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
