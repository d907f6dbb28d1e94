"""An instance that kills its worker: cleaned once more, and at the second death held, while all others go on."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.crash.support import Background, Deadly, Sender, arrived, audit, rows, settled, tiny_cts, uid_of
from tests.support import StoreSCP, wait_for

COUNT = 12


def test_an_instance_that_kills_its_worker_twice_is_held_as_poison_and_the_others_go_on(
    node: Deadly, scp: StoreSCP, tmp_path: Path
) -> None:
    files = tiny_cts(tmp_path / "in", COUNT)
    poison = uid_of(files[4])
    node.dies_at(f"clean:{poison}", 99).start()
    Sender(node.port).send(files)
    status = node.wait_status(lambda s: s["held"] == 1 and not s["in_flight"], "it is held")
    assert status["delivered"] == COUNT - 1
    assert [(one["reason"], one["destination"]) for one in node.held()] == [("poison", None)]
    held = [row for row in rows(node) if row.state == "held"]
    assert [(row.uid, row.strikes, row.leased) for row in held] == [(poison, 2, False)]
    assert node.log().count('"died"') == 2
    assert len(arrived(scp).copies) == COUNT - 1
    # What a dead cleaner had yet to remove goes with a sweep, at the latest at the next start.
    assert node.stop() == 0
    node.lives().start()
    assert node.spool_files()["originals"] == 1, "the original stays for the person who decides"
    # Who releases it, does so in the belief that it is cured.
    assert node.cli("held", "release", held[0].id).returncode == 0
    node.wait_delivered(COUNT)
    audit(node, scp, Sender(node.port), files)


def test_an_instance_that_kills_its_worker_once_is_cleaned(node: Deadly, scp: StoreSCP, tmp_path: Path) -> None:
    files = tiny_cts(tmp_path / "in", COUNT)
    poison = uid_of(files[4])
    node.dies_at(f"clean:{poison}", 1).start()
    sender = Sender(node.port)
    sender.send(files)
    node.wait_delivered(COUNT)
    assert {row.strikes for row in rows(node) if row.uid == poison} == {1}
    assert {row.strikes for row in rows(node) if row.uid != poison} == {0}
    audit(node, scp, sender, files)


@pytest.mark.slow
def test_the_death_of_the_node_is_no_strike(node: Deadly, scp: StoreSCP, tmp_path: Path) -> None:
    files = tiny_cts(tmp_path / "in", COUNT)
    suspect = uid_of(files[4])
    node.dies_at(f"clean:{suspect}", 3, "node")
    sender = Sender(node.port)
    node.start()
    sending = Background(lambda: sender.send(files))
    for death in range(3):
        wait_for(node.died, "the node dies")
        assert {row.strikes for row in rows(node)} == {0}, f"at death {death + 1}"
        node.start()
    sending.join()
    settled(node)
    assert {row.strikes for row in rows(node)} == {0}
    assert not node.held()
    audit(node, scp, sender, files)
