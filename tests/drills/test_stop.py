"""`stop` and `go`: all forwarding at once, while everything else goes on."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from node.ledger import halt
from node.ledger.alerts import alerts
from tests.drills.support import Site
from tests.forwarding.support import Forwarding, ScriptedSCP, destination, small_instance
from tests.support import wait_for

LANES, COUNT = 2, 14


def test_who_stopped_and_let_go_stands_in_the_audit_trail_without_the_reason(
    site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    assert site.cli(capsys, "go") == 0
    assert "was not stopped" in site.said
    assert site.cli(capsys, "stop", "--reason", "ask Dr PLANTED") == 0
    assert site.asked(capsys, "status")["stopped"]["reason"] == "ask Dr PLANTED"
    assert site.cli(capsys, "stop") == 0
    assert "stopped already" in site.said
    assert site.cli(capsys, "go") == 0
    said = site.said_in_audit()
    assert (said.count("forwarding stopped"), said.count("forwarding goes on")) == (1, 1)
    assert "PLANTED" not in said


@pytest.mark.skipif(os.getuid() != 0, reason="only root can write what belongs to others")
def test_root_writes_nothing_that_the_nodes_user_could_not_read(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    os.chown(site.config.node.data, 10001, 10001)
    for command in (["stop"], ["rebuild"], ["revoke", "--project", "p", "--yes", "MRN-1"], ["encrypt"]):
        assert site.cli(capsys, *command) == 1
        assert "sudo -u '#10001' deid-node" in site.said, command
    assert site.cli(capsys, "status") == 0, "to look is another matter"
    assert site.asked(capsys, "status")["stopped"] is None
    assert not (site.config.node.data / "withdrawn.json").exists()


def slowly(_uid: str, _nth: int) -> int:
    time.sleep(0.1)
    return 0


def test_after_a_stop_no_more_arrives_at_a_slow_destination_than_was_in_hand_also_after_a_restart(
    tmp_path: Path,
) -> None:
    scp, later = ScriptedSCP(slowly).start(), ScriptedSCP().start()
    node = Forwarding(tmp_path, {"dest": destination(scp.port, associations=LANES)})
    for _ in range(COUNT):
        node.add(small_instance(), to=("dest",))
    try:
        node.start()
        wait_for(lambda: len(scp.got) >= LANES, "the first arrive")
        assert halt.stop(node.database, None, "a wrong recipe")
        arrived = len(scp.got)
        leased = "SELECT count(*) FROM deliveries WHERE lease_owner IS NOT NULL"

        def is_settled() -> bool:
            with node.database.read() as connection:
                return bool(connection.driver.execute(leased).fetchone() == (0,))

        wait_for(is_settled, "nothing is in hand")
        assert arrived <= len(scp.got) <= arrived + LANES < COUNT
        before = len(scp.got)
        found = node.status()
        assert found["delivered"] == before, "what was in hand is settled"
        assert found["in_flight"] == COUNT - before
        assert found["stopped"]["reason"] == "a wrong recipe"
        assert not halt.stop(node.database, None), "it is stopped already"
        (alert,) = alerts(node.database, node.config)
        assert (alert["kind"], "wrong recipe" in alert["text"]) == ("stopped", False)

        # Over a restart, and to a destination that a new configuration has.
        node.stop()
        node.destinations["later"] = destination(later.port)
        node.load()
        node.start()
        node.add(small_instance(), to=("later",))
        time.sleep(1.0)  # nothing is to be seen: a lane would have looked three times
        assert (len(scp.got), len(later.got)) == (before, 0)
        node.ledger.resume("dest")
        assert halt.go(node.database, None)
        node.wait(delivered=COUNT + 1)
        assert len(scp.got) == COUNT, "each of them once"
        assert node.status()["stopped"] is None
        assert alerts(node.database, node.config) == []
        assert not halt.go(node.database, None)
    finally:
        node.close()
        scp.stop()
        later.stop()
