"""Storage commitment on a node that runs, between scanners and archives that are none of ours.

One node for all: dcmqrscp, which answers C-FIND, behind the route of CT1; an archive that commits behind that of MR1;
and a route without storage commitment for PLAIN.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import bindparam, select

from node.config import load_config
from node.ledger.asked import listed
from node.ledger.names import SOP_INSTANCE_UID
from node.ledger.schema import instances
from node.metrics import render
from tests.commitment.peers import COMMITMENT, CT, Scanner, Vault, action, refs, request
from tests.query.archives import Archive
from tests.support import RunningNode, make_ct, wait_for

UNKNOWN, FAILURE, CONFLICT = 0x0112, 0x0110, 0x0119


class Place:
    """The node, its peers, and what was sent."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.archive = Archive(folder / "archive").start()
        self.vault = Vault(0).start()
        self.node = RunningNode(folder, {"archive": self.archive.port, "vault": self.vault.port})
        self.vault.node = self.node.port
        self.ct, self.mr = Scanner(self.node.port, "CT1"), Scanner(self.node.port, "MR1")
        config = self.node.config
        for destination in config["destinations"].values():
            destination["query"] = {}
        quick = {"patience": "0s", "answer": {"first": "200ms", "factor": 1.5, "cap": "1s"}}
        config["node"]["workers"] = 1
        config["routes"] = [
            self._route("ct", "CT1", "archive", quick | {"confirm": ["commitment", "find"]}),
            self._route("mr", "MR1", "vault", quick | {"confirm": "commitment"}),
            self._route("plain", "PLAIN", "vault", None),
        ]
        config["peers"] = {one.aet: f"127.0.0.1:{one.port}" for one in (self.ct, self.mr)}
        self.node.seals().start()

    @staticmethod
    def _route(name: str, calling: str, to: str, commitment: dict[str, Any] | None) -> dict[str, Any]:
        route = {"name": name, "recipe": ["research"], "to": [to], "from": {"calling_ae": [calling]}}
        return route | ({} if commitment is None else {"commitment": commitment})

    def close(self) -> None:
        self.node.close()
        for one in (self.ct, self.mr):
            one.close()
        self.vault.stop()
        self.archive.stop()

    def new(self, project: str, original: str) -> str:
        """The UID that an original went out under."""
        with self.node.ledger() as ledger, ledger.database.read() as connection:
            key = connection.columns.seal(SOP_INSTANCE_UID, project, original)
            query = select(instances.c.clean_sop_instance_uid).where(instances.c.sop_instance_uid == bindparam("key"))
            return str(connection.execute(query, {"key": key}).scalar())

    def requests(self) -> list[dict[str, Any]]:
        with self.node.ledger() as ledger:
            return listed(ledger.database, every=True)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    running = Place(tmp_path_factory.mktemp("commitment"))
    try:
        yield running
    finally:
        running.close()


def test_where_it_is_off_the_context_is_refused_and_counted(place: Place, tmp_path: Path) -> None:
    plain = Scanner(place.node.port, "PLAIN")
    with plain.association() as association:
        assert [str(one.abstract_syntax) for one in association.accepted_contexts] == [CT]
        assert [str(one.abstract_syntax) for one in association.rejected_contexts] == [COMMITMENT]

    def counted() -> bool:
        return [(one["calling_ae_title"], one["uid"]) for one in place.node.status()["refused"]] == [
            ("PLAIN", COMMITMENT)
        ]

    wait_for(counted, "the refusal is counted")
    checked = place.node.cli("check").stdout
    assert "no archive copy" in checked
    assert "warning: storage commitment: route 'plain'" not in checked


def test_what_the_destination_lost_is_named_as_failed_after_a_restart_and_a_peer_that_was_down(
    place: Place, tmp_path: Path
) -> None:
    files = make_ct(tmp_path / "ct", 3, rows=8)
    named = refs(files)[:2]
    assert place.ct.send(files[:2]) is None
    place.node.wait_delivered(2)
    lost = named[0][1]
    place.archive.lose(place.new("ct", lost))
    stranger, conflict = "1.2.3.4.5", ("1.2.840.10008.5.1.4.1.1.4", named[1][1])
    # In the midst of C-STORE on one association; and nobody listens for the answer.
    assert place.ct.send(files[2:] * 2, request([*named, (CT, stranger), conflict], "1.2.33")) == 0x0000
    place.node.kill()
    place.node.start()
    wait_for(lambda: any(one["state"] == "decided" and one["tries"] for one in place.requests()), "nobody takes it")
    place.ct.listen()
    told = place.ct.report()
    assert told.event == 2
    assert told.transaction == "1.2.33"
    assert told.committed == {named[1][1]}
    assert told.failed == {lost: FAILURE, stranger: UNKNOWN, conflict[1]: CONFLICT}
    assert (told.calling, told.called, told.is_scp) == ("DEIDNODE", "CT1", True)
    wait_for(lambda: place.requests()[0]["state"] == "answered", "it is written down")

    assert place.ct.ask(named[1:], "1.2.34") == 0x0000
    told = place.ct.report(2)
    assert (told.event, told.transaction, told.committed, told.failed) == (1, "1.2.34", {named[1][1]}, {})
    _looked_at(place, named[1][1])


def _looked_at(place: Place, original: str) -> None:
    """Nobody sees an original UID who has not asked for it; whoever has is in the audit trail."""
    data = b"".join(path.read_bytes() for path in place.node.data.glob("ledger.db*"))
    assert original.encode() not in data, "sealed"
    node, new = place.node, place.new("ct", original)
    assert [one["failed"] for one in place.requests()] == [0, 3]
    assert [one["id"] for one in json.loads(node.cli("commitment", "list", "--json").stdout)] == [1]
    shown = node.cli("commitment", "show", "1", check=True).stdout
    assert original not in shown
    assert new in shown
    assert "0119H: class / instance conflict" in shown
    before = node.cli("audit", "list", "--json", check=True).stdout
    assert new not in before
    told = json.loads(node.cli("commitment", "show", "2", "--identity", "--json", check=True).stdout)
    assert told["references"] == [{"sop_instance_uid": new, "result": "committed", "original": original}]
    assert told["transaction_uid"] == "1.2.34"
    assert new in node.cli("audit", "list", "--json", check=True).stdout
    assert node.cli("commitment", "show", "9").returncode == 1
    assert 'deid_node_commitments{state="answered"} 2.0' in render(load_config(node.config_path)).decode()
    assert original not in node.log()


def test_an_archive_that_commits_is_asked_and_reports_on_either_association(place: Place, tmp_path: Path) -> None:
    files = make_ct(tmp_path / "mr", 2, rows=8, patient="MRN-0002")
    named = refs(files)
    place.mr.listen()
    assert place.mr.send(files) is None
    assert place.mr.ask(named, "1.2.35") == 0x0000
    told = place.mr.report()
    assert (told.event, told.committed, told.failed) == (1, {uid for _, uid in named}, {})
    wait_for(lambda: place.vault.told == [0x0000], "its report was answered")
    (asked,) = place.vault.asked
    new = {place.new("mr", uid) for _, uid in named}
    assert {str(one.ReferencedSOPInstanceUID) for one in asked.ReferencedSOPSequence} == new
    assert str(asked.TransactionUID) != "1.2.35"

    place.vault.same = False
    lost = named[1][1]
    place.vault.lost.add(place.new("mr", lost))
    assert place.mr.ask(named, "1.2.36") == 0x0000
    told = place.mr.report(2)
    assert (told.event, told.committed, told.failed) == (2, {named[0][1]}, {lost: FAILURE})
    wait_for(lambda: place.vault.told == [0x0000] * 2, "on an association that the archive has opened")
    made_up = request([(CT, uid) for uid in new], "2.25.77")
    assert place.vault.tells(made_up) == 0x0115, "nobody has asked for that"
    assert Vault(place.node.port, aet="STRANGER").tells(made_up) == -1, "and from nobody else it is let in"


def test_what_is_no_request_is_refused_and_says_why(place: Place) -> None:
    good = request([(CT, "1.2.3")])
    with place.ct.association(COMMITMENT) as association:
        assert action(association, good, kind=2) == 0x0123
        assert action(association, good, instance="1.2.840.10008.1.20.1.2") == 0x0112
        assert action(association, request([])) == 0x0115
        assert action(association, request([(CT, "")])) == 0x0115
        assert action(association, None) == 0x0115
        status, _ = association.send_n_event_report(good, 1, COMMITMENT, COMMITMENT + ".1")
        assert status.Status == 0x0124
        assert association.is_established
    assert place.ct.ask([(CT, "1.2.4")], "1.2.44") == 0x0000
    before = len(place.requests())
    assert place.ct.ask([(CT, "1.2.3")], "1.2.44") == 0x0115, "the Transaction UID of another request"
    assert len(place.requests()) == before


@pytest.mark.slow
def test_a_reload_takes_it_away_and_what_was_asked_before_is_answered(place: Place, tmp_path: Path) -> None:
    place.vault.holds_back = True
    place.mr.close()
    place.mr.listen()
    asked, told = len(place.vault.asked), len(place.mr.reports)
    files = make_ct(tmp_path / "mr", 1, rows=8, patient="MRN-0003")
    place.mr.send(files)
    assert place.mr.ask(refs(files), "1.2.37") == 0x0000
    wait_for(lambda: len(place.vault.asked) > asked, "the archive is asked, and does not say")
    del place.node.config["routes"][1]["commitment"]
    place.node.write_config()
    assert place.node.cli("reload").returncode == 0

    def refused() -> bool:
        with place.mr.association() as association:
            return len(association.rejected_contexts) == 1

    wait_for(refused, "the new configuration counts")
    assert place.mr.report(told + 1).failed == {refs(files)[0][1]: FAILURE}, "nobody can say that it is there"
