"""`deid-node prove` on a node that runs, and on what is broken behind its back."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pydicom
import pytest

from node.ledger.evidence import Recount
from node.ledger.reception import GroupCommit
from node.proof import Problem, Proof
from node.spool import Spool
from tests.ledger.support import fill, new_database, receive_cleaned, received, sql
from tests.road.support import SUCCESS, associated, use_recipe
from tests.support import RunningNode, StoreSCP, make_ct


class Stand:
    """A node that has delivered one, holds one, excludes one, and has one that waits for a destination that is down."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.sink = StoreSCP(folder / "sink").start()
        self.node = RunningNode(folder, {"up": self.sink.port, "down": 1})
        route = self.node.config["routes"][0]
        self.node.config["routes"] = [
            route | {"from": {"called_ae": ["DEIDNODE"]}, "to": ["up"], "exclude": ["equals Modality OT"]},
            route | {"name": "other", "from": {"called_ae": ["OTHER"]}, "to": ["up", "down"]},
        ]
        use_recipe(self.node)
        self.uids: list[str] = []

    def run(self) -> Stand:
        self.node.start()
        sent = make_ct(self.folder / "in", 4, rows=64)
        excluded, broken = pydicom.dcmread(sent[1]), sent[2].read_bytes()
        excluded.Modality = "OT"
        excluded.save_as(sent[1])
        sent[2].write_bytes(broken[: len(broken) // 2])
        for called, paths in (("DEIDNODE", sent[:3]), ("OTHER", sent[3:])):
            with associated(self.node.port, *paths, called=called) as association:
                for path in paths:
                    assert association.send_c_store(path).Status == SUCCESS
                    self.uids.append(pydicom.filereader.read_file_meta_info(path).MediaStorageSOPInstanceUID)
        self.node.wait_status(
            lambda s: s["delivered"] == s["held"] == s["excluded"] == 1 and s["destinations"]["up"]["delivered"] == 2,
            "all is settled",
        )
        return self

    def prove(self, *arguments: str, code: int = 0) -> dict[str, Any]:
        done = self.node.cli("prove", "--json", *arguments)
        assert done.returncode == code, done.stdout + done.stderr
        assert not any(uid in done.stdout + done.stderr for uid in self.uids), "no UID is told"
        return json.loads(done.stdout)


@pytest.fixture(scope="module")
def stand(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stand]:
    made = Stand(tmp_path_factory.mktemp("proof"))
    try:
        yield made.run()
    finally:
        made.node.close()
        made.sink.stop()


def problems(report: dict[str, Any]) -> list[str]:
    return [one["problem"] for one in report["faults"]]


def test_a_running_node_proves_that_nothing_is_missing(stand: Stand) -> None:
    """The list names each instance in the order of sending, so that line numbers are known."""
    listed = stand.folder / "acknowledged.txt"
    listed.write_text("\n".join(stand.uids) + "\n")
    report = stand.prove("--content", "--acknowledged", str(listed))
    assert report["holds"]
    counts = {name: report[name] for name in ("received", "in_flight", "delivered", "held", "excluded", "discarded")}
    status = stand.node.status()
    assert counts == {name: status[name] for name in counts}
    assert counts == {"received": 4, "in_flight": 1, "delivered": 1, "held": 1, "excluded": 1, "discarded": 0}
    assert report["deliveries"] == {"delivered": 2, "due": 1}
    assert report["files"]["read"] == 2, "that which is held, and that which waits"
    assert report["acknowledged"] == {
        "lines": 4,
        "outcomes": {"in_flight": 1, "delivered": 1, "held": 1, "excluded": 1, "discarded": 0},
        "unknown": [],
        "fewer": [],
    }
    said = stand.node.cli("prove", "--content", "--acknowledged", str(listed))
    assert said.returncode == 0
    assert "The proof holds." in said.stdout
    assert "acknowledged: 4 = 1 in flight + 1 delivered + 1 held + 1 excluded + 0 discarded + 0 UNKNOWN" in said.stdout


def test_what_a_sender_counted_and_the_ledger_does_not_know_is_told_by_its_line(stand: Stand) -> None:
    listed = stand.folder / "more.txt"
    listed.write_text("\n".join(["", "1.2.3.4", *stand.uids, stand.uids[0]]))
    report = stand.prove("--acknowledged", str(listed), code=1)
    assert report["faults_found"] == 0
    assert report["acknowledged"]["unknown"] == [2]
    assert report["acknowledged"]["fewer"] == [7], "answered twice, and only one was received"
    said = stand.node.cli("prove", "--acknowledged", str(listed))
    assert said.returncode == 1
    assert "never received, by the ledger: line 2 of the list" in said.stdout
    assert "does NOT hold" in said.stdout


def test_without_a_ledger_there_is_nothing_to_prove(tmp_path: Path) -> None:
    assert RunningNode(tmp_path, {"dest": 1}).cli("prove").returncode == 4


class Copy:
    """The ledger and the spool of a node that has stopped, to be broken."""

    def __init__(self, stand: Stand, folder: Path) -> None:
        shutil.copytree(stand.node.data, folder / "var", ignore=shutil.ignore_patterns("lock"))
        self.database = new_database(folder / "var")
        self.spool = Spool(folder / "var/spool")

    def name(self, state: str) -> str:
        ((found,),) = sql(self.database, "SELECT id FROM instances WHERE state = ? AND outcome <> 'delivered'", state)
        return str(found)

    def prove(self, *, content: bool = False, left: float = 0.0) -> list[tuple[Problem, str | None]]:
        report = Proof(self.database, self.spool, content, again=0.01, left=left).run()
        assert report.holds is not bool(report.faults)
        return [(one.problem, one.id) for one in report.faults]


@pytest.fixture
def copy(stopped: Stand, tmp_path: Path) -> Iterator[Copy]:
    made = Copy(stopped, tmp_path)
    yield made
    made.database.close()


@pytest.fixture(scope="module")
def stopped(stand: Stand) -> Stand:
    if stand.node.process is not None:
        stand.node.stop()
    return stand


def test_a_node_that_has_stopped_proves_it_too(stopped: Stand, copy: Copy) -> None:
    assert copy.prove(content=True) == [], "and nothing was left behind"
    assert stopped.prove("--content")["holds"]


@pytest.mark.parametrize("state", ["held", "cleaned"])
def test_a_file_that_is_gone_is_missed(copy: Copy, state: str) -> None:
    copy.spool.original(copy.name(state)).unlink()
    assert copy.prove() == [(Problem.FILE_MISSING if state == "held" else Problem.NOT_SENDABLE, copy.name(state))]


def test_a_file_that_was_cut_or_changed_is_told(copy: Copy) -> None:
    held, waiting = copy.name("held"), copy.name("cleaned")
    content = bytearray(copy.spool.original(held).read_bytes())
    content[-1] ^= 1
    copy.spool.original(held).write_bytes(content)
    assert copy.prove() == [], "its size is right"
    assert copy.prove(content=True) == [(Problem.CONTENT_DIFFERS, held)]
    copy.spool.original(held).write_bytes(content[:-1])
    copy.spool.original(waiting).chmod(0o600)
    copy.spool.original(waiting).write_bytes(b"nonsense")
    assert sorted(copy.prove()) == sorted([(Problem.FILE_DAMAGED, held), (Problem.NOT_SENDABLE, waiting)])


def test_a_file_that_nobody_needs_or_knows_is_told_once_it_has_waited(copy: Copy) -> None:
    ((delivered,),) = sql(copy.database, "SELECT id FROM instances WHERE outcome = 'delivered'")
    unknown = "f" * 32
    for name in (str(delivered), unknown):
        copy.spool.original(name).write_bytes(b"left behind")
    assert copy.prove(left=1000) == []
    assert copy.prove() == [(Problem.FILE_LEFT, delivered), (Problem.FILE_UNKNOWN, unknown)]


def test_rows_and_tallies_that_were_tampered_with_are_told(copy: Copy) -> None:
    sql(copy.database, "UPDATE tallies SET n = n + 1 WHERE outcome = 'delivered'")
    sql(copy.database, "UPDATE delivery_tallies SET n = n - 1 WHERE state = 'due' AND n > 0")
    assert copy.prove() == [(Problem.TALLY_DIFFERS, None)] * 2
    sql(copy.database, "UPDATE deliveries SET status = NULL WHERE state = 'delivered'")
    assert [problem for problem, _ in copy.prove()].count(Problem.NO_ANSWER) == 2


def test_what_a_person_took_as_delivered_after_a_rebuild_needs_no_answer(copy: Copy) -> None:
    ((seq,),) = sql(copy.database, "SELECT seq FROM instances WHERE outcome = 'delivered'")
    sql(copy.database, "UPDATE deliveries SET status = NULL WHERE instance = ?", seq)
    assert [problem for problem, _ in copy.prove()] == [Problem.NO_ANSWER]
    detail = "up: rebuilt, whether it was delivered is not known"
    sql(copy.database, "INSERT INTO events (instance, at, event, detail) VALUES (?, 0, 'held', ?)", seq, detail)
    assert copy.prove() == []


def test_rows_are_counted_rightly_while_they_change(tmp_path: Path) -> None:
    """Counted in ranges of ten, so that nearly every range changes between its count and the end."""
    database = new_database(tmp_path)
    fill(database.path, 3000, waiting=3)
    stop = threading.Event()

    def change() -> None:
        ours = new_database(tmp_path)
        for place in range(10_000):
            if stop.is_set():
                break
            receive_cleaned(ours, uid=f"1.2.{place}")
            sql(ours, "UPDATE deliveries SET state = 'delivered' WHERE instance = ? AND state = 'due'", place % 3000)
        ours.close()

    thread = threading.Thread(target=change)
    thread.start()
    try:
        for _ in range(5):
            recount = Recount(database, 10)
            recount.run()
            assert recount.instances == recount.tallies
            assert recount.deliveries == recount.delivery_tallies
            assert sum(recount.instances.values()) >= 3000
    finally:
        stop.set()
        thread.join(30)
        database.close()


def test_an_instance_that_goes_on_between_two_looks_is_no_fault(tmp_path: Path) -> None:
    """`discard` removes the file before the commit that says so."""
    database, spool = new_database(tmp_path), Spool(tmp_path / "spool")
    spool.prepare()
    late, lost = received(uid="1.1"), received(uid="1.2")
    for one in (late, lost):
        GroupCommit(database).add(one)
    proof = Proof(database, spool, again=0.3)
    discarding = threading.Timer(
        0.1,
        lambda: sql(database, "UPDATE instances SET state = 'discarded', outcome = 'discarded' WHERE id = ?", late.id),
    )
    discarding.start()
    report = proof.run()
    discarding.join()
    assert [(one.problem, one.id) for one in report.faults] == [(Problem.FILE_MISSING, lost.id)]
    database.close()


def test_no_transaction_of_a_proof_keeps_the_node_from_its_checkpoints(tmp_path: Path) -> None:
    """The longest look at a ledger of many rows ends long before the proof does."""
    database = new_database(tmp_path)
    fill(database.path, 10_000, waiting=20_000, unsettled=0)
    sql(database, "UPDATE deliveries SET status = 0, state = 'delivered'")
    lengths: list[int] = []
    real = database.read

    def counted() -> Any:
        lengths.append(1)
        return real()

    database.read = counted  # type: ignore[method-assign]
    report = Proof(database, Spool(tmp_path / "spool"), again=0.01).run()
    assert report.counts["received"] == 10_000
    assert len(lengths) >= 10 + 2, (
        "each range of a thousand rows was looked at, and counted, in a transaction of its own"
    )
    database.close()
