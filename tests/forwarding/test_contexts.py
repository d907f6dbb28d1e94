"""What a destination accepts, what is converted for it, and how many associations it takes."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.data import get_testdata_file
from pynetdicom.presentation import AllStoragePresentationContexts

from node.forwarder.contexts import fits, propose
from node.part10 import read_file_meta
from tests.forwarding.support import (
    BIG,
    CT,
    EXPLICIT,
    IMPLICIT,
    Forwarding,
    ScriptedSCP,
    destination,
    running,
    small_instance,
)
from tests.support import can_connect, free_port, wait_for

MR = "1.2.840.10008.5.1.4.1.1.4"
JPEG_LOSSLESS, DEFLATED = "1.2.840.10008.1.2.4.70", "1.2.840.10008.1.2.1.99"
CLASSES = sorted({str(context.abstract_syntax) for context in AllStoragePresentationContexts})[:70]


def add_file(node: Forwarding, name: str) -> pydicom.Dataset:
    """Put one of pydicom's files in the spool as it is; return it as pydicom reads it."""
    path = get_testdata_file(name, download=False)
    assert isinstance(path, str)
    content = Path(path).read_bytes()
    meta, offset = read_file_meta(content)
    node.add_bytes(content[offset:], meta.sop_class_uid, meta.sop_instance_uid, meta.transfer_syntax_uid)
    return pydicom.dcmread(path)


def forwarding(folder: Path, port: int, **changes: object) -> Forwarding:
    return Forwarding(folder, {"dest": destination(port, **changes)})


def test_what_a_destination_does_not_accept_is_held_with_the_reason_and_the_rest_goes(tmp_path: Path) -> None:
    scp = ScriptedSCP(contexts=((CT, (EXPLICIT,)),))
    node = forwarding(tmp_path, scp.port)
    other_class = node.add(small_instance(MR))
    other_syntax = node.add(small_instance(), JPEG_LOSSLESS)
    good = node.add(small_instance())
    with running(scp, node):
        node.wait(delivered=1, held=2)
    assert node.delivery(good)["state"] == "delivered"
    assert node.delivery(other_class)["reason"] == "class-refused"
    assert node.delivery(other_syntax)["reason"] == "syntax-refused"
    assert len(scp.got) == 1
    assert node.cleaned_files() == 2


def test_a_destination_that_rejects_associations_without_a_context_for_it_stalls_nothing(tmp_path: Path) -> None:
    """DCMTK's dcmrecv rejects an association where it accepts none of the contexts."""
    profile = tmp_path / "ct.cfg"
    profile.write_text(
        "[[TransferSyntaxes]]\n[Plain]\nTransferSyntax1 = LittleEndianExplicit\n"
        "[[PresentationContexts]]\n[CTAndEcho]\n"
        "PresentationContext1 = CTImageStorage\\Plain\n"
        "PresentationContext2 = VerificationSOPClass\\Plain\n"
        "[[Profiles]]\n[CT]\nPresentationContexts = CTAndEcho\n"
    )
    port = free_port()
    folder = tmp_path / "archive"
    folder.mkdir()
    process = subprocess.Popen(
        ["dcmrecv", "-xf", str(profile), "CT", "-od", str(folder), str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_for(lambda: can_connect(port), "dcmrecv listens")
        node = forwarding(tmp_path, port)
        for _ in range(20):
            node.add(small_instance(MR))
        node.add(small_instance())
        with running(node):
            node.wait(delivered=1, held=20)
        assert {entry["reason"] for entry in node.ledger.held()} == {"class-refused"}
    finally:
        process.terminate()
        process.wait(10)


@pytest.mark.parametrize(
    ("accepted", "name", "syntax"),
    [
        (IMPLICIT, "CT_small.dcm", EXPLICIT),
        (IMPLICIT, "ExplVR_BigEnd.dcm", BIG),
        (IMPLICIT, "MR_small_bigendian.dcm", BIG),
        (EXPLICIT, "MR_small_bigendian.dcm", BIG),
        (EXPLICIT, "MR_small_implicit.dcm", IMPLICIT),
        (EXPLICIT, "image_dfl.dcm", DEFLATED),
        (IMPLICIT, "rtplan.dcm", IMPLICIT),
    ],
)
def test_uncompressed_instances_are_converted_where_only_another_syntax_is_taken(
    tmp_path: Path, accepted: str, name: str, syntax: str
) -> None:
    original = pydicom.dcmread(get_testdata_file(name, download=False))
    assert original.file_meta.TransferSyntaxUID == syntax
    scp = ScriptedSCP(contexts=((str(original.SOPClassUID), (accepted,)),))
    node = forwarding(tmp_path, scp.port)
    add_file(node, name)
    with running(scp, node):
        node.wait(delivered=1)
    (got,) = scp.got
    assert got.syntax == accepted
    found = got.dataset()
    for element in original:
        if element.tag.element and element.keyword != "PixelData" and element.VR != "SQ":
            assert str(found[element.tag].value) == str(element.value), element.tag
    if "PixelData" in original:
        found.file_meta = pydicom.dataset.FileMetaDataset()
        found.file_meta.TransferSyntaxUID = accepted
        assert np.array_equal(found.pixel_array, original.pixel_array)
    assert not any((node.spool.root / "incoming").iterdir()), "no file of the conversion stays"


@pytest.mark.parametrize("name", ["SC_rgb_jpeg_lossy_gdcm.dcm", "JPEG2000.dcm", "MR_small_RLE.dcm"])
def test_compressed_instances_are_not_touched(tmp_path: Path, name: str) -> None:
    original = pydicom.dcmread(get_testdata_file(name, download=False))
    scp = ScriptedSCP(contexts=((str(original.SOPClassUID), (EXPLICIT, IMPLICIT)),))
    node = forwarding(tmp_path, scp.port)
    add_file(node, name)
    with running(scp, node):
        node.wait(held=1)
    assert node.ledger.held()[0]["reason"] == "syntax-refused"
    assert scp.got == []


def test_what_needs_no_conversion_leaves_byte_for_byte(tmp_path: Path) -> None:
    scp = ScriptedSCP(contexts=((CT, (EXPLICIT,)),))
    node = forwarding(tmp_path, scp.port)
    path = Path(str(get_testdata_file("CT_small.dcm", download=False)))
    add_file(node, "CT_small.dcm")
    with running(scp, node):
        node.wait(delivered=1)
    content = path.read_bytes()
    assert scp.got[0].data == content[read_file_meta(content)[1] :]


def test_what_cannot_be_converted_is_held_and_not_tried_for_ever(tmp_path: Path) -> None:
    scp = ScriptedSCP(contexts=((CT, (IMPLICIT,)),))
    node = forwarding(tmp_path, scp.port)
    ds = small_instance()
    broken = bytes.fromhex("08001600 55490400 312e3200 28000200 55530200".replace(" ", ""))  # its last value is missing
    name = node.add_bytes(broken, CT, str(ds.SOPInstanceUID))
    with running(scp, node):
        node.wait(held=1)
    assert node.delivery(name)["reason"] == "syntax-refused"
    assert "converted" in node.delivery(name)["detail"]


def test_a_missing_file_is_held_and_the_rest_goes(tmp_path: Path) -> None:
    scp = ScriptedSCP()
    node = forwarding(tmp_path, scp.port)
    gone = node.add(small_instance())
    node.add(small_instance())
    node.spool.cleaned_file(gone).unlink()
    with running(scp, node):
        node.wait(delivered=1, held=1)
    assert node.delivery(gone)["reason"] == "file-missing"


def test_a_trickle_uses_few_associations_and_an_idle_one_is_released(tmp_path: Path) -> None:
    scp = ScriptedSCP(contexts=((CT, (EXPLICIT,)), (MR, (EXPLICIT,))))
    node = forwarding(tmp_path, scp.port, linger="3s")
    with running(scp, node):
        for number in range(30):
            node.add(small_instance(CT if number % 2 else MR))
            time.sleep(0.05)
        node.wait(delivered=30)
        assert scp.associations <= 3, "kinds that take turns share an association"
        wait_for(lambda: scp.released == scp.associations, "an idle association is released")
    assert scp.aborted == 0


@pytest.mark.slow
def test_a_queue_of_many_classes_goes_within_the_limit_of_contexts(tmp_path: Path) -> None:
    scp = ScriptedSCP(contexts=tuple((sop_class, (EXPLICIT, IMPLICIT)) for sop_class in CLASSES))
    node = forwarding(tmp_path, scp.port)
    for sop_class in CLASSES:
        for syntax in (EXPLICIT, IMPLICIT):
            node.add(small_instance(sop_class), syntax)
    with running(scp, node):
        node.wait(delivered=2 * len(CLASSES), seconds=30)
    assert len(set(scp.uids())) == len(scp.got) == 2 * len(CLASSES)
    assert max(scp.proposed) <= 128
    assert scp.associations <= 9


def test_more_pairs_than_contexts_do_not_fit() -> None:
    pairs = {(sop_class, EXPLICIT) for sop_class in CLASSES}
    assert not fits(pairs)
    assert fits(list(pairs)[:63])
    assert len(propose(list(pairs)[:63])) == 127
