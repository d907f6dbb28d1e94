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
    wait_for(lambda: len(sender.acknowledged) > 7, "it has begun")
    made = node.cli("backup", str(backup), "--to", public, "--json", check=True)
    stream.join()
    assert json.loads(made.stdout)["instances"] >= 7
    return backup


def put_back(node: Deadly, backup: Path, key: Path) -> dict[str, Any]:
    done = node.cli("restore", str(backup), "--identity", str(key), "--json", check=True)
    return dict(json.loads(done.stdout))


def come_to_rest(node: Deadly) -> None:
    node.start()
    node.wait_status(lambda s: s["received"] > 0 and s["in_flight"] == 0, "all is delivered or held")
    assert {one["reason"] for one in node.held()} <= {str(HoldReason.FILE_MISSING)}


def test_a_ledger_older_than_the_spool_and_a_lost_data_folder_come_back(
    node: Deadly, scp: StoreSCP, tmp_path: Path
) -> None:
    key, files = tmp_path / "backup.key", tiny_cts(tmp_path / "in", 40)
    node.start()
    sender = Sender(node.port)
    sender.send(files[:5])
    node.wait_delivered(5)
    backup = backed_up_while_sending(node, sender, files[5:30], key)
    sender.send(files[30:35])
    node.wait_delivered(35)
    scp.stop()
    waiting = files[35:]
    sender.send(waiting)
    node.wait_status(lambda s: s["routes"]["research"]["cleaned"] == 40, "they wait for the archive")
    known = replacements(node)
    assert sender.acknowledged == uids(files) <= known.keys()
    plan = json.loads(node.cli("plan", "--json", check=True).stdout)
    assert (plan["against"], plan["changes"]) == ("running", False)
    assert node.stop() == 0

    # The ledger alone is lost: the spool is newer than what comes back.
    for path in node.data.glob("ledger.db*"):
        path.unlink()
    done = put_back(node, backup, key)
    assert done["newer"] > 0
    assert done["adopted"] >= len(waiting)
    scp.start()
    come_to_rest(node)
    assert "ledger-older" in node.log()
    arrived = set(scp.uids())
    assert arrived == {known[uid] for uid in sender.acknowledged}, "everything acknowledged, under the UIDs of before"
    assert len({str(one.PatientID) for one in scp.datasets()}) == 1
    assert all(replacement == known[original] for original, replacement in replacements(node).items())
    assert node.stop() == 0

    # Everything is lost.
    shutil.rmtree(node.data)
    put_back(node, backup, key)
    come_to_rest(node)
    before = {str(one.PatientID) for one in scp.datasets()}
    scp.stop()
    shutil.rmtree(scp.folder)
    scp.start()
    Sender(node.port).send(waiting)
    wait_for(lambda: len(scp.files()) == len(waiting), "the node works on, with a ledger that does not know them")
    assert {known[uid] for uid in uids(waiting)} == set(scp.uids())
    assert {str(one.PatientID) for one in scp.datasets()} == before
