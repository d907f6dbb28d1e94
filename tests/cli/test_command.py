import json
import os
import subprocess
import sys

import pytest

from node import __version__
from node.cli.check import sqlite_findings
from node.cli.common import ago
from node.cli.status import equation
from node.config import load_config
from node.overview import with_configured
from tests.cli.support import ROOT, configure, deid_node


@pytest.fixture
def folder(tmp_path):
    configure(tmp_path)
    return tmp_path


def test_version_names_the_program_and_what_it_is_built_on(tmp_path):
    done = deid_node("version", cwd=tmp_path)
    assert done.returncode == 0
    assert done.stdout.startswith(f"deid-node {__version__}\n")
    assert "pynetdicom" in done.stdout


@pytest.mark.parametrize(
    "arguments",
    [
        ["nonsense"],
        ["status", "--nonsense"],
        ["echo"],
        ["echo", "127.0.0.1", "0"],
        ["echo", "127.0.0.1", "104", "--called-ae", "A" * 17],
        ["sink", "here", "folder"],
        ["held", "discard", "x"],
        ["rebuild", "--send", "--assume-delivered"],
        ["check", "--config"],
        ["held", "discard", "--all", "--reason", "nonsense", "--yes"],
    ],
)
def test_wrong_usage_is_exit_code_2(folder, arguments):
    done = deid_node(*arguments, cwd=folder)
    assert done.returncode == 2
    assert done.stdout == ""
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("command", [["status"], ["status", "--json"], ["held", "list"], ["held", "show", "x"]])
def test_without_a_ledger_the_exit_code_is_4(folder, command):
    done = deid_node(*command, cwd=folder)
    assert done.returncode == 4, done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not (folder / "var").exists()


def test_reload_without_a_running_node_is_exit_code_4(folder):
    done = deid_node("reload", cwd=folder)
    assert done.returncode == 4
    assert "no node is running" in done.stderr


def test_reload_of_a_lock_that_nobody_holds_is_exit_code_4(folder):
    (folder / "var/spool").mkdir(parents=True)
    (folder / "var/spool/lock").write_text(f"{os.getpid()}\n")
    assert deid_node("reload", cwd=folder).returncode == 4


def test_reload_sends_sighup_to_the_process_that_holds_the_lock_and_tells_its_answer(folder):
    (folder / "var/spool").mkdir(parents=True)
    holder = (
        "import fcntl, os, pathlib, signal, sys\nfrom node import reloading\n"
        "signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})\n"
        "lock = open('var/spool/lock', 'w')\nfcntl.flock(lock, fcntl.LOCK_EX)\n"
        "print(os.getpid(), file=lock, flush=True)\nprint('ready', flush=True)\n"
        "told = signal.sigtimedwait({signal.SIGHUP}, 30)\n"
        "reloading.tell(pathlib.Path('var/spool'), 1, ['no room'])\n"
        "sys.exit(told is None)\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(
        [sys.executable, "-c", holder], cwd=folder, stdout=subprocess.PIPE, text=True, env=environment
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        done = deid_node("reload", cwd=folder)
        assert process.wait(30) == 0
        assert done.returncode == 1
        assert "no room" in done.stderr, "what the node answered is told"
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def test_a_broken_configuration_refuses_reload_with_exit_code_1_and_serve_with_3(folder):
    path = folder / "config.yaml"
    path.write_text(path.read_text().replace("to: [archive]", "to: [archiv]"))
    for command, code in (("reload", 1), ("serve", 3)):
        done = deid_node(command, cwd=folder)
        assert done.returncode == code
        assert "config.yaml:7 [routes.0.to.0]: there is no destination 'archiv'." in done.stderr


def test_serve_and_check_name_the_faults_of_recipes_and_of_the_configuration_together(folder):
    path = folder / "config.yaml"
    path.write_text(path.read_text().replace("listen: 127.0.0.1:11112", "listen: nowhere"))
    (folder / "careful.dicom").write_text("FORMAT dicom\n%header\nREMOVEE PatientName\n")
    done = deid_node("serve", cwd=folder)
    assert done.returncode == 3
    assert "config.yaml:3 [node.listen]" in done.stderr
    assert "careful.dicom:3" in done.stderr
    done = deid_node("check", "--json", cwd=folder)
    assert done.returncode == 1
    assert [fault["line"] for fault in json.loads(done.stdout)["faults"]] == [3, 3]


def test_a_variable_that_no_route_sets_is_a_fault(folder):
    (folder / "careful.dicom").write_text("FORMAT dicom\n%header\nREPLACE PatientID var:study\n")
    done = deid_node("check", cwd=folder)
    assert done.returncode == 1
    assert "'study'" in done.stdout


def test_config_stands_before_or_after_the_command(tmp_path):
    path = configure(tmp_path / "a", name="node.yaml")
    for arguments in (
        ["--config", path, "held", "list"],
        ["held", "--config", path, "list"],
        ["held", "list", "--config", path],
    ):
        assert deid_node(*arguments, cwd=tmp_path).returncode == 4


def test_config_comes_from_the_option_then_the_environment_then_the_working_directory(tmp_path):
    one, two = configure(tmp_path / "one"), configure(tmp_path / "two")
    for path, problem in ((one, "nowhere-one"), (two, "nowhere-two")):
        path.write_text(path.read_text().replace("to: [archive]", f"to: [{problem}]"))
    assert "nowhere-one" in deid_node("status", cwd=tmp_path / "one").stderr
    assert "nowhere-two" in deid_node("status", cwd=tmp_path / "one", config=two).stderr
    assert "nowhere-one" in deid_node("status", "--config", one, cwd=tmp_path / "two", config=two).stderr
    done = deid_node("status", cwd=tmp_path)
    assert done.returncode == 1
    assert "cannot be read" in done.stderr


def test_pausing_an_unknown_destination_is_exit_code_1(folder):
    done = deid_node("pause", "nowhere", cwd=folder)
    assert done.returncode == 1
    assert "nowhere" in done.stderr


def test_check_makes_nothing_and_warns_of_an_unreachable_destination(folder):
    done = deid_node("check", cwd=folder)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "warning: destination 'archive'" in done.stdout
    assert "will be made at the first start" in done.stdout
    assert "SQLite" in done.stdout
    assert sorted(path.name for path in folder.iterdir()) == ["careful.dicom", "config.yaml"]
    assert deid_node("check", "--strict", cwd=folder).returncode == 1


def test_check_does_not_echo_the_trial_destination(folder):
    path = folder / "config.yaml"
    trial = "trial_destination: {ae_title: ARCHIVE, listen: '127.0.0.1:1', folder: var/archive}\n"
    path.write_text(path.read_text() + trial)
    done = deid_node("check", "--strict", cwd=folder)
    assert done.returncode == 0, done.stdout
    assert "'archive'" not in done.stdout


def test_check_refuses_a_secret_that_others_can_read(folder):
    (folder / "var").mkdir()
    secret = folder / "var/secret.key"
    secret.write_text("00" * 32 + "\n")
    secret.chmod(0o644)
    done = deid_node("check", cwd=folder)
    assert done.returncode == 1
    assert "fault: secret" in done.stdout
    assert "0000" not in done.stdout.replace(str(folder), "")


def test_check_misses_the_secret_of_a_ledger(folder):
    (folder / "var").mkdir()
    (folder / "var/ledger.db").write_bytes(b"x")
    done = deid_node("check", cwd=folder)
    assert done.returncode == 1
    assert "is missing" in done.stdout


def test_check_refuses_a_folder_that_is_a_file(folder):
    (folder / "var").write_text("")
    done = deid_node("check", cwd=folder)
    assert done.returncode == 1
    assert "is no folder" in done.stdout


@pytest.mark.parametrize(
    ("version", "warned"),
    [("3.6.23", False), ("3.7.0", True), ("3.40.1", True), ("3.51.2", True), ("3.51.3", False), ("3.53.0", False)],
)
def test_check_warns_of_sqlite_with_the_wal_reset_bug(version, warned):
    assert bool(sqlite_findings(version)) is warned


def test_echo_of_a_port_where_nothing_listens_is_exit_code_1(tmp_path):
    done = deid_node("echo", "127.0.0.1", "1", cwd=tmp_path)
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert "Traceback" not in done.stderr


def test_status_says_whether_the_equation_holds(folder):
    none = dict.fromkeys(("received", "in_flight", "delivered", "held", "excluded", "discarded", "duplicates"), 0)
    found = with_configured(none | {"routes": {}, "destinations": {}}, load_config(folder / "config.yaml"))
    assert set(found["routes"]) == {"research"}
    assert set(found["destinations"]) == {"archive"}
    assert "holds" in equation(found)
    assert "DOES NOT HOLD" in equation(found | {"received": 1})


def test_a_time_is_shown_as_people_read_it():
    assert ago(None) == ""
    assert ago("2999-01-01T00:00:00.000+00:00").startswith("in ")
    assert "ago (2020-01-01 00:00:00 UTC)" in ago("2020-01-01T00:00:00.000+00:00")


def test_a_reader_that_stops_reading_is_no_error(tmp_path):
    command = [sys.executable, "-m", "node", "version"]
    process = subprocess.Popen(
        command,
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    assert b"Traceback" not in process.stderr.read()
    process.stderr.close()
    process.wait(60)
