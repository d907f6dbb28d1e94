"""The trial destination: files under checked UIDs, never overwritten, durable when answered."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pydicom
import pytest

from node.dicomnet import AssociationServer, Peer, StoreRequest
from node.dicomnet.dimse import encode_store_request
from node.dicomnet.pdus import AssociateRequest, ProposedContext, encode_request
from node.errors import StartError
from node.instances import is_uid
from node.sink import SinkPolicy, _Writer, run, serve_sink
from tests.dicomnet.peers import (
    CT,
    EXPLICIT,
    IMPLICIT,
    LOCALHOST,
    PATIENCE,
    REJECT_TYPE,
    RawPeer,
    can_connect,
    data_set_of,
    listen,
    make_file,
    p_data,
    pdv,
    until,
)
from tests.dicomnet.peers import run as run_program
from tests.support import free_port

DEFLATED = "1.2.840.10008.1.2.1.99"
PLACE = Path("1.2.3.1", "1.2.3.2")
PEER = Peer("ME", "ARCHIVE", LOCALHOST, 1, "abc")


@contextmanager
def sink(folder: Path) -> Iterator[int]:
    """Serve a sink for ARCHIVE; give its port."""
    with listen() as listener:
        server = AssociationServer(listener, SinkPolicy("ARCHIVE", folder))
        thread = threading.Thread(target=server.serve)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            server.stop()
            thread.join(PATIENCE)
            server.drain(0)


def send(port: int, *files: Path) -> int:
    """Send files verbatim, by one association each; return the last status."""
    status = -1
    for path in files:
        meta = pydicom.filereader.read_file_meta_info(path)
        with RawPeer(port) as peer:
            with_called(peer, str(meta.TransferSyntaxUID))
            request = encode_store_request(1, CT, str(meta.MediaStorageSOPInstanceUID))
            peer.send(p_data(pdv(request, command=True, last=True)))
            content = data_set_of(path)
            for start in range(0, len(content), 100_000):
                piece = content[start : start + 100_000]
                peer.send(p_data(pdv(piece, command=False, last=start + 100_000 >= len(content))))
            status = peer.status()
    return status


def with_called(peer: RawPeer, syntax: str, called: str = "ARCHIVE") -> tuple[int, bytes]:
    peer.send(encode_request(AssociateRequest(called, "ME", (ProposedContext(1, CT, (syntax,)),), 16384)))
    return peer.receive()


def files_in(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*.dcm"))


@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT, DEFLATED])
def test_an_instance_lies_under_its_uids_with_the_bytes_that_were_sent(tmp_path: Path, syntax: str) -> None:
    make_file(tmp_path / "a.dcm", 300_000, syntax)
    with sink(tmp_path / "archive") as port:
        assert send(port, tmp_path / "a.dcm") == 0
    kept = tmp_path / "archive" / PLACE / "1.2.3.4.1.dcm"
    assert data_set_of(kept) == data_set_of(tmp_path / "a.dcm")
    dataset = pydicom.dcmread(kept)
    assert (dataset.file_meta.TransferSyntaxUID, dataset.SOPInstanceUID) == (syntax, "1.2.3.4.1")
    assert files_in(tmp_path / "archive") == [str(PLACE / "1.2.3.4.1.dcm")]


def test_the_same_bytes_are_kept_once_and_others_beside_them(tmp_path: Path) -> None:
    paths = [tmp_path / name for name in ("a.dcm", "b.dcm", "c.dcm")]
    for number, path in enumerate(paths):
        make_file(path, 2_500_000 + 2 * number)
    with sink(tmp_path / "archive") as port:
        assert send(port, paths[0], paths[1], paths[0], paths[1], paths[2], paths[2]) == 0
    assert files_in(tmp_path / "archive") == [str(PLACE / f"1.2.3.4.1{n}.dcm") for n in (".2", ".3", "")]
    kept = [data_set_of(tmp_path / "archive" / name) for name in files_in(tmp_path / "archive")]
    assert kept == [data_set_of(paths[1]), data_set_of(paths[2]), data_set_of(paths[0])]


def test_nothing_is_overwritten_by_many_senders_at_once(tmp_path: Path) -> None:
    paths = [tmp_path / f"{number}.dcm" for number in range(4)]
    for number, path in enumerate(paths):
        make_file(path, 1000 + 2 * number)
    with sink(tmp_path / "archive") as port:
        threads = [threading.Thread(target=send, args=(port, *paths[i:], *paths[:i])) for i in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(PATIENCE)
    kept = {data_set_of(path) for path in (tmp_path / "archive").rglob("*.dcm")}
    assert kept == {data_set_of(path) for path in paths}
    assert len(files_in(tmp_path / "archive")) == 4


@pytest.mark.parametrize(
    ("keyword", "value"),
    [
        ("StudyInstanceUID", ""),
        ("StudyInstanceUID", ".."),
        ("StudyInstanceUID", "."),
        ("SeriesInstanceUID", "../../1.2"),
        ("SeriesInstanceUID", "1.2/3"),
        ("SeriesInstanceUID", "1" * 65),
        ("SeriesInstanceUID", ["1.2", "1.3"]),
        ("SOPInstanceUID", "1.2.9"),
        ("SOPClassUID", "1.2.9"),
    ],
)
def test_an_instance_without_valid_uids_is_not_understood_and_not_kept(
    tmp_path: Path, keyword: str, value: str, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "a.dcm"
    dataset = make_file(path)
    pydicom.config.settings.writing_validation_mode = pydicom.config.IGNORE
    try:
        setattr(dataset, keyword, value)
        dataset.save_as(path, enforce_file_format=True)
    finally:
        pydicom.config.settings.writing_validation_mode = None
    with sink(tmp_path / "archive") as port, RawPeer(port) as peer:
        with_called(peer, EXPLICIT)
        request = encode_store_request(1, CT, "1.2.3.4.1")
        peer.send(p_data(pdv(request, command=True, last=True), pdv(data_set_of(path), command=False, last=True)))
        assert peer.status() == 0xC000
    assert [path for path in (tmp_path / "archive").rglob("*") if path.is_file()] == []
    assert "1.2.3" not in caplog.text


@pytest.mark.parametrize("content", [b"", b"\0" * 7, b"garbage garbage garbage", b"\x08\0\x16\0UI\xff\xff1.2"])
def test_what_cannot_be_read_is_not_understood_and_not_kept(tmp_path: Path, content: bytes) -> None:
    with sink(tmp_path) as port, RawPeer(port) as peer:
        with_called(peer, EXPLICIT)
        request = encode_store_request(1, CT, "1.2.3.4.1")
        peer.send(p_data(pdv(request, command=True, last=True), pdv(content, command=False, last=True)))
        assert peer.status() == 0xC000
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


@pytest.mark.parametrize("uid", ["", "../../etc", "1.2.", "1..2", "1.2\n", "1.2.3.4." + "1" * 60, "\uff11.2"])
def test_a_command_without_a_valid_uid_is_not_understood(tmp_path: Path, uid: str) -> None:
    policy = SinkPolicy("ARCHIVE", tmp_path)
    assert policy.admit(PEER, False) is None
    answer = policy.begin(PEER, StoreRequest(CT, uid, EXPLICIT, 1, 1))
    assert getattr(answer, "status", None) == 0xC000
    assert not is_uid(uid)


def test_another_called_ae_title_is_rejected_1_1_7_for_c_echo_too(tmp_path: Path) -> None:
    with sink(tmp_path) as port:
        with RawPeer(port) as peer:
            assert with_called(peer, EXPLICIT, "OTHER") == (REJECT_TYPE, b"\0\1\1\7")
        assert run_program("echoscu", "-aec", "ARCHIVE", LOCALHOST, str(port)).returncode == 0
        assert run_program("echoscu", "-aec", "OTHER", LOCALHOST, str(port)).returncode != 0


def test_an_association_that_breaks_off_leaves_no_file(tmp_path: Path) -> None:
    with sink(tmp_path) as port:
        with RawPeer(port) as peer:
            with_called(peer, EXPLICIT)
            request = encode_store_request(1, CT, "1.2.3.4.1")
            peer.send(p_data(pdv(request, command=True, last=True), pdv(b"12", command=False, last=False)))
            assert until(lambda: any((tmp_path / ".incoming").iterdir()))
        assert until(lambda: not any((tmp_path / ".incoming").iterdir()))


def test_a_disk_that_fails_is_answered_a700_and_leaves_no_file(tmp_path: Path) -> None:
    """A file where the study's folder belongs: the instance cannot be put in its place."""
    make_file(tmp_path / "a.dcm")
    (tmp_path / "archive").mkdir()
    (tmp_path / "archive" / "1.2.3.1").write_text("")
    with sink(tmp_path / "archive") as port:
        assert send(port, tmp_path / "a.dcm") == 0xA700
        (tmp_path / "archive" / "1.2.3.1").unlink()
        assert send(port, tmp_path / "a.dcm") == 0
    assert list((tmp_path / "archive" / ".incoming").iterdir()) == []


def test_a_write_that_fails_is_answered_a700_after_the_data(tmp_path: Path) -> None:
    policy = SinkPolicy("ARCHIVE", tmp_path)
    policy.admit(PEER, False)
    writer = policy.begin(PEER, StoreRequest(CT, "1.2.3", EXPLICIT, 1, 1))
    assert isinstance(writer, _Writer)
    full = os.open("/dev/full", os.O_WRONLY)
    os.dup2(full, writer._file)
    os.close(full)
    writer.write(memoryview(b"1234"))
    writer.write(memoryview(b"1234"))
    assert writer.finish().status == 0xA700
    assert list((tmp_path / ".incoming").iterdir()) == []


PROGRAM = """
import sys
from pathlib import Path
from node.sink import run
sys.exit(run(("127.0.0.1", int(sys.argv[1])), "ARCHIVE", Path(sys.argv[2])))
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_with_code_0_and_what_was_left_over_is_gone(tmp_path: Path, number: int) -> None:
    archive = tmp_path / "archive"
    (archive / ".incoming").mkdir(parents=True)
    (archive / ".incoming" / "1-1.dcm").write_text("left over")
    make_file(tmp_path / "a.dcm")
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(port), str(archive)], cwd=Path(__file__).parents[2], stderr=subprocess.PIPE
    )
    try:
        assert until(lambda: run_program("echoscu", "-aec", "ARCHIVE", LOCALHOST, str(port)).returncode == 0)
        done = run_program("storescu", "-aec", "ARCHIVE", LOCALHOST, str(port), tmp_path / "a.dcm")
        assert done.returncode == 0, done.stderr
        process.send_signal(number)
        assert process.wait(PATIENCE) == 0
    finally:
        process.kill()
        process.communicate()
    assert files_in(archive) == [str(PLACE / "1.2.3.4.1.dcm")]


def test_as_a_child_of_the_node_it_serves_until_it_is_told_to_stop(tmp_path: Path) -> None:
    make_file(tmp_path / "a.dcm")
    listener, stop = listen(), threading.Event()
    port = listener.getsockname()[1]
    thread = threading.Thread(target=serve_sink, args=(listener, "ARCHIVE", tmp_path / "archive", stop))
    thread.start()
    assert send(port, tmp_path / "a.dcm") == 0
    stop.set()
    thread.join(PATIENCE)
    assert not thread.is_alive()
    assert not can_connect(port)


def test_a_port_or_folder_that_cannot_be_used_is_a_start_error(tmp_path: Path) -> None:
    with listen() as taken, pytest.raises(StartError, match="cannot listen"):
        run(taken.getsockname(), "ARCHIVE", tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(StartError, match="folder"):
        run((LOCALHOST, 0), "ARCHIVE", tmp_path / "file")


def test_one_line_for_an_association_and_no_uid_in_it(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    make_file(tmp_path / "a.dcm")
    with caplog.at_level("INFO", "node.sink"), sink(tmp_path / "archive") as port:
        assert send(port, tmp_path / "a.dcm") == 0
        assert until(lambda: bool(caplog.records))
    (record,) = [record for record in caplog.records if record.name == "node.sink"]
    assert record.getMessage().startswith("association lost")
    assert record.__dict__["node_fields"]["stored"] == 1
    assert "1.2.3" not in str(record.__dict__)
