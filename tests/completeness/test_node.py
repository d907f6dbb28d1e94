"""A study of a hundred images, of which three are lost on the way, through a node and an archive that is asked."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pydicom
import pytest
from pydicom.uid import ExplicitVRLittleEndian
from pynetdicom import AE, evt

from node.config import load_config
from node.ledger.alerts import alerts
from node.ledger.completeness import listed
from node.ledger.database import Database
from node.notifier.matters import matters
from node.receipt import problems
from tests.query.archives import Archive, archive
from tests.support import RunningNode, free_port, make_ct, storescu, wait_for

HELD, REFUSED = 17, 42  # by Instance Number
RECIPE = "FORMAT dicom\n%header\n" + "".join(
    f"REPLACE {name} func:generate_uid\n"
    for name in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "FrameOfReferenceUID")
)
RECIPE += "REPLACE PatientID func:pseudonym\nREPLACE PatientName func:pseudonym\n"


class Front:
    """What takes instances for an archive, but for one, which it refuses for good; the archive answers queries."""

    def __init__(self, there: Archive) -> None:
        self.there = there
        self.port = free_port()
        ae = AE("ARCHIVE")
        ae.add_supported_context("1.2.840.10008.5.1.4.1.1.2", [ExplicitVRLittleEndian])
        handlers: list[Any] = [(evt.EVT_C_STORE, self._store)]
        self.server = ae.start_server(("127.0.0.1", self.port), block=False, evt_handlers=handlers)

    def _store(self, event: Any) -> int:
        ds = event.dataset
        if ds.InstanceNumber == REFUSED:
            return 0xC000
        (self.there.folder / f"{ds.SOPInstanceUID}.dcm").write_bytes(event.encoded_dataset())
        return 0x0000


@pytest.fixture
def front(tmp_path: Path) -> Iterator[Front]:
    with archive(tmp_path / "archive") as there:
        made = Front(there)
        yield made
        assert made.server is not None
        made.server.shutdown()


@pytest.fixture
def node(tmp_path: Path, front: Front) -> Iterator[RunningNode]:
    (tmp_path / "r.dicom").write_text(RECIPE)
    made = RunningNode(tmp_path, {"archive": front.port})
    made.config["routes"][0] |= {"recipe": ["./r.dicom"], "gate": "report"}
    made.config["destinations"]["archive"]["query"] = {"address": f"127.0.0.1:{front.there.port}"}
    made.config["destinations"]["archive"]["retry"]["refused_tries"] = 1
    made.write_config()
    yield made
    made.close()


def wait_for_look(node: RunningNode, key: str, value: object) -> dict[str, Any]:
    """What the last look at the only study says, once it says this, and nothing is new."""

    def look() -> dict[str, Any]:
        found = listed(ledger.database)
        same = len(found) == 1 and not found[0]["changed_since"] and found[0].get(key) == value
        return found[0] if same else {}

    with node.ledger() as ledger:
        return dict(wait_for(look, f"{key} is {value}", 40))


def shown(node: RunningNode, study: str) -> dict[str, Any]:
    return dict(json.loads(node.cli("completeness", "show", study, "--json").stdout))


def alerting(node: RunningNode) -> tuple[list[str], str]:
    """The kinds of alerts, and what a message to people would say now."""
    config = load_config(node.config_path)
    database = Database(config.node.ledger)
    kinds = [one["kind"] for one in alerts(database, config)]
    mail = " ".join(one.text for one in matters(database, config, 0.0))
    database.close()
    return kinds, mail


def turn_on(node: RunningNode) -> None:
    node.config["completeness"] = {"quiet": "1s"}
    node.write_config()
    node.cli("reload", check=True)


def send_all_but_the_last(node: RunningNode, folder: Path, study: str) -> Path:
    """Send 99 of 100 images, of which one is held and one refused; return the one that comes late."""
    paths = make_ct(folder, 100, rows=4, study=study)
    for path in paths:
        ds = pydicom.dcmread(path)
        ds.NumberOfStudyRelatedInstances = 100
        if ds.InstanceNumber == HELD:
            ds.BurnedInAnnotation = "YES"
        ds.save_as(path)
    assert storescu(node.port, *paths[:-1]).returncode == 0
    node.wait_status(lambda status: (status["delivered"], status["held"]) == (97, 2), "97 delivered, 2 held")
    return paths[-1]


def send_what_is_left(node: RunningNode, late: Path) -> None:
    """The late image comes, the held one is let go, the refused one is discarded."""
    assert storescu(node.port, late).returncode == 0
    held = {one["reason"]: one["id"] for one in node.held()}
    node.cli("held", "release", "--despite-pixel-risk", held["pixel-risk"], check=True)
    node.cli("held", "discard", held["refused"], "--yes", check=True)
    node.wait_status(lambda status: (status["delivered"], status["held"]) == (99, 0), "99 delivered")


def names(there: Archive) -> list[str]:
    """The SOP Instance UIDs of what lies in the archive, after which its files are called here."""
    return sorted(path.stem for path in there.folder.glob("*.dcm"))


def find_again(there: Archive, lost: str) -> None:
    """Put an image back into the archive."""
    again = pydicom.dcmread(there.folder / f"{names(there)[0]}.dcm")
    again.SOPInstanceUID = again.file_meta.MediaStorageSOPInstanceUID = pydicom.uid.UID(lost)
    again.save_as(there.folder / f"{lost}.dcm")
    there.index()


def test_a_study_of_a_hundred_images_of_which_three_are_lost(node: RunningNode, front: Front, tmp_path: Path) -> None:
    study, archived = str(pydicom.uid.generate_uid()), front.there
    turn_on(node.start())
    late = send_all_but_the_last(node, tmp_path / "in", study)
    uid = wait_for_look(node, "state", "different")["study_instance_uid"]
    lost = names(archived)[5]
    (archived.folder / f"{lost}.dcm").unlink()
    archived.index()
    node.cli("completeness", "check", uid, check=True)
    wait_for_look(node, "differences", 4)

    assert node.cli("completeness", "list", "--problems").returncode == 1
    found = shown(node, uid)
    assert (found["expected"], found["received"], found["held"]) == (100, 99, 1)
    there = found["destinations"]["archive"]
    assert (there["delivered"], there["held"], there["confirmed"]) == (97, 1, 96)
    assert there["confirmed"] == len(names(archived))
    (series,) = found["by_series"]
    assert series["destinations"]["archive"]["missing"] == [lost]
    kinds = {(one["kind"], one.get("destination"), one["instances"]) for one in found["differences"]}
    assert kinds == {
        ("held", None, 1),
        ("held", "archive", 1),
        ("missing", "archive", 1),
        ("fewer-than-expected", None, 1),
    }
    kinds_of_alerts, mail = alerting(node)
    assert kinds_of_alerts == ["study-incomplete"]
    assert "1 studies are not complete" in mail
    assert not any(word in mail + node.log() for word in (study, "MRN-0001", "PLANTED"))

    send_what_is_left(node, late)
    find_again(archived, lost)
    wait_for_look(node, "received", 100)
    archived.index()
    node.cli("completeness", "check", uid, check=True)
    wait_for_look(node, "state", "complete")
    assert shown(node, uid)["destinations"]["archive"]["confirmed"] == 99 == len(names(archived))
    assert alerting(node) == ([], "")
    receipt = json.loads(node.cli("completeness", "receipt", uid, check=True).stdout)
    key = node.cli("completeness", "key", check=True).stdout.strip()
    assert problems([receipt], key) == []
    counts = {"received": 100, "expected": 100, "excluded": 0, "discarded": 1, "delivered": 99}
    assert receipt["receipt"]["counts"] == counts
    assert receipt["receipt"]["confirmed"]["instances"] == 99
