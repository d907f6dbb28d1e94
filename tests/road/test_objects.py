"""Documents, unknown classes and images that may show somebody, on their way through a running node."""

from __future__ import annotations

import json

import pydicom
import pytest
from pydicom.uid import generate_uid

from tests.road.support import SUCCESS, send, shipped_file
from tests.support import make_ct, wait_for

ROOT = "1.2.840.10008.5.1.4.1.1."
SC, PDF, PRIVATE = ROOT + "7", ROOT + "104.1", "1.3.12.2.1107.5.9.1"


@pytest.fixture(scope="module")
def node(module_road):
    """A node with two routes: one that holds, and one that excludes and puts stubs in place."""
    archive = module_road.archive()
    node = module_road.node(archive)
    (route,) = node.config["routes"]
    route |= {"recipe": ["ps3.15-basic", "dose-screens"], "gate": "hold"}
    other = {"name": "open", "project": "open", "from": {"called_ae": ["OPEN"]}, "to": route["to"]}
    node.config["routes"].append(
        {
            **other,
            "recipe": ["ps3.15-basic"],
            "unknown_sop_class": "exclude",
            "documents": "stub",
            "pixel_risk": "pass",
        }
    )
    node.write_config()
    node.archive = archive
    return node.start()


@pytest.fixture
def instance(tmp_path):
    """Make a file of a class out of a small CT."""

    def make(sop_class: str, **values: object):
        (path,) = make_ct(tmp_path / generate_uid(), 1, rows=16)
        source = pydicom.dcmread(path)
        source.SOPClassUID = source.file_meta.MediaStorageSOPClassUID = sop_class
        for keyword, value in values.items():
            setattr(source, keyword, value)
        source.save_as(path)
        return path

    return make


def sent(node, path, called: str = "DEIDNODE"):
    """What came of a file: the new file in the archive, or the new entry of what is held."""
    files, held = set(node.archive.files()), node.held()
    assert send(node.port, path, called=called) == [SUCCESS]
    wait_for(lambda: node.status()["in_flight"] == 0, "nothing is in flight")
    new = sorted(set(node.archive.files()) - files)
    return pydicom.dcmread(new[0]) if new else next((one for one in node.held() if one not in held), None)


def test_an_image_of_a_risk_goes_only_by_the_word_of_a_person_who_looked(node, instance):
    held = sent(node, instance(SC, BurnedInAnnotation="YES"))
    assert held["reason"] == "pixel-risk"
    assert held["detail"] == "Burned In Annotation (0028,0301) is YES; Secondary Capture"
    assert node.cli("held", "release", held["id"]).returncode == 0
    wait_for(lambda: node.held() and node.held()[0]["since"] != held["since"], "it is held again")
    assert node.cli("held", "release", "--despite-leak", held["id"]).returncode == 1
    both = node.cli("held", "release", "--despite-leak", "--despite-pixel-risk", held["id"])
    everything = node.cli("held", "release", "--despite-pixel-risk", "--all", "--reason", "pixel-risk")
    assert (both.returncode, everything.returncode) == (2, 2)
    before = node.status()["delivered"]
    files = set(node.archive.files())
    done = node.cli("held", "release", "--despite-pixel-risk", held["id"])
    assert (done.returncode, done.stdout) == (0, "1 released\n")
    node.wait_delivered(before + 1)
    (new,) = set(node.archive.files()) - files
    assert pydicom.dcmread(new).BurnedInAnnotation == "NO"
    shown = json.loads(node.cli("held", "show", "--json", held["id"]).stdout)
    said = f"released despite pixel risk: {held['detail']}"
    assert shown["detail"] == said
    assert ("received", said) in [(event["event"], event["detail"]) for event in shown["events"]]


def test_documents_and_unknown_classes_are_held(node, instance):
    assert sent(node, instance(PRIVATE))["reason"] == "unknown-sop-class"
    assert sent(node, instance(PDF, EncapsulatedDocument=b"PLANTED "))["reason"] == "document"


def test_another_route_puts_a_stub_in_place_excludes_and_passes(node, instance):
    document = instance(PDF, EncapsulatedDocument=b"PLANTED ", MIMETypeOfEncapsulatedDocument="application/pdf")
    assert sent(node, document, "OPEN").EncapsulatedDocument.startswith(b"%PDF-1.4")
    assert "BurnedInAnnotation" not in sent(node, instance(SC, BurnedInAnnotation="NO"), "OPEN")
    before = node.status()["excluded"]
    assert sent(node, instance(PRIVATE), "OPEN") is None
    assert node.status()["excluded"] == before + 1


def test_a_dose_page_is_excluded_and_an_axial_image_delivered(node, instance):
    ct = ROOT + "2"
    before = node.status()["excluded"]
    page = {"ImageType": ["DERIVED", "SECONDARY", "SCREEN SAVE"], "SeriesDescription": "Dose Report"}
    assert sent(node, instance(ct, **page)) is None
    assert node.status()["excluded"] == before + 1
    assert "%filter exclude: LABEL dose page by its Series Description" in node.log()
    assert sent(node, instance(ct, SeriesDescription="LOW DOSE LUNG")).Modality == "CT"


def test_the_files_command_takes_the_same_words(node, tmp_path):
    path = shipped_file("SC_rgb_rle.dcm")
    arguments = ("clean", "--route", "open", str(path), "--json", "--out")
    assert node.cli(*arguments, str(tmp_path / "a")).returncode == 0
    done = node.cli(*arguments, str(tmp_path / "b"), "--pixel-risk", "hold")
    assert [one["reason"] for one in json.loads(done.stdout)["held"]] == ["pixel-risk"]
    shown = node.cli("preview", "--route", "open", "--pixel-risk", "hold", str(path), "--json")
    assert json.loads(shown.stdout)["held"]["reason"] == "pixel-risk"
    head = pydicom.dcmread(shipped_file("CT_small.dcm"))
    head.BodyPartExamined = "HEAD"
    head.save_as(tmp_path / "head.dcm")
    shown = json.loads(node.cli("preview", "--route", "open", str(tmp_path / "head.dcm"), "--json").stdout)
    (row,) = [row for row in shown["elements"] if row["name"] == "RecognizableVisualFeatures"]
    assert (row["what"], row["before"], row["after"]) == ("added", None, "YES")
