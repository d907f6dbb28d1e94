"""Who the patient is and what stays together, on the way through a running node."""

from __future__ import annotations

import shutil
from datetime import date
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pydicom
import pytest
from pydicom.uid import generate_uid

from tests.road.support import data_set_of, send, shipped_file
from tests.support import RunningNode, StoreSCP, wait_for

DAYS = {"first": date(2023, 12, 31), "second": date(2024, 3, 1)}
TRIAL = {
    "pseudonym": {"prefix": "T7-", "length": 16, "check_digit": True},
    "uid_root": "1.2.826.0.1.3680043.8.498",
    "dates": {"shift_min": "60d", "shift_max": "365d", "whole_weeks": True, "invalid": "empty"},
    "issuers": {"HOSPITAL": ["HOSP"]},
}


def scan(folder: Path, name: str, study: str, patient: str = "MRN-0001", **values: Any) -> Path:
    """A small CT of a study of one of DAYS; the study's UID is the same in every file that names it."""
    dataset = pydicom.dcmread(shipped_file("CT_small.dcm"))
    day = DAYS[study].strftime("%Y%m%d")
    dataset.PatientID, dataset.PatientName = patient, "PLANTED^NAME"
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = f"1.2.3.{study == 'first':d}", generate_uid()
    dataset.StudyDate, dataset.StudyTime, dataset.SeriesDate = day, "235959", day
    dataset.AcquisitionDateTime = f"{day}235959.25+0100"
    dataset.ContentDate = "19000101"
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    for keyword, value in values.items():
        setattr(dataset, keyword, value)
    path = folder / name
    dataset.save_as(path)
    return path


def as_date(text: str) -> date:
    return date(int(text[:4]), int(text[4:6]), int(text[6:8]))


def start(node: RunningNode, secret: Path | None = None) -> RunningNode:
    """Two routes to one archive, of projects that differ in every rule."""
    (route,) = node.config["routes"]
    route |= {"recipe": ["research"], "issuer": "HOSPITAL"}
    trial = {"name": "trial", "project": "trial", "from": {"called_ae": ["TRIAL"]}, "to": route["to"]}
    node.config["routes"].append({**trial, "recipe": ["research"], "issuer": "HOSPITAL"})
    node.config["projects"] = {"trial": TRIAL, "demo": {"placeholder_ids": ["UNKNOWN", "PHANTOM"]}}
    if secret is not None:
        node.data.mkdir(mode=0o700)
        shutil.copy(secret, node.data / "secret.key")
    node.write_config()
    return node.start()


@pytest.fixture(scope="module")
def sent(module_road):
    """What came out of two studies of a patient, sent to both projects, beside what is held."""
    folder = module_road.folder
    archive = module_road.archive()
    node = start(module_road.node(archive))
    files = {study: scan(folder, f"{study}.dcm", study) for study in DAYS}
    files["alias"] = scan(folder, "alias.dcm", "second", " MRN-0001 ", IssuerOfPatientID="HOSP")
    bad = [
        scan(folder, "placeholder.dcm", "second", "unknown", StudyInstanceUID="1.2.9"),
        scan(folder, "two.dcm", "first", "MRN-0002"),
        scan(folder, "issuer.dcm", "first", IssuerOfPatientID="ELSEWHERE"),
    ]
    good = [files["first"], files["second"]]
    assert send(node.port, *good) == [0] * 2
    node.wait_delivered(2)  # the study is whose it came as first
    assert send(node.port, *bad) == [0] * 3
    node.wait_status(lambda s: (s["delivered"], s["held"]) == (2, 3), "the project demo")
    demo = archive.datasets()
    for path in archive.files():
        path.rename(folder / f"{path.name}.demo")
    assert send(node.port, *good, files["alias"], called="TRIAL") == [0] * 3
    node.wait_delivered(5)
    return SimpleNamespace(node=node, archive=archive, files=files, demo=demo, trial=archive.datasets(), folder=folder)


def test_two_studies_of_a_patient_keep_their_interval_over_midnight_and_new_year(sent):
    interval = DAYS["second"] - DAYS["first"]
    first, second = sorted(sent.demo, key=lambda dataset: dataset.StudyDate)
    assert first.PatientID == second.PatientID == first.PatientName
    shift = as_date(first.StudyDate) - DAYS["first"]
    assert -730 <= shift.days <= -30
    assert as_date(second.StudyDate) - as_date(first.StudyDate) == interval
    assert as_date(second.AcquisitionDateTime) - as_date(first.AcquisitionDateTime) == interval
    for dataset in (first, second):
        assert dataset.SeriesDate == dataset.StudyDate == dataset.AcquisitionDateTime[:8]
        assert (dataset.StudyTime, dataset.AcquisitionDateTime[8:]) == ("235959", "235959.25+0100")
        assert dataset.ContentDate == ""


def test_an_id_of_no_one_and_a_study_under_two_patients_are_held_with_the_reason(sent):
    held = sent.node.held()
    assert sorted(one["reason"] for one in held) == ["no-patient-id", "study-of-two-patients", "study-of-two-patients"]
    assert all("(0010,0020)" in one["detail"] for one in held)
    said = sent.node.log() + str(held)
    assert not any(value in said for value in ("MRN-000", "unknown", "ELSEWHERE", "PLANTED", "1.2.3.1"))


def test_a_project_has_the_forms_of_its_own(sent):
    pseudonyms = {str(dataset[keyword].value) for dataset in sent.trial for keyword in ("PatientID", "PatientName")}
    assert len(pseudonyms) == 1, "another name of the issuer makes no other patient"
    assert (len(sent.trial[0].PatientID), sent.trial[0].PatientID[:3]) == (16, "T7-")
    first, *others = sorted(as_date(dataset.StudyDate) for dataset in sent.trial)
    shift = (first - DAYS["first"]).days
    assert (-365 <= shift <= -60, shift % 7) == (True, 0)
    assert [other - first for other in others] == [DAYS["second"] - DAYS["first"]] * 2
    for dataset in sent.trial:
        assert dataset.StudyInstanceUID.startswith("1.2.826.0.1.3680043.8.498.")
        assert dataset.SOPInstanceUID.is_valid


def test_two_projects_share_nothing(sent):
    for keyword in ("PatientID", "StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "FrameOfReferenceUID"):
        values = [{str(dataset[keyword].value) for dataset in one} for one in (sent.demo, sent.trial)]
        assert not values[0] & values[1], keyword


def test_another_node_with_the_secret_sends_the_same_bytes(sent, module_road):
    archive = module_road.archive("other")
    node = start(module_road.node(archive, "twin"), sent.node.data / "secret.key")
    files = [sent.files[name] for name in ("alias", "second", "first")]
    assert send(node.port, *files, called="TRIAL") == [0] * 3
    node.wait_delivered(3)
    here, there = ({uid: data_set_of(path) for uid, path in _by_uid(one).items()} for one in (sent.archive, archive))
    assert here == there


def _by_uid(archive: StoreSCP) -> dict[str, Path]:
    return dict(zip(archive.uids(), archive.files(), strict=True))


@pytest.mark.slow
def test_a_changed_range_is_refused_with_the_way_out_which_then_is_taken(sent):
    node, before = sent.node, sent.demo[0]
    demo = node.config["projects"]["demo"]
    demo["dates"] = {"shift_max": "365d"}
    node.write_config()
    # While it runs: the old configuration stays, and goes on.
    done = node.cli("reload")
    assert done.returncode == 1
    assert "projects.demo.dates.shift_max" in done.stderr
    assert "set projects.demo.epoch to 2" in done.stderr
    assert node.cli("check").returncode == 1
    # At start: exit code 3, the same words.
    assert node.stop() == 0
    refused = node.cli("serve")
    assert refused.returncode == 3
    assert "was 730d" in refused.stderr
    assert "set projects.demo.epoch to 2" in refused.stderr
    demo["epoch"] = 2
    node.write_config()
    node.start()
    for path in sent.archive.files():
        path.unlink()
    again = scan(sent.folder, "again.dcm", "first")
    assert send(node.port, again) == [0]
    (fresh,) = wait_for(sent.archive.datasets, "it arrives")
    assert fresh.PatientID != before.PatientID
    assert -365 <= (as_date(fresh.StudyDate) - DAYS["first"]).days <= -30
    assert fresh.StudyInstanceUID not in {dataset.StudyInstanceUID for dataset in sent.demo}
