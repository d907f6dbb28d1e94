"""The drills on a whole node, with DCMTK at both ends: stop everything; a wrong recipe went live; consent withdrawn."""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pydicom

from tests.crash.support import Deadly, settled
from tests.support import StoreSCP, make_ct, storescu, wait_for

RIGHT = """\
FORMAT dicom
%header
REPLACE PatientName ANONYMOUS
REPLACE PatientID func:pseudonym
REPLACE StudyInstanceUID func:generate_uid
REPLACE SeriesInstanceUID func:generate_uid
REPLACE SOPInstanceUID func:generate_uid
"""
WRONG = RIGHT + "REPLACE StudyDescription WRONG\n"


def test_the_three_drills_step_by_step(make_node: Callable[..., Deadly], scp: StoreSCP, tmp_path: Path) -> None:
    node = make_node({"dest": scp.port}, retention={"originals": "7d"})
    recipe = node.folder / "own.dicom"
    recipe.write_text(WRONG)
    node.config["routes"][0] |= {"recipe": ["./own.dicom"], "gate": "report"}
    node.config["node"]["workers"] = 1
    node.write_config()
    node.start()
    first = make_ct(tmp_path / "first", 3)
    assert storescu(node.port, *first).returncode == 0
    node.wait_delivered(3)

    # Stop everything: reception and cleaning go on, nothing is sent.
    assert node.cli("stop", "--reason", "the recipe is wrong", check=True).stdout.startswith("Nothing is sent any more")
    more = make_ct(tmp_path / "more", 2, patient="MRN-0002")
    assert storescu(node.port, *more).returncode == 0
    node.wait_status(lambda status: status["routes"]["research"]["cleaned"] == 5, "all are cleaned")
    shown = node.cli("status", check=True).stdout
    assert shown.startswith("FORWARDING IS STOPPED")
    assert "the recipe is wrong" in shown.splitlines()[0]
    assert len(scp.files()) == 3

    # A wrong recipe went live: what went, mended, recalled, sent again.
    found = json.loads(node.cli("impact", "--route", "research", "--model", "RHAPSODE", "--json", check=True).stdout)
    assert (found["delivered"], found["waiting"]) == (3, 0)
    (wrong,) = found["recipes"]
    note = ("recall", "--recipe", wrong[:12], "--rejection-note", "113001", "--out", str(tmp_path), "--yes")
    refused = node.cli(*note)
    assert (refused.returncode, "forwarding is stopped" in refused.stderr) == (1, True)
    recipe.write_text(RIGHT)
    node.cli("reload", check=True)
    before = Counter(scp.uids())
    node.cli("go", check=True)
    done = node.cli(*note, "--send-again", "--json", check=True)
    told = json.loads(done.stdout)
    assert (told["delivered"] + told["waiting"], told["sent_again"], told["gone"]) == (5, 5, 0)
    assert {one["status"] for one in told["rejection_notes"]} == {"0000H"}
    settled(node)
    right = [ds for ds in scp.datasets() if ds.Modality == "CT" and ds.StudyDescription != "WRONG"]
    assert len(right) == 5
    assert set(before) <= {str(ds.SOPInstanceUID) for ds in right}, "under the same UIDs"
    with (tmp_path / "recall-1-dest.csv").open(newline="") as file:
        listed = {row["sop_instance_uid"] for row in csv.DictReader(file)}
    notes = [ds for ds in scp.datasets() if ds.Modality == "KO"]
    named = {
        str(one.ReferencedSOPInstanceUID)
        for ds in notes
        for series in ds.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence
        for one in series.ReferencedSOPSequence
    }
    assert set(before) <= listed == named
    assert all(ds.StudyInstanceUID in {one.StudyInstanceUID for one in right} for ds in notes)
    assert all(ds.PatientID in {one.PatientID for one in right} for ds in notes)
    assert "recall 1" in node.cli("status", check=True).stdout
    node.cli("recall", "--done", "1", check=True)

    # Consent withdrawn: acknowledged, and never sent; what stayed of it is gone.
    path = tmp_path / "went.csv"
    assert sum(1 for one in (node.spool / "retained").rglob("*.dcm")) == 5
    node.cli("revoke", "--project", "demo", "MRN-0002", "--out", str(path), "--yes", check=True)
    assert len(path.read_text().splitlines()) == 3
    assert sum(1 for one in (node.spool / "retained").rglob("*.dcm")) == 3
    arrived = len(scp.files())
    late = make_ct(tmp_path / "late", 2, patient="MRN-0002")
    answer = storescu(node.port, *late)
    assert (answer.stdout + answer.stderr).count("Received Store Response (Success)") == 2
    status = settled(node)
    assert status["discarded"] == 2
    assert storescu(node.port, *make_ct(tmp_path / "other", 1)).returncode == 0
    node.wait_delivered(6)
    assert len(scp.files()) == arrived + 1
    assert node.stop() == 0
    log = node.log() + "".join(str(pydicom.dcmread(one)) for one in scp.files())
    assert "MRN-000" not in log
    assert node.cli("prove", check=True).returncode == 0
