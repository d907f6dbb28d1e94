"""Destinations that are rude at every step: each instance has its own class, and nothing confirmed is sent again."""

from __future__ import annotations

import struct
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.forwarding.raw import RawConnection, RawSCP
from tests.forwarding.support import PATIENT, Forwarding, ScriptedSCP, destination, running, small_instance
from tests.support import wait_for

SHORT = PATIENT | {"response": "2s"}  # for answers that are to come, too
QUICK = {"first": "100ms", "factor": 1, "cap": "200ms", "refused_tries": 2}
LARGE = 300_000  # bytes: several fragments

# What a destination says of an instance at each offer, and what has to become of it (contract: "Forwarding").
MIXED = {
    "success": ([0x0000], "delivered"),
    "success again": ([0x0000], "delivered"),
    "B000": ([0xB000], "delivered"),
    "B007": ([0xB007], "delivered"),
    "0107": ([0x0107], "delivered"),
    "A700 twice": ([0xA700, 0xA700, 0x0000], "delivered"),
    "0110": ([0x0110, 0x0000], "delivered"),
    "A700 then duplicate": ([0xA700, 0x0111], "delivered"),
    "A900": ([0xA900, 0xA900], "refused"),
    "A900 once": ([0xA900, 0x0000], "delivered"),
    "C000": ([0xC000, 0xC000], "refused"),
    "0122": ([0x0122, 0x0122], "refused"),
    "0124": ([0x0124, 0x0124], "refused"),
    "0111": ([0x0111], "destination-has-another"),
}


def forwarding(folder: Path, port: int, timeout: dict[str, str] = SHORT) -> Forwarding:
    return Forwarding(folder, {"dest": destination(port, timeout=timeout, retry=QUICK)})


def test_answers_that_are_mixed_on_one_association_give_each_instance_its_own_class(tmp_path: Path) -> None:
    instances = {name: small_instance() for name in MIXED}
    answers = {str(ds.SOPInstanceUID): MIXED[name][0] for name, ds in instances.items()}
    scp = ScriptedSCP(lambda uid, nth: answers[uid][nth - 1])
    node = forwarding(tmp_path, scp.port, PATIENT)  # what is answered late is offered again
    ids = {name: node.add(ds) for name, ds in instances.items()}
    held = [name for name, (_, outcome) in MIXED.items() if outcome != "delivered"]
    with running(scp, node):
        node.wait(delivered=len(MIXED) - len(held), held=len(held))
    assert {one.association for one in scp.got[: len(MIXED)]} == {1}, "the first offers came on one association"
    assert {one.uid for one in scp.got[: len(MIXED)]} == set(answers)
    for name, (given, outcome) in MIXED.items():
        found = node.delivery(ids[name])
        assert (found["state"] if outcome == "delivered" else found["reason"]) == outcome, name
        assert found["status"] == f"{given[-1]:04X}H", name
        offers = [one.status for one in scp.got if one.uid == instances[name].SOPInstanceUID]
        assert offers == given, f"{name}: offered as often as its answers ask for, and never after it was confirmed"


def first_fragment(connection: RawConnection) -> None:
    """Read until a part of a data set has come."""
    while True:
        kind, body = connection.pdu()
        assert kind == 4
        if not struct.unpack_from(">LBB", body)[2] & 1:
            return


Behaviour = Callable[[RawConnection, str], None]
WRONG: dict[str, Behaviour] = {
    "hangs after it has accepted": lambda peer, _: None,
    "hangs after the first fragment": lambda peer, _: first_fragment(peer),
    "hangs after the data set": lambda peer, _: discard(peer.store()),
    "aborts after the first fragment": lambda peer, _: aborts(peer, first_fragment),
    "aborts after the data set": lambda peer, _: aborts(peer, RawConnection.store),
    "closes after the data set": lambda peer, _: closes(peer),
    "answers another message": lambda peer, _: answers(peer, message=1),
    "answers in a context that was not used": lambda peer, _: answers(peer, context=2),
    "answers for another instance that is due": lambda peer, other: answers(peer, uid=other),
    "refuses another instance": lambda peer, other: answers(peer, uid=other, status=0xC000),
    "answers twice": lambda peer, _: answers_twice(peer),
}


def discard(_: object) -> None:
    return


def aborts(peer: RawConnection, after: Callable[[RawConnection], object]) -> None:
    after(peer)
    peer.peer.sendall(bytes.fromhex("07000000000400000200"))


def closes(peer: RawConnection) -> None:
    peer.store()
    raise EOFError


def answers(peer: RawConnection, *, message: int = 0, context: int = 0, uid: str = "", status: int = 0) -> None:
    used, number, own = peer.store()
    peer.answer(used + context, number + message, uid or own, status)


def answers_twice(peer: RawConnection) -> None:
    """One answer too much, which must not settle what is sent next."""
    context, message, uid = peer.store()
    peer.answer(context, message, uid, 0xA700)
    peer.answer(context, message, uid)


def test_whatever_a_destination_does_at_any_step_nothing_is_settled_but_by_its_own_answer(tmp_path: Path) -> None:
    """Each connection confirms one instance, and does wrong with the next; when all wrongs are done, it serves."""
    confirmed: list[str] = []
    waiting: list[str] = []
    wrongs = list(WRONG.values())

    def serve(connection: RawConnection) -> None:
        context, message, uid = connection.store()
        confirmed.append(uid)
        waiting.remove(uid)
        connection.answer(context, message, uid)

    def behave(connection: RawConnection, number: int) -> None:
        connection.accept()
        serve(connection)
        if number <= len(wrongs):
            wrongs[number - 1](connection, waiting[-1])
            while True:  # until the node has had enough of it
                connection.pdu()
        while True:
            serve(connection)

    scp = RawSCP(behave)
    node = forwarding(tmp_path, scp.port)
    count = 2 * len(WRONG)
    ids = []
    for _ in range(count):
        ds = small_instance(pad=LARGE)
        waiting.append(str(ds.SOPInstanceUID))
        ids.append(node.add(ds))
    with running(scp, node):
        node.wait(60, delivered=count)
    assert len(confirmed) == len(set(confirmed)) == count, "each was confirmed once, and none is sent after that"
    assert not waiting
    assert len(scp.connections) >= len(WRONG) + 1, "after a wrong the association is not used again"
    tries = sum(node.delivery(name)["tries"] for name in ids)
    # An answer too much may be read only when the next instance is on its way, which is then tried again, too.
    assert 0 <= tries - count - len(WRONG) <= 1, "each wrong counted once, for the instance that it was done to"
    assert node.cleaned_files() == 0


@pytest.mark.slow
def test_a_destination_that_never_answers_a_release_keeps_nothing_waiting(tmp_path: Path) -> None:
    asked, confirmed = threading.Event(), list[str]()

    def behave(connection: RawConnection, _number: int) -> None:
        connection.accept()
        try:
            while True:
                context, message, uid = connection.store()
                confirmed.append(uid)
                connection.answer(context, message, uid)
        except EOFError:  # an A-RELEASE-RQ, which gets no answer
            asked.set()
            connection.pdu()

    scp = RawSCP(behave)
    node = forwarding(tmp_path, scp.port)
    with running(scp, node):
        for count in (1, 2):
            node.add(small_instance())
            node.wait(delivered=count)
            wait_for(asked.is_set, "the association is released")
            asked.clear()
    assert len(confirmed) == len(set(confirmed)) == len(scp.connections) == 2
