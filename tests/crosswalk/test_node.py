"""The running node: an unknown patient waits, and goes by itself once the pair is there."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import RunningNode, StoreSCP, make_ct, storescu, wait_for


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[StoreSCP]:
    made = StoreSCP(tmp_path / "archive").start()
    yield made
    made.stop()


@pytest.fixture
def node(tmp_path: Path, archive: StoreSCP) -> Iterator[RunningNode]:
    folder = tmp_path / "node"
    folder.mkdir()
    made = RunningNode(folder, {"dest": archive.port}).seals()
    made.config["routes"][0] |= {"mapping": "required", "issuer": "H"}
    made.write_config()
    yield made.start()
    made.close()


def test_an_unknown_patient_waits_and_goes_by_itself_once_the_pair_is_imported(
    node: RunningNode, archive: StoreSCP, tmp_path: Path
) -> None:
    mine, other = make_ct(tmp_path / "in", 2, patient="0004711"), make_ct(tmp_path / "other", 1, patient="0004712")
    sent = storescu(node.port, *mine, *other)
    assert (sent.stdout + sent.stderr).count("Received Store Response (Success)") == 3
    node.wait_status(lambda status: status["held"] == 3, "all of them wait")
    assert archive.files() == []
    assert {one["reason"] for one in node.held()} == {"no-mapping"}
    (waits,) = json.loads(node.cli("crosswalk", "waiting", "--json", check=True).stdout)
    assert (waits["project"], waits["patients"], waits["instances"]) == ("demo", 2, 3)
    listed = node.cli("crosswalk", "waiting", "--identity", "--project", "demo", check=True).stdout
    assert [line.split(",")[:2] for line in listed.splitlines()[1:]] == [['"H"', f'"000471{n}"'] for n in (1, 2)]

    pairs = tmp_path / "new.csv"
    pairs.write_text("Patient ID;Pseudonym\n4711;T-1\n0004712;T-2\n0004713;T-2\n")
    refused = node.cli("crosswalk", "import", str(pairs), "--project", "demo")
    assert refused.returncode == 1
    lines = [line.split(": ")[0] for line in refused.stderr.splitlines()]
    assert lines == [f"{pairs}:2", f"{pairs}:4"], "what lost its zeros, and one pseudonym for two"
    assert "4711" not in refused.stderr.replace(str(tmp_path), "")
    assert archive.files() == []

    pairs.write_text("Patient ID;Pseudonym;Date Shift Days\n0004711;T-1;-40\n")
    done = node.cli("crosswalk", "import", str(pairs), "--project", "demo", check=True)
    assert "2 instances that waited go on." in done.stdout
    wait_for(lambda: len(archive.files()) == 2, "they arrive by themselves")
    assert {str(ds.PatientID) for ds in archive.datasets()} == {"T-1"}
    node.wait_status(lambda status: (status["delivered"], status["held"]) == (2, 1), "the other one still waits")
    said = node.log() + json.dumps(node.held()) + node.cli("audit", "list", "--json", check=True).stdout
    assert not any(value in said for value in ("0004711", "0004712", "PLANTED"))
