"""A start that cannot succeed: one sentence that says what to do, exit code 3, nothing changed, no loop."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import psutil
import pytest

from node.config import Config, load_config
from node.ledger.maps import known_patient, known_uid, new_patient, new_uid
from node.rebuild import rebuild
from tests.crash.support import Deadly, Sender, rows, settled, tiny_cts
from tests.support import REPOSITORY, StoreSCP, wait_for
from tests.thorough import share
from tests.zygote import run

BROKEN_RECIPE = "FORMAT dicom\n%header\nREPLCE PatientID X\nBLANK PatientNam\n"


def refused(node: Deadly) -> str:
    """Start the node, which must end with code 3 by itself; return what it said."""
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), **node.environment}
    done = run(node.command, cwd=node.folder, env=environment, timeout=30)
    said = done.stdout + done.stderr
    assert done.returncode == 3, f"exit code {done.returncode}\n{said}"
    assert "Traceback" not in said
    return said


def one_sentence(said: str) -> str:
    lines = said.strip().splitlines()
    assert len(lines) == 1, said
    return lines[0]


@pytest.fixture(scope="module")
def worked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data of a node that has delivered two instances and was stopped; to be copied."""
    folder = tmp_path_factory.mktemp("worked")
    scp = StoreSCP(folder / "sink").start()
    try:
        node = Deadly(folder, {"dest": scp.port}).start()
        try:
            Sender(node.port).send(tiny_cts(folder / "in", 2))
            node.wait_delivered(2)
            assert node.stop() == 0
        finally:
            node.kill()
    finally:
        scp.stop()
    return node.data


@pytest.fixture
def used(node: Deadly, worked: Path) -> Deadly:
    """A node that has worked, and is stopped."""
    shutil.copytree(worked, node.data)
    return node


@pytest.fixture
def as_files() -> bool:
    """Whether what is cleaned becomes files; by default it is derived from the originals."""
    return False


@pytest.fixture
def waiting(used: Deadly, scp: StoreSCP, tmp_path: Path, as_files: bool) -> tuple[Deadly, Sender, list[Path]]:
    """A node that is stopped while three cleaned instances wait for their destination; their sender, their files."""
    if as_files:
        used.with_files()
    scp.stop()
    used.start()
    sender, files = Sender(used.port), tiny_cts(tmp_path / "waiting", 3, 10)
    sender.send(files)
    used.wait_status(lambda s: s["routes"]["research"]["cleaned"] == 5, "they are cleaned")
    assert used.stop() == 0
    return used, sender, files


# -- other processes ------------------------------------------------------------------------------------------------


def test_a_second_node_on_the_same_spool_is_refused_naming_the_process(
    node: Deadly, make_node: Callable[..., Deadly]
) -> None:
    node.start()
    assert node.process is not None
    second = make_node({"dest": 1}, "second")
    second.config["node"]["spool"] = str(node.spool)
    second.write_config()
    said = one_sentence(refused(second))
    assert f"process {node.process.pid}" in said
    assert not (second.data / "secret.key").exists()
    assert node.stop() == 0


def test_the_same_node_started_twice_is_refused_and_the_first_goes_on(node: Deadly, tmp_path: Path) -> None:
    node.start()
    assert node.process is not None
    assert f"process {node.process.pid}" in one_sentence(refused(node))
    Sender(node.port).send(tiny_cts(tmp_path / "in", 1))
    node.wait_delivered(1)


def test_a_port_that_is_taken_is_refused_naming_it(node: Deadly) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", node.port))
        taken.listen()
        said = one_sentence(refused(node))
    assert f"127.0.0.1:{node.port}" in said
    assert "node.listen" in said
    node.start()


def test_a_start_that_is_refused_takes_no_time_and_leaves_no_process(node: Deadly) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", node.port))
        taken.listen()
        refused(node)
    assert not [one for one in psutil.process_iter(["cwd"]) if one.info["cwd"] == str(node.folder)]


def test_a_lock_that_the_children_of_a_dead_node_still_hold_is_waited_for(used: Deadly) -> None:
    hold = "import fcntl, sys, time; f = open(sys.argv[1]); fcntl.flock(f, 2); print(1, flush=True); time.sleep(2.5)"
    command = [sys.executable, "-c", hold, str(used.spool / "lock")]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as dying:
        assert dying.stdout is not None
        assert dying.stdout.readline()
        used.start()
    assert used.stop() == 0


# -- what people wrote -----------------------------------------------------------------------------------------------


def test_every_fault_of_configuration_and_recipe_is_named_at_once(node: Deadly) -> None:
    (node.folder / "broken.dicom").write_text(BROKEN_RECIPE)
    node.config["routes"][0]["recipe"] = ["./broken.dicom"]
    node.config["routes"][0]["to"] = ["nowhere"]
    node.config["node"]["drian"] = "5s"
    node.write_config()
    said = refused(node)
    for word in ("drian", "nowhere", "REPLCE", "PatientNam", "broken.dicom:3", "broken.dicom:4", "config.yaml:"):
        assert word in said
    assert not node.data.exists(), "nothing is made by a start that cannot succeed"


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"node: [", b"- 1\n- 2\n", b"[" * 100_000])
def test_a_configuration_that_is_none_is_refused(node: Deadly, content: bytes) -> None:
    node.config_path.write_bytes(content)
    assert "config.yaml" in refused(node)


def test_a_broken_recipe_alone_is_refused(node: Deadly) -> None:
    (node.folder / "broken.dicom").write_text(BROKEN_RECIPE)
    node.config["routes"][0]["recipe"] = ["./broken.dicom"]
    node.write_config()
    said = refused(node)
    assert len(said.strip().splitlines()) == 2, said


# -- the secret ------------------------------------------------------------------------------------------------------


def test_a_secret_that_is_missing_beside_a_used_ledger_is_refused_and_not_made_anew(used: Deadly) -> None:
    kept = (used.data / "secret.key").read_bytes()
    (used.data / "secret.key").unlink()
    said = one_sentence(refused(used))
    assert "secret" in said
    assert "backup" in said
    assert not (used.data / "secret.key").exists()
    (used.data / "secret.key").touch(mode=0o600)
    (used.data / "secret.key").write_bytes(kept)
    used.start()


def test_a_secret_that_is_missing_where_only_the_spool_was_used_is_not_made_anew(used: Deadly) -> None:
    (used.data / "secret.key").unlink()
    for ledger in used.data.glob("ledger.db*"):
        ledger.unlink()
    assert "secret" in one_sentence(refused(used))
    assert not (used.data / "secret.key").exists()


def test_another_secret_than_the_ledger_was_made_with_is_refused(used: Deadly) -> None:
    (used.data / "secret.key").write_text("0" * 64 + "\n")
    said = one_sentence(refused(used))
    assert "not the one" in said
    assert "backup" in said
    assert "0000" not in said.replace(str(used.folder), "")


@pytest.mark.parametrize("mode", [0o640, *(pytest.param(one, marks=pytest.mark.slow) for one in (0o604, 0o620, 0o666))])
def test_a_secret_that_others_can_reach_is_refused_and_how_to_close_it(used: Deadly, mode: int) -> None:
    (used.data / "secret.key").chmod(mode)
    assert "chmod 600" in one_sentence(refused(used))
    (used.data / "secret.key").chmod(0o600)
    used.start()


@pytest.mark.parametrize(
    "content", ["", "z" * 64, *(pytest.param(one, marks=pytest.mark.slow) for one in ("abc", "0" * 63, "0" * 65))]
)
def test_a_secret_that_is_damaged_is_refused_and_not_shown(used: Deadly, content: str) -> None:
    (used.data / "secret.key").write_text(content)
    said = one_sentence(refused(used))
    assert "secret" in said
    assert not content or content not in said


def test_the_secret_is_made_once_and_for_its_owner_alone(used: Deadly) -> None:
    secret = used.data / "secret.key"
    assert secret.stat().st_mode & 0o777 == 0o600
    assert used.data.stat().st_mode & 0o077 == 0
    before = secret.read_bytes()
    used.start()
    assert used.stop() == 0
    assert secret.read_bytes() == before
    assert before.strip() not in used.log().encode()
    assert before.strip() not in (used.data / "ledger.db").read_bytes()


@pytest.mark.slow
def test_a_first_start_that_is_killed_anywhere_succeeds_the_next_time(node: Deadly) -> None:
    for step in range(share(7, 2)):
        process = subprocess.Popen(
            node.command,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=node.folder,
            env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        )
        # The secret, the ledger, the id of the spool: whichever is there first, it is killed right after or before.
        stages = ("lock", "incoming", "cleaned", "id", "id.new")
        awaited = [node.data / "secret.key", node.data / "ledger.db", *(node.spool / one for one in stages)]
        deadline = time.monotonic() + 2
        while not awaited[step % len(awaited)].exists() and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.001)
        time.sleep(0.002 * (step // len(awaited)))
        process.kill()
        process.wait(10)
        if step % 3 == 2:
            node.start()
            node.kill()
            shutil.rmtree(node.data)
    node.start()
    assert node.stop() == 0


# -- the ledger ------------------------------------------------------------------------------------------------------


def lose_ledger(node: Deadly) -> None:
    for ledger in node.data.glob("ledger.db*"):
        ledger.unlink()


def test_a_lost_ledger_over_a_spool_that_holds_instances_is_refused_naming_rebuild(
    waiting: tuple[Deadly, Sender, list[Path]],
) -> None:
    node, _, _ = waiting
    lose_ledger(node)
    assert "deid-node rebuild" in one_sentence(refused(node))
    assert not (node.data / "ledger.db").exists()


def test_the_ledger_of_another_spool_is_refused(used: Deadly, make_node: Callable[..., Deadly]) -> None:
    other = make_node({"dest": 1}, "other")
    other.start()
    assert other.stop() == 0
    other.config["node"]["ledger"] = f"sqlite:///{used.data / 'ledger.db'}"
    other.config["node"]["secret_file"] = str(used.data / "secret.key")
    other.write_config()
    assert "another spool" in one_sentence(refused(other))


def test_a_spool_that_is_not_there_is_not_taken_for_an_empty_one(used: Deadly) -> None:
    # A disk that was not mounted.
    used.spool.rename(used.data / "elsewhere")
    assert "another spool" in one_sentence(refused(used))


@pytest.mark.parametrize("content", [b"this is no database at all" * 100, b"SQLite format 3\0" + b"\xff" * 5000])
def test_a_ledger_that_is_no_database_is_refused(used: Deadly, content: bytes) -> None:
    lose_ledger(used)
    (used.data / "ledger.db").touch(mode=0o600)
    (used.data / "ledger.db").write_bytes(content)
    said = one_sentence(refused(used))
    assert "ledger" in said
    assert (used.data / "ledger.db").read_bytes() == content


def damaged_in_the_middle(ledger: Path) -> None:
    """As a disk does it that has lost a few sectors; whoever keeps the time of the file does not hide it."""
    size = ledger.stat().st_size
    with ledger.open("r+b") as file:
        for page in range(4096, size, 4096):
            file.seek(page)
            file.write(b"\xa5" * 600)


def cut_short(ledger: Path) -> None:
    os.truncate(ledger, ledger.stat().st_size // 2 // 4096 * 4096)


@pytest.mark.parametrize("damage", [damaged_in_the_middle, cut_short])
def test_a_damaged_ledger_is_refused_naming_backup_and_rebuild_and_is_left_as_it_is(
    used: Deadly, damage: Callable[[Path], None]
) -> None:
    ledger = used.data / "ledger.db"
    damage(ledger)
    content = ledger.read_bytes()
    said = one_sentence(refused(used))
    for word in ("damaged", "backup", "deid-node rebuild"):
        assert word in said
    assert ledger.read_bytes() == content


@pytest.mark.slow
def test_a_ledger_whose_write_ahead_log_was_lost_says_so_and_what_is_in_the_spool_goes_on(
    used: Deadly, scp: StoreSCP, tmp_path: Path
) -> None:
    scp.stop()
    used.start()
    # Older than all that comes now: nothing of it was taken over from the log into the file.
    file = (used.data / "ledger.db").read_bytes()
    Sender(used.port).send(tiny_cts(tmp_path / "in", 3, 10))
    used.wait_status(lambda s: s["routes"]["research"]["cleaned"] == 5, "they are cleaned")
    wait_for(lambda: '"reached": 5' in (used.spool / "ledger.json").read_text(), "the spool knows of them")
    used.kill()
    lose_ledger(used)
    (used.data / "ledger.db").touch(mode=0o600)
    (used.data / "ledger.db").write_bytes(file)
    scp.start()
    used.start()
    assert '"ledger-older"' in used.log()
    assert '"missing":3' in used.log().replace(" ", "")
    status = settled(used)
    assert (status["received"], status["delivered"]) == (5, 5)
    told = json.loads(used.cli("status", "--json", check=True).stdout)
    assert [alert["kind"] for alert in told["alerts"]] == ["ledger-older"]


def test_a_ledger_of_a_newer_program_is_refused(used: Deadly) -> None:
    with used.ledger() as ledger, ledger.database.write(durable=True) as connection:
        connection.driver.execute("UPDATE alembic_version SET version_num = '9999'")
    assert "newer" in one_sentence(refused(used))


def test_a_data_folder_that_cannot_be_made_is_refused(node: Deadly) -> None:
    node.data.write_text("a file")
    assert str(node.data) in one_sentence(refused(node))


# -- rebuild ---------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_rebuild_receives_originals_again_and_they_get_the_same_uids_and_bytes(
    node: Deadly, scp: StoreSCP, tmp_path: Path
) -> None:
    files = tiny_cts(tmp_path / "in", 4)
    sender = Sender(node.port)
    # Killed right before the cleaned files are durable: originals are all there is.
    node.with_files().dies_at("clean-written", 1, "node").start()
    sender.send(files, lambda: node.process is not None and node.process.poll() is not None)
    wait_for(node.died, "it dies")
    kept = node.spool_files()["originals"]
    assert kept
    shutil.copytree(node.data, node.folder / "copy")
    # What it would have been:
    node.lives().start()
    sender.send(files)
    status = settled(node)
    before = {path.name: path.read_bytes() for path in scp.files()}
    uids = set(scp.uids())
    assert node.stop() == 0
    assert status["delivered"] >= 4
    shutil.rmtree(node.data)
    (node.folder / "copy").rename(node.data)
    for path in scp.files():
        path.unlink()
    lose_ledger(node)
    done = node.cli("rebuild", "--json")
    assert done.returncode == 0, done.stderr
    assert f'"originals": {kept}' in done.stdout
    node.start()
    settled(node)
    assert len(rows(node)) == kept
    assert set(scp.uids()) <= uids
    assert {path.read_bytes() for path in scp.files()} <= set(before.values())


@pytest.mark.parametrize("as_files", [pytest.param(True, marks=pytest.mark.slow), False])
@pytest.mark.parametrize("decision", ["--send", "--assume-delivered"])
def test_rebuild_leaves_what_was_cleaned_waiting_until_a_person_decides(
    waiting: tuple[Deadly, Sender, list[Path]], scp: StoreSCP, decision: str
) -> None:
    node, _, files = waiting
    lose_ledger(node)
    assert node.cli("rebuild").returncode == 0
    scp.start()
    before = len(scp.files())
    node.start()
    status = node.wait_status(lambda s: s["held"] == len(files), "they are held")
    assert status["received"] == len(files)
    assert {(one["reason"], one["destination"]) for one in node.held()} == {("rebuilt", "dest")}
    assert len(scp.files()) == before
    done = node.cli("rebuild", decision)
    assert done.returncode == 0, done.stderr
    settled(node)
    assert node.status()["delivered"] == len(files)
    assert len(scp.files()) == before + (len(files) if decision == "--send" else 0)
    assert node.stop() == 0
    node.start()
    wait_for(lambda: sum(node.spool_files().values()) == 0, "the spool is empty")


def rebuilt(config: Config, **options: Path) -> dict[str, Any]:
    """Rebuild in a process of its own: the lock ends with it."""
    with ProcessPoolExecutor(1, get_context("fork")) as pool:
        return pool.submit(rebuild, config, **options).result()


def test_rebuild_says_which_maps_come_back_and_brings_imported_pairs_from_a_damaged_ledger(
    waiting: tuple[Deadly, Sender, list[Path]], tmp_path: Path
) -> None:
    node, _, _ = waiting
    with node.ledger() as ledger, ledger.database.write(durable=True) as connection:
        for number in range(400):
            new_uid(connection, ("demo", 1, f"1.2.3.{number}"), f"2.25.77{number}", "imported")
        new_patient(connection, ("demo", 1, "H", "4711"), ("CHOSEN", -40), "imported")
        new_uid(connection, ("closed", 1, "1.2.3"), "2.25.5", "imported")
    (node.data / "closed").mkdir()
    record = {"project": "closed", "begun": 1.0, "closed": 2.0, "record": {}}
    (node.data / "closed" / "closed.json").write_text(json.dumps(record))
    config = load_config(node.config_path)
    backup = tmp_path / "backup.db"
    (node.data / "ledger.db").rename(backup)
    lose_ledger(node)
    told = rebuilt(config)
    assert told["closed_projects"] == 1
    assert "secret" in told["forward"]
    assert "3 originals" in told["way_back"]
    assert "--imported-from" in told["imported"]
    lose_ledger(node)
    told = rebuilt(config, imported_from=backup)
    assert told["imported"] == "400 UIDs and 1 patients came back"
    with node.ledger() as ledger, ledger.database.read() as connection:
        assert known_uid(connection, ("demo", 1, "1.2.3.7")) == "2.25.777"
        assert known_patient(connection, ("demo", 1, "H", "4711")) == ("CHOSEN", -40)
        assert known_uid(connection, ("closed", 1, "1.2.3")) is None, "a closed project does not come back"
    done = node.cli("rebuild", "--imported-from", str(backup))
    assert done.returncode == 3
    assert "there is a ledger" in done.stderr
    # Of a damaged file comes back what can be read, and what not is said.
    lose_ledger(node)
    content = bytearray(backup.read_bytes())
    pages = [at for at in range(0, len(content), 4096) if content.count(b"imported", at, at + 4096) > 10]
    middle = pages[len(pages) // 2]
    content[middle : middle + 4096] = b"\xa5" * 4096
    backup.write_bytes(content)
    told = rebuilt(config, imported_from=backup)
    assert "damaged" in told["imported"]
    assert 0 < int(told["imported"].split()[0]) < 400


def test_rebuild_is_refused_while_a_ledger_is_in_place_or_a_node_runs(
    waiting: tuple[Deadly, Sender, list[Path]],
) -> None:
    node, _, _ = waiting
    done = node.cli("rebuild")
    assert done.returncode == 3
    assert "there is a ledger" in done.stderr
    node.start()
    for ledger in node.data.glob("ledger.db*"):
        ledger.rename(node.folder / ledger.name)
    done = node.cli("rebuild")
    assert done.returncode == 3
    assert "another node" in done.stderr
    node.kill()


def test_rebuild_makes_no_new_secret(waiting: tuple[Deadly, Sender, list[Path]]) -> None:
    node, _, _ = waiting
    lose_ledger(node)
    (node.data / "secret.key").unlink()
    done = node.cli("rebuild")
    assert done.returncode == 3
    assert "secret" in done.stderr
    assert not (node.data / "secret.key").exists()


def test_a_rebuild_that_was_killed_is_finished_by_the_next_and_sends_nothing_by_itself(
    waiting: tuple[Deadly, Sender, list[Path]], scp: StoreSCP
) -> None:
    node, _, files = waiting
    lose_ledger(node)
    process = subprocess.Popen(
        [*node.command[:-3], "rebuild", "--config", str(node.config_path)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd=node.folder,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
    )
    wait_for(lambda: (node.data / "ledger.db").exists() or process.poll() is not None, "it has begun")
    process.send_signal(signal.SIGKILL)
    process.wait(10)
    scp.start()
    before = len(scp.files())
    done = node.cli("rebuild")
    if done.returncode:  # it had come to its end
        assert "there is a ledger" in done.stderr
    node.start()
    node.wait_status(lambda s: s["held"] == len(files), "they are held")
    assert len(scp.files()) == before


def test_a_ledger_of_yesterday_under_the_spool_of_today_loses_nothing(
    used: Deadly, scp: StoreSCP, tmp_path: Path
) -> None:
    yesterday = tmp_path / "yesterday"
    yesterday.mkdir()
    scp.stop()
    used.start()
    sender = Sender(used.port)
    first = tiny_cts(tmp_path / "first", 3, 10)
    sender.send(first)
    used.wait_status(lambda s: s["routes"]["research"]["cleaned"] == 5, "they are cleaned")
    used.kill()  # with its write-ahead log in place
    for part in used.data.glob("ledger.db*"):
        shutil.copy2(part, yesterday)
    assert (yesterday / "ledger.db-wal").stat().st_size
    used.start()
    second = tiny_cts(tmp_path / "second", 3, 20)
    sender.send(second)
    used.wait_status(lambda s: s["routes"]["research"]["cleaned"] == 8, "these too")
    used.kill()
    # And some of which only the originals are there.
    used.with_files().dies_at("clean-written", 1, "node").start()
    third = tiny_cts(tmp_path / "third", 3, 30)
    sender.send(third, lambda: used.process is not None and used.process.poll() is not None)
    wait_for(used.died, "it dies")
    assert used.spool_files()["originals"] >= 1
    lose_ledger(used)
    for part in yesterday.iterdir():
        shutil.copy2(part, used.data)
    scp.start()
    used.lives().start()
    status = settled(used)
    assert status["delivered"] == status["received"]
    uids = scp.uids()
    assert len(set(uids)) >= 3 + 3 + 1
    assert not used.held()
    assert '"adopted"' in used.log()
    # Those that were not acknowledged come again, and are the same.
    sender.send(third)
    settled(used)
    assert len(set(scp.uids())) == 3 + 3 + 3
    by_uid: dict[str, set[bytes]] = {}
    for uid, path in zip(scp.uids(), scp.files(), strict=True):
        by_uid.setdefault(uid, set()).add(path.read_bytes())
    assert {len(contents) for contents in by_uid.values()} == {1}


@pytest.mark.slow
def test_a_ledger_of_yesterday_that_waits_for_what_was_delivered_since_tells_a_person(
    used: Deadly, scp: StoreSCP, tmp_path: Path
) -> None:
    scp.stop()
    used.start()
    Sender(used.port).send(tiny_cts(tmp_path / "first", 2, 10))
    used.wait_status(lambda s: s["routes"]["research"]["cleaned"] == 4, "they are cleaned")
    assert used.stop() == 0
    shutil.copy2(used.data / "ledger.db", tmp_path / "yesterday.db")
    scp.start()
    used.start()
    used.wait_delivered(4)
    assert used.stop() == 0
    lose_ledger(used)
    shutil.copy2(tmp_path / "yesterday.db", used.data / "ledger.db")
    used.start()
    status = used.wait_status(lambda s: not s["in_flight"], "nothing waits in vain")
    assert (status["delivered"], status["held"]) == (2, 2)
    assert {one["reason"] for one in used.held()} == {"file-missing"}
    assert len(scp.files()) == 2
