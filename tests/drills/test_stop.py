"""`stop` and `go`: all forwarding at once, while everything else goes on."""

from __future__ import annotations

import itertools
import os
import threading
import time
from pathlib import Path

import pytest

from node.ledger import halt
from node.ledger.alerts import alerts
from tests.drills.support import Site
from tests.forwarding.support import PATIENT, Forwarding, ScriptedSCP, destination, running, small_instance
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


class Slow:
    """Answers the first at once, and what comes after them when all is stopped."""

    def __init__(self) -> None:
        self.stopped = threading.Event()
        self._numbers = itertools.count(1)

    def answer(self, _uid: str, _nth: int) -> int:
        assert next(self._numbers) <= LANES or self.stopped.wait(20)
        return 0


def test_after_a_stop_no_more_arrives_at_a_slow_destination_than_was_in_hand_also_after_a_restart(
    tmp_path: Path,
) -> None:
    slow = Slow()
    scp, later = ScriptedSCP(slow.answer), ScriptedSCP()
    node = Forwarding(tmp_path, {"dest": destination(scp.port, associations=LANES, timeout=PATIENT)})
    for _ in range(COUNT):
        node.add(small_instance(), to=("dest",))
    with running(scp, later, node):
        wait_for(lambda: len(scp.got) >= LANES, "the first arrive")
        assert halt.stop(node.database, None, "a wrong recipe")
        arrived = len(scp.got)
        slow.stopped.set()
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
