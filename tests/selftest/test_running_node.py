"""One node that runs: its canary, a self test by its own processes, and studies that wait until they were looked at."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pydicom
import pytest

from node.ledger.canary import results
from tests.selftest.test_selftest import KEEPS_THE_NAME
from tests.support import RunningNode, StoreSCP, make_ct, storescu, wait_for


@pytest.fixture(scope="module")
def scp(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StoreSCP]:
    folder = tmp_path_factory.mktemp("archive")
    started = StoreSCP(folder / "out").start()
    yield started
    started.stop()


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory, scp: StoreSCP) -> Iterator[RunningNode]:
    folder = tmp_path_factory.mktemp("canary")
    (folder / "weak.dicom").write_text(KEEPS_THE_NAME, encoding="utf-8")
    made = RunningNode(
        folder,
        {"archive": scp.port},
        routes=[
            {"name": "weak", "recipe": ["./weak.dicom"], "to": ["archive"], "from": {"called_ae": ["WEAK"]}},
            {"name": "paired", "recipe": ["research"], "to": ["archive"], "from": {"called_ae": ["PAIRED"]}}
            | {"mapping": "required"},
            {"name": "good", "recipe": ["research"], "to": ["archive"], "commissioning": 1},
        ],
        canary={"every": "1h", "within": "60s"},
        projects={"good": {"review": True}},
    ).start()
    yield made
    made.close()


@pytest.fixture(scope="module")
def flown(node: RunningNode) -> dict[str, Any]:
    """What the canary's first round found."""
    with node.ledger() as ledger:
        found: dict[str, Any] = wait_for(lambda: results(ledger.database), "the canary came back")
    return dict(found["routes"])


def rows(node: RunningNode, query: str) -> list[tuple[Any, ...]]:
    with sqlite3.connect(node.data / "ledger.db", timeout=30) as connection:
        found = connection.execute(query).fetchall()
    connection.close()
    return found


def test_the_canary_of_a_route_that_works_comes_out_clean(flown: dict[str, Any]) -> None:
    assert flown["good"]["verdict"] == "passed"
    assert flown["good"]["arrived"] == 8
    assert flown["paired"]["arrived"] == 8, "also where a route lets those wait who have no pair"


def test_the_canary_of_a_broken_route_alarms(node: RunningNode, flown: dict[str, Any]) -> None:
    assert flown["weak"]["verdict"] == "failed"
    status = json.loads(node.cli("status", "--json", check=True).stdout)
    assert status["canary"]["routes"]["weak"]["verdict"] == "failed"
    alerts = status["alerts"]
    assert [alert["kind"] for alert in alerts] == ["canary"]
    assert "route weak" in alerts[0]["text"]
    told = [json.loads(line) for line in node.log().splitlines() if '"canary"' in line and '"weak"' in line]
    assert any("(0010,0010)" in one.get("detail", "") for one in told)


def test_the_canary_counts_nowhere_and_reaches_no_destination(
    node: RunningNode, scp: StoreSCP, flown: dict[str, Any]
) -> None:
    handed = "SELECT project, original FROM uid_map"
    before, files, known = node.status(), scp.files(), set(rows(node, handed))
    assert node.cli("selftest", "--real", "--route", "good").returncode == 0, "one more round"
    status = node.status()
    assert (status["received"], status["routes"]) == (before["received"], before["routes"])
    assert set(status["routes"]) <= {"good"}
    assert scp.files() == files
    wait_for(lambda: set(rows(node, handed)) <= known, "what was handed out for it is gone")
    wait_for(lambda: node.spool_files()["originals"] == 0, "its files are gone")
    assert node.cli("prove").returncode == 0


def test_the_running_node_is_asked_for_a_round(node: RunningNode, flown: dict[str, Any]) -> None:
    done = node.cli("selftest", "--real", "--route", "good", "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert [one["route"] for one in found["routes"]] == ["good"]
    assert found["passed"]
    nothing = node.cli("selftest", "--real", "--route", "godo")
    assert nothing.returncode == 1, "what was not looked at has not passed"
    assert "'godo'" in nothing.stderr


def test_a_study_waits_and_goes_byte_for_byte_as_it_was_looked_at(
    node: RunningNode, scp: StoreSCP, tmp_path: Path, flown: dict[str, Any]
) -> None:
    first, second = make_ct(tmp_path / "one", 2), make_ct(tmp_path / "two", 1, patient="MRN-0002")
    storescu(node.port, *first)
    node.wait_status(lambda status: status["held"] == 2, "the first study waits")
    storescu(node.port, *second)
    node.wait_delivered(1)
    found = json.loads(node.cli("commissioning", "list", "--json", check=True).stdout)
    (study,) = found["waiting"]
    assert (study["route"], study["kind"], study["instances"]) == ("good", "first", 2)
    assert found["routes"][0]["first"] == 1
    looked = tmp_path / "looked"
    node.cli("commissioning", "export", "--study", study["study"], str(looked), check=True)
    node.cli("held", "release", "--study", study["study"], check=True)
    node.wait_delivered(3)
    seen = [pydicom.dcmread(path) for path in sorted(looked.iterdir())]
    assert {str(one.SOPInstanceUID) for one in seen} <= set(scp.uids())
    assert all(any(path.read_bytes().endswith(body(file)) for path in scp.files()) for file in looked.iterdir())
    texts = json.loads(node.cli("review", "list", "--project", "good", "--json", check=True).stdout)
    assert any(one["tag"] == "(0018,1160)" or one["instances"] == 3 for one in texts), texts
    assert not any("PLANTED" in one["text"] for one in texts)
    audited = node.cli("audit", "list", "--json", check=True).stdout
    assert "released after commissioning" in audited
    assert study["study"] in audited
    one = next(text for text in texts if text["tag"] == "(0018,1160)")
    is_said_to_identify(node, scp, tmp_path, one)


def is_said_to_identify(node: RunningNode, scp: StoreSCP, tmp_path: Path, one: dict[str, Any]) -> None:
    """Say so of a text that has left, and send another instance with it."""
    before = {path.name for path in scp.files()}
    assert all(one["text"].encode() in path.read_bytes() for path in scp.files())
    done = node.cli("review", "decide", str(one["id"]), "--project", "good", "--identifying", "--json", check=True)
    told = json.loads(done.stdout)
    assert {gone["state"] for gone in told["instances"]} == {"delivered"}
    assert len(told["instances"]) == one["instances"], "what left with it, and where to"
    storescu(node.port, *make_ct(tmp_path / "three", 1, patient="MRN-0003"))
    node.wait_delivered(4)
    (last,) = [path for path in scp.files() if path.name not in before]
    assert one["text"].encode() not in last.read_bytes(), "without a restart or reload"


def body(path: Path) -> bytes:
    """The data set of a file, without its file meta information."""
    raw = path.read_bytes()
    length = int.from_bytes(raw[140:144], "little")
    return raw[144 + length :]
