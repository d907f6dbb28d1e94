"""Destinations that hang, abort, answer late or wrongly: nothing is lost, nothing is settled by the wrong answer."""

from __future__ import annotations

import socket
import struct
import threading
from pathlib import Path

from tests.forwarding.raw import RawConnection, RawSCP
from tests.forwarding.support import (
    PATIENT,
    Forwarding,
    ScriptedSCP,
    destination,
    running,
    small_instance,
)
from tests.support import wait_for

QUICK = {"first": "100ms", "factor": 1, "cap": "200ms"}


def forwarding(folder: Path, port: int, **changes: object) -> Forwarding:
    return Forwarding(folder, {"dest": destination(port, **{"timeout": PATIENT, "retry": QUICK} | changes)})


def serve_well(connection: RawConnection, confirmed: list[str]) -> None:
    while True:
        context, message, uid = connection.store()
        confirmed.append(uid)
        connection.answer(context, message, uid)


def test_a_late_response_settles_nothing_while_another_is_in_flight_under_the_same_message_id(tmp_path: Path) -> None:
    first, second = small_instance(), small_instance()
    seen: list[tuple[int, int, str]] = []
    late_sent, in_flight = threading.Event(), threading.Event()

    def behave(connection: RawConnection, number: int) -> None:
        connection.accept()
        context, message, uid = connection.store()
        seen.append((number, message, uid))
        if number == 1:
            # Not answered in time: the answer comes on this connection while the next instance is in flight.
            assert in_flight.wait(10)
            try:
                connection.answer(context, message, uid)
            finally:
                late_sent.set()
        elif number == 2:
            in_flight.set()
            assert late_sent.wait(10)
            # The instance in flight is refused: it must be its own answer that counts.
            connection.answer(context, message, uid, 0xA700)
        else:
            connection.answer(context, message, uid)
            serve_well(connection, [])

    scp = RawSCP(behave)
    short = PATIENT | {"response": "2s"}  # for the second answer, too, which is to come
    node = forwarding(tmp_path, scp.port, retry={"first": "2s", "factor": 1, "cap": "2s"}, timeout=short)
    names = [node.add(first), node.add(second)]
    with running(scp, node):
        assert late_sent.wait(10)
        wait_for(lambda: node.delivery(names[1])["status"] == "A700H", "the second has its own answer")
        assert node.delivery(names[0])["state"] == "due", "the late answer settles nothing"
        node.wait(delivered=2)
    assert seen[0][1:] == (1, first.SOPInstanceUID)
    assert seen[1][1:] == (1, second.SOPInstanceUID), "the same message id is in use again"


def test_a_response_with_another_message_id_settles_nothing(tmp_path: Path) -> None:
    confirmed: list[str] = []

    def behave(connection: RawConnection, number: int) -> None:
        connection.accept()
        if number <= 2:
            context, message, uid = connection.store()
            connection.answer(context, message + 1, uid)
            connection.pdu()  # the node's A-ABORT
        else:
            serve_well(connection, confirmed)

    scp = RawSCP(behave)
    node = forwarding(tmp_path, scp.port)
    ds = [small_instance() for _ in range(2)]
    names = [node.add(one) for one in ds]
    with running(scp, node):
        node.wait(delivered=2)
    assert sorted(confirmed) == sorted(str(one.SOPInstanceUID) for one in ds)
    assert [node.delivery(name)["tries"] for name in names] == [2, 2]


def test_a_response_in_another_context_settles_nothing(tmp_path: Path) -> None:
    confirmed: list[str] = []

    def behave(connection: RawConnection, number: int) -> None:
        connection.accept()
        if number == 1:
            context, message, uid = connection.store()
            connection.answer(context + 2, message, uid)
            connection.pdu()
        else:
            serve_well(connection, confirmed)

    scp = RawSCP(behave)
    node = forwarding(tmp_path, scp.port)
    name = node.add(small_instance())
    with running(scp, node):
        node.wait(delivered=1)
    assert len(confirmed) == 1
    assert "ProtocolError" in node.delivery(name)["last_error"]


def test_a_destination_that_hangs_before_it_accepts_is_paused_and_tried_again(tmp_path: Path) -> None:
    confirmed: list[str] = []
    hanging = [True]

    def behave(connection: RawConnection, _number: int) -> None:
        if hanging[0]:
            connection.pdu()
            connection.pdu()  # the node's A-ABORT, or its end
            return
        connection.accept()
        serve_well(connection, confirmed)

    scp = RawSCP(behave)
    node = forwarding(tmp_path, scp.port, timeout=PATIENT | {"associate": "500ms"})
    name = node.add(small_instance())
    with running(scp, node):
        wait_for(lambda: len(scp.connections) >= 3, "it is tried again")
        found = node.status()["destinations"]["dest"]
        assert found["waiting"] == 1
        assert "PeerTimeout" in found["last_error"]
        assert node.delivery(name)["tries"] == 0, "the deliveries of an unreachable destination are untouched"
        hanging[0] = False
        node.wait(delivered=1)


def test_an_outage_counts_once_however_many_lanes_run_into_it(tmp_path: Path) -> None:
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))  # bound, not listening: refused
    try:
        node = forwarding(
            tmp_path,
            listener.getsockname()[1],
            associations=4,
            retry={"first": "1h", "factor": 2, "cap": "10h"},
        )
        for _ in range(70):
            node.add(small_instance())
        with running(node):
            wait_for(lambda: node.status()["destinations"]["dest"]["last_error"], "it is found out")
            node.stop()
            from node.ledger.sending import SendingLedger

            assert SendingLedger(node.database, "dest").state().failures == 1
            assert node.status()["in_flight"] == 70
    finally:
        listener.close()


def test_connections_closed_after_k_objects_lose_and_repeat_nothing_confirmed(tmp_path: Path) -> None:
    confirmed: list[str] = []

    def behave(connection: RawConnection, number: int) -> None:
        connection.accept()
        for _ in range(3):
            context, message, uid = connection.store()
            confirmed.append(uid)
            connection.answer(context, message, uid)
        if number % 2:
            connection.store()  # one more is taken, not answered
        if number % 3 == 0:
            connection.peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # RST

    scp = RawSCP(behave)
    node = forwarding(tmp_path, scp.port)
    for _ in range(20):
        node.add(small_instance(pad=5000))
    with running(scp, node):
        node.wait(delivered=20)
    assert len(confirmed) == len(set(confirmed)) == 20


def test_one_instance_that_breaks_every_association_stops_no_other_and_is_not_forgotten(tmp_path: Path) -> None:
    bad = small_instance()
    healed = [False]
    confirmed: list[str] = []

    def behave(connection: RawConnection, _number: int) -> None:
        connection.accept()
        while True:
            context, message, uid = connection.store()
            if uid == bad.SOPInstanceUID and not healed[0]:
                return
            confirmed.append(uid)
            connection.answer(context, message, uid)

    scp = RawSCP(behave)
    node = forwarding(tmp_path, scp.port)
    name = node.add(bad)
    with running(scp, node):
        for count in range(1, 4):
            node.add(small_instance())
            node.wait(delivered=count, in_flight=1)
        wait_for(lambda: node.delivery(name)["tries"] >= 4, "it is tried again")
        healed[0] = True
        node.wait(delivered=4)
    assert len(confirmed) == len(set(confirmed)) == 4


def test_a_failure_between_outages_does_not_stall_the_destination(tmp_path: Path) -> None:
    """One failure on the way, then out of reach, then one failure again: the lane that was let through lets go."""
    behaviors = ["drop", "reject", "drop", "reject", "drop"]
    confirmed: list[str] = []

    def behave(connection: RawConnection, number: int) -> None:
        behavior = behaviors[number - 1] if number <= len(behaviors) else "serve"
        if behavior == "reject":
            connection.pdu()
            connection.peer.sendall(bytes.fromhex("03000000000400020202"))  # A-ASSOCIATE-RJ, transient
            return
        connection.accept()
        if behavior == "drop":
            connection.store()
        else:
            serve_well(connection, confirmed)

    scp = RawSCP(behave)
    node = forwarding(tmp_path, scp.port)
    node.add(small_instance())
    with running(scp, node):
        node.wait(delivered=1)
    assert len(confirmed) == 1


def test_a_destination_that_takes_associations_and_fails_every_instance_is_paused_longer_each_time(
    tmp_path: Path,
) -> None:
    def behave(connection: RawConnection, _number: int) -> None:
        connection.accept()
        connection.store()

    scp = RawSCP(behave)
    node = forwarding(tmp_path, scp.port, retry={"first": "100ms", "factor": 3, "cap": "1h"})
    for _ in range(40):
        node.add(small_instance())
    from node.ledger.sending import SendingLedger

    ledger = SendingLedger(node.database, "dest")
    with running(scp, node):
        wait_for(lambda: ledger.state().failures >= 4, "each failure adds to the pause")
        seen = len(scp.connections)
    assert seen <= 3 + 4, "three in a row, then one try a pause"
    assert node.status()["in_flight"] == 40
    assert "in a row" in node.status()["destinations"]["dest"]["last_error"]


def test_a_destination_that_comes_back_as_another_program_gets_everything(tmp_path: Path) -> None:
    scp = ScriptedSCP()
    node = forwarding(tmp_path, scp.port)
    for _ in range(5):
        node.add(small_instance())
    with running(scp, node):
        node.wait(delivered=5)
        scp.stop()
        for _ in range(5):
            node.add(small_instance())
        wait_for(lambda: node.status()["destinations"]["dest"]["last_error"], "it is found out")
        again = ScriptedSCP(port=scp.port).start()
        try:
            node.wait(delivered=10)
        finally:
            again.stop()
    assert len(set(scp.uids()) | set(again.uids())) == len(scp.got) + len(again.got) == 10
