"""Rejection notes: documents by which a source says that instances are not to be used."""

from __future__ import annotations

from collections.abc import Callable

import pydicom
import pytest
from pydicom.sequence import Sequence
from pydicom.uid import generate_uid

from tests.copies.support import KEY_OBJECTS, Desk, instance

Make = Callable[..., Desk]


def note(code: str, *uids: str, scheme: str = "DCM") -> pydicom.Dataset:
    """A Key Object Selection document of two series in a study (PS3.3 A.35.4)."""
    ds = instance()
    ds.SOPClassUID, ds.Modality = KEY_OBJECTS, "KO"
    title = pydicom.Dataset()
    title.CodeValue, title.CodingSchemeDesignator, title.CodeMeaning = code, scheme, "A title"
    ds.ConceptNameCodeSequence = Sequence([title])
    series = []
    for uid in uids:
        one, inner = pydicom.Dataset(), pydicom.Dataset()
        one.ReferencedSOPClassUID, one.ReferencedSOPInstanceUID = instance().SOPClassUID, uid
        inner.SeriesInstanceUID, inner.ReferencedSOPSequence = generate_uid(), Sequence([one])
        series.append(inner)
    study = pydicom.Dataset()
    study.StudyInstanceUID, study.ReferencedSeriesSequence = ds.StudyInstanceUID, Sequence(series)
    ds.CurrentRequestedProcedureEvidenceSequence = Sequence([study])
    return ds


@pytest.mark.parametrize("code", ["113001", "113037", "113038", "113039"])
def test_a_rejection_note_is_held_alerts_and_lists_what_was_delivered(desk: Desk, code: str) -> None:
    one, two, unknown = instance(), instance(), generate_uid()
    delivered = desk.come(one)
    (due,) = desk.deliver()
    waiting = desk.come(two)
    elsewhere = instance()
    desk.come(elsewhere, "other")
    name = desk.come(note(code, one.SOPInstanceUID, two.SOPInstanceUID, unknown, elsewhere.SOPInstanceUID))
    assert desk.row(name) == ("held", "held", "rejection-note")
    detail = desk.detail(name)
    assert detail.startswith(f"{code} (")
    assert "of 4 instances 2 came" in detail, "another project's is none of its"
    assert f"a as {due.sop_instance_uid} at 20" in detail
    assert "not yet delivered: 1 to a" in detail
    assert not any(str(ds.SOPInstanceUID) in detail for ds in (one, two))
    found = desk.ledger.held_detail(name)
    assert found is not None
    assert [entry["state"] for entry in found["concerns"]] == ["delivered", "due"]
    assert {delivered, waiting} == {
        row[0] for row in desk.sql("SELECT i.id FROM rejections AS r JOIN instances AS i ON i.seq = r.instance")
    }
    (alert,) = desk.status()["alerts"]
    assert (alert["kind"], alert["instances"]) == ("rejection-note", 1)
    assert desk.row(desk.come(note(code)))[2] == "rejection-note", "one that speaks of nothing too"


@pytest.mark.parametrize(("code", "scheme"), [("113000", "DCM"), ("113001", "99LOCAL")])
def test_other_key_objects_go_their_way(desk: Desk, code: str, scheme: str) -> None:
    assert desk.row(desk.come(note(code, generate_uid(), scheme=scheme)))[0] == "cleaned"
    assert desk.status()["alerts"] == []


def test_no_exclude_of_the_route_hides_it(desk: Desk) -> None:
    desk.settings["routes"][0]["exclude"] = ["equals Modality KO"]
    desk.configure()
    assert desk.row(desk.come(note("113000")))[:1] == ("excluded",)
    assert desk.row(desk.come(note("113001")))[2] == "rejection-note"


def test_it_is_sent_on_only_when_a_person_says_so(desk: Desk) -> None:
    rejected = instance()
    desk.come(rejected)
    (image,) = desk.deliver()
    ds = note("113037", rejected.SOPInstanceUID)
    name = desk.come(ds)
    assert desk.row(desk.come(ds))[2] == "again"
    assert not desk.ledger.release(name)
    assert desk.ledger.release_as("rejection", name)
    desk.clean()
    (due,) = desk.deliver()
    assert (due.id, desk.status()["alerts"]) == (name, [])
    assert image.sop_instance_uid != due.sop_instance_uid
