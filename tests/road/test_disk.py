"""A disk that is full or read-only: A700H, nothing half-written, nothing acknowledged is lost; it goes on by itself."""

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from node.errors import NotReachable
from tests.road.support import OUT_OF_RESOURCES, SUCCESS, associated, send, use_recipe
from tests.support import REPOSITORY, RunningNode, make_ct, wait_for

MIB = 1 << 20


def may_mount() -> bool:
    command = ["unshare", "-rm", "sh", "-c", "mount -t tmpfs tmpfs /mnt"]
    try:
        return subprocess.run(command, capture_output=True, timeout=10, check=False).returncode == 0
    except FileNotFoundError:
        return False


pytestmark = pytest.mark.skipif(not may_mount(), reason="a tmpfs of one's own cannot be mounted here (unshare -rm)")


class NodeOnSmallDisk(RunningNode):
    """A node that sees a small tmpfs at `small`, in a mount namespace of its own; gone with the node."""

    def on_tmpfs(self, mib: int, small: str = "var") -> None:
        self.small = self.folder / small
        self.small.mkdir()
        mount = f'mount -t tmpfs -o size={mib}m,mode=700 tmpfs "$0" && exec "$@"'
        self.command = ["unshare", "-rm", "sh", "-c", mount, str(self.small), *self.command]

    def seen(self, path: Path) -> Path:
        """The same path, as this test can reach it."""
        assert self.process is not None
        return Path(f"/proc/{self.process.pid}/root{path}")

    @property
    def data(self) -> Path:
        return self.seen(self.folder / "var") if self.process is not None else self.folder / "var"

    def asked(self, *arguments: str) -> Any:
        """What the command line prints inside; SQLite would resolve a path through /proc to the file outside."""
        assert self.process is not None
        inside = ["nsenter", "--target", str(self.process.pid), "--user", "--mount", "--preserve-credentials", "--"]
        command = [sys.executable, "-m", "node", *arguments, "--json", "--config", str(self.config_path)]
        environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
        done = subprocess.run([*inside, *command], capture_output=True, timeout=30, check=False, env=environment)
        if done.returncode:
            raise NotReachable(done.stderr.decode())
        return json.loads(done.stdout)

    def inside(self, *command: str) -> None:
        """Run a command where the node's mounts are seen."""
        assert self.process is not None
        where = ["--target", str(self.process.pid), "--user", "--mount", "--preserve-credentials"]
        subprocess.run(["nsenter", *where, "--", *command], check=True, timeout=30)

    def remount(self, mode: str) -> None:
        """Mount the small disk anew, `ro` or `rw`; refused while a file on it is open for writing."""
        inside = ["nsenter", "--target", str(self.process.pid), "--user", "--mount", "--preserve-credentials", "--"]
        command = [*inside, "mount", "-o", f"remount,{mode}", str(self.small)]
        wait_for(lambda: subprocess.run(command, capture_output=True, timeout=10, check=False).returncode == 0, mode)

    def events(self, name: str) -> int:
        """How many lines of the log are of an event."""
        return self.log().count(f'"event": "{name}"')

    def seen_files(self) -> int:
        """How many instances lie on the small disk."""
        return sum(1 for _ in self.seen(self.small).glob("*/*/*.dcm"))

    @contextlib.contextmanager
    def asking(self) -> Iterator[Callable[[], dict[str, Any]]]:
        yield lambda: self.asked("status")

    def held(self) -> list[dict[str, Any]]:
        return self.asked("held", "list")

    def free(self) -> int:
        disk = os.statvfs(self.seen(self.small))
        return disk.f_bavail * disk.f_frsize

    def fill(self) -> Path:
        """Take all room that is left; return the file that takes it."""
        ballast = self.seen(self.small) / "ballast"
        with ballast.open("wb", buffering=0) as file:
            for size in (MIB, 4096, 1):
                try:
                    while True:
                        file.write(b"x" * size)
                except OSError:
                    continue
        return ballast


@pytest.fixture
def small(road):
    """Make a node on a small disk, whose archive does not run yet."""
    archive = road.archive(start=False)

    def make(mib: int, min_free: str, where: str = "var") -> tuple[NodeOnSmallDisk, object]:
        folder = road.folder / "small"
        folder.mkdir()
        node = NodeOnSmallDisk(folder, {"dest": archive.port})
        node.config["node"]["min_free_disk"] = min_free
        use_recipe(node)
        node.on_tmpfs(mib, where)
        road.stack.callback(node.close)
        return node, archive

    return make


EMPTY = {"incoming": 0, "originals": 0, "cleaned": 0}


def settled(node, archive, acknowledged):
    """Wait for what was acknowledged; by its files first, since each question to the node costs a process here."""
    wait_for(lambda: len(archive.files()) >= acknowledged, "all that was acknowledged arrives")
    return node.wait_status(lambda s: s["delivered"] >= acknowledged and not s["in_flight"], "all acknowledged arrived")


def test_below_the_watermark_a700h_and_it_goes_on_by_itself_when_room_is_free(small, road):
    node, archive = small(20, "12 MiB")
    node.start()
    sent = make_ct(road.folder / "sent", 40, rows=512)
    statuses = send(node.port, *sent)
    acknowledged = statuses.count(SUCCESS)
    assert 4 < acknowledged < 40
    assert set(statuses) == {SUCCESS, OUT_OF_RESOURCES}, "and the association survived"
    assert node.free() > 4 * MIB, "the floor was kept, but for what was under way"
    node.wait_status(lambda s: s["received"] == s["in_flight"] == acknowledged, "they wait")
    log = node.log()
    assert "min_free_disk" in log
    archive.start()
    settled(node, archive, acknowledged)
    assert len(set(archive.uids())) == len(archive.files()) == acknowledged
    refused = [path for path, status in zip(sent, statuses, strict=True) if status != SUCCESS]
    # What is delivered goes from the disk a moment later.
    wait_for(lambda: node.free() > 15 * MIB, "there is room for three more above the floor")
    assert send(node.port, *refused[:3]) == [SUCCESS] * 3, "without a restart"
    settled(node, archive, acknowledged + 3)
    wait_for(lambda: node.spool_files() == EMPTY, "the spool is empty")


def test_no_room_in_the_middle_of_an_instance_is_a700h_and_leaves_nothing(small, road):
    node, archive = small(24, "1 KiB")
    node.start()
    larger_than_the_disk = make_ct(road.folder / "larger", 1, rows=3700)
    sent = make_ct(road.folder / "sent", 6, rows=1600)
    statuses = send(node.port, *larger_than_the_disk, *sent)
    assert "the disk is full" in node.log()
    assert statuses[:2] == [OUT_OF_RESOURCES, SUCCESS], "the association survived, and there is room again"
    acknowledged = statuses.count(SUCCESS)
    assert set(statuses[2:]) == {SUCCESS, OUT_OF_RESOURCES}
    wait_for(lambda: node.spool_files()["incoming"] == 0, "nothing half-written stays")
    files = node.spool_files()
    assert files["originals"] + files["cleaned"] >= acknowledged
    archive.start()
    settled(node, archive, acknowledged)
    assert len(set(archive.uids())) == acknowledged
    wait_for(lambda: node.free() > 12 * MIB, "there is room for one more and its cleaned copy")
    assert send(node.port, sent[-1]) == [SUCCESS], "it goes on by itself"
    settled(node, archive, acknowledged + 1)
    wait_for(lambda: node.spool_files() == EMPTY, "the spool is empty")


@pytest.mark.slow
def test_an_instance_without_room_for_its_cleaned_copy_is_a700h_not_stuck(small, road):
    node, archive = small(24, "1 KiB")
    node.start()
    archive.start()
    (big,) = make_ct(road.folder / "big", 1, rows=2600)
    (fits,) = make_ct(road.folder / "fits", 1, rows=1800)
    assert big.stat().st_size > 12 * MIB > 2 * MIB < fits.stat().st_size
    assert send(node.port, big, fits) == [OUT_OF_RESOURCES, SUCCESS]
    settled(node, archive, 1)
    wait_for(lambda: node.spool_files() == EMPTY, "the spool is empty")


@pytest.mark.slow
def test_a_disk_without_any_room_refuses_and_recovers_on_one_association(small, road):
    node, archive = small(24, "1 KiB")
    node.start()
    archive.start()
    sent = make_ct(road.folder / "sent", 12)
    assert send(node.port, sent[0]) == [SUCCESS]
    settled(node, archive, 1)
    statuses = []
    with associated(node.port, *sent) as association:
        ballast = node.fill()
        statuses += [association.send_c_store(path).Status for path in sent[1:5]]
        ballast.unlink()
        statuses += [association.send_c_store(path).Status for path in sent[5:9]]
    assert set(statuses[:4]) == {OUT_OF_RESOURCES}
    assert statuses[4:] == [SUCCESS] * 4
    settled(node, archive, 5)
    assert len(set(archive.uids())) == 5
    wait_for(lambda: node.spool_files() == EMPTY, "the spool is empty")


@pytest.mark.slow  # the state's test has it mounted so too
def test_a_spool_that_becomes_read_only_refuses_and_recovers_on_one_association(small, road):
    node, archive = small(24, "1 KiB")
    node.start()
    archive.start()
    sent = make_ct(road.folder / "sent", 7)
    assert send(node.port, sent[0]) == [SUCCESS]
    settled(node, archive, 1)
    spool = str(node.folder / "var/spool")
    with associated(node.port, *sent) as association:
        node.inside("mount", "--bind", spool, spool)
        node.inside("mount", "-o", "remount,bind,ro", spool)
        statuses = [association.send_c_store(path).Status for path in sent[1:4]]
        node.inside("umount", spool)
        statuses += [association.send_c_store(path).Status for path in sent[4:]]
    assert statuses == [OUT_OF_RESOURCES] * 3 + [SUCCESS] * 3
    assert "Read-only file system" in node.log()
    settled(node, archive, 4)
    assert len(set(archive.uids())) == 4
    wait_for(lambda: node.spool_files() == EMPTY, "the spool is empty")


@pytest.mark.slow
def test_a_ledger_without_room_is_a700h_and_no_acknowledged_instance_is_lost(small, road):
    node, archive = small(4, "1 KiB", "ledger")
    node.config["node"]["ledger"] = "sqlite:///ledger/ledger.db"
    node.config["duplicates"] = {"same": "resend"}
    node.write_config()
    archive.start()
    node.start()
    sent = make_ct(road.folder / "sent", 3)
    assert send(node.port, sent[0]) == [SUCCESS]
    settled(node, archive, 1)
    acknowledged, refused = 1, 0
    with associated(node.port, *sent) as association:
        ballast = node.fill()
        # What the write-ahead log has already taken of the disk serves some commits; then there is no more.
        for _ in range(400):
            status = association.send_c_store(sent[1]).Status
            assert status in {SUCCESS, OUT_OF_RESOURCES}
            acknowledged += status == SUCCESS
            refused += status == OUT_OF_RESOURCES
            if refused == 5:
                break
        assert refused == 5
        ballast.unlink()
        wait_for(lambda: association.send_c_store(sent[2]).Status == SUCCESS, "it goes on by itself")
        acknowledged += 1
    status = settled(node, archive, acknowledged)
    assert status["received"] == acknowledged
    wait_for(lambda: node.spool_files() == EMPTY, "nothing unknown stays behind")


@pytest.mark.slow
def test_the_state_of_the_disk_has_a_name_an_alert_comes_before_it_is_full_and_goes_by_itself(small, road):
    node, archive = small(40, "10 MiB", "spool")
    node.config["node"] |= {"spool": "spool", "warn_free_disk": "20 MiB"}
    node.write_config()
    archive.start()
    node.start()
    sent = make_ct(road.folder / "sent", 4)
    well = node.asked("status")
    assert well["alerts"] == []
    assert {"floor": 10 * MIB, "warn": 20 * MIB, "state": "ok", "seconds_to_full": None}.items() <= well["disk"].items()

    ballast = node.seen(node.small) / "ballast"
    ballast.write_bytes(b"x" * (24 * MIB))
    told_as(node, "low")
    assert send(node.port, sent[0]) == [SUCCESS], "there is still room"
    with ballast.open("ab") as file:
        file.write(b"x" * (8 * MIB))
    assert told_as(node, "full")["seconds_to_full"] == 0
    assert send(node.port, sent[1]) == [OUT_OF_RESOURCES]
    ballast.unlink()
    wait_for(lambda: node.events("disk-well") == 1, "it is well again")

    wait_for(lambda: node.seen_files() == 0, "the spool is empty")
    node.remount("ro")
    told_as(node, "read-only")
    assert send(node.port, sent[2]) == [OUT_OF_RESOURCES]
    node.remount("rw")
    wait_for(lambda: node.events("disk-well") == 2, "it is well again")
    assert send(node.port, sent[3]) == [SUCCESS], "without a restart"
    settled(node, archive, 2)
    assert node.asked("status")["alerts"] == []
    assert [node.events(f"disk-{state}") for state in ("low", "full", "read-only")] == [1, 1, 1], "each is told once"


def told_as(node: NodeOnSmallDisk, state: str) -> dict[str, Any]:
    """Wait until the log names the state; return what `status` says of the disk then."""
    wait_for(lambda: node.events(f"disk-{state}"), f"the disk is {state}")
    status = node.asked("status")
    assert [alert["kind"] for alert in status["alerts"]] == [f"disk-{state}"]
    assert status["disk"]["state"] == state
    return status["disk"]
