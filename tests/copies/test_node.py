"""The whole node: copies on several associations at once, over deaths, restarts and what a person decides."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pydicom
import pytest

from tests.crash.support import Deadly, Sender, settled, tiny_cts
from tests.support import StoreSCP, wait_for

FILES, SENDERS, ROUNDS = 20, 3, 3


@pytest.fixture
def node(make_node: Callable[..., Deadly], scp: StoreSCP) -> Deadly:
    """A node that cleans in two processes and sends to `scp`."""
    return make_node({"dest": scp.port}).start()


def send_at_once(node: Deadly, files: list[Path]) -> None:
    """Each sender sends all files on an association of its own, each time at once with the others."""
    senders = [Sender(node.port, f"SENDER{n}") for n in range(SENDERS)]
    for path in files:
        together = threading.Barrier(SENDERS)

        def work(sender: Sender, path: Path = path, together: threading.Barrier = together) -> None:
            together.wait(60)
            sender.send([path])

        threads = [threading.Thread(target=work, args=(one,)) for one in senders]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
    assert all(len(sender.acknowledged) == len(files) for sender in senders), "all of them read 0000H"


def changed(path: Path, folder: Path, **values: str) -> Path:
    ds = pydicom.dcmread(path)
    for keyword, value in values.items():
        setattr(ds, keyword, value)
    folder.mkdir(exist_ok=True)
    target = folder / path.name
    ds.save_as(target)
    return target


@pytest.mark.slow
def test_of_copies_at_once_one_is_sent_over_many_rounds_a_death_and_a_restart(
    node: Deadly,
    scp: StoreSCP,
    tmp_path: Path,
) -> None:
    files = tiny_cts(tmp_path / "in", FILES)
    for number in range(ROUNDS):
        send_at_once(node, files[number * 4 : number * 4 + 4])
    node.kill()  # in the middle of what is in hand
    node.start()
    send_at_once(node, files[:4])
    rest = files[ROUNDS * 4 :]
    Sender(node.port).send(rest)
    status = settled(node)
    assert status["delivered"] == FILES
    assert status["duplicates"] == status["excluded"] == ROUNDS * 4 * (SENDERS - 1) + 4 * SENDERS
    arrived = Counter(scp.uids())
    # What a destination had answered when the node was killed, and no row says yet, it gets again.
    assert len(arrived) == FILES
    assert sum(arrived.values()) <= FILES + 2

    assert node.stop() == 0
    node.start()
    before = len(scp.files())
    Sender(node.port).send(files)
    settled(node)
    assert len(scp.files()) == before, "nothing is sent again"

    # A correction at the source: the header, then the patient.
    first, second = files[:2]
    Sender(node.port).send([changed(first, tmp_path / "header", StudyDescription="CORRECTED")])
    Sender(node.port).send([changed(second, tmp_path / "patient", PatientID="MRN-0002", StudyInstanceUID="1.2.3.4")])
    node.wait_status(lambda s: s["held"] == 2, "both are held")
    assert [alert["kind"] for alert in node.status()["alerts"]] == ["patient-corrected"]
    by_reason = {entry["reason"]: entry for entry in node.held()}
    assert set(by_reason) == {"changed", "patient-corrected"}
    assert "delivered: dest as 2.25." in by_reason["patient-corrected"]["detail"]
    assert "MRN" not in by_reason["patient-corrected"]["detail"]
    assert "! patient-corrected, " in (shown := node.cli("status", check=True).stdout)
    assert ": 1 held: of another patient" in shown
    name = by_reason["patient-corrected"]["id"]
    refused = node.cli("held", "release", name)
    assert refused.returncode == 1
    assert "--despite-correction" in refused.stderr
    assert node.cli("held", "release", "--despite-correction", "--as", "both", name).returncode == 2
    node.cli("held", "release", "--despite-correction", name, check=True)
    node.cli("held", "release", "--as", "replace", by_reason["changed"]["id"], check=True)
    wait_for(lambda: len(scp.files()) == before + 2, "both go")
    assert settled(node)["held"] == 0
    assert len(set(scp.uids())) == FILES, "under the same UIDs"
