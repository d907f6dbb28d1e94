"""Nothing that identifies a person is seen outside spool and ledger, whatever becomes of an instance."""

import io
import json
from pathlib import Path

import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid

from tests.road.support import (
    CANNOT_UNDERSTAND,
    CT,
    EXPLICIT,
    SUCCESS,
    RawSender,
    data_set_of,
    prefer_shipped,
    send,
    shipped_file,
)
from tests.support import storescu, wait_for

ROOT = "1.2.826.0.1.3680043.2.42424242"
# No letter of a pseudonym, so that chance writes none.
TOKENS = ["OUL", ROOT.rpartition(".")[2], "19510623"]

# Fails in every way that the original language knows: on what is no date, no text, no UID.
STRICT = """\
FORMAT dicom
%header
REPLACE PatientName func:pseudonym
REPLACE StudyDate func:shift_date
JITTER PatientBirthDate 30
REPLACE SOPInstanceUID func:generate_uid
REMOVE contains:OUL
"""


def planted(number: int) -> Dataset:
    """A CT with a token in each place where a person can be named."""
    ds = pydicom.dcmread(shipped_file("CT_small.dcm"))
    ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = f"{ROOT}.1.{number}"
    ds.StudyInstanceUID, ds.SeriesInstanceUID = f"{ROOT}.2", f"{ROOT}.3"
    ds.FrameOfReferenceUID = f"{ROOT}.4"
    ds.PatientName, ds.PatientID, ds.AccessionNumber = "OULNAME^ANNA", "OULMRN-1", "OULACC1"
    ds.PatientBirthDate, ds.InstitutionName = "19510623", "OULHOSP"
    block = ds.private_block(0x0099, "OULCODE CREATOR", create=True)
    block.add_new(1, "LO", "OULPRIV")
    inner, middle = Dataset(), Dataset()
    inner.PatientName, inner.ReferencedSOPInstanceUID = "OULDEEP^A", f"{ROOT}.5"
    middle.ReferencedImageSequence = [inner]
    ds.RequestAttributesSequence = [middle]
    ds.ImageComments = "seen by OULTEXT"
    return ds


def encoded(ds: Dataset) -> bytes:
    buffer = io.BytesIO()
    pydicom.dcmwrite(buffer, ds, enforce_file_format=False)
    path = buffer.getvalue()
    return path[144 + int.from_bytes(path[140:144], "little") :]


def saved(ds: Dataset, path: Path) -> Path:
    ds.save_as(path)
    return path


def processes(pid: int) -> list[int]:
    found, waiting = [], [pid]
    while waiting:
        found.append(waiting.pop())
        for task in Path(f"/proc/{found[-1]}/task").iterdir():
            waiting += map(int, (task / "children").read_text().split())
    return found


@pytest.mark.parametrize("log_format", ["json", "human"])
def test_no_token_is_seen_outside_spool_and_ledger(road, log_format):
    archive = road.archive()
    node = road.node(archive)
    prefer_shipped(node)
    strict = node.folder / "strict.dicom"
    strict.write_text(STRICT)
    (route,) = node.config["routes"]
    node.config["routes"].append(
        route | {"name": "strict", "recipe": [str(strict)], "from": {"called_ae": ["STRICT"]}, "project": "strict"}
    )
    route["from"] = {"called_ae": ["DEIDNODE"]}
    node.config["node"]["log"] = {"format": log_format, "level": "debug"}
    node.write_config()
    node.start()
    good = [saved(planted(number), road.folder / f"{number}.dcm") for number in range(3)]
    assert send(node.port, *good) == [SUCCESS] * 3
    assert storescu(node.port, good[0]).returncode == 0
    bad = broken_ones(node)
    refuse_and_abort(node, data_set_of(good[0]))
    status = node.wait_status(lambda s: s["received"] == 4 + bad and not s["in_flight"], "all is settled")
    assert status["held"] >= bad - 1
    everything_seen(node, archive)


def broken_ones(node) -> int:
    """Send what cannot be cleaned, or hardly; return how many."""
    whole, date, text = (encoded(planted(number)) for number in (13, 10, 12))
    date = date.replace(b"DA\x08\x0020040119", b"DA\x08\x00OULDATE ")
    charset = date.replace(b"ISO_IR 100", b"OULCHARSET").replace(f"{ROOT}.1.10".encode(), f"{ROOT}.1.11".encode())
    text = text.replace(b"ISO_IR 100", b"ISO_IR 192").replace(b"OULNAME^ANNA", b"OULNAME^A\xff\xfeA")
    assert len({len(data) for data in (whole, date, charset, text)}) == 1
    sent = [
        (date, f"{ROOT}.1.10", CT, "STRICT"),
        (charset, f"{ROOT}.1.11", CT, "STRICT"),
        (text, f"{ROOT}.1.12", CT, "DEIDNODE"),
        (whole, f"{ROOT}.1.99", CT, "DEIDNODE"),
        (whole, f"{ROOT}.1.13", "1.2.840.10008.5.1.4.1.1.4", "DEIDNODE"),
        (whole[: whole.index(b"OULMRN") + 3], f"{ROOT}.1.13", CT, "DEIDNODE"),
        (b"OULTAIL is a person" * 10, f"{ROOT}.1.14", CT, "DEIDNODE"),
    ]
    for data, uid, sop_class, called in sent:
        with RawSender(node.port) as peer:
            assert peer.open((CT, (EXPLICIT,)), called=called) == 2
            assert peer.store(data, uid, sop_class) == SUCCESS
    with RawSender(node.port) as peer:
        assert peer.open((CT, ("1.2.999.1",))) == 2
        assert peer.store(whole, f"{ROOT}.1.13") == SUCCESS
    return len(sent) + 1


def refuse_and_abort(node, data: bytes) -> None:
    with RawSender(node.port) as peer:
        peer.open()
        for uid in ("OULUID", "../OULUID", f"{ROOT}.{'1' * 60}"):
            assert peer.store(data, uid) == CANNOT_UNDERSTAND
        assert peer.store(data, generate_uid(), "OULUID") == CANNOT_UNDERSTAND
    with RawSender(node.port) as peer:
        peer.open()
        peer.command(f"{ROOT}.1.77")
        peer.part(data[:15000], last=False)
        peer.send(bytes.fromhex("07000000000400000000"))
    with RawSender(node.port) as peer:
        peer.open()
        peer.command(f"{ROOT}.1.78")
        peer.send(b"OULNAME is no PDU")
    wait_for(lambda: node.spool_files()["incoming"] == 0, "nothing is being written")


def everything_seen(node, archive) -> None:
    seen = {"log": node.log(), "status": node.cli("status").stdout + json.dumps(node.status())}
    held = node.held()
    assert held
    seen["held list"] = node.cli("held", "list").stdout + json.dumps(held)
    with node.ledger() as ledger:
        seen["held details"] = json.dumps([ledger.held_detail(one["id"]) for one in held])
    shown = node.cli("held", "show", held[0]["id"])
    seen["held show"] = shown.stdout + shown.stderr
    seen["files"] = "\n".join(str(path.relative_to(node.folder)) for path in node.folder.rglob("*"))
    assert node.process is not None
    for pid in processes(node.process.pid):
        for name in ("cmdline", "comm", "environ"):
            seen[f"{name} of {pid}"] = Path(f"/proc/{pid}/{name}").read_text(errors="replace")
    found = {(where, token) for where, text in seen.items() for token in TOKENS if token in text}
    assert not found
    for path in archive.files():
        content = path.read_bytes()
        assert [token for token in TOKENS if token.encode() in content] == []
