"""`revoke`: of whoever has withdrawn consent nothing is sent any more, nothing is kept, and what went out is listed."""

from __future__ import annotations

import csv
import json
import stat
from pathlib import Path

import pytest

from node.errors import StartError
from node.ledger import closed
from node.ledger.cleaning import CleaningLedger
from node.ledger.database import Database
from node.ledger.erasing import erase_maps
from node.ledger.sealed import seal_ledger
from node.ledger.sending import SendingLedger, Settlement, Verdict, Way
from node.ledger.withdrawals import is_withdrawn
from node.rebuild import rebuild
from node.sealing import Sealing
from node.withdrawing import agree, find_subject, read_file, withdraw, withdrawn_file
from tests.drills.support import Site, image

Capture = pytest.CaptureFixture[str]
REVOKE = ("revoke", "--project", "p", "--yes", "MRN-1")
GONE = ("discarded", "discarded", "consent-withdrawn")


def test_what_waits_is_discarded_with_its_files_what_comes_is_blocked_and_what_went_is_listed(
    site: Site, tmp_path: Path, capsys: Capture
) -> None:
    went = site.come(image())
    (due,) = site.deliver()
    waiting = site.come(image())
    held = site.come(image(PatientID="", StudyInstanceUID="1.2.7"))  # nobody's: it stays
    of_them = site.come(image(AccessionNumber="x"))
    site.sql("UPDATE instances SET state = 'held', outcome = 'held', reason = 'leak' WHERE id = ?", of_them)
    site.sql("DELETE FROM deliveries WHERE instance = (SELECT seq FROM instances WHERE id = ?)", of_them)
    site.sql("UPDATE delivery_tallies SET n = n - 1 WHERE state = 'due'")
    other = site.come(image("MRN-2", study="1.2.8"))
    received = site.receive(image())
    unread = site.receive(image())
    site.sql("UPDATE instances SET state = 'held', outcome = 'held', reason = 'route-gone' WHERE id = ?", unread)
    counts = site.asked(capsys, "revoke", "--project", "p", "--dry-run", "MRN-1")
    assert (counts["waiting"], counts["not_looked_at"], counts["delivered"]) == (2, 2, 1)
    assert site.row(waiting)[0] == "cleaned", "nothing was changed"

    path = tmp_path / "went.csv"
    told = site.asked(capsys, *REVOKE, "--out", str(path))
    assert (told["discarded"], told["in_hand"], told["unreadable"], told["delivered"]) == (4, 0, [], 1)
    assert "MRN-1" not in site.said
    with path.open(newline="") as file:
        (row,) = csv.DictReader(file)
    assert (row["sop_instance_uid"], row["destination"]) == (due.sop_instance_uid, "a")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [site.row(name) for name in (received, unread, of_them)] == [GONE, GONE, GONE]
    assert site.row(waiting)[:2] == ("cleaned", "discarded")
    assert site.delivery(waiting)[:2] == ("discarded", "consent-withdrawn")
    assert site.row(went) == ("cleaned", "delivered", None)
    assert site.files() == {other} | ({held} & site.files())
    assert [one.id for one in site.due() if one.id not in (other, held)] == []

    later, again = site.come(image()), site.come(image(study="1.2.99"), "r2")
    assert site.row(later) == site.row(again) == GONE
    assert site.files() == {other} | ({held} & site.files()), "nothing of it is kept"
    assert site.row(site.come(image(), "other"))[0] == "cleaned", "in this project alone"
    (listed,) = site.asked(capsys, "revoke", "--list")
    assert (listed["project"], listed["discarded"], listed["undone"]) == ("p", 6, None)
    assert site.status()["discarded"] == 6
    said = site.said_in_audit()
    assert "consent withdrawn: project p, pseudonym" in said
    assert "MRN-1" not in said


def test_it_stays_blocked_when_the_maps_are_erased_the_project_is_closed_or_the_ledger_is_made_again(
    site: Site, capsys: Capture
) -> None:
    ds = image()
    site.come(ds)
    site.deliver()
    site.come(image("MRN-2", study="1.2.8"))
    site.deliver()
    assert site.cli(capsys, *REVOKE) == 0
    site.sql("UPDATE patient_map SET used_day = 1")
    site.sql("UPDATE uid_map SET used_day = 1")
    site.sql("UPDATE instances SET changed_at = 1")
    assert erase_maps(site.database, 10, lambda: False) > 0
    assert site.sql("SELECT count(*) FROM patient_map") == [(0,)]
    assert site.row(site.come(ds)) == GONE
    closed.begin(site.database, "p", {})
    closed.destroy(site.database, "p")
    assert site.row(site.come(ds)) == GONE
    assert site.cli(capsys, *REVOKE) == 1, "the maps know nobody"
    assert "--even-unknown" in site.said
    told = site.asked(capsys, *REVOKE, "--even-unknown")
    assert (told["new"], told["delivered"]) == (False, 1), "what went where is known all the same"

    # The ledger is lost, with an original in the spool that came meanwhile.
    name = site.receive(image())
    site.database.close()
    for path in (site.folder / "var").glob("ledger.db*"):
        path.unlink()
    found = rebuild(site.config)
    assert found["originals"] == 1
    site.database = Database(f"sqlite:///{site.folder / 'var/ledger.db'}")
    site.configure()
    site.sql("UPDATE instances SET route = 'r', project = 'p'")  # what a receiver writes into the file
    site.clean()
    assert site.row(name) == GONE
    assert site.files() == set()


def test_an_older_ledger_that_was_put_back_learns_it_from_the_data_folder_and_a_lost_file_is_made_again(
    site: Site, capsys: Capture
) -> None:
    site.come(image())
    assert site.cli(capsys, *REVOKE) == 0
    assert stat.S_IMODE(withdrawn_file(site.config).stat().st_mode) == 0o600
    assert "MRN" not in withdrawn_file(site.config).read_text()
    site.sql("DELETE FROM withdrawals")
    assert agree(site.config, site.database) == 1
    assert site.row(site.come(image())) == GONE
    withdrawn_file(site.config).unlink()
    assert agree(site.config, site.database) == 0
    assert len(read_file(site.config)) == 1
    withdrawn_file(site.config).write_text("{")
    with pytest.raises(StartError, match="who has withdrawn"):
        agree(site.config, site.database)


def test_it_is_taken_back_on_purpose_and_what_is_sent_again_goes(site: Site, capsys: Capture) -> None:
    ds = image()
    site.come(ds)
    site.deliver()
    waiting = image()
    site.come(waiting)
    assert site.cli(capsys, "revoke", "--project", "p", "--undo", "--yes", "MRN-1") == 1
    assert site.cli(capsys, "revoke", "--project", "p", "--undo", "--dry-run", "MRN-1") == 1
    there = site.folder / "went.csv"
    there.write_text("of the last time")
    assert site.cli(capsys, *REVOKE, "--out", str(there)) == 1
    assert site.asked(capsys, "revoke", "--list") == [], "what cannot be written is said before anything is done"
    assert site.cli(capsys, *REVOKE) == 0
    assert site.cli(capsys, "revoke", "--project", "p", "--undo", "--dry-run", "MRN-1") == 0
    assert site.asked(capsys, "revoke", "--list")[0]["undone"] is None
    blocked = image()
    site.come(blocked)
    assert site.row(site.come(ds)) == GONE, "a repetition of what was delivered too"
    assert site.cli(capsys, "revoke", "--project", "p", "--undo", "--yes", "MRN-1") == 0
    assert site.asked(capsys, "revoke", "--list")[0]["undone"] is not None
    assert agree(site.config, site.database) == 0
    names = [site.come(waiting), site.come(blocked)]
    assert [due.id for due in site.deliver()] == names
    assert site.row(site.come(ds))[2] == "again", "what was delivered before is not sent twice"
    assert "taken back" in site.said_in_audit()
    told = site.asked(capsys, *REVOKE)
    assert (told["new"], told["delivered"]) == (True, 3)
    assert site.row(site.come(image())) == GONE


def test_a_cleaner_that_had_an_instance_in_hand_when_it_was_withdrawn_does_not_let_it_out(
    site: Site, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.come(image())
    site.deliver()
    monkeypatch.setattr("node.withdrawing._WAIT_SECONDS", 0.0)
    name = site.receive(image())
    worker = site.make_cleaner("cleaner1")
    (claimed,) = worker.ledger.claim(16)
    result = worker.cleaning.clean(claimed)
    assert site.cli(capsys, *REVOKE) == 1, "it says that something is in hand"
    assert json.dumps(name) not in site.said
    assert worker.ledger.settle([result]) == []
    assert site.row(name)[0] == "received"
    site.clean()
    assert site.row(name) == GONE
    assert site.files() == set()


def test_what_a_lane_is_just_sending_is_told_as_delivered_and_nothing_behind_it_goes(
    site: Site, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("node.withdrawing._WAIT_SECONDS", 0.0)
    in_hand, behind = site.come(image()), site.come(image())
    dues = {due.id: due for due in site.due()}
    assert site.cli(capsys, *REVOKE) == 1
    lane = SendingLedger(site.database, "a")
    assert lane.way("lane/0", dues[behind]) is Way.TAKEN
    lane.settle(
        "lane/0", [Settlement(dues[in_hand], Verdict.DELIVERED, status=0), Settlement(dues[behind], Verdict.UNTOUCHED)]
    )
    told = site.asked(capsys, *REVOKE)
    assert [one["sop_instance_uid"] for one in told["deliveries"]] == [dues[in_hand].sop_instance_uid]
    assert (site.row(in_hand)[1], site.row(behind)[1]) == ("delivered", "discarded")
    assert site.asked(capsys, "revoke", "--list")[0]["discarded"] == 1
    assert site.files() == set()


def test_a_death_between_the_removal_of_files_and_the_row_that_says_so_leaves_no_riddle(
    site: Site, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.come(image())
    site.deliver()
    assert site.cli(capsys, *REVOKE) == 0
    name = site.receive(image())
    worker = site.make_cleaner("cleaner1")
    results = [worker.cleaning.clean(one) for one in worker.ledger.claim(16)]
    worker.cleaning.publish()
    assert site.files() == set()
    assert site.row(name)[0] == "received", "here it dies"
    assert len(results) == 1
    site.sql("UPDATE instances SET lease_owner = NULL")
    monkeypatch.undo()
    site.clean()
    assert site.row(name) == GONE


def test_one_that_is_released_or_held_without_a_name_meets_the_block(site: Site, capsys: Capture) -> None:
    site.come(image())
    site.deliver()
    assert site.cli(capsys, *REVOKE) == 0
    name = site.receive(image())
    site.sql("UPDATE instances SET state = 'held', outcome = 'held', reason = 'internal' WHERE id = ?", name)
    assert site.cli(capsys, "held", "release", name) == 0
    site.clean()
    assert site.row(name) == GONE
    broken = image()
    broken.SpecificCharacterSet = "ISO_IR 192"
    broken.add_new(0x00100020, "LO", b"\xff\xfe broken ")
    name = site.come(broken)
    assert site.row(name)[0] == "held", "whose it is cannot be read, so it does not go"
    told = json.loads(site.said) if site.cli(capsys, *REVOKE, "--json") == 1 else {}
    assert told["unreadable"] == [name]


def test_who_cannot_be_told_or_is_not_known_is_refused_and_a_pseudonym_will_do(
    site: Site, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.come(image())
    site.come(image(study="1.2.8", IssuerOfPatientID="ELSEWHERE"))
    site.deliver()
    names = [row[0] for row in site.sql("SELECT pseudonym FROM patient_map ORDER BY issuer")]
    for arguments, what in (
        (("MRN-1",), "--issuer"),
        (("MRN-404",), "--even-unknown"),
        (("UNKNOWN",), "placeholder"),
        (("--pseudonym", "NOBODY"), "nobody of this pseudonym"),
    ):
        assert site.cli(capsys, "revoke", "--project", "p", "--yes", *arguments) == 1
        assert what in site.said
        assert "MRN" not in site.said.replace("deid-node", "")
    assert site.cli(capsys, "revoke", "--project", "nowhere", "--yes", "MRN-1") == 1
    assert site.cli(capsys, "revoke", "--project", "p", "MRN-1") == 2
    assert site.cli(capsys, "revoke", "--yes", "MRN-1") == 2
    assert site.asked(capsys, "revoke", "--list") == []
    told = site.asked(capsys, "revoke", "--project", "p", "--yes", "--pseudonym", names[1])
    assert (told["pseudonyms"], told["delivered"]) == ([names[1]], 1)
    assert site.row(site.come(image(study="1.2.8", IssuerOfPatientID="ELSEWHERE"))) == GONE
    assert site.row(site.come(image()))[0] == "cleaned"
    monkeypatch.setattr("sys.stdin", __import__("io").StringIO("MRN-1\n"))
    told = site.asked(capsys, "revoke", "--project", "p", "--issuer", "", "--yes", "-")
    assert told["pseudonyms"] == [names[0]]
    assert site.asked(capsys, "revoke", "--project", "p", "--even-unknown", "--issuer", "", "--yes", "MRN-404")["new"]
    assert site.row(site.come(image("MRN-404", study="1.2.9"))) == GONE


def test_a_subject_of_a_sealed_ledger_is_the_same_as_before(site: Site) -> None:
    site.come(image())
    site.deliver()
    before = find_subject(site.config, site.database, "p", "MRN-1")
    sealing = Sealing(text="5e" * 32)
    seal_ledger(site.database, sealing.columns, "f")
    site.database.columns = sealing.columns
    assert find_subject(site.config, site.database, "p", "MRN-1") == before
    assert find_subject(site.config, site.database, "p", before.pseudonyms[0], is_pseudonym=True) == before
    told, went = withdraw(site.config, site.database, site.spool, None, before)
    assert (told["new"], len(went)) == (True, 1)
    assert site.row(site.come(image())) == GONE
    with site.database.read() as connection:
        for number, blocked in ((before.number, True), ("0" * 20, False)):
            assert is_withdrawn(connection, "p", f"{number}/1") is blocked


def test_without_a_withdrawal_a_cleaner_opens_nothing_more_than_before(site: Site) -> None:
    ds = image()
    site.come(ds)
    site.deliver()
    name = site.receive(ds)
    site.spool.original(name).unlink()
    ledger = CleaningLedger(site.database, "cleaner0")
    assert not ledger.withdrawals.any_in("p")
    site.clean()
    assert site.row(name)[2] == "again", "a repetition is sorted without its file"
