"""What a request and a report hold, as pydicom reads and writes it; and what is refused."""

from __future__ import annotations

from io import BytesIO

import pydicom
import pytest
from pydicom.dataset import Dataset

from node.commitment import MOST_REFERENCES, Information, Reference, decode, encode
from node.errors import DatasetError
from node.syntaxes import EXPLICIT_LE, IMPLICIT_LE, Syntax
from tests.commitment.peers import CT, item, request
from tests.forwarding.support import encoded

BOTH = pytest.mark.parametrize("syntax", [EXPLICIT_LE, IMPLICIT_LE], ids=["explicit", "implicit"])


@BOTH
def test_a_report_is_what_pydicom_reads(syntax: Syntax) -> None:
    outcome = Information(
        "1.2.3", (Reference(CT, "1.2.3.4"), Reference(CT, "1.2.3.44")), (Reference(CT, "1.9", 0x0112),)
    )
    data = encode(outcome, syntax)
    ds = pydicom.filereader.read_dataset(BytesIO(data), syntax.implicit_vr, True, bytelength=len(data))
    assert ds.TransactionUID == "1.2.3"
    assert [one.ReferencedSOPInstanceUID for one in ds.ReferencedSOPSequence] == ["1.2.3.4", "1.2.3.44"]
    assert {one.ReferencedSOPClassUID for one in ds.ReferencedSOPSequence} == {CT}
    assert [(one.ReferencedSOPInstanceUID, one.FailureReason) for one in ds.FailedSOPSequence] == [("1.9", 0x0112)]
    assert decode(data, syntax.uid) == outcome
    assert b"\x08\x00\x98\x11" not in encode(Information("1.2.3", outcome.referenced), syntax), (
        "no Failed SOP Sequence where nothing failed"
    )


@BOTH
@pytest.mark.parametrize("undefined", [False, True], ids=["lengths", "delimiters"])
def test_a_request_is_read_as_pydicom_writes_it(syntax: Syntax, undefined: bool) -> None:
    ds = request([(CT, "1.2.3.4"), ("1.2.840.113619.4.30", "1.2.3.5")], "1.2.33")
    ds.ReferencedSOPSequence[0].PurposeOfReferenceCodeSequence = [Dataset()]
    ds["ReferencedSOPSequence"].is_undefined_length = undefined
    for one in ds.ReferencedSOPSequence:
        one.is_undefined_length_sequence_item = undefined
    found = decode(encoded(ds, syntax.uid), syntax.uid)
    assert found == Information("1.2.33", (Reference(CT, "1.2.3.4"), Reference("1.2.840.113619.4.30", "1.2.3.5")))


def test_what_is_no_request_is_refused_without_a_value() -> None:
    good = request([(CT, "1.2.3.4")], "1.2.33")
    for spoil in (
        lambda ds: delattr(ds, "TransactionUID"),
        lambda ds: delattr(ds, "ReferencedSOPSequence"),
        lambda ds: setattr(ds, "ReferencedSOPSequence", []),
        lambda ds: delattr(ds.ReferencedSOPSequence[0], "ReferencedSOPClassUID"),
        lambda ds: delattr(ds.ReferencedSOPSequence[0], "ReferencedSOPInstanceUID"),
    ):
        ds = request([(CT, "1.2.3.4")], "1.2.33")
        spoil(ds)  # type: ignore[no-untyped-call]
        with pytest.raises(DatasetError):
            decode(encoded(ds), EXPLICIT_LE.uid)
    data = encoded(good)
    for cut in range(1, len(data)):
        with pytest.raises(DatasetError):
            decode(data[:cut], EXPLICIT_LE.uid)
    for broken in (data.replace(b"1.2.3.4", b"PLANTED"), data.replace(b"1.2.33", b"PLANT^")):
        with pytest.raises(DatasetError) as caught:
            decode(broken, EXPLICIT_LE.uid)
        assert "PLANT" not in str(caught.value)


def test_a_request_has_no_more_instances_than_there_may_be() -> None:
    many = tuple(Reference(CT, f"1.2.{number}") for number in range(MOST_REFERENCES))
    assert len(decode(encode(Information("1.2", many), IMPLICIT_LE), IMPLICIT_LE.uid).referenced) == MOST_REFERENCES
    with pytest.raises(DatasetError):
        decode(encode(Information("1.2", (*many, Reference(CT, "1.3"))), IMPLICIT_LE), IMPLICIT_LE.uid)


def test_an_item_that_lies_about_its_length_is_refused() -> None:
    ds = Dataset()
    ds.TransactionUID = "1.2.33"
    ds.ReferencedSOPSequence = [item(CT, "1.2.3.4")]
    data = bytearray(encoded(ds))
    place = data.index(b"\xfe\xff\x00\xe0") + 4
    data[place : place + 4] = (0x7FFFFFF0).to_bytes(4, "little")
    with pytest.raises(DatasetError):
        decode(bytes(data), EXPLICIT_LE.uid)
