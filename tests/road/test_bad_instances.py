"""Instances that are not what they should be: refused or held, never lost, never forwarded, never quoted."""

import io

import pydicom
import pytest
from pydicom.uid import generate_uid

from node.dicomnet.dimse import encode_store_request
from tests.dicomnet.peers import p_data, pdv
from tests.road.conftest import EVERY_COPY
from tests.road.support import (
    CANNOT_UNDERSTAND,
    CT,
    DEFLATED,
    EXPLICIT,
    OUT_OF_RESOURCES,
    SUCCESS,
    RawSender,
    data_set_of,
    send,
    shipped_file,
)
from tests.support import make_ct, wait_for


@pytest.fixture(scope="module")
def peers(module_road):
    archive = module_road.archive()
    return module_road.node(archive, **EVERY_COPY).start(), archive


@pytest.fixture
def encoded():
    """The data set of CT_small, and its SOP Instance UID."""
    path = shipped_file("CT_small.dcm")
    return data_set_of(path), str(pydicom.dcmread(path).SOPInstanceUID)


BAD_UIDS = {
    "absent": "",
    "65 characters": "1.2." + "3" * 61,
    "far too long": "1.2." + "7" * 400,
    "path": "../../../etc/passwd",
    "path of digits": "1.2/../../3",
    "letters": "1.2.TOKEN",
    "blank inside": "1.2. 3",
    "line break": "1.2.3\n4",
    "nul inside": "1.2.3\0.4",
    "no ascii": "1.2.\xe9",
}


@pytest.mark.parametrize("uid", BAD_UIDS.values(), ids=BAD_UIDS)
def test_a_bad_sop_instance_uid_is_answered_c000h_and_nothing_is_kept(peers, encoded, uid):
    node, archive = peers
    before, received = len(archive.files()), node.status()["received"]
    with RawSender(node.port) as peer:
        peer.open()
        assert peer.store(encoded[0], uid) == CANNOT_UNDERSTAND
        assert peer.store(encoded[0], encoded[1]) == SUCCESS, "the association goes on"
    node.wait_status(lambda s: s["received"] == s["delivered"] + s["held"] == received + 1, "only the good one")
    wait_for(lambda: len(archive.files()) == before + 1, "the good one has arrived")
    log = node.log()
    for value in {uid, uid[4:]} - {""}:
        for spelled in (value, value.encode("unicode_escape").decode(), repr(value)[1:-1]):
            assert len(spelled) < 4 or spelled not in log
    assert node.spool_files()["incoming"] == 0

    def counted():
        return [one for one in node.status()["refused"] if one["kind"] == "sop-instance-uid"]

    (refused,) = wait_for(counted, "it is counted")
    assert refused["uid"] == ""


@pytest.mark.parametrize("uid", [".", "..", "1.2.840.", "0.0.0", "1.02.3"])
def test_digits_and_dots_are_kept_though_they_are_odd(peers, encoded, uid):
    """Scanners do send components with leading zeros; what is no path stays no path."""
    node, _ = peers
    received = node.status()["received"]
    with RawSender(node.port) as peer:
        peer.open()
        assert peer.store(encoded[0], uid) == SUCCESS
    node.wait_status(lambda s: s["received"] == received + 1 and s["in_flight"] == 0, "it is settled")
    assert node.held()[-1]["reason"] == "uid-mismatch"


def cut(data: bytes) -> dict[str, bytes]:
    """Data sets with what is wrong with them."""
    return {
        "inside a value": data[:500],
        "inside a header": data[: data.index(b"\x10\x00\x10\x00PN") + 5],
        "inside pixel data": data[:-1000],
        "one byte missing": data[:-1],
        "text": b"This is no DICOM at all, but a letter about somebody called TOKEN^NAME.\n" * 20,
        "html": b"<html><body>TOKEN</body></html>",
        "zeros": bytes(10_000),
        "ones": b"\xff" * 10_000,
        "a whole file": shipped_file("CT_small.dcm").read_bytes(),
        "one byte": b"\x08",
    }


@pytest.mark.parametrize("name", cut(b"\x10\x00\x10\x00PN"))
def test_what_cannot_be_parsed_is_answered_0000h_and_held(peers, encoded, name):
    node, archive = peers
    data, uid = encoded
    before, held = archive.files(), node.held()
    with RawSender(node.port) as peer:
        peer.open()
        assert peer.store(cut(data)[name], uid) == SUCCESS
    (one,) = wait_for(lambda: [one for one in node.held() if one not in held], "it is held")
    assert (one["reason"], one["destination"]) == ("unparsable", None)
    assert archive.files() == before
    for text in (node.log(), str(one), node.cli("held", "show", one["id"]).stdout):
        assert "TOKEN" not in text
        assert uid not in text
    assert node.spool_files()["incoming"] == 0


def test_an_empty_data_set_is_held_as_empty(peers):
    node, archive = peers
    before, held = archive.files(), node.held()
    with RawSender(node.port) as peer:
        peer.open()
        assert peer.store(b"", generate_uid()) == SUCCESS
    (one,) = wait_for(lambda: [one for one in node.held() if one not in held], "it is held")
    assert one["reason"] == "empty"
    assert archive.files() == before


@pytest.mark.parametrize("stream", [b"", b"\0\0", b"no deflated stream", b"\x03\x00"])
def test_a_broken_deflated_stream_is_held(peers, stream):
    node, archive = peers
    before, held = archive.files(), node.held()
    with RawSender(node.port) as peer:
        assert peer.open((CT, (DEFLATED,))) == 2
        assert peer.store(stream, generate_uid()) == SUCCESS
    (one,) = wait_for(lambda: [one for one in node.held() if one not in held], "it is held")
    assert one["reason"] in {"unparsable", "empty"}
    assert archive.files() == before
    assert node.spool_files()["incoming"] == 0


@pytest.mark.parametrize("which", ["instance", "class", "class in the data set absent", "instance in it absent"])
def test_command_and_data_set_that_differ_are_held(peers, which):
    node, archive = peers
    before, held = archive.files(), node.held()
    ds = pydicom.dcmread(shipped_file("CT_small.dcm"))
    instance, sop_class = str(ds.SOPInstanceUID), CT
    if which == "instance":
        instance += ".1"
    elif which == "class":
        sop_class = "1.2.840.10008.5.1.4.1.1.4"
    elif which.startswith("class"):
        del ds.SOPClassUID
    else:
        del ds.SOPInstanceUID
    buffer = io.BytesIO()
    pydicom.dcmwrite(buffer, ds, implicit_vr=False, little_endian=True, enforce_file_format=False)
    data = buffer.getvalue()
    data = data[data.index(b"\x08\x00\x05\x00CS") :]
    with RawSender(node.port) as peer:
        peer.open()
        assert peer.store(data, instance, sop_class) == SUCCESS
    (one,) = wait_for(lambda: [one for one in node.held() if one not in held], "it is held")
    assert one["reason"] == "uid-mismatch"
    assert archive.files() == before
    assert instance not in node.log() + str(one)


@pytest.mark.parametrize("sop_class", ["", "no class", "1.2.\xe9", "1.2.3" + ".4" * 400, "../x"])
def test_a_bad_sop_class_uid_is_no_endless_send_again_later(peers, encoded, sop_class):
    """A final answer, or kept and held; A700H would make the sender repeat it for ever."""
    node, archive = peers
    data, uid = encoded
    before = archive.files()
    with RawSender(node.port) as peer:
        peer.open()
        status = peer.store(data, uid, sop_class)
    assert status != OUT_OF_RESOURCES
    assert status == CANNOT_UNDERSTAND or node.wait_status(lambda s: s["in_flight"] == 0, "settled")
    assert archive.files() == before
    assert node.spool_files()["incoming"] == 0
    assert '"fault' not in node.log()


def test_a_context_without_its_data_set_is_refused(peers):
    node, _ = peers
    received = node.status()["received"]
    command = encode_store_request(1, CT, "1.2.3.4").replace(
        b"\x00\x00\x00\x08\x02\x00\x00\x00\x01\x00", b"\x00\x00\x00\x08\x02\x00\x00\x00\x01\x01"
    )
    with RawSender(node.port) as peer:
        peer.open((CT, (EXPLICIT,)))
        peer.send(p_data(pdv(command, command=True, last=True)))
        assert peer.status() == CANNOT_UNDERSTAND
    assert node.status()["received"] == received
    assert node.spool_files()["incoming"] == 0


def test_good_instances_between_bad_ones_go_on(road):
    archive = road.archive()
    node = road.node(archive).start()
    good = make_ct(road.folder / "sent", 6)
    for number, path in enumerate(good):
        with RawSender(node.port) as peer:
            peer.open()
            peer.store(b"rubbish" * number, generate_uid())
        assert send(node.port, path) == [SUCCESS]
    status = node.wait_status(lambda s: s["delivered"] == 6 and s["held"] == 6, "six and six")
    assert status["received"] == 12
    assert len(set(archive.uids())) == 6
    wait_for(lambda: node.spool_files()["cleaned"] == 0, "nothing cleaned stays")
