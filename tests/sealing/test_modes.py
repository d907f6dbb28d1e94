"""What the node keeps is readable by its user alone, whatever the umask is; else it does not start."""

from __future__ import annotations

import shlex
import sqlite3
from pathlib import Path

import pytest

from node.config import load_config
from node.errors import StartError
from node.privacy import refuse_readable
from tests.crash.support import Deadly, Sender, tiny_cts
from tests.process.test_start import one_sentence, refused
from tests.sealing.support import files_in
from tests.support import StoreSCP, free_port


def open_to_others(folder: Path) -> list[tuple[str, str]]:
    """Everything in a folder, and itself, on which others have any right; sockets and pipes do not lie there."""
    return [
        (str(path), f"{path.stat().st_mode & 0o777:o}")
        for path in (folder, *folder.rglob("*"))
        if path.stat().st_mode & 0o077
    ]


@pytest.mark.slow
def test_nothing_that_any_command_makes_is_open_to_others(node: Deadly, scp: StoreSCP, tmp_path: Path) -> None:
    trial = free_port()
    node.config["trial_destination"] = {"ae_title": "TRIAL", "listen": f"127.0.0.1:{trial}", "folder": "archive"}
    node.config["destinations"]["trial"] = {"ae_title": "TRIAL", "address": f"127.0.0.1:{trial}"}
    node.config["routes"][0]["to"] = ["dest", "trial"]
    scp.stop()
    node.with_files()
    node.command = ["sh", "-c", f"umask 000; exec {shlex.join(node.command)}"]
    node.start()
    files = tiny_cts(tmp_path / "in", 1)
    Sender(node.port).send(files)
    node.wait_status(lambda s: s["destinations"].get("trial", {}).get("delivered") == 1, "the trial destination has it")
    made = [node.data, node.folder / "archive"]
    assert {path.suffix for folder in made for path in files_in(folder)} >= {".db", ".db-wal", ".dcm", ".key", ".turn"}
    assert [one for folder in made for one in open_to_others(folder)] == []
    node.kill()
    # The commands, too: a new ledger, cleaned files.
    for ledger in node.data.glob("ledger.db*"):
        ledger.unlink()
    for arguments in (["rebuild"], ["clean", str(files[0].parent), "--out", "cleaned", "--route", "research"]):
        done = node.cli(*arguments)
        assert done.returncode == 0, done.stderr
    assert files_in(node.folder / "cleaned")
    assert [one for folder in (node.data, node.folder / "cleaned") for one in open_to_others(folder)] == []


PLACES = {
    "": 0o755,
    "spool": 0o750,
    "spool/originals": 0o711,
    "spool/cleaned": 0o705,
    "ledger.db": 0o644,
    "ledger.db-wal": 0o640,
    "ledger.db-shm": 0o604,
}


def test_a_start_is_refused_while_others_can_read_what_names_persons(node: Deadly) -> None:
    node.start()
    node.kill()
    config = load_config(node.config_path)
    with sqlite3.connect(node.data / "ledger.db") as keeps_the_log:  # the last to close it would remove it
        keeps_the_log.execute("SELECT count(*) FROM instances").fetchall()
        refuse_readable(config)
        for name, mode in PLACES.items():
            path, closed = node.data / name, "600" if name.startswith("ledger") else "700"
            path.chmod(mode)
            with pytest.raises(StartError, match=f"chmod {closed} {path}$"):
                refuse_readable(config)
            if name == "spool":
                assert f"chmod {closed} {path}" in one_sentence(refused(node))
                assert f"fault: modes: {path} can be read by others" in node.cli("check").stdout
            path.chmod(int(closed, 8))


@pytest.mark.parametrize("durable", [True, False])
def test_what_is_deleted_from_the_ledger_is_overwritten(node: Deadly, durable: bool) -> None:
    from tests.ledger.support import new_database, receive

    node.data.mkdir(mode=0o700)
    database = new_database(node.data)
    receive(database, uid="1.2.3.4.5.6.7.8.9")
    with database.write(durable=durable) as connection:
        assert connection.driver.execute("PRAGMA secure_delete").fetchone() == (1,)
    database.checkpoint()
    assert b"1.2.3.4.5.6.7.8.9" in database.path.read_bytes()
    with database.write(durable=durable) as connection:
        for table in ("events", "instances"):
            connection.driver.execute(f"DELETE FROM {table}")
    database.checkpoint()
    database.close()
    assert b"1.2.3.4.5.6.7.8.9" not in database.path.read_bytes()
