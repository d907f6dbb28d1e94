"""Closed when in doubt: what goes wrong while the node runs holds the instance, and nothing passes."""

from __future__ import annotations

import signal
from pathlib import Path

import pydicom
import pytest

from tests.crash.support import Deadly, Sender, rows, settled, tiny_cts
from tests.support import StoreSCP, wait_for

FAILING = ("JITTER StudyDate 31", "REPLACE StudyDate func:shift_date")


def use(node: Deadly, line: str) -> None:
    (node.folder / "one.dicom").write_text(
        f"FORMAT dicom\n%header\n{line}\nREPLACE SOPInstanceUID func:generate_uid\nBLANK PatientName\n"
    )
    node.config["routes"][0] |= {"recipe": ["./one.dicom"], "gate": "report"}
    node.write_config()


def malformed(paths: list[Path]) -> list[Path]:
    """Give them a study date that is none."""
    for path in paths:
        content = path.read_bytes()
        head = b"\x08\x00\x20\x00DA\x08\x00"
        date = bytes(pydicom.dcmread(path).StudyDate, "ascii")
        assert content.count(head + date) == 1
        path.write_bytes(content.replace(head + date, head + b"lastyear"))
    return paths


def reload(node: Deadly) -> None:
    before = node.log().count('"event": "reloaded"')
    assert node.process is not None
    node.process.send_signal(signal.SIGHUP)
    wait_for(lambda: node.log().count('"event": "reloaded"') > before, "reloaded")


@pytest.mark.parametrize("line", FAILING)
def test_an_action_that_fails_holds_the_instance_and_the_others_go_on(
    node: Deadly, scp: StoreSCP, tmp_path: Path, line: str
) -> None:
    use(node, line)
    files = tiny_cts(tmp_path / "in", 4)
    malformed(files[:2])
    node.start()
    Sender(node.port).send(files)
    status = settled(node)
    assert (status["held"], status["delivered"]) == (2, 2)
    assert {one["reason"] for one in node.held()} == {"action-failed"}
    for one in node.held():
        assert "(0008,0020)" in one["detail"]
        assert "lastyear" not in one["detail"]
    assert "lastyear" not in node.log()
    assert b"lastyear" not in b"".join(path.read_bytes() for path in scp.files())
    left = {"incoming": 0, "originals": 2, "cleaned": 0}
    wait_for(lambda: node.spool_files() == left, "what is delivered is removed")
    # With the recipe mended, release cleans them; it never sends them as they are.
    use(node, "BLANK StudyDate")
    reload(node)
    for row in rows(node):
        if row.state == "held":
            assert node.cli("held", "release", row.id).returncode == 0
    node.wait_delivered(4)
    assert b"lastyear" not in b"".join(path.read_bytes() for path in scp.files())
    assert {str(ds.PatientName) for ds in scp.datasets()} == {""}


def test_release_with_the_same_recipe_holds_again_and_sends_nothing(
    node: Deadly, scp: StoreSCP, tmp_path: Path
) -> None:
    use(node, "JITTER StudyDate 31")
    node.start()
    Sender(node.port).send(malformed(tiny_cts(tmp_path / "in", 1)))
    node.wait_status(lambda s: s["held"] == 1, "it is held")
    held = node.held()[0]
    assert node.cli("held", "release", held["id"]).returncode == 0
    node.wait_status(lambda s: s["held"] == 1, "it is held again")
    wait_for(lambda: node.log().count('"reason": "action-failed"') == 2, "a second time")
    assert not scp.files()


@pytest.mark.slow
def test_a_route_that_is_gone_after_a_change_of_the_configuration_holds(
    node: Deadly, scp: StoreSCP, tmp_path: Path
) -> None:
    files = tiny_cts(tmp_path / "in", 3)
    sender = Sender(node.port)
    # Received, and not cleaned before the configuration changed.
    node.dies_at("claimed", 1, "node").start()
    sender.send(files, lambda: node.process is not None and node.process.poll() is not None)
    wait_for(node.died, "it dies")
    waiting = node.spool_files()["originals"]  # one may have no row yet: it is adopted
    assert waiting >= 1
    node.config["routes"][0]["name"] = "another"
    node.write_config()
    node.lives().start()
    node.wait_status(lambda s: s["held"] == waiting, "they are held")
    assert {one["reason"] for one in node.held()} == {"route-gone"}
    wait_for(lambda: node.spool_files()["originals"] == waiting, "those that wait are left")
    sender.send(files)
    status = settled(node)
    assert status["routes"]["another"]["delivered"] == status["delivered"]
    # The route comes back: release is enough.
    node.config["routes"][0]["name"] = "research"
    node.write_config()
    reload(node)
    for one in node.held():
        assert node.cli("held", "release", one["id"]).returncode == 0
    node.wait_status(lambda s: s["held"] == 0 and s["in_flight"] == 0, "all is delivered")
    assert len(set(scp.uids())) == 3


def test_a_recipe_file_that_vanishes_while_the_node_runs_changes_nothing(
    node: Deadly, scp: StoreSCP, tmp_path: Path
) -> None:
    use(node, "BLANK StudyDate")
    node.config["node"]["log"]["level"] = "debug"
    node.write_config()
    node.start()
    (node.folder / "one.dicom").unlink()
    for child in wait_for(lambda: node.children().get("cleaner"), "cleaners run"):
        child.kill()
    Sender(node.port).send(tiny_cts(tmp_path / "in", 2))
    node.wait_delivered(2)
    assert {str(ds.StudyDate) for ds in scp.datasets()} == {""}
