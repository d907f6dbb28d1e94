"""What is said of each instance, by what became of it here: real ledger, cleaner and commands, no processes."""

from __future__ import annotations

from typing import Any

import pytest
from pydicom.uid import generate_uid

from node.committer.deciding import Deciding, Undecided
from node.dicomnet import CommitmentRequest, Peer
from node.ledger import commitments
from node.ledger.asked import shown
from node.ledger.commitments import Asked, Taking, due, take
from node.ledger.database import Database
from node.ledger.names import TRANSACTION_UID
from node.ledger.sealed import seal_ledger
from node.receiver.commitment import commitments_of
from node.routing import Router
from node.sealing import Columns
from node.syntaxes import EXPLICIT_LE
from tests.commitment.peers import COMMITMENT, CT, INSTANCE, request
from tests.copies.support import instance
from tests.drills.support import Site, image
from tests.forwarding.support import encoded

UNKNOWN, FAILURE, CONFLICT = 0x0112, 0x0110, 0x0119


class Desk:
    """A site with storage commitment by what destinations have answered to C-STORE; who asks is CT1."""

    def __init__(self, site: Site) -> None:
        self.site = site
        for route in site.settings["routes"]:
            route["commitment"] = {"confirm": "status", "patience": "0s"}
        site.settings["peers"] = dict.fromkeys(("r", "r2", "other"), "127.0.0.1:9")
        site.configure()

    def asks(self, *uids: str, route: str = "r", kind: str = CT, transaction: str = "", title: str = "r") -> Taking:
        project = next(one.project for one in self.site.config.routes if one.name == route)
        pairs = tuple((kind, uid) for uid in uids)
        asked = Asked(project, route, title, "DEIDNODE", "127.0.0.1", transaction or generate_uid(), pairs, 3600.0)
        return take(self.site.database, asked)

    def results(self) -> list[int]:
        """What is said of the instances of the last request."""
        found = due(self.site.database, 4e9)[-1]
        said = Deciding(self.site.config, self.site.database).results(found)
        return [said[place] for place in sorted(said)]

    def said(self, *uids: str, **how: Any) -> list[int]:
        assert self.asks(*uids, **how) is Taking.TAKEN
        return self.results()


@pytest.fixture
def desk(site: Site) -> Desk:
    return Desk(site)


def test_what_never_came_is_unknown_and_what_came_as_another_class_is_a_conflict(desk: Desk) -> None:
    ds = instance("1.2.3")
    desk.site.come(ds)
    desk.site.deliver()
    assert desk.said("1.2.3", "1.2.4") == [0, UNKNOWN]
    assert desk.said("1.2.3", kind="1.2.840.10008.5.1.4.1.1.4") == [CONFLICT]
    assert desk.said("1.2.3", route="other") == [UNKNOWN], "of another project"


def test_what_is_on_its_way_is_waited_for_and_counts_as_failed_when_its_time_is_over(desk: Desk) -> None:
    desk.site.receive(instance("1.2.3"))
    assert desk.asks("1.2.3") is Taking.TAKEN
    with pytest.raises(Undecided):
        desk.results()
    desk.site.clean()
    with pytest.raises(Undecided):
        desk.results()
    desk.site.sql("UPDATE commitments SET until = 0")
    assert desk.results() == [FAILURE]
    desk.site.sql("UPDATE commitments SET until = 4e9")
    desk.site.deliver()
    assert desk.results() == [0]


def test_every_destination_of_the_route_has_to_have_it_by_whatever_route_it_came(desk: Desk) -> None:
    desk.site.come(instance("1.2.3"), "r")
    desk.site.deliver("a")
    assert desk.said("1.2.3", route="r2") == [FAILURE], "b was never sent it"
    desk.site.come(instance("1.2.3"), "r2")
    assert desk.asks("1.2.3", route="r2") is Taking.TAKEN
    with pytest.raises(Undecided):
        desk.results()
    assert len(desk.site.deliver("b")) == 1, "a has it by the other route"
    assert desk.results() == [0]
    assert desk.said("1.2.3", route="r") == [0]


def test_what_is_held_excluded_or_discarded_has_failed(desk: Desk, capsys: Any) -> None:
    site = desk.site
    site.come(instance("1.2.3", patient="MRN-1"))
    site.deliver()
    held = site.come(instance("1.2.3", patient="MRN-2"))
    assert site.row(held)[0] == "held"
    assert desk.said("1.2.3") == [FAILURE], "the latest copy counts"
    assert site.cli(capsys, "held", "discard", held, "--yes") == 0
    assert desk.said("1.2.3") == [FAILURE]
    site.settings["routes"][0]["exclude"] = ["equals Modality SR"]
    site.configure()
    ds = instance("1.2.5")
    ds.Modality = "SR"
    site.come(ds)
    assert desk.said("1.2.5") == [FAILURE]
    site.come(instance("1.2.6"))
    site.sql("UPDATE deliveries SET state = 'held', reason = 'refused' WHERE state = 'due'")
    assert desk.said("1.2.6") == [FAILURE]


def test_what_was_withdrawn_or_recalled_has_failed_though_it_was_delivered(desk: Desk, capsys: Any) -> None:
    site = desk.site
    for number, patient in enumerate(("MRN-1", "MRN-2")):
        site.come(image(patient, study=f"1.2.{number}", SOPInstanceUID=f"1.2.3.{number}"))
    site.deliver()
    assert desk.said("1.2.3.0", "1.2.3.1") == [0, 0]
    assert site.cli(capsys, "revoke", "--project", "p", "MRN-1", "--yes") == 0, site.said
    assert desk.said("1.2.3.0", "1.2.3.1") == [FAILURE, 0]
    assert site.cli(capsys, "recall", "--project", "p", "--out", str(site.folder), "--yes") == 0, site.said
    assert desk.said("1.2.3.1") == [FAILURE]


def test_what_a_person_has_taken_as_delivered_is_no_answer_of_a_destination(desk: Desk) -> None:
    desk.site.come(instance("1.2.3"))
    desk.site.deliver()
    desk.site.sql("UPDATE deliveries SET status = NULL")  # as `rebuild --assume-delivered` leaves it
    assert desk.said("1.2.3") == [FAILURE]


def test_a_route_that_has_no_storage_commitment_any_more_fails_what_was_asked(desk: Desk) -> None:
    desk.site.come(instance("1.2.3"))
    desk.site.deliver()
    assert desk.asks("1.2.3") is Taking.TAKEN
    del desk.site.settings["routes"][0]["commitment"]
    desk.site.configure()
    assert desk.results() == [FAILURE]


def test_a_request_is_one_however_often_it_comes_and_begins_anew_after_its_end(desk: Desk) -> None:
    database = desk.site.database
    assert desk.asks("1.2.3", "1.2.4", transaction="1.5") is Taking.TAKEN
    assert desk.asks("1.2.4", "1.2.3", "1.2.4", transaction="1.5") is Taking.KNOWN
    assert desk.asks("1.2.3", transaction="1.5") is Taking.ANOTHER
    assert desk.asks("1.2.3", "1.2.4", transaction="1.5", route="r2") is Taking.ANOTHER
    assert desk.asks("1.2.3", "1.2.4", transaction="1.5", title="MR1") is Taking.TAKEN, "another peer's is another"
    (first, second) = due(database, 4e9)
    commitments.decide(database, first.seq, {0: UNKNOWN, 1: 0})
    assert commitments.counts(database)["decided"] == 1
    commitments.end(database, first.seq, commitments.ANSWERED)
    assert [one.seq for one in due(database, 4e9)] == [second.seq]
    assert desk.asks("1.2.3", "1.2.4", transaction="1.5") is Taking.TAKEN
    assert {one.seq for one in due(database, 4e9)} == {first.seq, second.seq}
    found = shown(database, first.seq)
    assert found is not None
    assert [one["result"] for one in found["references"]] == [None, None]
    for number in range(commitments.MOST_OPEN - 1):
        assert desk.asks("1.2.3", transaction=f"1.6.{number}") is Taking.TAKEN
    assert desk.asks("1.2.3", transaction="1.7") is Taking.TOO_MANY
    assert desk.asks("1.2.3", transaction="1.7", title="MR2") is Taking.TAKEN, "others are not hindered"


def test_what_has_ended_is_forgotten_with_age_and_with_its_project(desk: Desk) -> None:
    database = desk.site.database
    desk.asks("1.2.3", transaction="1.5")
    desk.asks("1.2.3", transaction="1.6")
    first, _ = due(database, 4e9)
    commitments.end(database, first.seq, commitments.ANSWERED)
    assert commitments.forget(database) == 0
    desk.site.sql("UPDATE commitments SET ended_at = 1 WHERE ended_at IS NOT NULL")
    assert commitments.forget(database) == 1
    assert desk.site.sql("SELECT count(*) FROM commitment_references") == [(1,)], "what is open stays"
    with database.write(durable=True) as connection:
        commitments.forget_project(connection, "p")
    assert desk.site.sql("SELECT count(*) FROM commitments") == [(0,)]


def test_requests_of_an_older_ledger_are_sealed_with_all_the_rest(desk: Desk) -> None:
    site, uid = desk.site, "1.2.3.998877"
    site.come(instance(uid))
    site.deliver()
    desk.asks(uid, "1.2.4", transaction="1.5")
    columns = Columns(lambda: bytes(range(64)))
    seal_ledger(site.database, columns, "fingerprint")
    site.database.close()
    assert uid.encode() not in site.database.path.read_bytes()
    site.database = Database(site.database.url, columns)
    assert desk.results() == [0, UNKNOWN]
    (found,) = due(site.database, 4e9)
    assert columns.open(TRANSACTION_UID, "p", found.sealed) == "1.5"


def test_who_may_not_ask_or_cannot_be_answered_is_told_so_and_nothing_is_kept(desk: Desk) -> None:
    site = desk.site
    del site.settings["routes"][2]["commitment"], site.settings["peers"]["r2"]
    site.settings["routes"][1]["from"] = {"calling_ae": ["r*"]}
    site.settings["peers"]["rest"] = "127.0.0.1:9"
    site.configure()
    data = encoded(request([(CT, "1.2.3")], "1.5"))
    action = CommitmentRequest(True, COMMITMENT, INSTANCE, 1, EXPLICIT_LE.uid, data)

    def status(calling: str, database: Database = site.database, asked: CommitmentRequest = action) -> int:
        decides = commitments_of(site.config, Router(site.config), database)
        assert decides is not None
        return decides.serve(Peer(calling, "DEIDNODE", "127.0.0.1", 1, "a"), asked).status

    assert status("other") == 0x0124, "no storage commitment on its route"
    assert status("r2") == 0x0110, "no address for its report"
    assert status("r", asked=action._replace(data=None)) == 0x0115
    assert status("r", asked=action._replace(data=None, too_long=True)) == 0x0213
    assert status("r", asked=action._replace(sop_class_uid=CT)) == 0x0118
    assert status("r", asked=action._replace(is_action=False, type_id=3)) == 0x0113
    assert status("r", asked=action._replace(is_action=False)) == 0x0124, "nobody has asked it"
    gone = Database(f"sqlite:///{site.folder}/nowhere.db")
    assert status("r", gone) == 0x0110, "it cannot be kept"
    assert site.sql("SELECT count(*) FROM commitments") == [(0,)]
    assert status("r") == status("rest") == 0x0000
    assert site.sql("SELECT route FROM commitments ORDER BY seq") == [("r",), ("r2",)]
