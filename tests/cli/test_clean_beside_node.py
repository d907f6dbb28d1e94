"""`deid-node clean` gives the bytes that a running node sends, and reads its ledger without writing to it."""

from __future__ import annotations

import json
import sqlite3

import pydicom
import pytest
from sqlalchemy import insert

from node.errors import NodeError
from node.ledger.database import Database
from node.ledger.schema import patient_map, uid_map
from tests.cli.files import public, recipe, secret, small
from tests.road.support import data_set_of, send, use_recipe
from tests.support import RunningNode, StoreSCP, wait_for

NAMES = ("CT_small.dcm", "MR_small_implicit.dcm", "MR_small_bigendian.dcm", "rtplan.dcm")
RECIPE = """\
FORMAT dicom
%header
REPLACE select:standard:UI func:generate_uid
REPLACE select:standard:DA func:shift_date
REPLACE PatientName func:pseudonym
REPLACE PatientID func:pseudonym
REPLACE InstitutionName var:site
REMOVE select:private
"""
IMPORTED = ("2.25.77", "IMPORTED0PSEUD", -11)


@pytest.fixture(scope="module")
def beside(tmp_path_factory):
    """A node that has sent the files on, with imported pairs in its ledger, and what arrived."""
    folder = tmp_path_factory.mktemp("beside")
    archive = StoreSCP(folder / "archive", options=("+B", "-pm")).start()
    (folder / "node").mkdir()
    node = RunningNode(folder / "node", {"dest": archive.port})
    node.config["routes"][0] |= {"variables": {"site": "12"}, "exclude": ["equals Modality SR"], "issuer": "HOSPITAL"}
    try:
        use_recipe(node, RECIPE)
        node.start()
        wait_for(lambda: _has_ledger(node), "the ledger is there")
        _import(node, *(pydicom.dcmread(public(name)) for name in NAMES[:1]))
        sent = [folder / name for name in NAMES]
        for number, path in enumerate(sent):
            dataset = pydicom.dcmread(public(path.name))
            dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = f"1.2.3.{number}"
            dataset.save_as(path)
        assert send(node.port, *sent) == [0] * len(sent)
        node.wait_delivered(len(sent))
        node.cli("audit", "list", check=True)  # the trail has all of it, and the node adds nothing later
        yield node, sent, {str(pydicom.dcmread(path).SOPInstanceUID): path for path in archive.files()}
    finally:
        node.close()
        archive.stop()


def _has_ledger(node):
    try:
        return bool(node.status())
    except NodeError:
        return False


def _import(node, dataset):
    """Put pairs into the maps as an import does, before the node has seen the patient."""
    database = Database(f"sqlite:///{node.data / 'ledger.db'}")
    uid, pseudonym, days = IMPORTED
    with database.write(durable=True) as connection:
        project = {"project": "demo", "origin": "imported"}
        connection.execute(insert(uid_map), project | {"original": str(dataset.StudyInstanceUID), "replacement": uid})
        connection.execute(
            insert(patient_map),
            project
            | {"issuer": "HOSPITAL", "patient_id": dataset.PatientID, "pseudonym": pseudonym, "shift_days": days},
        )
    database.close()


def rows(node):
    with sqlite3.connect(f"file:{node.data / 'ledger.db'}?mode=ro", uri=True) as connection:
        tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        # The running node counts up what it has done whenever it comes to it.
        told = [name for name in tables if name != "meters"]
        return {name: connection.execute(f"SELECT count(*) FROM {name}").fetchone() for name in told}


def test_the_same_file_through_the_node_and_through_clean_is_the_same_data_set(deid, tmp_path, beside):
    node, sent, arrived = beside
    before = rows(node)
    done = deid("clean", "--config", node.config_path, "--route", "research", *sent, "--out", "out")
    assert done.code == 0, done.err
    cleaned = list((tmp_path / "out").rglob("*.dcm"))
    assert len(cleaned) == len(sent)
    for path in cleaned:
        assert data_set_of(path) == data_set_of(arrived[path.stem]), path.stem
    assert rows(node) == before, "nothing is written to the ledger"


def test_imported_pairs_win(deid, tmp_path, beside):
    node, sent, _ = beside
    assert deid("clean", "--config", node.config_path, "--route", "research", sent[0], "--out", "out").code == 0
    (path,) = (tmp_path / "out").rglob("*.dcm")
    cleaned = pydicom.dcmread(path)
    assert (cleaned.StudyInstanceUID, cleaned.PatientID) == IMPORTED[:2]
    assert (cleaned.StudyDate, cleaned.InstitutionName) == ("20040108", "12")


def test_a_project_of_the_node_is_enough_with_a_recipe_of_ones_own(deid, tmp_path, beside):
    node, sent, _ = beside
    path = recipe(tmp_path, "FORMAT dicom\n%header\nREPLACE StudyInstanceUID func:generate_uid\n")
    common = ("clean", "--recipe", path, sent[0], "--config", node.config_path)
    assert deid(*common, "--project", "demo", "--out", "out").code == 0
    assert (tmp_path / "out" / IMPORTED[0]).is_dir()
    assert deid(*common, "--project", "other", "--out", "other").code == 0
    assert not (tmp_path / "other" / IMPORTED[0]).exists(), "projects share nothing"
    done = deid(*common, "--out", "out")
    assert done.code == 2
    assert "--project" in done.err


def test_what_the_route_excludes_is_counted_and_not_written(deid, tmp_path, beside):
    node, _, _ = beside
    small(tmp_path / "in/a.dcm", Modality="SR")
    done = deid("clean", "--config", node.config_path, "--route", "research", "in", "--out", "out", "--json")
    assert (done.code, json.loads(done.out)["excluded"]) == (0, 1)


def test_what_the_node_would_hold_for_its_patient_is_held_here_too(deid, tmp_path, beside):
    node, sent, _ = beside
    study = pydicom.dcmread(sent[1]).StudyInstanceUID
    small(tmp_path / "in/known.dcm", PatientID="MRN-2", StudyInstanceUID=study)
    small(tmp_path / "in/unknown.dcm", "1.2.3.2", PatientID="Unknown")
    before = rows(node)
    done = deid("clean", "--config", node.config_path, "--route", "research", "in", "--out", "out", "--json")
    held = {one["input"].rpartition("/")[2]: one["reason"] for one in json.loads(done.out)["held"]}
    assert (done.code, held.keys()) == (1, {"known.dcm", "unknown.dcm"})
    assert held["known.dcm"].startswith("study-of-two-patients")
    assert held["unknown.dcm"].startswith("no-patient-id")
    assert "MRN" not in done.out + done.err
    assert rows(node) == before


def test_other_forms_than_the_node_has_handed_out_are_refused(deid, tmp_path, beside):
    node, sent, _ = beside
    other = node.folder / "forms.yaml"
    other.write_text(node.config_path.read_text() + "projects: {demo: {uid_root: 1.2.826.0.1}}\n")
    done = deid("clean", "--config", other, "--route", "research", sent[0], "--out", "out")
    assert done.code == 1
    assert "projects.demo.uid_root" in done.err
    assert not (tmp_path / "out").exists()
    other.write_text(node.config_path.read_text() + "projects: {demo: {uid_root: 1.2.826.0.1, epoch: 2}}\n")
    assert deid("clean", "--config", other, "--route", "research", sent[0], "--out", "out").code == 0
    (path,) = (tmp_path / "out").rglob("*.dcm")
    assert pydicom.dcmread(path).StudyInstanceUID.startswith("1.2.826.0.1."), "imported pairs are of one epoch"


def test_a_secret_that_is_not_the_ledgers_is_refused(deid, tmp_path, beside):
    node, sent, _ = beside
    own = node.config_path.read_text().replace("data: var", f"data: var\n  secret_file: {secret(tmp_path)}")
    other = node.folder / "other.yaml"
    other.write_text(own)
    done = deid("clean", "--config", other, "--route", "research", sent[0], "--out", "out")
    assert done.code == 1
    assert "is not the one that the ledger" in done.err
    assert not (tmp_path / "out").exists()


def test_an_unknown_route_and_a_route_with_another_secret_are_wrong_usage(deid, tmp_path, beside):
    node, sent, _ = beside
    done = deid("clean", "--config", node.config_path, "--route", "x", sent[0], "--out", "out")
    assert (done.code, "there are research" in done.err) == (2, True)
    common = ("clean", "--config", node.config_path, sent[0], "--out", "out")
    for arguments in (
        ("--route", "research", "--secret", secret(tmp_path)),
        ("--recipe", "research", "--secret", secret(tmp_path), "--project", "p"),
        ("--route", "research", "--project", "p"),
    ):
        assert deid(*common, *arguments).code == 2
