"""Each row of the crash table: the process is killed exactly there, a child alone and the node as a whole."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from _pytest.mark import ParameterSet

from tests.crash.support import Background, Deadly, Sender, audit, clean_start, rows, settled, tiny_cts, uid_of
from tests.support import StoreSCP, wait_for

COUNT = 6


class Trial:
    """A node that dies once while six instances are sent, and what is to be seen of it."""

    def __init__(self, node: Deadly, scp: StoreSCP, folder: Path) -> None:
        self.node = node
        self.scp = scp
        self.files = tiny_cts(folder / "in", COUNT)
        self.sender = Sender(node.port)
        self.left: dict[str, int] = {}

    @property
    def repeated(self) -> int:
        """How often the sender had to send something again."""
        return sum(self.sender.attempts.values()) - COUNT

    def with_one_lane(self) -> Trial:
        """Nothing is on the way to the destination but what the lane that dies has in hand."""
        self.node.config["destinations"]["dest"]["associations"] = 1
        self.node.write_config()
        return self

    def with_files(self) -> Trial:
        """What is cleaned becomes files, and originals go at once."""
        self.node.with_files()
        return self

    def run(self, point: str, who: str, number: int = 3) -> None:
        """Send everything to a node that dies at `point`; a node that died as a whole is started again."""
        self.node.dies_at(point, number, who).start()
        sending = Background(lambda: self.sender.send(self.files))
        if who == "node":
            wait_for(self.node.died, "the node dies")
            self.left = self.node.spool_files()
            self.node.lives().start()
        else:
            wait_for(lambda: '"died"' in self.node.log(), "a child dies")
        sending.join()
        assert self.sender.acknowledged == {uid_of(path) for path in self.files}

    def left_when_calm(self) -> dict[str, int]:
        """What lies in the spool when everything that is removed beside the work is gone."""
        time.sleep(2)
        return self.node.spool_files()

    def finish(self) -> tuple[int, int]:
        """Restart in good order and audit all; return how many repeats the ledger has, and how many the sink."""
        settled(self.node)
        clean_start(self.node)
        found = audit(self.node, self.scp, self.sender, self.files)
        return len(rows(self.node)) - COUNT, sum(found.copies.values()) - COUNT


LANES = 2  # associations with a destination


@pytest.fixture
def trial(node: Deadly, scp: StoreSCP, tmp_path: Path) -> Trial:
    return Trial(node, scp, tmp_path)


def slow(point: str) -> ParameterSet:
    """A second point in a row of the table, which another test of that row stands for."""
    return pytest.param(point, marks=pytest.mark.slow)


# The whole node is killed at these points by test_kill.py too.
both = pytest.mark.parametrize("who", ["child", pytest.param("node", marks=pytest.mark.slow)])


@both
@pytest.mark.parametrize("point", ["data-partly-written", slow("data-written")])
def test_a_death_before_the_file_is_durable_leaves_no_instance_and_the_sender_repeats(
    trial: Trial, point: str, who: str
) -> None:
    trial.run(point, who)
    if who == "node":
        assert trial.left["incoming"] == 1
    assert trial.repeated == 1, "one was repeated"
    assert trial.finish() == (0, 0)


@both
def test_a_death_after_the_file_is_durable_adopts_it_and_one_of_it_and_the_repeat_is_sent(
    trial: Trial, who: str
) -> None:
    trial.run("original-durable", who)
    if who == "child":
        # Within the grace period it is not touched: for all that is known its receiver is about to write the row.
        trial.node.wait_delivered(COUNT)
        wait_for(lambda: trial.node.spool_files()["originals"] == 1, "the others are removed")
        assert len(rows(trial.node)) == COUNT
    clean_start(trial.node)
    assert '"adopted"' in trial.node.log()
    assert_one_repeat(trial, who)


@both
@pytest.mark.parametrize("point", ["row-committed", slow("answer-due")])
def test_a_death_before_the_answer_goes_on_and_the_repeat_is_not_sent(trial: Trial, point: str, who: str) -> None:
    trial.run(point, who)
    assert trial.repeated == 1
    assert_one_repeat(trial, who)


def assert_one_repeat(trial: Trial, who: str) -> None:
    """It is known and not sent; where the whole node died, what a destination had answered and no row says yet is."""
    repeats, copies = trial.finish()
    assert repeats == 1
    assert copies <= (0 if who == "child" else LANES)


@both
@pytest.mark.slow
def test_a_death_after_the_answer_loses_nothing_and_repeats_nothing(trial: Trial, who: str) -> None:
    trial.run("answered", who)
    repeats, copies = trial.finish()
    # The next may have come into a process that was about to go; no answer was sent to it.
    assert repeats == copies == 0
    assert trial.repeated <= 1


@both
@pytest.mark.parametrize("point", ["claimed", slow("clean-written"), "clean-durable", slow("in-the-commit")])
def test_a_death_while_cleaning_frees_the_lease_at_once_and_is_done_again(trial: Trial, point: str, who: str) -> None:
    if point.startswith("clean-"):
        trial.with_files()
    trial.run(point, who, number=1)
    if who == "node" and point == "clean-written":
        assert trial.left["incoming"] >= 1
    if who == "node" and point == "clean-durable":
        assert trial.left["cleaned"] >= 1
    repeats, copies = trial.finish()
    assert repeats <= trial.repeated, "only what the sender repeated"
    assert copies == 0
    struck = sorted(row.strikes for row in rows(trial.node))
    assert sum(struck) == 0, "a strike is for the instance in hand, and none was"


@both
def test_a_death_after_the_deliveries_are_committed_leaves_an_original_which_is_removed(trial: Trial, who: str) -> None:
    trial.with_files().run("deliveries-committed", who, number=1)
    if who == "child":
        trial.node.wait_delivered(COUNT)
        assert trial.left_when_calm()["originals"] >= 1
    else:
        assert trial.left["originals"] >= 1
    repeats, copies = trial.finish()
    assert repeats <= trial.repeated
    assert copies == 0


@both
def test_a_death_after_the_deliveries_are_committed_sends_what_is_derived_from_its_original(
    trial: Trial, who: str
) -> None:
    trial.run("deliveries-committed", who, number=1)
    if who == "node":
        assert trial.left["originals"] >= 1
        assert trial.left["cleaned"] == 0
    repeats, copies = trial.finish()
    assert repeats <= trial.repeated
    assert copies == 0


@both
@pytest.mark.parametrize("point", [slow("offered"), "destination-answered"])
def test_a_death_before_a_delivery_is_settled_sends_again_the_same_bytes(trial: Trial, point: str, who: str) -> None:
    trial.with_one_lane().run(point, who, number=1)
    repeats, copies = trial.finish()
    assert repeats <= trial.repeated
    assert copies == (1 if point == "destination-answered" else 0)


@both
@pytest.mark.parametrize("folder", ["originals", slow("cleaned")])
def test_a_death_after_a_delivery_is_settled_sends_nothing_again_and_the_file_is_removed(
    trial: Trial, who: str, folder: str
) -> None:
    if folder == "cleaned":
        trial.with_files()
    trial.with_one_lane().run("delivery-settled", who, number=1)
    if who == "child":
        trial.node.wait_delivered(COUNT)
        assert trial.left_when_calm()[folder] >= 1
    else:
        assert trial.left[folder] >= 1
    repeats, copies = trial.finish()
    assert repeats <= trial.repeated
    assert copies == 0
