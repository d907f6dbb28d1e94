"""Serve, send, back up while sending, send more, lose the ledger or everything, restore, start.

Nothing acknowledged is missing without being told, and identity is what it was.
"""

from __future__ import annotations

import json
import shutil
import threading
from pathlib import Path
from typing import Any

import pydicom
import pytest
from sqlalchemy import select

from node.age import create_identity
from node.errors import HoldReason
from node.ledger.schema import uid_map
from tests.crash.support import Deadly, Sender, tiny_cts
from tests.support import StoreSCP, wait_for


def replacements(node: Deadly) -> dict[str, str]:
    with node.ledger() as ledger, ledger.database.read() as connection:
        return {row.original: row.replacement for row in connection.execute(select(uid_map))}


def uids(files: list[Path]) -> set[str]:
    return {str(pydicom.dcmread(path, specific_tags=["SOPInstanceUID"]).SOPInstanceUID) for path in files}


def backed_up_while_sending(node: Deadly, sender: Sender, files: list[Path], key: Path) -> Path:
    backup, public = key.with_name("backup.age"), create_identity(key)
    stream = threading.Thread(target=sender.send, args=(files,))
    stream.start()
    wait_for(lambda: len(sender.acknowledged) > 6, "it has begun")
    made = node.cli("backup", str(backup), "--to", public, "--json", check=True)
    stream.join()
    assert json.loads(made.stdout)["instances"] >= 6
    return backup


def put_back(node: Deadly, backup: Path, key: Path) -> dict[str, Any]:
    done = node.cli("restore", str(backup), "--identity", str(key), "--json", check=True)
    return dict(json.loads(done.stdout))


def come_to_rest(node: Deadly) -> None:
    node.start()
    node.wait_status(lambda s: s["received"] > 0 and s["in_flight"] == 0, "all is delivered or held")
    assert {one["reason"] for one in node.held()} <= {str(HoldReason.FILE_MISSING)}


def work(node: Deadly, scp: StoreSCP, sender: Sender, files: list[Path], key: Path) -> tuple[Path, dict[str, str]]:
    """Send, back up meanwhile, send more, of which a quarter waits for the archive; stop. The backup, and all UIDs."""
    first, during, after, waiting = (files[n : n + 6] for n in range(0, 24, 6))
    node.start()
    sender.send(first)
    node.wait_delivered(6)
    backup = backed_up_while_sending(node, sender, during, key)
    sender.send(after)
    node.wait_delivered(18)
    scp.stop()
    sender.send(waiting)
    node.wait_status(lambda s: s["routes"]["research"]["cleaned"] == 24, "they wait for the archive")
    known = replacements(node)
    assert sender.acknowledged == uids(files) <= known.keys()
    asked = node.cli("plan", "--json", check=True)
    assert asked.stderr == ""
    plan = json.loads(asked.stdout)
    assert (plan["against"], plan["changes"]) == ("running", False)
    assert node.stop() == 0
    return backup, known


def test_with_a_ledger_older_than_the_spool_everything_acknowledged_is_delivered_or_held(
    node: Deadly, scp: StoreSCP, tmp_path: Path
) -> None:
    key, files = tmp_path / "backup.key", tiny_cts(tmp_path / "in", 24)
    sender = Sender(node.port)
    backup, known = work(node, scp, sender, files, key)
    for path in node.data.glob("ledger.db*"):
        path.unlink()
    done = put_back(node, backup, key)
    assert done["newer"] > 0
    assert done["adopted"] >= 6
    scp.start()
    come_to_rest(node)
    assert "ledger-older" in node.log()
    assert set(scp.uids()) == {known[uid] for uid in sender.acknowledged}, "all of them, under the UIDs of before"
    assert len({str(one.PatientID) for one in scp.datasets()}) == 1
    assert all(replacement == known[original] for original, replacement in replacements(node).items())


@pytest.mark.slow
def test_after_the_loss_of_the_data_folder_identity_is_what_it_was(node: Deadly, scp: StoreSCP, tmp_path: Path) -> None:
    key, files = tmp_path / "backup.key", tiny_cts(tmp_path / "in", 24)
    backup, known = work(node, scp, Sender(node.port), files, key)
    before = {str(one.PatientID) for one in scp.datasets()}
    shutil.rmtree(node.data)
    put_back(node, backup, key)
    scp.start()
    come_to_rest(node)
    scp.stop()
    shutil.rmtree(scp.folder)
    scp.start()
    waiting = files[18:]
    Sender(node.port).send(waiting)
    wait_for(lambda: len(scp.files()) >= len(waiting), "the node works on, with a ledger that does not know them")
    assert {known[uid] for uid in uids(waiting)} <= set(scp.uids())
    assert {str(one.PatientID) for one in scp.datasets()} == before
