"""What people ask of a node that runs, and what they let it do again: by the commands, with a real destination."""

from __future__ import annotations

import csv
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pydicom
import pytest

from node.config import load_config
from node.ledger.finding import Found, find
from node.story.past import Past
from tests.support import RunningNode, StoreSCP, make_ct, storescu, wait_for

WEAK = """\
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
CAREFUL = WEAK + "REMOVE InstitutionName\n"
ACCESSION, PATIENT = "ACC-PLANTED-77", "MRN-PLANTED-1"
TOKENS = ("PLANTED", "MRN-", "ACC-")
NAMES = ("archivenorth", "ARCHIVENORTH", "drmeier", "wardseven", "STORESCU", "WEAKSCU", "127.0.0.1", "leaky")


class Site:
    """A node with a study that was delivered and two instances that the gate holds."""

    def __init__(self, folder: Path) -> None:
        self.scp = StoreSCP(folder / "out").start()
        (folder / "node").mkdir()
        common = {"project": "drmeier", "to": ["archivenorth"], "gate": "hold"}
        routes = [
            {"name": "leaky", "from": {"calling_ae": ["WEAKSCU"]}, "recipe": ["./weak.dicom"], **common},
            {"name": "wardseven", "recipe": ["./careful.dicom"], **common},
        ]
        self.node = RunningNode(
            folder / "node", {"archivenorth": self.scp.port}, routes=routes, retention={"originals": "7d"}
        )
        (folder / "node/weak.dicom").write_text(WEAK)
        (folder / "node/careful.dicom").write_text(CAREFUL)
        self.node.start()
        self.files = self._study(folder / "in", 3)
        assert storescu(self.node.port, *self.files).returncode == 0
        assert storescu(self.node.port, *self._study(folder / "weak", 2), options=("-aet", "WEAKSCU")).returncode == 0
        self.node.wait_status(lambda now: (now["delivered"], now["held"]) == (3, 2), "three delivered, two held")
        wait_for(lambda: len(self.retained()) == 3, "the originals are put aside")
        self.original = pydicom.dcmread(self.files[0], stop_before_pixels=True)
        number = self.original.InstanceNumber
        self.sent = next(ds for ds in self.scp.datasets() if ds.InstanceNumber == number)

    @staticmethod
    def _study(folder: Path, count: int) -> list[Path]:
        files = make_ct(folder, count, rows=16, patient=PATIENT)
        for path in files:
            ds = pydicom.dcmread(path)
            ds.AccessionNumber = ACCESSION
            ds.save_as(path)
        return files

    def retained(self) -> list[Path]:
        return sorted(self.node.spool.glob("retained/*/*.dcm"))

    def run(self, *arguments: str, code: int = 0) -> str:
        done = self.node.cli(*arguments)
        assert done.returncode == code, (done.stdout, done.stderr)
        return done.stdout

    def ask(self, *arguments: str, code: int = 0) -> Any:
        return json.loads(self.run(*arguments, "--json", code=code))

    def find(self, term: str, *, identity: bool = True) -> Found:
        """Search as the commands do, in this process."""
        with self.node.ledger() as ledger:
            past = Past(load_config(self.node.config_path), ledger.database)
            return find(ledger.database, term, past.scope, identity=identity)

    def by_uid(self) -> dict[str, list[bytes]]:
        """The files of the destination, by the SOP Instance UID in them."""
        found: dict[str, list[bytes]] = {}
        for path in self.scp.files():
            uid = str(pydicom.dcmread(path, specific_tags=["SOPInstanceUID"]).SOPInstanceUID)
            found.setdefault(uid, []).append(path.read_bytes())
        return found


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    made = Site(tmp_path_factory.mktemp("site"))
    try:
        yield made
    finally:
        made.node.close()
        made.scp.stop()


def shows_identity(text: str, site: Site) -> list[str]:
    originals = (site.original.StudyInstanceUID, site.original.SeriesInstanceUID, site.original.SOPInstanceUID)
    return [one for one in (*TOKENS, *map(str, originals)) if one in text]


def test_every_way_of_naming_a_study_finds_its_instances(site: Site) -> None:
    original, sent = site.original, site.sent
    ways = {
        str(original.StudyInstanceUID): ("study", True),
        str(sent.StudyInstanceUID): ("study", False),
        str(original.SeriesInstanceUID): ("series", True),
        str(sent.SeriesInstanceUID): ("series", False),
    }
    for term, (kind, is_identity) in ways.items():
        found = site.find(term)
        assert (found.kinds, found.by_identity) == ([kind], is_identity)
        (study,) = found.studies
        assert (study["study"], study["pseudonym"]) == (sent.StudyInstanceUID, sent.PatientID)
        assert len(study["instances"]) == 3
    for term, kind in ((ACCESSION, "accession"), (PATIENT, "patient"), (str(sent.PatientID), "pseudonym")):
        found = site.find(term)
        assert (found.kinds, found.by_identity) == ([kind], kind != "pseudonym")
        assert sorted(len(study["instances"]) for study in found.studies) == [2, 3], "what is held is found too"
    for uid in (original.SOPInstanceUID, sent.SOPInstanceUID):
        found = site.find(str(uid))
        assert (found.kinds, len(found.ids)) == (["instance"], 1)
        assert site.find(found.ids[0]).kinds == ["id"]
    # Who may not see identity learns nothing by asking for it.
    for term in (str(original.StudyInstanceUID), str(original.SOPInstanceUID), ACCESSION, PATIENT):
        assert site.find(term, identity=False).ids == []
    shown = site.ask("explain", ACCESSION)
    assert (shown["known_as"], len(shown["studies"]), shown["stories"]) == (["accession"], 2, [])
    nothing = site.node.cli("explain", "1.2.3.4.5")
    assert (nothing.returncode, "nothing is known" in nothing.stderr) == (1, True)


def test_the_story_of_an_instance_is_whole_and_names_nobody(site: Site) -> None:
    text = site.run("explain", str(site.sent.SOPInstanceUID), "--json")
    assert not shows_identity(text, site)
    (story,) = json.loads(text)["stories"]
    assert story["received"]["calling_ae_title"] == "STORESCU"
    assert story["received"]["address"] == "127.0.0.1"
    assert story["admitted_by"]["route"] == "routes.1"
    events = [one["event"] for one in story["timeline"]]
    assert events[:3] == ["received", "cleaned", "delivered"]
    assert story["deliveries"][0] | {"since": None} == {
        "destination": "archivenorth",
        "state": "delivered",
        "tries": 1,
        "refused": 0,
        "answer": "0000H",
        "since": None,
        "next_try": None,
        "reason": None,
        "detail": None,
        "last_error": None,
    }
    assert story["recipe"]["is_of_now"] is True
    (name,) = [one for one in story["changes"] if one["path"] == "(0010,0010)"]
    assert (name["what"], name["vr"]) == ("changed", "PN")
    (rule,) = name["rules"]
    assert rule["where"].endswith("careful.dicom:6")
    assert rule["text"] == "REPLACE PatientName func:pseudonym"
    assert not any("before" in one or "after" in one for one in story["changes"])
    shown = site.run("explain", story["id"])
    assert "careful.dicom:6" in shown
    assert not shows_identity(shown, site)


def test_originals_are_told_to_whoever_asks_and_the_trail_says_so(site: Site) -> None:
    (story,) = site.ask("explain", str(site.sent.SOPInstanceUID), "--identity")["stories"]
    assert story["identity"]["patient_id"] == PATIENT
    assert story["identity"]["study_instance_uid"] == site.original.StudyInstanceUID
    assert story["identity"]["sop_instance_uid"] == site.original.SOPInstanceUID
    trail = site.run("audit", "list", "--json")
    assert not shows_identity(trail, site)
    looks = [one for one in json.loads(trail) if one["event"] == "Patient Record"]
    assert any(what["id"] == site.sent.PatientID for look in looks for what in look["what"])


def test_a_look_goes_both_ways_and_is_recorded(site: Site, tmp_path: Path) -> None:
    pseudonym, before = str(site.sent.PatientID), site.ask("audit", "list")
    (there,) = site.ask("lookup", "original", PATIENT)
    (back,) = site.ask("lookup", "replacement", pseudonym)
    assert (there["replacement"], back["original"]) == (pseudonym, PATIENT)
    assert there["shift_days"] == back["shift_days"] < 0
    assert (there["known"], there["origin"]) == (True, "computed")
    keywords = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")
    uids, new = ([str(getattr(one, keyword)) for keyword in keywords] for one in (site.original, site.sent))
    *forward, unknown = site.ask("lookup", "original", *uids, "MRN-NEVER-SEEN")
    assert [pair["replacement"] for pair in forward] == new
    assert not unknown["known"], "what would be handed out is said to be that"
    assert [pair["original"] for pair in site.ask("lookup", "replacement", *new)] == uids

    many = tmp_path / "many.txt"
    many.write_text(f"{pseudonym}\n{site.sent.StudyInstanceUID}\n\n=1+1\n")
    done = site.node.cli("lookup", "replacement", "--file", str(many), "--csv", "--project", "drmeier")
    assert (done.returncode, "nothing is known of 1" in done.stderr) == (1, True)
    rows = list(csv.DictReader(done.stdout.splitlines()))
    assert [row["original"] for row in rows] == [PATIENT, site.original.StudyInstanceUID]
    entries = [one for one in site.ask("audit", "list") if one not in before]
    looks = [one for one in entries if one["event"] == "Patient Record"]
    assert {pseudonym, str(site.sent.StudyInstanceUID)} <= {what["id"] for one in looks for what in one["what"]}
    assert all("lookup" in str(one["who"]) for one in looks)


def test_without_the_secret_nobody_goes_back(site: Site) -> None:
    secret = site.node.data / "secret.key"
    secret.rename(site.node.folder / "away")
    try:
        done = site.node.cli("lookup", "replacement", str(site.sent.PatientID))
        assert done.returncode == 1
        assert PATIENT not in done.stdout + done.stderr
    finally:
        (site.node.folder / "away").rename(secret)


def test_a_study_is_sent_again_with_the_same_bytes_and_what_cannot_is_named(site: Site) -> None:
    study, before = str(site.original.StudyInstanceUID), site.by_uid()
    assert all(len(copies) == 1 for copies in before.values())
    planned = site.ask("replay", study, "--to", "archivenorth", "--dry-run")
    assert (len(planned["again"]), planned["missing"]) == (3, [])
    assert site.node.status()["in_flight"] == 0, "nothing was changed"

    # Another recipe since then: it goes out as it did.
    careful = site.node.folder / "careful.dicom"
    careful.write_text(CAREFUL + "REPLACE Modality OT\n")
    site.run("reload")
    assert len(site.ask("replay", study, "--to", "archivenorth")["again"]) == 3
    wait_for(lambda: len(site.scp.files()) == 6, "all three came once more")
    site.node.wait_delivered(3)
    assert site.by_uid() == {uid: copies * 2 for uid, copies in before.items()}
    assert site.ask("prove")["holds"]
    story = site.ask("explain", str(site.sent.SOPInstanceUID))["stories"][0]
    events = [(one["event"], bool(one["by"])) for one in story["timeline"]]
    assert events == [
        ("received", False),
        ("cleaned", False),
        ("delivered", False),
        ("due", True),
        ("delivered", False),
    ]
    assert story["recipe"]["is_of_now"] is False
    assert story["changes"], "the recipe of then is kept"

    told_before = {}
    for path in site.retained():
        (story,) = site.ask("explain", path.stem)["stories"]
        assert story["changes_from"]["source"] == "original"
        told_before[path.stem] = story["changes"], story["pixels"]
    gone = site.retained()[0]
    gone.rename(site.node.folder / gone.name)
    try:
        wait_for(lambda: not list(site.node.spool.glob("cleaned/*/*.dcm")), "what was sent is removed")
        result = site.ask("replay", "--since", "1d", "--route", "wardseven", "--to", "archivenorth", code=1)
        assert [(one["id"], one["reason"]) for one in result["missing"]] == [(gone.stem, "original-gone")]
        assert len(result["again"]) == 2
        wait_for(lambda: len(site.scp.files()) == 8, "the other two came")
        (story,) = site.ask("explain", gone.stem)["stories"]
        assert "original is gone" in story["changes_from"]["because"]
        assert told_before[gone.stem] == (story["changes"], story["pixels"]), "as it was told with the original at hand"
    finally:
        (site.node.folder / gone.name).rename(gone)
        careful.write_text(CAREFUL)
        site.run("reload")
    assert len({copy for copies in site.by_uid().values() for copy in copies}) == 3


def test_a_held_instance_is_looked_at_and_cleaned_again_with_another_recipe(site: Site) -> None:
    one, other = (entry["id"] for entry in site.node.held())
    text = site.run("held", "preview", one, "--json", code=1)
    assert not shows_identity(text, site)
    shown = json.loads(text)
    assert [row["before"] for row in shown["elements"] if row["path"] == "(0010,0010)"] == ["***"]
    assert "(0008,0080)" in shown["leaks"][0]
    assert PATIENT in site.run("held", "preview", one, "--values", code=1)
    against = site.ask("held", "preview", one, "--recipe", str(site.node.folder / "careful.dicom"))
    assert [row["recipe"]["path"] for row in against["differences"]] == ["(0008,0080)"]

    wrong = site.node.folder / "wrong.dicom"
    wrong.write_text(CAREFUL + "REPLACE StudyDescription var:missing\n")
    done = site.node.cli("held", "release", one, "--recipe", str(wrong))
    assert done.returncode == 1
    assert "missing" in done.stderr
    chosen = site.node.folder / "chosen.dicom"
    chosen.write_text(CAREFUL + "REPLACE Manufacturer CHOSEN\n")
    assert site.run("held", "release", one, "--recipe", str(chosen)) == "1 released\n"
    site.node.wait_delivered(4)
    (entry,) = site.node.held()
    assert (entry["id"], entry["reason"]) == (other, "leak"), "it was for that instance alone"
    (sent,) = (ds for ds in site.scp.datasets() if ds.Manufacturer == "CHOSEN")
    (story,) = site.ask("explain", one)["stories"]
    assert story["cleaned"]["sop_instance_uid"] == sent.SOPInstanceUID
    assert (story["recipe"]["chosen_for_it"], story["recipe"]["is_of_now"]) == (True, False)
    assert story["recipe"]["texts"] == [str(chosen)]
    (released,) = (when for when in story["timeline"] if when["event"] == "released")
    assert "@" in released["by"]
    assert released["detail"].startswith("released with the recipe ")
    # A recipe that leaves identity is no way past the gate.
    site.run("held", "release", other, "--recipe", str(site.node.folder / "weak.dicom"))
    site.node.wait_status(lambda now: now["held"] == 1, "it is held again")
    assert [(entry["id"], entry["reason"]) for entry in site.node.held()] == [(other, "leak")]


def test_destinations_say_how_they_are(site: Site) -> None:
    site.run("pause", "archivenorth")
    try:
        wait_for(lambda: "destination-paused" in site.node.log(), "the lanes have seen it")
        site.run("replay", str(site.sent.SOPInstanceUID), "--to", "archivenorth")
        (paused,) = site.ask("destinations").values()
        assert (paused["state"], paused["waiting"]) == ("paused", 1)
        assert paused["oldest_waiting"] < paused["last_success"], "the delivery was made when it came first"
        again = site.ask("replay", str(site.sent.SOPInstanceUID), "--to", "archivenorth")
        assert (again["again"], len(again["waiting"])) == ([], 1)
    finally:
        site.run("resume", "archivenorth")
    site.node.wait_status(lambda now: now["in_flight"] == 0, "it was sent")
    (found,) = site.ask("destinations").values()
    assert (found["state"], found["waiting"], found["oldest_waiting"], found["last_error"]) == ("idle", 0, None, None)
    assert "archivenorth" in site.run("destinations")
    assert "answers" in site.run("destinations", "echo", "archivenorth")
    assert site.node.cli("destinations", "echo", "nobody").returncode == 1


def test_a_support_bundle_has_no_value_no_secret_and_no_name(site: Site, tmp_path: Path) -> None:
    target = tmp_path / "bundle.zip"
    site.run("support-bundle", str(target))
    assert target.stat().st_mode & 0o777 == 0o600
    with zipfile.ZipFile(target) as archive:
        files = {name: archive.read(name).decode() for name in archive.namelist()}
    told = {name: json.loads(text) for name, text in files.items() if name.endswith(".json")}
    assert told["problems.json"] == {}
    everything = "\n".join(files.values())
    assert not shows_identity(everything, site)
    secret = (site.node.data / "secret.key").read_text().strip()
    assert [
        name for name in (*NAMES, secret, str(site.node.folder), str(site.sent.PatientID)) if name in everything
    ] == []
    assert told["holds.json"]["by_reason"] == {"leak": len(site.node.held())}
    assert told["holds.json"]["newest"][0]["tags"] == ["(0008,0080)"]
    assert told["counters.json"]["received"] == 5
    assert told["spool.json"]["retained"]["files"] >= 3
    assert told["configuration.json"]["routes"][0]["gate"] == "hold"
    assert told["configuration.json"]["routes"][1]["to"] == [*told["destinations.json"]]
    assert {line["event"] for line in told["log.json"]["lines"]} >= {"received", "cleaned", "held", "delivered"}
    assert told["ledger.json"]["newest_row"]["instances"] == 5
    assert told["check.json"]
    assert site.node.cli("support-bundle", str(target)).returncode == 1, "it overwrites nothing"
