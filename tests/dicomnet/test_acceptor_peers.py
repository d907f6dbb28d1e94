"""The acceptor against DCMTK's and pynetdicom's requestors."""

from pathlib import Path

import pydicom
import pytest
from pynetdicom import AE, _config, build_role
from pynetdicom.pdu_primitives import AsynchronousOperationsWindowNegotiation

from node.dicomnet import StoreAnswer

from .peers import CT, EXPLICIT, IMPLICIT, LOCALHOST, VERIFICATION, accepting, data_set_of, make_file, run

JPEG = "1.2.840.10008.1.2.4.50"


def test_echoscu_is_answered() -> None:
    with accepting() as acceptor:
        done = run("echoscu", "-aet", "ME", "-aec", "YOU", "--repeat", "3", LOCALHOST, str(acceptor.port))
        assert done.returncode == 0, done.stderr
        assert acceptor.ended() == ["released"]
        (peer, verification_only) = acceptor.policy.admitted[0]
        assert (peer.calling_ae_title, peer.called_ae_title, verification_only) == ("ME", "YOU", True)


@pytest.mark.parametrize("max_send", ["4096", "16384", "131072"])
def test_storescu_delivers_instances(tmp_path: Path, max_send: str) -> None:
    for number in range(3):
        make_file(tmp_path / f"{number}.dcm", 300_001 * number, number=number + 1)
    with accepting() as acceptor:
        done = run("storescu", "--max-send-pdu", max_send, LOCALHOST, str(acceptor.port), "+sd", tmp_path)
        assert done.returncode == 0, done.stderr
        assert acceptor.ended() == ["released"]
        assert sorted(s.request.sop_instance_uid for s in acceptor.policy.stored) == [
            "1.2.3.4.1",
            "1.2.3.4.2",
            "1.2.3.4.3",
        ]
        assert max(max(s.fragments) for s in acceptor.policy.stored) <= int(max_send)


def test_dcmsend_delivers_an_instance(tmp_path: Path) -> None:
    make_file(tmp_path / "a.dcm", 100_000)
    with accepting() as acceptor:
        done = run("dcmsend", LOCALHOST, str(acceptor.port), tmp_path / "a.dcm")
        assert done.returncode == 0, done.stderr
        assert [stored.state for stored in acceptor.policy.stored] == ["finished"]


@pytest.mark.parametrize("status", [0xA700, 0xC000, 0xB000])
def test_storescu_reads_the_status(tmp_path: Path, status: int) -> None:
    make_file(tmp_path / "a.dcm")
    with accepting() as acceptor:
        acceptor.policy.answer = StoreAnswer(status, "because")
        done = run("storescu", "-v", "-d", LOCALHOST, str(acceptor.port), tmp_path / "a.dcm")
        assert f"{status:04x}" in done.stderr.lower() + done.stdout.lower()


def test_a_find_request_is_told_that_its_class_is_not_supported() -> None:
    with accepting() as acceptor:
        done = run("findscu", "-S", "-k", "QueryRetrieveLevel=STUDY", LOCALHOST, str(acceptor.port))
        assert "No Acceptable Presentation Contexts" in done.stdout + done.stderr
        assert acceptor.policy.refused[0][0] == "1.2.840.10008.5.1.4.1.2.2.1"


@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT, "1.2.840.10008.1.2.1.99", JPEG, "1.2.3.4.5.6"])
def test_pynetdicom_delivers_bytes_verbatim_in_any_syntax(
    tmp_path: Path, syntax: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.dcm"
    make_file(path, 200_000)
    content = path.read_bytes()
    meta = pydicom.filereader.read_file_meta_info(path)
    original = data_set_of(path)
    meta.TransferSyntaxUID = pydicom.uid.UID(syntax)
    with path.open("wb") as file:
        file.write(content[:132])
        pydicom.filewriter.write_file_meta_info(file, meta)
        file.write(original)
    monkeypatch.setattr(_config, "STORE_SEND_CHUNKED_DATASET", True)
    ae = AE("PYNET")
    ae.add_requested_context(CT, syntax)
    with accepting() as acceptor:
        association = ae.associate(LOCALHOST, acceptor.port, ae_title="YOU")
        assert association.is_established
        assert association.send_c_store(path).Status == 0
        association.release()
        (stored,) = acceptor.policy.stored
        assert bytes(stored.data) == original
        assert stored.request.transfer_syntax_uid == syntax


def test_pynetdicom_is_refused_the_scp_role_and_gets_a_window_of_one() -> None:
    window = AsynchronousOperationsWindowNegotiation()
    window.maximum_number_operations_invoked = window.maximum_number_operations_performed = 8
    ae = AE("PYNET")
    ae.add_requested_context(CT, IMPLICIT)
    with accepting() as acceptor:
        role = build_role(CT, scu_role=True, scp_role=True)
        association = ae.associate(LOCALHOST, acceptor.port, ext_neg=[role, window])
        (context,) = association.accepted_contexts
        assert (context.as_scu, context.as_scp) == (True, False)
        assert association.acceptor.asynchronous_operations == (1, 1)
        association.release()


def test_128_contexts_are_answered_and_one_association_may_do_many_things(tmp_path: Path) -> None:
    make_file(tmp_path / "a.dcm")
    ae = AE("PYNET")
    ae.add_requested_context(VERIFICATION)
    ae.add_requested_context(CT, EXPLICIT)
    for number in range(126):
        ae.add_requested_context(f"1.2.3.{number}", [EXPLICIT, IMPLICIT])
    with accepting() as acceptor:
        association = ae.associate(LOCALHOST, acceptor.port)
        assert len(association.accepted_contexts) == 128
        for _ in range(3):
            assert association.send_c_echo().Status == 0
            assert association.send_c_store(tmp_path / "a.dcm").Status == 0
        association.abort()
        assert acceptor.ended() == ["aborted"]
        assert len(acceptor.policy.stored) == 3
