"""The requestor against DCMTK's storescp and pynetdicom's acceptor."""

from __future__ import annotations

import os
import re
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from pynetdicom import AE, evt

from node.dicomnet import RequestedAssociation, StoreResult, Timeouts, associate, echo
from node.errors import AssociationRejected, PeerAborted
from node.part10 import FileMeta, encode_file_meta, read_file_meta

from .peers import CT, EXPLICIT, IMPLICIT, LOCALHOST, data_set_of, make_file, storescp


def connect(port: int) -> RequestedAssociation:
    return associate(
        LOCALHOST,
        port,
        calling_ae_title="NODE",
        called_ae_title="SCP",
        contexts=[(CT, [EXPLICIT]), (CT, [IMPLICIT])],
        timeouts=Timeouts(10, 10, 30),
    )


def store(association: RequestedAssociation, path: Path) -> StoreResult:
    file = os.open(path, os.O_RDONLY)
    try:
        meta, offset = read_file_meta(os.pread(file, 4096, 0))
        context_id = association.find(meta.sop_class_uid, meta.transfer_syntax_uid)
        assert context_id is not None
        length = os.fstat(file).st_size - offset
        return association.store(context_id, meta.sop_class_uid, meta.sop_instance_uid, file, [(offset, length)])
    finally:
        os.close(file)


@pytest.mark.parametrize(
    "options", [[], ["--max-pdu", "4096"], ["--max-pdu", "131072"]], ids=["default", "4096", "131072"]
)
@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT])
def test_storescp_gets_every_byte(tmp_path: Path, options: list[str], syntax: str) -> None:
    folder = tmp_path / "received"
    folder.mkdir()
    sizes = [0, 1, 100_001, 3_000_000]
    with storescp(folder, "+B", *options) as port:
        association = connect(port)
        for number, size in enumerate(sizes):
            path = tmp_path / f"{number}.dcm"
            make_file(path, size, syntax, number + 1)
            assert store(association, path).status == 0
        association.release()
    for number in range(len(sizes)):
        (received,) = folder.glob(f"*.1.2.3.4.{number + 1}")
        assert data_set_of(received) == data_set_of(tmp_path / f"{number}.dcm")


def test_storescp_answers_c_echo(tmp_path: Path) -> None:
    with storescp(tmp_path) as port:
        echo(LOCALHOST, port, "NODE", "SCP")


def test_storescp_that_refuses_is_a_rejection(tmp_path: Path) -> None:
    with storescp(tmp_path, "--refuse") as port, pytest.raises(AssociationRejected):
        connect(port)


@pytest.mark.parametrize(("option", "complete"), [("--abort-during", None), ("--abort-after", True)])
def test_storescp_that_aborts_is_peer_aborted(tmp_path: Path, option: str, complete: bool | None) -> None:
    path = tmp_path / "a.dcm"
    make_file(path, 5_000_000)
    with storescp(tmp_path, option) as port:
        association = connect(port)
        with pytest.raises(PeerAborted):
            store(association, path)
        if complete is not None:
            assert association.sent_completely is complete
        assert not association.usable
        association.release()


@contextmanager
def pynetdicom_scp(status: int) -> Iterator[int]:
    ae = AE("SCP")
    ae.add_supported_context(CT, [EXPLICIT, IMPLICIT])
    server = ae.start_server((LOCALHOST, 0), block=False, evt_handlers=[(evt.EVT_C_STORE, lambda _: status)])
    assert server is not None
    try:
        yield server.socket.getsockname()[1]
    finally:
        server.shutdown()


@pytest.mark.parametrize("status", [0x0000, 0x0111, 0xA700, 0xA900, 0xB000, 0xB007, 0xC000, 0xC211])
def test_the_status_of_the_peer_is_returned_and_the_association_goes_on(tmp_path: Path, status: int) -> None:
    path = tmp_path / "a.dcm"
    make_file(path, 50_000)
    with pynetdicom_scp(status) as port:
        association = connect(port)
        assert [store(association, path).status for _ in range(2)] == [status, status]
        assert association.usable
        association.release()


def peak_memory() -> int:
    """Return the most memory that this process has held since the last call, in KiB, and start anew."""
    peak = re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())
    Path("/proc/self/clear_refs").write_text("5")
    assert peak is not None
    return int(peak[1])


def test_50_megabytes_are_sent_in_flat_memory(tmp_path: Path) -> None:
    size = 50 << 20
    path = tmp_path / "a.dcm"
    with path.open("wb") as file:
        file.write(encode_file_meta(FileMeta(CT, "1.2.3.4.1", EXPLICIT)))
        file.write(struct.pack("<HH2sHL", 0x7FE0, 0x0010, b"OW", 0, size))
        file.truncate(file.tell() + size)
    with storescp(tmp_path, "--ignore") as port:
        association = connect(port)
        peak_memory()
        before = peak_memory()
        assert store(association, path).status == 0
        assert peak_memory() - before < 8 << 10
        association.release()
