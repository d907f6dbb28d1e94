"""Who may send: rejections by their three numbers, the limit, and two projects that share nothing."""

import contextlib
import json
import struct
import subprocess

import pydicom
import pytest

from node.dicomnet.pdus import AssociateRequest, ProposedContext, encode_request
from tests.dicomnet.peers import RELEASE_RP_TYPE, RELEASE_RQ
from tests.road.support import CT, EXPLICIT, IMPLICIT, SUCCESS, RawSender, data_set_of, prefer_shipped, send
from tests.support import make_ct, wait_for

ACCEPT, REJECT = 2, 3
PLACES = 3
VERIFICATION = "1.2.840.10008.1.1"


def rejection(peer: RawSender) -> tuple[int, int, int]:
    kind, body = peer.answer
    assert kind == REJECT
    return struct.unpack("BBB", body[1:4])


@pytest.fixture(scope="module")
def running(module_road):
    node = module_road.node(module_road.archive())
    node.config["node"]["max_associations"] = PLACES
    node.config["limits"] = [{"address": ["127.0.0.2"], "associations": 1}]
    sender = {"called_ae": ["DEIDNODE"], "calling_ae": ["CT*", "MR1"], "address": ["127.0.0.1", "127.0.0.2"]}
    elsewhere = {"called_ae": ["FARAWAY"], "address": ["192.0.2.0/24"]}
    here = node.config["routes"][0]
    node.config["routes"] = [here | {"from": sender}, here | {"name": "far", "from": elsewhere}]
    node.write_config()
    return node.start()


@pytest.fixture
def node(running):
    """The node with all its places free: those of the test before may be taken longer than their connections."""
    wait_for(lambda: all_get_in(running.port), "every place is free")
    return running


def all_get_in(port):
    """Whether there is a place for as many as there are; each is given back when its release is answered."""
    with contextlib.ExitStack() as all_:
        peers = [all_.enter_context(RawSender(port)) for _ in range(PLACES)]
        accepted = [peer for peer in peers if peer.open(calling="CT1") == ACCEPT]
        for peer in accepted:
            peer.send(RELEASE_RQ)
            assert peer.receive()[0] == RELEASE_RP_TYPE
    return len(accepted) == PLACES


@pytest.mark.parametrize(
    ("called", "calling", "numbers"),
    [
        ("DEIDNODE", "INTRUDER", (1, 1, 3)),
        ("DEIDNODE", "ct1", (1, 1, 3)),
        ("FARAWAY", "CT1", (1, 1, 3)),
        ("WRONG", "CT1", (1, 1, 7)),
        ("deidnode", "CT1", (1, 1, 7)),
        ("WRONG", "INTRUDER", (1, 1, 7)),
    ],
    ids=["calling", "calling case", "address", "called", "called case", "both"],
)
def test_who_matches_no_route_is_rejected_never_answered(node, called, calling, numbers):
    with RawSender(node.port) as peer:
        peer.open(called=called, calling=calling)
        assert rejection(peer) == numbers
        assert peer.at_end()
    received = node.status()["received"]

    def counted():
        return [
            one
            for one in node.status()["refused"]
            if (one["calling_ae_title"], one["called_ae_title"], one["kind"]) == (calling, called, "association")
        ]

    wait_for(counted, "the rejection is counted")
    assert node.status()["received"] == received
    assert any('"rejected"' in line and calling in line for line in node.log().splitlines())


def test_titles_compare_trimmed_and_by_wildcard(node):
    def accepted(calling):
        with RawSender(node.port) as peer:
            return peer.open(calling=calling, called=" DEIDNODE") == ACCEPT

    for calling in ("CT1", "CT", "MR1", " MR1 "):
        # The places of those before may be taken a moment longer than their connections.
        wait_for(lambda calling=calling: accepted(calling), "it is accepted")


def test_echo_needs_no_more_than_an_allowed_address(node):
    for calling, called in (("ANYBODY", "DEIDNODE"), ("INTRUDER", "WRONG")):
        command = ["echoscu", "-aet", calling, "-aec", called, "127.0.0.1", str(node.port)]
        assert subprocess.run(command, timeout=30, check=False).returncode == 0


def test_who_may_only_verify_cannot_store_through_that_context(node):
    with RawSender(node.port) as peer:
        assert peer.open((VERIFICATION, (IMPLICIT,)), calling="INTRUDER") == ACCEPT
        assert peer.store(b"", "1.2.3") not in {SUCCESS, 0xB000}
    assert node.spool_files()["incoming"] == 0


def test_verification_beside_storage_is_no_way_around_the_calling_title(node):
    with RawSender(node.port) as peer:
        peer.open((VERIFICATION, (IMPLICIT,)), (CT, (IMPLICIT,)), calling="INTRUDER")
        assert rejection(peer) == (1, 1, 3)


def test_the_limit_is_exact_over_all_processes_and_a_released_place_is_free_at_once(node):
    peers = [RawSender(node.port) for _ in range(12)]
    try:
        assert [peer.open(calling="CT1") for peer in peers[:3]] == [ACCEPT] * 3
        for peer in peers[3:6]:
            assert peer.open(calling="CT1") == REJECT
            assert rejection(peer) == (2, 3, 2)
        with RawSender(node.port) as echo:
            echo.open((VERIFICATION, (IMPLICIT,)), calling="CT1")
            assert rejection(echo) == (2, 3, 2)
        # Released, aborted, cut: each gives its place back.
        peers[0].send(RELEASE_RQ)
        assert peers[0].receive()[0] == RELEASE_RP_TYPE
        assert peers[6].open(calling="CT1") == ACCEPT, "free as soon as the release is answered"
        assert peers[7].open(calling="CT1") == REJECT
        peers[1].send(bytes.fromhex("07000000000400000000"))
        assert peers[1].at_end()
        assert peers[8].open(calling="CT1") == ACCEPT
        peers[2].socket.close()
        wait_for(lambda: RawSender(node.port).open(calling="CT1") == ACCEPT, "the place of a lost peer is free")
    finally:
        for peer in peers:
            peer.socket.close()


def test_the_limit_of_a_peer_is_exact_over_all_processes(node):
    with contextlib.ExitStack() as all_:
        peers = [all_.enter_context(RawSender(node.port, "127.0.0.2")) for _ in range(12)]
        assert peers[0].open(calling="CT1") == ACCEPT
        for peer in peers[1:]:
            peer.open(calling="MR1")
            assert rejection(peer) == (2, 3, 2)
        assert all_.enter_context(RawSender(node.port)).open(calling="CT1") == ACCEPT


def test_status_says_which_line_would_admit_who_was_refused(node):
    lines = node.config_path.read_text().splitlines()
    line = next(number for number, text in enumerate(lines, 1) if text.strip() == "calling_ae:")
    with RawSender(node.port) as peer:
        peer.send(request_of(b"CR\x1b[2J*"))
        assert peer.receive()[1][1:4] == bytes((1, 1, 3))
    with RawSender(node.port) as peer:
        peer.open(calling="CR7")
        assert rejection(peer) == (1, 1, 3)

    def told():
        found = json.loads(node.cli("status", "--json", check=True).stdout)["refused"]
        return {one["calling_ae_title"]: one["would_admit"] for one in found if one["kind"] == "association"}

    wait_for(lambda: "CR7" in {one["calling_ae_title"] for one in node.status()["refused"]}, "it is counted")
    found = told()
    assert found["CR7"] == f'routes.0.from.calling_ae ({node.config_path}:{line}): add "CR7"'
    assert "none for this sender" in found["CR?[2J*"]
    shown = node.cli("status").stdout
    assert "would admit it" in shown
    assert "\x1b" not in shown


def test_both_receivers_take_associations(road):
    archive = road.archive()
    node = road.node(archive).start()
    files = make_ct(road.folder / "sent", 1)
    took = set[str]()
    for _ in range(200):  # which of them is quicker is chance
        assert send(node.port, *files) == [SUCCESS]
        lines = [line for line in node.log().splitlines() if '"event": "received"' in line]
        took = {name for name in ("receiver0", "receiver1") if any(name in line for line in lines)}
        if len(took) == 2:
            break
    assert took == {"receiver0", "receiver1"}


def test_two_called_titles_are_two_projects_that_share_nothing(road):
    archives = {name: road.archive(name) for name in ("proja", "projb")}
    node = road.node(archives["proja"])
    (template,) = node.config["routes"]
    (destination,) = node.config["destinations"].values()
    node.config["destinations"] = {
        name: destination | {"address": f"127.0.0.1:{archive.port}"} for name, archive in archives.items()
    }
    node.config["routes"] = [
        template | {"name": name, "project": name, "from": {"called_ae": [name.upper()]}, "to": [name]}
        for name in archives
    ]
    node.write_config()
    prefer_shipped(node)
    node.start()
    sent = make_ct(road.folder / "sent", 4)
    for called in ("PROJA", "PROJB"):
        assert send(node.port, *sent, called=called) == [SUCCESS] * 4
    status = node.wait_delivered(8)
    assert {name: one["delivered"] for name, one in status["routes"].items()} == {"proja": 4, "projb": 4}
    assert status["duplicates"] == 0, "another project is no repetition"
    found = {name: archive.datasets() for name, archive in archives.items()}
    for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "PatientID"):
        values = {name: {str(ds.get(keyword, "")) for ds in all_of} for name, all_of in found.items()}
        assert len(values["proja"]) == len(values["projb"]) == 1, f"one {keyword} in a project"
        assert values["proja"] != values["projb"], f"another {keyword} in the other"
    instances = [{str(ds.SOPInstanceUID) for ds in all_of} for all_of in found.values()]
    assert [len(one) for one in instances] == [4, 4]
    assert not instances[0] & instances[1]
    originals = {str(pydicom.dcmread(path).SOPInstanceUID) for path in sent}
    assert not originals & (instances[0] | instances[1])


def test_an_ae_title_that_is_no_ascii_is_dealt_with(road):
    """A peer's odd title must not become an endless 'send again later'."""
    node = road.node(road.archive()).start()
    (sent,) = make_ct(road.folder / "sent", 1)
    data, uid = data_set_of(sent), str(pydicom.dcmread(sent).SOPInstanceUID)
    with RawSender(node.port) as peer:
        peer.send(odd_request())
        kind, body = peer.receive()
        if kind == ACCEPT:
            assert peer.store(data, uid) == SUCCESS
            node.wait_delivered(1)
        else:
            assert (kind, tuple(body[1:4])) in {(REJECT, (1, 1, 3)), (7, tuple(body[1:4]))}
    assert node.spool_files()["incoming"] == 0
    assert "fault" not in node.log()


def odd_request() -> bytes:
    return request_of("RÖNTGEN".encode("latin-1"))


def request_of(calling: bytes) -> bytes:
    """A request for an association from a peer with an AE title that no toolkit would send; seven bytes."""
    request = encode_request(AssociateRequest("DEIDNODE", "RONTGEN", (ProposedContext(1, CT, (EXPLICIT,)),), 16384))
    assert len(calling) == 7
    return request.replace(b"RONTGEN", calling)
