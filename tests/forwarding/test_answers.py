"""What a destination answers, and what follows from it: contract, "Forwarding"."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.forwarding.support import CT, PATIENT, Forwarding, ScriptedSCP, destination, running, small_instance
from tests.support import wait_for
from tests.thorough import slow


def forwarding(folder: Path, port: int, **changes: object) -> Forwarding:
    return Forwarding(folder, {"dest": destination(port, **{"timeout": PATIENT} | changes)})


def test_out_of_resources_twice_is_tried_again_and_delivered(tmp_path: Path) -> None:
    scp = ScriptedSCP(lambda _uid, nth: 0xA700 if nth < 3 else 0)
    node = forwarding(tmp_path, scp.port)
    names = [node.add(small_instance()) for _ in range(3)]
    with running(scp, node):
        node.wait(delivered=3)
    assert len(scp.got) == 9
    assert [node.delivery(name)["tries"] for name in names] == [3, 3, 3]
    assert node.cleaned_files() == 0


def test_an_instance_that_is_refused_is_held_after_refused_tries_and_others_go_on(tmp_path: Path) -> None:
    bad = small_instance()
    scp = ScriptedSCP(lambda uid, _nth: 0xC000 if uid == bad.SOPInstanceUID else 0)
    node = forwarding(tmp_path, scp.port)
    refused = node.add(bad)
    for _ in range(4):
        node.add(small_instance())
    with running(scp, node):
        node.wait(delivered=4, held=1)
        late = node.add(small_instance())
        node.wait(delivered=5, held=1)
    assert scp.uids().count(bad.SOPInstanceUID) == 3
    assert len(scp.uids(0)) == len(set(scp.uids(0))) == 5
    assert node.delivery(refused) == {
        "destination": "dest",
        "state": "held",
        "tries": 3,
        "status": "C000H",
        "reason": "refused",
        "detail": "status C000H, 3 times",
        "last_error": "status C000H, 3 times",
    }
    assert node.delivery(late)["state"] == "delivered"
    assert node.cleaned_files() == 1, "what is held keeps its file"


@pytest.mark.parametrize("status", [0x0001, 0x0107, 0x0116, 0xB000, 0xB007, 0xBFFF])
def test_a_warning_is_delivered_and_kept(tmp_path: Path, status: int) -> None:
    scp = ScriptedSCP(lambda _uid, _nth: status)
    node = forwarding(tmp_path, scp.port)
    name = node.add(small_instance())
    with running(scp, node):
        node.wait(delivered=1)
    assert node.delivery(name)["status"] == f"{status:04X}H"
    assert len(scp.got) == 1


@pytest.mark.parametrize("status", [0xA900, 0xC123, 0x1234, 0xFF00, *slow(0x0122, 0x0124, 0x0117, 0x0212, 0xFE00)])
def test_a_refusal_known_or_not_is_held_after_refused_tries(tmp_path: Path, status: int) -> None:
    scp = ScriptedSCP(lambda _uid, _nth: status)
    retry = {"first": "50ms", "factor": 1, "cap": "50ms", "refused_tries": 2}
    node = forwarding(tmp_path, scp.port, retry=retry)
    name = node.add(small_instance())
    with running(scp, node):
        node.wait(held=1)
    found = node.delivery(name)
    assert (found["reason"], found["status"], found["tries"]) == ("refused", f"{status:04X}H", 2)
    assert len(scp.got) == 2


@pytest.mark.parametrize("status", [0xA700, 0x0110, *slow(0xA7FF, 0x0210, 0x0213)])
def test_what_may_pass_is_tried_again_without_end(tmp_path: Path, status: int) -> None:
    scp = ScriptedSCP(lambda _uid, nth: status if nth <= 5 else 0)
    retry = {"first": "50ms", "factor": 1, "cap": "50ms", "refused_tries": 1}
    node = forwarding(tmp_path, scp.port, retry=retry)
    node.add(small_instance())
    with running(scp, node):
        node.wait(delivered=1)
    assert len(scp.got) == 6


def test_the_status_shows_what_keeps_instances_back(tmp_path: Path) -> None:
    scp = ScriptedSCP(lambda _uid, _nth: 0xA700)
    node = forwarding(tmp_path, scp.port, retry={"first": "1h", "cap": "2h"})
    node.add(small_instance())
    with running(scp, node):
        wait_for(lambda: scp.got and node.status()["destinations"]["dest"]["last_error"], "the error is shown")
        found = node.status()["destinations"]["dest"]
    assert found["waiting"] == 1
    assert found["last_error"] == "status A700H"
    assert found["next_try"] is not None


def test_duplicate_sop_instance_is_held_where_this_content_was_never_offered(tmp_path: Path) -> None:
    scp = ScriptedSCP(lambda _uid, _nth: 0x0111)
    node = forwarding(tmp_path, scp.port)
    name = node.add(small_instance())
    with running(scp, node):
        node.wait(held=1)
    assert node.delivery(name)["reason"] == "destination-has-another"
    assert len(scp.got) == 1, "another try would change nothing"


def test_duplicate_sop_instance_is_delivered_where_it_was_offered_before(tmp_path: Path) -> None:
    scp = ScriptedSCP(lambda _uid, nth: 0xA700 if nth == 1 else 0x0111)
    node = forwarding(tmp_path, scp.port)
    name = node.add(small_instance())
    with running(scp, node):
        node.wait(delivered=1)
    assert node.delivery(name)["status"] == "0111H"


def test_duplicate_sop_instance_is_delivered_where_the_same_content_came_as_another_instance(tmp_path: Path) -> None:
    """A sender that missed the answer sends again: two rows of one content."""
    scp = ScriptedSCP(lambda _uid, nth: 0 if nth == 1 else 0x0111)
    node = forwarding(tmp_path, scp.port)
    same = small_instance()
    first = node.add(same)
    with running(scp, node):
        node.wait(delivered=1)
        second = node.add(same)
        node.wait(delivered=2)
        same.InstanceNumber = 2  # another content under the same UID
        third = node.add(same)
        node.wait(delivered=2, held=1)
    assert node.delivery(first)["status"] == "0000H"
    assert node.delivery(second)["status"] == "0111H"
    assert node.delivery(third)["reason"] == "destination-has-another"


def test_limited_tries_end_with_gave_up_and_release_begins_anew(tmp_path: Path) -> None:
    busy = [True]
    scp = ScriptedSCP(lambda _uid, _nth: 0xA700 if busy[0] else 0)
    retry = {"first": "50ms", "factor": 1, "cap": "50ms", "tries": 3}
    node = forwarding(tmp_path, scp.port, retry=retry)
    name = node.add(small_instance())
    with running(scp, node):
        node.wait(held=1)
        assert node.delivery(name)["reason"] == "gave-up"
        assert len(scp.got) == 3
        assert node.ledger.release(name)
        node.wait(held=1, in_flight=0)
        wait_for(lambda: len(scp.got) == 6, "three tries more")
        node.wait(held=1)
        busy[0] = False
        assert node.ledger.release(name)
        node.wait(delivered=1)


def test_nothing_confirmed_is_sent_again_over_a_restart(tmp_path: Path) -> None:
    scp = ScriptedSCP()
    node = forwarding(tmp_path, scp.port)
    with running(scp, node):
        for _ in range(3):
            for _ in range(5):
                node.add(small_instance())
            node.stop()
            node.start()
        node.wait(delivered=15)
    assert len(scp.got) == len(set(scp.uids())) == 15


def test_sop_instance_uids_arrive_as_the_command_said(tmp_path: Path) -> None:
    scp = ScriptedSCP()
    node = forwarding(tmp_path, scp.port)
    ds = small_instance()
    node.add(ds)
    with running(scp, node):
        node.wait(delivered=1)
    found = scp.got[0].dataset()
    assert (found.SOPClassUID, found.SOPInstanceUID) == (CT, ds.SOPInstanceUID)
