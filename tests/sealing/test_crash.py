"""Rows of the crash table, with encryption: what dies in the middle leaves what can be opened, or nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.crash.support import Deadly, rows
from tests.crash.test_crash_table import COUNT, LANES, Trial
from tests.sealing.support import TOKENS, files_in, shown
from tests.support import StoreSCP


@pytest.fixture
def trial(node: Deadly, scp: StoreSCP, tmp_path: Path) -> Trial:
    node.seals()
    return Trial(node, scp, tmp_path)


@pytest.mark.slow
def test_a_death_while_receiving_leaves_half_a_sealed_file_that_nobody_takes_for_one(trial: Trial) -> None:
    trial.run("data-partly-written", "node")
    assert trial.left["incoming"] == 1
    assert trial.repeated == 1, "one was repeated"
    assert trial.finish() == (0, 0)


@pytest.mark.slow
def test_a_death_after_the_file_is_durable_adopts_a_sealed_one(trial: Trial) -> None:
    trial.run("original-durable", "node")
    repeats, copies = trial.finish()
    assert repeats == 1
    assert copies <= LANES, "what was in hand when it died may come twice; the repeat is not sent"
    assert '"adopted"' in trial.node.log()


@pytest.mark.slow
def test_a_death_while_cleaning_is_done_again_and_shows_nothing(trial: Trial) -> None:
    trial.with_files().run("clean-written", "node", number=1)
    assert trial.left["incoming"] >= 1
    assert not shown(trial.node.data, *TOKENS)
    assert all(path.read_bytes().startswith(b"DEIDSEAL") for path in files_in(trial.node.spool / "originals"))
    repeats, copies = trial.finish()
    assert repeats == copies <= trial.repeated
    assert len(rows(trial.node)) == COUNT + repeats


@pytest.mark.slow
def test_a_death_after_the_deliveries_are_committed_sends_ranges_of_a_sealed_original(trial: Trial) -> None:
    trial.run("deliveries-committed", "node", number=1)
    assert trial.left["originals"] >= 1
    repeats, copies = trial.finish()
    assert repeats == copies <= trial.repeated
