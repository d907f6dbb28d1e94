"""Every transfer syntax and every kind of SOP class, sent verbatim: what the recipe does not touch stays as it came."""

import contextlib
import struct
import subprocess
import zlib
from pathlib import Path

import pydicom
import pytest
from pydicom.uid import UID_dictionary

from tests.road.conftest import EVERY_COPY
from tests.road.support import (
    CT,
    DEFLATED,
    EXPLICIT,
    IMPLICIT,
    SUCCESS,
    RawSender,
    data_set_of,
    differences,
    elements_of,
    send,
    shipped_file,
    use_recipe,
    verbatim_archive,
    write_instance,
)
from tests.support import free_port, wait_for

PRIVATE_CLASS = "1.3.46.670589.2.3.1.1"  # as ultrasound machines really propose it
PRIVATE_SYNTAX = "1.2.999.4.5"
JPEG_LOSSLESS = "1.2.840.10008.1.2.4.57"
GE_SYNTAX = "1.2.840.113619.5.2"
PIXEL_DATA = 0x7FE00010

FILES = {
    "implicit": "MR_small_implicit.dcm",
    "explicit": "CT_small.dcm",
    "explicit padded": "MR_small_padded.dcm",
    "explicit odd pixels": "SC_rgb_small_odd.dcm",
    "big endian": "MR_small_bigendian.dcm",
    "deflated": "image_dfl.dcm",
    "jpeg baseline": "SC_rgb_jpeg_dcmtk.dcm",
    "jpeg extended": "JPEG-lossy.dcm",
    "jpeg lossless sv1": "SC_rgb_jpeg_gdcm.dcm",
    "jpeg-ls": "MR_small_jpeg_ls_lossless.dcm",
    "jpeg-ls near": "JPEGLSNearLossless_16.dcm",
    "jpeg 2000": "JPEG2000-embedded-sequence-delimiter.dcm",
    "jpeg 2000 lossless": "MR_small_jp2klossless.dcm",
    "rle": "MR_small_RLE.dcm",
    "rle frames": "SC_rgb_rle_32bit_2frame.dcm",
    "structured report": "test-SR.dcm",
    "waveform": "waveform_ecg.dcm",
}


# What they name stands at the top level alone in the files here, so that every other element has to stay.
RECIPE = "FORMAT dicom\n%header\nREPLACE PatientName ANONYMOUS\nREPLACE SOPInstanceUID func:generate_uid\n"
TOUCHED = {0x00080018, 0x00100010}
ALSO_NAMED_INSIDE = {"SC_rgb_small_odd.dcm": {0x00082112}}  # Source Image Sequence with a SOP Instance UID in it


@pytest.fixture(scope="module")
def peers(module_road):
    archive = module_road.archive()
    node = module_road.node(archive, **EVERY_COPY)
    use_recipe(node, RECIPE)
    node.config["routes"][0]["unknown_sop_class"] = "pass"
    node.write_config()
    return node.start(), archive


def through(peers, path: Path) -> Path:
    """Send a file; return the one that came of it."""
    node, archive = peers
    before, held = archive.files(), node.held()
    assert send(node.port, path) == [SUCCESS]
    wait_for(lambda: node.status()["in_flight"] == 0, "nothing is in flight")
    assert node.held() == held, "nothing more is held"
    (new,) = set(archive.files()) - set(before)
    return new


@contextlib.contextmanager
def one_more_held(node):
    """Yield a list for the one that is held because of the block."""
    before, found = node.held(), []
    yield found
    found += wait_for(lambda: [one for one in node.held() if one not in before], "it is held")


@pytest.mark.parametrize("name", FILES.values(), ids=FILES)
def test_what_the_recipe_does_not_touch_leaves_byte_for_byte(peers, name):
    sent = shipped_file(name)
    arrived = through(peers, sent)
    meta = [pydicom.filereader.read_file_meta_info(path) for path in (sent, arrived)]
    assert meta[0].TransferSyntaxUID == meta[1].TransferSyntaxUID
    assert meta[0].MediaStorageSOPClassUID == meta[1].MediaStorageSOPClassUID
    changed = {tag for tag in differences(sent, arrived) if tag & 0xFFFF or tag >> 16 not in {8, 16, 32}}
    assert 0x00080018 in changed, "the SOP Instance UID is another one"
    assert changed <= TOUCHED | ALSO_NAMED_INSIDE.get(name, set())
    before, after = elements_of(sent), elements_of(arrived)
    assert before.get(PIXEL_DATA) == after.get(PIXEL_DATA)


@pytest.mark.parametrize("kind", ["jpeg lossless", "ge private"])
def test_a_syntax_that_dcmtk_does_not_take_leaves_byte_for_byte(road, kind):
    sent = road.folder / "sent.dcm"
    if kind == "ge private":
        ds = pydicom.dcmread(shipped_file("MR_small_implicit.dcm"))
        encoded = data_set_of(shipped_file("MR_small_implicit.dcm"))
        write_instance(sent, encoded, ds.SOPClassUID, ds.SOPInstanceUID, GE_SYNTAX)
    else:
        subprocess.run(["dcmcjpeg", "+el", str(shipped_file("MR_small.dcm")), str(sent)], check=True, timeout=30)
        ds = pydicom.dcmread(sent)
        assert ds.file_meta.TransferSyntaxUID == JPEG_LOSSLESS
    syntax = GE_SYNTAX if kind == "ge private" else JPEG_LOSSLESS
    port = free_port()
    node = road.node(None)
    node.config["destinations"] = {"dest": {"ae_title": "DEST", "address": f"127.0.0.1:{port}", "linger": "0s"}}
    node.config["routes"][0]["to"] = ["dest"]
    use_recipe(node, RECIPE)
    node.start()
    with verbatim_archive(port, (ds.SOPClassUID, syntax)) as came:
        with RawSender(node.port) as peer:
            assert peer.open((ds.SOPClassUID, (syntax,))) == 2
            assert peer.store(data_set_of(sent), ds.SOPInstanceUID, ds.SOPClassUID) == SUCCESS
        node.wait_delivered(1)
    ((syntax_of, encoded),) = came
    assert syntax_of == syntax
    arrived = write_instance(road.folder / "arrived.dcm", encoded, ds.SOPClassUID, "1.2", syntax)
    if kind == "ge private":
        before, after = elements_of_implicit(sent), elements_of_implicit(arrived)
        changed = {one[:4] for one, other in zip(before, after, strict=True) if one != other}
        assert changed <= {struct.pack("<HH", tag >> 16, tag & 0xFFFF) for tag in TOUCHED}
    else:
        assert differences(sent, arrived) <= TOUCHED


def elements_of_implicit(path: Path) -> list[bytes]:
    encoded, position, found = data_set_of(path), 0, []
    while position < len(encoded):
        (length,) = struct.unpack_from("<L", encoded, position + 4)
        found.append(encoded[position : position + 8 + length])
        position += 8 + length
    return found


def test_a_deflated_stream_that_changed_inflates_to_the_same_elements(peers, tmp_path):
    encoded = data_set_of(shipped_file("CT_small.dcm"))
    ds = pydicom.dcmread(shipped_file("CT_small.dcm"))
    squeeze = zlib.compressobj(level=1, wbits=-15)
    stream = squeeze.compress(encoded) + squeeze.flush()
    sent = write_instance(tmp_path / "a.dcm", stream + b"\0" * (len(stream) & 1), CT, ds.SOPInstanceUID, DEFLATED)
    arrived = through(peers, sent)
    assert arrived.stat().st_size % 2 == 0
    assert differences(sent, arrived) <= TOUCHED


@pytest.mark.parametrize("syntax", [IMPLICIT, EXPLICIT])
def test_a_private_sop_class_is_received_and_delivered(peers, tmp_path, syntax):
    ds = pydicom.dcmread(shipped_file("MR_small.dcm"))
    ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = PRIVATE_CLASS
    ds.file_meta.TransferSyntaxUID = syntax
    sent = tmp_path / "private.dcm"
    ds.save_as(sent, implicit_vr=syntax == IMPLICIT, little_endian=True)
    arrived = through(peers, sent)
    assert pydicom.dcmread(arrived).SOPClassUID == PRIVATE_CLASS
    assert differences(sent, arrived) <= TOUCHED


def test_a_private_transfer_syntax_is_received_kept_and_held(peers):
    node, archive = peers
    before = archive.files()
    ds = pydicom.dcmread(shipped_file("MR_small.dcm"))
    data = bytes(range(256)) * 40
    with one_more_held(node) as held, RawSender(node.port) as peer:
        assert peer.open((ds.SOPClassUID, (PRIVATE_SYNTAX,))) == 2
        assert peer.store(data, ds.SOPInstanceUID, ds.SOPClassUID) == SUCCESS
    assert [(one["reason"], one["destination"]) for one in held] == [("unknown-syntax", None)]
    (kept,) = node.spool.joinpath("originals").rglob(f"{held[0]['id']}.dcm")
    assert kept.read_bytes().endswith(data)
    assert archive.files() == before
    assert node.cli("held", "discard", held[0]["id"], "--yes").returncode == 0


def storage_classes():
    kinds = {"SOP Class"}
    for uid, (name, kind, *_) in UID_dictionary.items():
        if kind in kinds and uid.startswith("1.2.840.10008.5.1.4.") and "Storage" in name and "Commitment" not in name:
            yield uid


def test_every_storage_sop_class_negotiates(peers):
    node, _ = peers
    classes = [uid for uid in storage_classes() if not uid.startswith("1.2.840.10008.5.1.4.1.2")]
    assert len(classes) > 150
    assert CT in classes
    for start in range(0, len(classes), 128):
        part = classes[start : start + 128]
        with RawSender(node.port) as peer:
            assert peer.open(*((uid, (IMPLICIT, EXPLICIT)) for uid in part)) == 2
            assert results(peer.answer[1]) == [0] * len(part)


def results(accept: bytes) -> list[int]:
    """The results of the presentation contexts in the body of an A-ASSOCIATE-AC (PS3.8 Table 9-18)."""
    position, found = 68, []
    while position < len(accept):
        kind, length = struct.unpack_from(">BxH", accept, position)
        if kind == 0x21:
            found.append(accept[position + 6])
        position += 4 + length
    return found


@pytest.mark.parametrize(
    "sop_class",
    [
        "1.2.840.10008.5.1.4.1.2.2.1",  # Study Root Query/Retrieve FIND
        "1.2.840.10008.5.1.4.31",  # Modality Worklist
        "1.2.840.10008.1.20.1",  # Storage Commitment Push Model
        "1.2.840.10008.3.1.2.3.3",  # MPPS
        "1.2.840.10008.5.1.1.1",  # Basic Film Session
        "1.2.840.10008.1.3.10",  # Media Storage Directory
    ],
)
def test_a_class_that_is_no_storage_is_refused_counted_and_named_in_the_log(peers, sop_class):
    node, _ = peers
    calling = f"PEER{sop_class.replace('.', '')[-8:]}"
    with RawSender(node.port) as peer:
        assert peer.open((sop_class, (IMPLICIT,)), (CT, (IMPLICIT,)), calling=calling) == 2
        assert results(peer.answer[1]) == [3, 0], "abstract syntax not supported, and CT is taken"

    def counted():
        return [one for one in node.status()["refused"] if one["calling_ae_title"] == calling]

    (refused,) = wait_for(counted, "the refused context is counted")
    assert (refused["kind"], refused["uid"], refused["times"]) == ("presentation-context", sop_class, 1)
    lines = [line for line in node.log().splitlines() if '"refused-context"' in line and calling in line]
    assert len(lines) == 1
    assert sop_class in lines[0]
