"""The main road, as a user tries it first."""

import filecmp
import json
import shutil

import pydicom

from tests.road.support import data_set_of, prefer_shipped, send
from tests.support import free_port, make_ct, storescu, wait_for

NOTHING_LEFT = {"incoming": 0, "originals": 0, "cleaned": 0}


def test_a_series_is_answered_0000h_and_arrives_cleaned(road):
    archive = road.archive()
    node = road.node(archive)
    prefer_shipped(node)
    node.start()
    sent = make_ct(road.folder / "sent", 5)
    done = storescu(node.port, *sent)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("Received Store Response (Success)") + done.stderr.count("Response (Success)") == 5
    status = node.wait_delivered(5)
    assert (status["received"], status["held"], status["duplicates"]) == (5, 0, 0)
    assert status["destinations"]["dest"]["delivered"] == 5
    wait_for(lambda: node.spool_files() == NOTHING_LEFT, "nothing is left in the spool")
    arrived, originals = archive.datasets(), [pydicom.dcmread(path) for path in sent]
    assert len({ds.SOPInstanceUID for ds in arrived}) == 5
    assert {len({ds[tag].value for ds in arrived}) for tag in ("StudyInstanceUID", "SeriesInstanceUID")} == {1}
    assert not {ds.SOPInstanceUID for ds in arrived} & {ds.SOPInstanceUID for ds in originals}
    assert {bytes(ds.PixelData) for ds in arrived} == {bytes(ds.PixelData) for ds in originals}
    for path in archive.files():
        content = path.read_bytes()
        assert b"PLANTED" not in content
        assert b"MRN-0001" not in content
    assert json.loads(node.cli("status", "--json").stdout)["delivered"] == 5
    assert node.stop() == 0


def test_the_trial_destination_writes_study_series_instance(road):
    port = free_port()
    node = road.node(None)
    node.config["destinations"] = {"archive": {"ae_title": "ARCHIVE", "address": f"127.0.0.1:{port}"}}
    node.config["routes"][0]["to"] = ["archive"]
    node.config["trial_destination"] = {
        "enabled": True,
        "ae_title": "ARCHIVE",
        "listen": f"127.0.0.1:{port}",
        "folder": "var/archive",
    }
    node.write_config()
    prefer_shipped(node)
    node.start()
    assert storescu(node.port, *make_ct(road.folder / "sent", 3)).returncode == 0
    node.wait_delivered(3)
    files = sorted((node.data / "archive").rglob("*.dcm"))
    assert len(files) == 3
    for path in files:
        ds = pydicom.dcmread(path)
        expected = f"{ds.StudyInstanceUID}/{ds.SeriesInstanceUID}/{ds.SOPInstanceUID}.dcm"
        assert str(path.relative_to(node.data / "archive")) == expected


def test_a_destination_that_comes_later_gets_everything(road):
    archive = road.archive(start=False)
    node = road.node(archive).start()
    assert send(node.port, *make_ct(road.folder / "sent", 3)) == [0, 0, 0]
    node.wait_status(lambda s: s["destinations"].get("dest", {}).get("waiting") == 3, "three wait")
    archive.start()
    node.wait_delivered(3)
    assert len(set(archive.uids())) == 3


def test_two_nodes_with_one_secret_give_the_same_bytes(road):
    archives = [road.archive("first"), road.archive("second")]
    (sent,) = make_ct(road.folder / "sent", 1)
    nodes = [road.node(archive, f"node{i}") for i, archive in enumerate(archives)]
    for node in nodes:
        prefer_shipped(node)
    nodes[0].start()
    assert send(nodes[0].port, sent) == [0]
    nodes[0].wait_delivered(1)
    nodes[1].data.mkdir(mode=0o700)
    shutil.copy(nodes[0].data / "secret.key", nodes[1].data / "secret.key")
    nodes[1].start()
    assert send(nodes[1].port, sent) == [0]
    nodes[1].wait_delivered(1)
    one, other = (archive.files()[0] for archive in archives)
    assert data_set_of(one) == data_set_of(other)


def test_the_same_file_again_gives_the_same_bytes_and_is_counted(road):
    archive = road.archive()
    node = road.node(archive, duplicates={"same": "resend"})
    prefer_shipped(node)
    node.start()
    (sent,) = make_ct(road.folder / "sent", 1)
    assert send(node.port, sent, sent) == [0, 0]
    assert send(node.port, sent) == [0]
    status = node.wait_status(lambda s: s["received"] == s["delivered"] == 3, "all three accounted for")
    assert status["duplicates"] == 2
    files = archive.files()
    assert files
    assert all(filecmp.cmp(files[0], other, shallow=False) for other in files[1:])
