"""How destinations are asked, and senders answered: a real ledger, and peers that are pynetdicom's."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydicom.dataset import Dataset

from node.committer.deciding import Deciding, Undecided
from node.committer.worker import Committer
from node.config import expiries
from node.config.commitment import COMMITMENT, FIND, STATUS
from node.ledger import commitments
from node.ledger.commitments import Asked, due, take
from node.ledger.questions import reported
from tests.commitment.peers import CT, Scanner, Vault
from tests.copies.support import instance
from tests.dicomnet.tls import Authority, server_context
from tests.drills.support import Site
from tests.query.archives import answering
from tests.support import free_port, wait_for

FAILURE = 0x0110


class Waiting:
    """A site whose route `r` sends to an archive, with one delivered instance that somebody asks about."""

    def __init__(self, site: Site, port: int, *ways: str, patience: str = "0s", peer: int = 9) -> None:
        self.site = site
        site.settings["routes"] = [one for one in site.settings["routes"] if one["name"] == "r"]
        site.settings["routes"][0]["commitment"] = {
            "confirm": list(ways),
            "patience": patience,
            "answer": {"first": "100ms", "factor": 1, "cap": "100ms"},
        }
        site.settings["destinations"] = {
            "a": {"ae_title": "VAULT", "address": f"127.0.0.1:{port}", "query": {}, "timeout": {"response": "5s"}}
        }
        site.settings["peers"] = {"r": f"127.0.0.1:{peer}"}
        site.configure()
        site.come(instance("1.2.3"))
        (sent,) = site.deliver()
        self.uid = sent.sop_instance_uid
        references = ((CT, "1.2.3"),)
        take(site.database, Asked("p", "r", "r", "DEIDNODE", "127.0.0.1", "1.5", references, 3600.0))

    def said(self) -> int:
        """What is said of the instance now."""
        (found,) = due(self.site.database, 4e9)
        return Deciding(self.site.config, self.site.database).results(found)[0]

    def undecided(self) -> str:
        with pytest.raises(Undecided) as caught:
            self.said()
        return str(caught.value)


@contextlib.contextmanager
def vault(**how: Any) -> Iterator[Vault]:
    running = Vault(1, **how).start()
    try:
        yield running
    finally:
        running.stop()


def test_a_destination_that_commits_is_believed_and_one_that_does_not_is_not_passed_over(site: Site) -> None:
    with vault() as archive:
        waiting = Waiting(site, archive.port, COMMITMENT, STATUS)
        assert waiting.said() == FAILURE, "it has lost it, whatever it answered to C-STORE"
        assert [str(one.ReferencedSOPInstanceUID) for one in archive.asked[0].ReferencedSOPSequence] == [waiting.uid]
        assert waiting.said() == FAILURE, "it has said so"
        assert len(archive.asked) == 1
        site.settings["routes"][0]["commitment"]["patience"] = "1h"
        site.configure()
        assert "does not list 1 instances yet" in waiting.undecided()
        assert len(archive.asked) == 2, "it may find it yet: it is asked again"
        archive.stored[waiting.uid] = CT
        assert waiting.said() == 0
        assert len({str(one.TransactionUID) for one in archive.asked}) == 3
        wait_for(lambda: archive.told == [0, 0, 0], "each of its reports was answered")


def test_a_report_that_comes_later_is_known_by_the_question_and_by_who_was_asked(site: Site) -> None:
    with vault(holds_back=True) as archive:
        waiting = Waiting(site, archive.port, COMMITMENT)
        archive.stored[waiting.uid] = CT
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("node.committer.confirming._REPORT_SECONDS", 0.2)
            assert "yet to report" in waiting.undecided()
        (asked,) = archive.asked
        assert "yet to report" in waiting.undecided(), "it is not asked again"
        assert len(archive.asked) == 1
        transaction, database = str(asked.TransactionUID), site.database
        assert not reported(database, "VAULT", "2.25.1", {waiting.uid})
        assert not reported(database, "OTHER", transaction, {waiting.uid})
        assert "yet to report" in waiting.undecided()
        assert reported(database, "VAULT", transaction, {waiting.uid, "1.9"})
        assert waiting.said() == 0


def test_the_next_way_is_taken_where_a_destination_does_not_offer_the_one_before(site: Site) -> None:
    with vault(offers=False) as archive:
        waiting = Waiting(site, archive.port, COMMITMENT, FIND, STATUS)
        assert waiting.said() == 0
        site.settings["routes"][0]["commitment"]["confirm"] = ["commitment", "find"]
        site.configure()
        assert "does not answer C-FIND" in waiting.undecided()


def test_a_destination_that_is_asked_by_find_has_to_list_the_instance(site: Site) -> None:
    lists: list[Dataset] = []

    def answer(_: Dataset) -> Iterator[tuple[int, Dataset | None]]:
        yield from ((0xFF00, one) for one in lists)

    with answering(answer) as port:
        waiting = Waiting(site, port, COMMITMENT, FIND)
        assert waiting.said() == FAILURE
        found = Dataset()
        found.SOPInstanceUID = waiting.uid
        lists.append(found)
        assert waiting.said() == 0


def test_a_destination_that_is_down_is_waited_for_and_what_is_unsure_at_the_end_has_failed(site: Site) -> None:
    waiting = Waiting(site, free_port(), FIND, STATUS)
    assert "no connection" in waiting.undecided()
    site.sql("UPDATE commitments SET until = 0")
    assert waiting.said() == FAILURE


def test_a_sender_is_told_and_what_was_withdrawn_meanwhile_is_told_as_failed(site: Site, capsys: Any) -> None:
    scanner = Scanner(1, "r")
    scanner.answers = [0x0110, 0x0000]
    waiting = Waiting(site, free_port(), STATUS, peer=scanner.port)
    committer = Committer(site.config, site.database)

    def look() -> str:
        site.sql("UPDATE commitments SET due_at = 0")
        committer.look()
        committer.wait(30)
        return str(site.sql("SELECT state FROM commitments")[0][0])

    try:
        assert look() == "decided"
        assert look() == "decided", "nobody listens"
        assert "no connection" in site.sql("SELECT last_error FROM commitments")[0][0]
        scanner.listen()
        assert look() == "decided", "the scanner did not take it"
        assert "0110H" in site.sql("SELECT last_error FROM commitments")[0][0]
        assert scanner.report().failed == {}
        assert site.cli(capsys, "revoke", "--project", "p", "MRN-1", "--yes") == 0, site.said
        assert look() == "answered"
        assert scanner.report(2).failed == {"1.2.3": FAILURE}
        assert scanner.reports[1].event == 2
        assert waiting.site.asked(capsys, "commitment", "list")[0]["failed"] == 1
    finally:
        scanner.close()


def test_a_sender_that_speaks_tls_is_told_by_tls_alone(site: Site, tmp_path: Path) -> None:
    authority, scanner = Authority(tmp_path / "pki"), Scanner(1, "r")
    pair = authority.issue("scanner")
    Waiting(site, free_port(), STATUS, peer=scanner.port)
    committer = Committer(site.config, site.database)
    try:
        scanner.listen(server_context(authority, pair, client_certificate=False))
        committer.consider(due(site.database, 4e9)[0])
        committer.answer(due(site.database, 4e9)[0])
        assert scanner.reports == [], "nothing goes to it without TLS"
        tls = {"ca": str(authority.ca)}
        site.settings["peers"]["r"] = {"address": f"127.0.0.1:{scanner.port}", "tls": tls}
        site.configure()
        Committer(site.config, site.database).answer(due(site.database, 4e9)[0])
        assert scanner.report().committed == {"1.2.3"}
    finally:
        scanner.close()
    assert [(one.used_by, one.file) for one in expiries(site.config)] == [("peer r", authority.ca)]


def test_an_answer_is_given_up_after_its_time_alerted_and_given_when_somebody_says_so(site: Site, capsys: Any) -> None:
    scanner = Scanner(1, "r")
    Waiting(site, free_port(), STATUS, peer=scanner.port)
    committer = Committer(site.config, site.database)

    def look() -> str:
        site.sql("UPDATE commitments SET due_at = 0")
        committer.look()
        committer.wait(30)
        return str(site.sql("SELECT state FROM commitments")[0][0])

    assert [look() for _ in range(4)] == ["decided"] * 4
    alerts = {one["kind"]: one["text"] for one in site.asked(capsys, "status")["alerts"]}
    assert "tried again" in alerts["commitment"]
    assert "'r'" in alerts["commitment"]
    site.sql("UPDATE commitments SET decided_at = 1")
    assert look() == "unanswered"
    status = site.asked(capsys, "status")
    assert status["commitment"] == {"waiting": 0, "decided": 0, "answered": 0, "unanswered": 1}
    assert "given up" in {one["kind"]: one["text"] for one in status["alerts"]}["commitment"]
    assert site.cli(capsys, "commitment", "again", "1") == 0, site.said
    assert "storage commitment 1 is answered again" in site.said_in_audit()
    try:
        scanner.listen()
        assert look() == "answered"
        assert scanner.report().committed == {"1.2.3"}
        assert "commitment" not in {one["kind"] for one in site.asked(capsys, "status")["alerts"]}
        assert site.cli(capsys, "commitment", "again", "1") == 1
        assert site.cli(capsys, "commitment", "again", "7") == 1
    finally:
        scanner.close()


def test_a_destination_that_hangs_keeps_no_other_route_waiting(site: Site) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        waiting = Waiting(site, silent.getsockname()[1], FIND)
        site.settings["routes"].append(
            site.settings["routes"][0]
            | {"name": "quick", "from": {"calling_ae": ["quick"]}, "commitment": {"confirm": "status"}}
        )
        site.settings["destinations"]["a"]["timeout"] = {"associate": "60s"}
        site.settings["peers"]["quick"] = "127.0.0.1:9"
        site.configure()
        references = ((CT, "1.2.3"),)
        take(site.database, Asked("p", "quick", "quick", "DEIDNODE", "127.0.0.1", "1.6", references, 3600.0))
        committer = Committer(site.config, site.database)
        committer.look()

        def counts() -> dict[str, int]:
            return commitments.counts(waiting.site.database)

        wait_for(lambda: counts()["decided"] == 1, "the other route's request is decided")
        assert counts()["waiting"] == 1
    committer.wait(30)
