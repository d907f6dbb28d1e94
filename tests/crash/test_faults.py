"""Every durable step of the node fails, or the process dies just before or after it: all points, by enumeration.

After each the node goes on without a fault. Then what was acknowledged is delivered; and once the sender has repeated
the rest, all is, byte for byte as in a run in which nothing went wrong, with no file left that nobody needs.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.crash.faults import KINDS
from tests.crash.support import Background, Deadly, Sender, audit, clean_start, settled, tiny_cts, uid_of
from tests.support import StoreSCP, wait_for
from tests.zygote import REPOSITORY, run

# What the road has to come to, whatever else it may: where one of these is missing, the list is not whole.
OPERATIONS = {
    "receiver": {"create", "writev", "fdatasync", "rename", "fsync", "BEGIN IMMEDIATE", "COMMIT"},
    "cleaner": {
        *("create", "write", "copy_file_range", "unlink", "fdatasync", "rename", "fsync", "chmod", "mkdir", "replace"),
        *("BEGIN IMMEDIATE", "COMMIT"),
    },
    "forwarder": {"BEGIN IMMEDIATE", "COMMIT", "unlink", "rename", "chmod"},
    "sink": {"create", "write", "fsync", "mkdir", "link", "unlink"},
}

ROLES = ("receiver", "cleaner", "forwarder")


def laboratory(folder: Path, which: str, seconds: float) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Run it; return what it says of the steps, and of each trial."""
    command = [sys.executable, str(Path(__file__).with_name("laboratory.py")), str(folder), which]
    done = run(command, cwd=folder, env={**os.environ, "PYTHONPATH": str(REPOSITORY)}, timeout=seconds)
    assert done.returncode == 0, done.stderr[-3000:]
    first, *trials = map(json.loads, done.stdout.splitlines())
    return first, trials


def nothing_is_wrong(trials: list[dict[str, Any]]) -> None:
    assert not (wrong := [trial for trial in trials if trial["wrong"]]), "\n".join(map(str, wrong))


@pytest.mark.timeout(600)
def test_after_a_fault_at_any_durable_step_what_was_acknowledged_is_delivered_and_no_file_is_left(
    tmp_path: Path,
) -> None:
    first, trials = laboratory(tmp_path, "some", 590)
    for role, operations in OPERATIONS.items():
        found = {" ".join(step.split()[1:-1]) for step in first["steps"] if step.startswith(f"{role} ")}
        assert operations <= found | {"BEGIN IMMEDIATE"}, role
    assert {trial["fault"][0] for trial in trials} == set(first["steps"]), "each step has its turn"
    assert {trial["fault"][2] for trial in trials} == set(KINDS)
    nothing_is_wrong(trials)


@pytest.mark.slow
@pytest.mark.timeout(3000)
def test_after_any_fault_at_any_time_of_any_durable_step_nothing_is_lost(tmp_path: Path) -> None:
    first, trials = laboratory(tmp_path, "all", 2900)
    assert len(trials) == sum(first["steps"].values()) * len(KINDS) == first["points"] * len(KINDS)
    nothing_is_wrong(trials)


@pytest.mark.slow
@pytest.mark.timeout(3000)
def test_after_any_fault_at_a_start_the_next_start_mends_it(tmp_path: Path) -> None:
    _, trials = laboratory(tmp_path, "recovery", 2900)
    after = {tuple(trial["after"] or ()) for trial in trials}
    assert len(after) == 6, "five deaths that leave something, and the first start"
    assert {"opening BEGIN IMMEDIATE ledger", "opening COMMIT ledger"} <= {trial["fault"][0] for trial in trials}
    nothing_is_wrong(trials)


@pytest.mark.slow
@pytest.mark.timeout(3000)
def test_after_a_fault_in_any_process_of_a_running_node_nothing_is_lost(
    make_node: Callable[..., Deadly], tmp_path: Path
) -> None:
    """The first time of each step, in the processes of the node itself, with a supervisor that replaces what dies."""
    steps = trial(make_node, tmp_path, 0, "-", "")
    assert {step.split()[0] for step in steps} >= set(ROLES)
    kinds = [kind for kind in KINDS if not kind.endswith("for good")]
    for number, step in enumerate(steps, 1):
        trial(make_node, tmp_path, number, step, kinds[number % len(kinds)])


def trial(make_node: Callable[..., Deadly], folder: Path, number: int, step: str, kind: str) -> list[str]:
    """Send three instances to a node in which this goes wrong; return its steps in the order of their first time."""
    scp = StoreSCP(folder / f"sink{number}").start()
    try:
        node = make_node({"dest": scp.port}, f"node{number}", node={"workers": 1}).with_files()
        node.start()
        assert node.stop() == 0
        launcher = str(Path(__file__).with_name("faulty.py"))
        node.command = [sys.executable, launcher, str(node.folder), step, kind, *node.command[3:]]
        files = tiny_cts(folder / f"in{number}", 3)
        sender = Sender(node.port)
        node.start()
        Background(lambda: sender.send(files)).join()
        assert sender.acknowledged == {uid_of(path) for path in files}
        settled(node)
        if step != "-":
            wait_for((node.folder / "fired").exists, f"it comes to {step}")
        clean_start(node)
        audit(node, scp, sender, files)
        node.kill()
    finally:
        scp.stop()
    found = (node.folder / "steps").read_text().splitlines()
    return list(dict.fromkeys(one for one in found if one.startswith(ROLES)))
