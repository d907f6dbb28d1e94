"""Senders that stop in the middle of an instance leave no trace."""

import socket
import struct

import pytest

from tests.road.conftest import EVERY_COPY
from tests.road.support import CT, SUCCESS, RawSender, data_set_of, send
from tests.support import make_ct, storescu, wait_for

NOTHING = {"incoming": 0, "originals": 0, "cleaned": 0}
ABORT = bytes.fromhex("07000000000400000000")
RELEASE = bytes.fromhex("05000000000400000000")


def aborted(peer):
    peer.send(ABORT)


def closed(peer):
    peer.socket.close()


def half_closed(peer):
    peer.socket.shutdown(socket.SHUT_WR)


def reset(peer):
    peer.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    peer.socket.close()


def released_too_early(peer):
    peer.send(RELEASE)


def second_command(peer):
    peer.command("1.2.3.4.5")


def half_a_pdu(peer):
    peer.send(struct.pack(">BxLLBB", 4, 1000, 996, 1, 0) + b"x" * 10)
    peer.socket.close()


def unknown_pdu(peer):
    peer.send(b"\x20\x00\x00\x00\x00\x04\x00\x00\x00\x00")


WAYS = [aborted, closed, half_closed, reset, released_too_early, second_command, half_a_pdu, unknown_pdu]


@pytest.fixture(scope="module")
def peers(module_road):
    archive = module_road.archive()
    return module_road.node(archive, **EVERY_COPY).start(), archive


@pytest.fixture(scope="module")
def sent(module_road):
    return make_ct(module_road.folder / "sent", 2, rows=256)


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
@pytest.mark.parametrize("after", ["the command", "a part", "all but the end"])
def test_an_instance_that_does_not_end_leaves_no_trace(peers, sent, way, after):
    node, archive = peers
    received, before = node.status()["received"], archive.files()
    data = data_set_of(sent[0])
    with RawSender(node.port) as peer:
        peer.open()
        peer.command("1.2.3.4")
        wait_for(lambda: node.spool_files()["incoming"] == 1, "the instance is being written")
        if after != "the command":
            peer.part(data[:20000] if after == "a part" else data, last=False)
        way(peer)
        wait_for(lambda: node.spool_files() == NOTHING, "no trace is left")
    assert node.status()["received"] == received
    assert archive.files() == before


def test_what_was_acknowledged_before_the_abort_is_delivered(peers, sent):
    node, archive = peers
    received, before = node.status()["received"], len(archive.files())
    with RawSender(node.port) as peer:
        peer.open()
        data = data_set_of(sent[1])
        uid = data[data.index(b"\x08\x00\x18\x00UI") + 8 :][: data[data.index(b"\x08\x00\x18\x00UI") + 6]]
        assert peer.store(data, uid.rstrip(b"\0").decode(), CT) == SUCCESS
        peer.command("1.2.3.4")
        peer.part(data[:30000], last=False)
        peer.send(ABORT)
    node.wait_status(lambda s: s["received"] == received + 1 and s["in_flight"] == 0, "only the first")
    wait_for(lambda: len(archive.files()) == before + 1, "the first has arrived")
    wait_for(lambda: node.spool_files() == NOTHING, "no trace is left of the second")


def test_storescu_that_aborts_after_its_images_is_no_loss(peers, sent):
    node, archive = peers
    received, before = node.status()["received"], len(archive.files())
    done = storescu(node.port, *sent, options=("--abort",))
    assert (done.stdout + done.stderr).count("Response (Success)") == 2
    node.wait_status(lambda s: s["received"] == received + 2 and s["in_flight"] == 0, "both")
    wait_for(lambda: len(archive.files()) == before + 2, "both have arrived")
    assert send(node.port, *sent) == [SUCCESS, SUCCESS]
