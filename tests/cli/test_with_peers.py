"""Commands against a real archive and a real, empty ledger."""

import json

import pytest

from node.config import load_config
from node.identity import create_secret
from node.ledger.database import Database
from tests.cli.support import configure, dcmtk_storescp, deid_node

OUTCOMES = ("received", "in_flight", "delivered", "held", "excluded", "discarded")


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    with dcmtk_storescp(tmp_path_factory.mktemp("archive")) as port:
        yield port


@pytest.fixture
def ledger(tmp_path):
    path = configure(tmp_path)
    (tmp_path / "var").mkdir()
    config = load_config(path)
    database = Database(config.node.ledger)
    database.migrate()
    create_secret(config.node.secret_file)
    database.close()
    return tmp_path


def test_echo_of_an_archive_is_exit_code_0(archive, tmp_path):
    done = deid_node("echo", "127.0.0.1", archive, "--called-ae", "ARCHIVE", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "answers" in done.stdout


def test_check_finds_nothing_wrong_where_the_archive_answers(archive, tmp_path):
    configure(tmp_path, archive)
    done = deid_node("check", "--strict", cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "destination 'archive': 127.0.0.1" in done.stdout
    done = deid_node("check", "--strict", "--json", cwd=tmp_path)
    assert json.loads(done.stdout)["ok"] is True


def test_status_of_an_empty_ledger_has_the_settled_shape(ledger):
    found = json.loads(deid_node("status", "--json", cwd=ledger).stdout)
    assert {name: found[name] for name in OUTCOMES} == dict.fromkeys(OUTCOMES, 0)
    assert found["duplicates"] == 0
    assert found["routes"]["research"]["received"] == 0
    destination = found["destinations"]["archive"]
    assert {"delivered", "waiting", "held", "next_try", "last_error", "paused"} <= set(destination)


def test_status_for_people_shows_the_equation_and_the_pause(ledger):
    assert deid_node("pause", "archive", cwd=ledger).returncode == 0
    done = deid_node("status", cwd=ledger)
    assert done.returncode == 0, done.stderr
    assert "0 received = 0 in flight + 0 delivered + 0 held + 0 excluded + 0 discarded: holds" in done.stdout
    assert "paused by command" in done.stdout
    assert deid_node("resume", "archive", cwd=ledger).returncode == 0
    assert "paused by command" not in deid_node("status", cwd=ledger).stdout


def test_an_empty_list_of_held_is_an_empty_list(ledger):
    assert json.loads(deid_node("held", "list", "--json", cwd=ledger).stdout) == []
    assert deid_node("held", "list", cwd=ledger).stdout == "Nothing is held.\n"


@pytest.mark.parametrize("command", [["show"], ["release"], ["discard", "--yes"]])
def test_an_unknown_id_is_exit_code_1(ledger, command):
    done = deid_node("held", *command, "0" * 32, cwd=ledger)
    assert done.returncode == 1
    assert "0" * 32 in done.stderr


def test_all_of_a_reason_that_holds_nothing_is_done(ledger):
    done = deid_node("held", "release", "--all", "--reason", "refused", cwd=ledger)
    assert done.returncode == 0
    assert done.stdout == "0 released\n"


def test_an_id_and_all_exclude_one_another(ledger):
    for arguments in (["x", "--all", "--reason", "refused"], ["--all"], [], ["x", "--reason", "refused"]):
        assert deid_node("held", "release", *arguments, cwd=ledger).returncode == 2
