"""The drills on a whole node, with DCMTK at both ends: stop everything; a wrong recipe went live; consent withdrawn."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pydicom
import pytest

from tests.crash.support import Deadly, settled
from tests.support import StoreSCP, make_ct, storescu

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


class Drill:
    """A node whose recipe is wrong, and a destination."""

    def __init__(self, make_node: Callable[..., Deadly], scp: StoreSCP, folder: Path) -> None:
        self.node = make_node({"dest": scp.port}, retention={"originals": "7d"})
        self.scp, self.folder = scp, folder
        self.recipe = self.node.folder / "own.dicom"
        self.recipe.write_text(WRONG)
        self.node.config["routes"][0] |= {"recipe": ["./own.dicom"], "gate": "report"}
        self.node.config["node"]["workers"] = 1
        self.node.write_config()
        self.node.start()

    def sends(self, name: str, count: int, patient: str = "MRN-0001") -> None:
        """A study is sent, and each image answered 0000H."""
        done = storescu(self.node.port, *make_ct(self.folder / name, count, patient=patient))
        assert (done.stdout + done.stderr).count("Received Store Response (Success)") == count

    def asks(self, *arguments: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.node.cli(*arguments, "--json", check=True).stdout)
        return found

    def retained(self) -> int:
        return sum(1 for _ in (self.node.spool / "retained").rglob("*.dcm"))


def stop_everything(drill: Drill) -> None:
    """Reception and cleaning go on, nothing is sent."""
    node = drill.node
    assert node.cli("stop", "--reason", "the recipe is wrong", check=True).stdout.startswith("Nothing is sent any more")
    drill.sends("more", 2, "MRN-0002")
    node.wait_status(lambda status: status["routes"]["research"]["cleaned"] == 5, "all are cleaned")
    first = node.cli("status", check=True).stdout.splitlines()[0]
    assert first.startswith("FORWARDING IS STOPPED")
    assert "the recipe is wrong" in first
    assert len(drill.scp.files()) == 3


def recall(drill: Drill) -> None:
    """A wrong recipe went live: what went is found, what waits is held; mended, recalled, sent again."""
    node, scp, folder = drill.node, drill.scp, drill.folder
    found = drill.asks("impact", "--route", "research", "--model", "RHAPSODE")
    assert (found["delivered"], found["waiting"]) == (3, 0)
    (wrong,) = found["recipes"]
    asked = ("recall", "--recipe", wrong[:12], "--yes", "--out")
    note = ("--rejection-note", "113001")
    refused = node.cli(*asked, str(folder), *note)
    assert (refused.returncode, "forwarding is stopped" in refused.stderr) == (1, True)
    drill.recipe.write_text(RIGHT)
    node.cli("reload", check=True)
    assert drill.asks(*asked, str(folder))["waiting"] == 2
    node.cli("go", check=True)
    before = set(scp.uids())
    told = drill.asks(*asked, str(folder), *note, "--send-again")
    assert (told["delivered"], told["waiting"], told["sent_again"], told["gone"]) == (3, 2, 5, 0)
    assert [one["status"] for one in told["rejection_notes"]] == ["0000H"]
    assert "recall 2: rejection note 113001 to dest: 0000H" in node.cli("audit", "list", check=True).stdout
    node.wait_status(lambda status: status["delivered"] == 5 and not status["in_flight"], "all are sent again")
    right = [ds for ds in scp.datasets() if ds.Modality == "CT" and ds.StudyDescription != "WRONG"]
    assert len(right) == 5
    assert before < {str(ds.SOPInstanceUID) for ds in right}, "under the same UIDs"
    with (folder / "recall-2-dest.csv").open(newline="") as file:
        assert {row["sop_instance_uid"] for row in csv.DictReader(file)} == before
    (sent,) = [ds for ds in scp.datasets() if ds.Modality == "KO"]
    assert named_by(sent) == before
    assert (sent.StudyInstanceUID, sent.PatientID) in {(ds.StudyInstanceUID, ds.PatientID) for ds in right}
    assert "recall 2" in node.cli("status", check=True).stdout
    for number in ("1", "2"):
        node.cli("recall", "--done", number, check=True)


def named_by(note: pydicom.Dataset) -> set[str]:
    """The instances that a rejection note names, which are the same in its evidence and its content."""
    evidence = note.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence
    found = {str(one.ReferencedSOPInstanceUID) for series in evidence for one in series.ReferencedSOPSequence}
    content = [item.ReferencedSOPSequence[0] for item in note.ContentSequence]
    assert {item.ValueType for item in note.ContentSequence} == {"IMAGE"}
    assert {str(one.ReferencedSOPInstanceUID) for one in content} == found
    return found


def withdraw_consent(drill: Drill) -> None:
    """Acknowledged, and never sent; what stayed of it is gone; what went is listed."""
    node, path = drill.node, drill.folder / "went.csv"
    assert drill.retained() == 5
    node.cli("revoke", "--project", "demo", "MRN-0002", "--out", str(path), "--yes", check=True)
    assert len(path.read_text().splitlines()) == 3
    assert drill.retained() == 3
    arrived = len(drill.scp.files())
    drill.sends("late", 2, "MRN-0002")
    assert settled(node)["discarded"] == 2
    drill.sends("other", 1)
    node.wait_delivered(6)
    assert len(drill.scp.files()) == arrived + 1


@pytest.mark.slow
def test_the_three_drills_step_by_step(make_node: Callable[..., Deadly], scp: StoreSCP, tmp_path: Path) -> None:
    drill = Drill(make_node, scp, tmp_path)
    drill.sends("first", 3)
    drill.node.wait_delivered(3)
    stop_everything(drill)
    recall(drill)
    withdraw_consent(drill)
    assert drill.node.stop() == 0
    log = drill.node.log() + "".join(str(ds) for ds in scp.datasets())
    assert "MRN-000" not in log
    assert drill.node.cli("prove", check=True).returncode == 0
