"""What the gate holds in the node leaves by a person's word alone, as it was found, and the ledger says so."""

from __future__ import annotations

import json

import pydicom
import pytest

from tests.road.support import SUCCESS, send
from tests.support import make_ct, wait_for

LEAKING = """\
FORMAT dicom
%header
REPLACE select:standard:UI func:generate_uid
REPLACE select:standard:DA func:shift_date
REMOVE select:private
REPLACE PatientName func:pseudonym
REPLACE PatientID func:pseudonym
REMOVE PatientBirthDate
REMOVE OtherPatientIDsSequence
REMOVE ReferringPhysicianName
REMOVE StudyID
REMOVE AccessionNumber
REMOVE StationName
REMOVE OtherPatientIDs
"""
WORDS = ("PLANTED", "MRN-0001", "HOSPITAL")


def serving(road, lines=LEAKING, **route):
    """A running node whose route has a recipe of these lines, its archive, and the recipe's file."""
    archive = road.archive()
    node = road.node(archive)
    path = node.folder / "leaking.dicom"
    path.write_text(lines)
    node.config["routes"][0] |= {"recipe": [str(path)], "gate": "hold"} | route
    node.write_config()
    node.start()
    return node, archive, path


@pytest.fixture
def leaking(road):
    """A node that holds an instance whose recipe leaves the institution."""
    node, archive, path = serving(road)
    assert send(node.port, *make_ct(road.folder / "ct", 1)) == [SUCCESS]
    node.wait_status(lambda status: status["held"] == 1, "the gate holds it")
    return node, archive, path


def test_a_leak_is_held_and_goes_only_by_the_word_of_a_person(leaking):
    node, archive, _ = leaking
    (held,) = node.held()
    assert (held["reason"], held["detail"]) == ("leak", "Institution Name in (0008,0080)")
    for arguments in ([held["id"]], ["--all", "--reason", "leak"]):
        done = node.cli("held", "release", *arguments)
        assert (done.returncode, done.stdout) == (1, "0 released\n")
        assert f"held release --despite-leak {held['id']}" in done.stderr
    assert node.cli("held", "release", "--despite-leak", "--all", "--reason", "leak").returncode == 2
    assert node.status()["held"] == 1
    assert not archive.files()
    done = node.cli("held", "release", "--despite-leak", held["id"])
    assert (done.returncode, done.stdout) == (0, "1 released\n")
    node.wait_delivered(1)
    (sent,) = archive.datasets()
    assert (sent.InstitutionName, "PLANTED" in str(sent.PatientName)) == ("PLANTED HOSPITAL", False)
    shown = json.loads(node.cli("held", "show", "--json", held["id"]).stdout)
    assert shown["detail"] == "released despite leak: Institution Name in (0008,0080)"
    told = [(event["event"], event["detail"]) for event in shown["events"]]
    assert ("held", "leak: Institution Name in (0008,0080)") in told
    assert ("received", "released despite leak: Institution Name in (0008,0080)") in told
    assert not any(word in node.log() + json.dumps(shown) for word in WORDS)
    assert node.cli("held", "release", "--despite-leak", held["id"]).returncode == 1, "it is not held any more"


def test_what_was_released_meets_the_gate_again_when_the_recipe_has_changed(leaking):
    node, archive, path = leaking
    (held,) = node.held()
    for lines, detail in (
        ("REMOVE Manufacturer\n", "Institution Name in (0008,0080)"),
        ("REMOVE Manufacturer\nREMOVE InstitutionName\n", None),
    ):
        path.write_text(LEAKING + lines)
        node.cli("reload", check=True)
        wait_for(lambda: not node.status()["in_flight"], "nothing is on its way")
        since = node.held()[0]["since"]
        assert node.cli("held", "release", "--despite-leak", held["id"]).returncode == 0
        if detail is None:
            break
        wait_for(lambda before=since: node.held() and node.held()[0]["since"] != before, "it is held again")
        assert node.held()[0]["detail"] == detail
    node.wait_delivered(1)
    (sent,) = archive.datasets()
    assert "InstitutionName" not in sent


def test_where_leaks_are_reported_the_instance_goes_and_the_log_says_where(road):
    node, archive, _ = serving(road, gate="report")
    assert send(node.port, *make_ct(road.folder / "ct", 2)) == [SUCCESS] * 2
    node.wait_delivered(2)
    assert all(pydicom.dcmread(file).InstitutionName == "PLANTED HOSPITAL" for file in archive.files())
    told = [json.loads(line) for line in node.log().splitlines() if '"leak"' in line]
    assert [one["findings"] for one in told] == [1, 1]
    assert {one["detail"] for one in told} == {"Institution Name in (0008,0080)"}
    assert not any(word in node.log() for word in WORDS)


def test_an_image_that_was_let_go_for_its_pixels_still_meets_the_gate(road):
    node, _, _ = serving(road, pixel_risk="hold")
    (ct,) = make_ct(road.folder / "ct", 1)
    image = pydicom.dcmread(ct)
    image.BurnedInAnnotation = "YES"
    image.save_as(ct)
    assert send(node.port, ct) == [SUCCESS]
    risk, leak = "Burned In Annotation (0028,0301) is YES", "Institution Name in (0008,0080)"
    for option, reason, detail in (
        ("--despite-pixel-risk", "pixel-risk", risk),
        ("--despite-leak", "leak", f"{leak} | released despite pixel risk: {risk}"),
    ):
        held = wait_for(lambda wanted=reason: [one for one in node.held() if one["reason"] == wanted], "it is held")
        assert [one["detail"] for one in held] == [detail]
        assert node.cli("held", "release", option, held[0]["id"]).returncode == 0
    node.wait_delivered(1)
    shown = json.loads(node.cli("held", "show", "--json", held[0]["id"]).stdout)
    assert shown["detail"] == f"released despite leak: {leak} | released despite pixel risk: {risk}"


def test_a_route_that_scrubs_sends_what_is_left_and_says_where(road):
    node, archive, _ = serving(road, LEAKING + "REMOVE InstitutionName\n", gate="scrub")
    (scan,) = make_ct(road.folder / "ct", 1)
    source = pydicom.dcmread(scan)
    source.StudyDescription = "knee of PLANTED"
    source.save_as(scan)
    assert send(node.port, scan) == [SUCCESS]
    node.wait_delivered(1)
    (sent,) = archive.datasets()
    assert sent.StudyDescription == "knee of"
    assert sent.PixelData == source.PixelData
    (line,) = (line for line in node.log().splitlines() if "(0008,1030)" in line)
    assert "leak" in line
    assert not any(word in node.log() for word in WORDS)
