"""`impact` and `recall`: what went out by a wrong recipe is found, listed, held, and sent again under the same UIDs."""

from __future__ import annotations

import csv
import stat
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import pydicom
import pytest

from node.errors import HoldReason
from node.ledger import impact
from node.ledger.sealed import seal_ledger
from node.ledger.sending import SendingLedger, Settlement, Verdict, Way
from node.sealing import Sealing
from tests.copies.support import EXPLICIT, instance
from tests.drills.support import KEYED, MODEL, Site, image
from tests.sealing.support import shown

WRONG = KEYED.replace("REMOVE AccessionNumber\n", "ADD StudyDescription WRONG\nREMOVE AccessionNumber\n")
Make = Callable[..., Site]
IDENTITY = ("MRN-1", "PLANTED", "1.2.7", "SCU")


@pytest.fixture
def wrong(make_site: Make) -> Site:
    """A site whose recipe is wrong."""
    return make_site(WRONG)


def recipe_of(site: Site, name: str) -> str:
    return str(site.sql("SELECT recipe_hash FROM instances WHERE id = ?", name)[0][0])


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def data_of(site: Site, due: Any) -> pydicom.Dataset:
    """What would go over the wire of a delivery."""
    from node.forwarder.body import opened
    from node.instances import pieces

    body = opened(site.spool, due)
    content = b"".join(pieces(body.segments, body.file))
    body.close()
    return pydicom.filereader.read_dataset(BytesIO(content), False, True)


def test_what_was_delivered_is_found_by_everything_that_one_may_ask_and_without_identity(
    wrong: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    first = wrong.come(image())
    wrong.come(image(model="Another Scanner", Modality="MR"), "r2")
    dues = wrong.deliver("a") + wrong.deliver("b")
    wrong.come(image())  # which waits
    everything = wrong.asked(capsys, "impact")
    assert (everything["delivered"], everything["instances"], everything["destinations"]) == (3, 2, {"a": 2, "b": 1})
    assert not any(text in wrong.said for text in IDENTITY)
    uids = {one["sop_instance_uid"] for one in everything["deliveries"]}
    assert uids == {due.sop_instance_uid for due in dues}
    one = next(one for one in everything["deliveries"] if one["id"] == first)
    assert one["study_instance_uid"].startswith("2.25.")
    assert one["series_instance_uid"].startswith("2.25.")
    assert one["state"] == "delivered"

    def count(*arguments: str) -> int:
        return int(wrong.asked(capsys, "impact", *arguments)["delivered"])

    assert count("--recipe", recipe_of(wrong, first)[:8]) == 3
    assert count("--recipe", "0" * 64) == 0
    assert count("--model", MODEL.upper() + " ") == 1
    assert count("--modality", "mr") == 2
    assert count("--modality", "MR", "--destination", "b") == 1
    assert count("--route", "r2") == 2
    assert count("--project", "q") == 0
    assert count("--since", "1h") == 3
    assert count("--until", "1h") == 0
    assert count("--study", one["study_instance_uid"]) == 3
    assert wrong.cli(capsys, "impact", "--csv") == 0
    assert wrong.said.splitlines()[0].startswith("destination,state,at,study_instance_uid")
    assert len(wrong.said.splitlines()) == 4
    assert wrong.cli(capsys, "impact") == 0
    assert "2 to a, 1 to b" in wrong.said
    assert wrong.cli(capsys, "impact", "--recipe", "xyz") == 2
    devices = {(one["modality"], one["model"]) for one in wrong.asked(capsys, "impact", "--devices")}
    assert devices == {("CT", MODEL), ("MR", "Another Scanner")}


def test_what_went_out_and_was_never_answered_and_what_an_earlier_version_cleaned_is_told(
    site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    site.come(image())
    (due,) = site.due()
    SendingLedger(site.database, "a").settle("lane/0", [Settlement(due, Verdict.AGAIN, 5.0, sent=True)])
    found = site.asked(capsys, "impact")
    assert [one["state"] for one in found["deliveries"]] == ["perhaps"]
    site.sql("UPDATE instances SET sent_series = NULL")
    assert site.asked(capsys, "impact", "--model", MODEL)["device_not_known"] == 1
    assert site.asked(capsys, "impact")["delivered"] == 1


def test_a_recall_holds_what_waits_and_lists_for_each_destination_what_to_delete(
    wrong: Site, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    went = [wrong.come(image(), "r2") for _ in range(2)]
    wrong.deliver("a")
    wrong.deliver("b")
    waiting = wrong.come(image())
    recipe = recipe_of(wrong, waiting)
    counts = wrong.asked(capsys, "recall", "--recipe", recipe[:12], "--dry-run")
    assert (counts["delivered"], counts["waiting"], counts["destinations"]) == (4, 1, {"a": 2, "b": 2})
    assert wrong.cli(capsys, "recall", "--recipe", recipe) == 2
    assert "--yes" in wrong.said
    assert wrong.cli(capsys, "recall", "--yes") == 2
    assert wrong.cli(capsys, "recall", "--route", "r", "--rejection-note", "113037", "--send-again", "--yes") == 2
    assert wrong.cli(capsys, "recall", "--route", "other", "--yes") == 1
    done = wrong.asked(capsys, "recall", "--recipe", recipe, "--out", str(tmp_path), "--yes")
    assert done["recall"] == 1
    paths = [Path(name) for name in done["files"]]
    assert [path.name for path in paths] == ["recall-1-a.csv", "recall-1-b.csv"]
    assert {stat.S_IMODE(path.stat().st_mode) for path in paths} == {0o600}
    for path in paths:
        rows = rows_of(path)
        assert {row["recipe"] for row in rows} == {recipe}
        assert len({row["sop_instance_uid"] for row in rows}) == 2
        assert not any(text in path.read_text() for text in IDENTITY)
    assert wrong.delivery(waiting)[:2] == ("held", "recalled")
    assert wrong.due() == [], "nothing of it is sent"
    assert wrong.cli(capsys, "held", "release", waiting) == 1, "as it is it never goes"
    assert [wrong.delivery(name)[0] for name in went] == ["delivered", "delivered"]

    status = wrong.asked(capsys, "status")
    assert [(one["recall"], one["delivered"], one["waited"]) for one in status["recalls"]] == [(1, 4, 1)]
    assert "recall" in [alert["kind"] for alert in status["alerts"]]
    events = wrong.ledger.held_detail(went[0])
    assert events is not None
    assert {"a: recall 1", "b: recall 1"} <= {one["detail"] for one in events["events"]}
    assert "recall 1: 4 delivered, 1 waiting" in wrong.said_in_audit()
    assert wrong.cli(capsys, "held", "discard", waiting, "--yes") == 0
    assert wrong.files() == set()


def test_the_lists_of_a_recall_are_written_again_and_it_is_under_way_until_somebody_says_that_it_is_done(
    wrong: Site, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong.come(image())
    wrong.deliver()
    done = wrong.asked(capsys, "recall", "--project", "p", "--out", str(tmp_path), "--yes")
    again = tmp_path / "again"
    again.mkdir()
    assert wrong.cli(capsys, "recall", "--lists-of", "1", "--out", str(again)) == 0
    assert (again / "recall-1-a.csv").read_bytes() == Path(done["files"][0]).read_bytes()
    assert wrong.cli(capsys, "recall", "--lists-of", "1", "--out", str(again)) == 1, "no file is written over"
    assert wrong.cli(capsys, "recall", "--done", "1") == 0
    assert wrong.cli(capsys, "recall", "--done", "1") == 1
    assert wrong.asked(capsys, "status")["recalls"] == []
    assert wrong.asked(capsys, "recall", "--list")[0]["done"] is not None
    assert "recall 1: done at the destinations" in wrong.said_in_audit()


def test_a_recall_by_a_list_takes_what_the_list_names(
    wrong: Site, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong.come(image(), "r2")
    wrong.deliver("a")
    wrong.deliver("b")
    assert wrong.cli(capsys, "impact", "--destination", "b", "--csv") == 0
    (tmp_path / "list.csv").write_text(wrong.said)
    done = wrong.asked(capsys, "recall", "--from", str(tmp_path / "list.csv"), "--out", str(tmp_path), "--yes")
    assert done["destinations"] == {"b": 1}
    (tmp_path / "list.csv").write_text("a,b\n1,2\n")
    assert wrong.cli(capsys, "recall", "--from", str(tmp_path / "list.csv"), "--yes") == 1
    assert wrong.cli(capsys, "recall", "--from", str(tmp_path / "list.csv"), "--route", "r", "--yes") == 2


def test_what_is_still_there_is_cleaned_by_the_recipe_of_now_and_sent_under_the_same_uids(
    wrong: Site, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name = wrong.come(image(), "r2")
    (first,) = wrong.deliver("a")  # b waits, so that the original stays
    assert wrong.files() == {name}
    recall = ("recall", "--route", "r2", "--destination", "a", "--send-again", "--out", str(tmp_path), "--yes")
    assert wrong.cli(capsys, *recall) == 1
    assert "still has the recipe" in wrong.said
    assert wrong.due("b") != [], "nothing was changed"
    wrong.sql("UPDATE deliveries SET lease_owner = NULL")
    wrong.mends(KEYED)
    done = wrong.asked(capsys, *recall)
    assert (done["sent_again"], done["gone"]) == (1, 0)
    assert wrong.row(name) == ("received", "in_flight", None)
    assert (wrong.due("a"), wrong.due("b")) == ([], []), "nothing until it is cleaned"
    assert wrong.status()["recalls"][0]["to_clean"] == 2
    wrong.clean()
    dues = {one: wrong.due(one, f"lane/{one}")[0] for one in ("a", "b")}
    for due in dues.values():
        assert due.sop_instance_uid == first.sop_instance_uid
        assert "StudyDescription" not in data_of(wrong, due)
        assert (due.tries, due.offered_before) == (0, 0)
    wrong.sql("UPDATE deliveries SET lease_owner = NULL")
    assert wrong.sent(wrong.deliver("a")) == wrong.sent(wrong.deliver("b")) == [first.sop_instance_uid]
    found = wrong.status()
    assert (found["received"], found["delivered"], found["duplicates"]) == (1, 1, 0)
    assert [(one["sent_again"], one["not_yet"]) for one in found["recalls"]] == [(2, 0)]
    assert wrong.files() == set()
    assert wrong.asked(capsys, "impact")["delivered"] == 2, "what the destinations have now"
    assert [row["sop_instance_uid"] for row in rows_of(tmp_path / "recall-1-a.csv")] == [first.sop_instance_uid]


def test_an_original_that_stays_for_a_time_is_sent_again_and_goes_back_to_where_it_waited(
    wrong: Site, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong.settings["retention"] = {"originals": "7d"}
    wrong.mends(WRONG)
    wrong.spool.retains = True
    name = wrong.come(image())
    (due,) = wrong.due()
    SendingLedger(wrong.database, "a").settle("lane/0", [Settlement(due, Verdict.DELIVERED, status=0)])
    assert wrong.spool.retain(name)
    wrong.mends(KEYED)
    done = wrong.asked(capsys, "recall", "--model", MODEL, "--send-again", "--out", str(tmp_path), "--yes")
    assert (done["sent_again"], done["gone"]) == (1, 0)
    assert wrong.files() == {name}
    wrong.clean()
    (again,) = wrong.due()
    assert again.sop_instance_uid == due.sop_instance_uid
    assert "StudyDescription" not in data_of(wrong, again)


def test_what_is_gone_is_listed_and_goes_out_when_its_sender_sends_it_again_unchanged_once(
    wrong: Site, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ds = image()
    name = wrong.come(ds)
    (first,) = wrong.deliver()
    wrong.mends(KEYED)
    assert wrong.row(wrong.come(ds))[2] == "again", "without a recall an unchanged repetition is not sent"
    done = wrong.asked(
        capsys, "recall", "--recipe", recipe_of(wrong, name), "--send-again", "--out", str(tmp_path), "--yes"
    )
    assert (done["sent_again"], done["gone"]) == (0, 1)
    (listed,) = rows_of(tmp_path / "recall-1-to-be-sent-by-their-senders.csv")
    assert (listed["id"], listed["destination"]) == (name, "a")
    wrong.mends(WRONG)
    assert wrong.row(wrong.come(ds))[2] == "again", "not by the recipe that was recalled"
    wrong.mends(KEYED)
    wrong.come(ds)
    (due,) = wrong.due()
    assert due.sop_instance_uid == first.sop_instance_uid
    assert "StudyDescription" not in data_of(wrong, due)
    wrong.sql("UPDATE deliveries SET lease_owner = NULL")
    wrong.deliver()
    assert wrong.row(wrong.come(ds))[2] == "again", "but once"


def test_what_a_person_has_discarded_is_listed_where_it_may_have_arrived_and_not_sent_again(
    wrong: Site, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name = wrong.come(image(), "r2")
    (due,) = wrong.due("b")
    hold = Settlement(due, Verdict.HELD, reason=HoldReason.GAVE_UP, sent=True)
    SendingLedger(wrong.database, "b").settle("lane/0", [hold])
    assert wrong.cli(capsys, "held", "discard", name, "--yes") == 0
    assert wrong.delivery(name, "b")[0] == "discarded"
    wrong.mends(KEYED)
    done = wrong.asked(capsys, "recall", "--route", "r2", "--send-again", "--out", str(tmp_path), "--yes")
    assert (done["destinations"], done["sent_again"]) == ({"b": 1}, 1), "b may have it"
    wrong.clean()
    assert [len(wrong.due(one)) for one in ("a", "b")] == [1, 0]


def test_a_node_that_was_not_reloaded_holds_what_would_go_out_wrongly_again(
    wrong: Site, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name = wrong.come(image(), "r2")
    wrong.deliver("a")
    (tmp_path / "r.dicom").write_text(KEYED)  # the file is mended, and the cleaner has not heard of it
    assert wrong.cli(capsys, "recall", "--route", "r2", "--send-again", "--out", str(tmp_path), "--yes") == 0
    wrong.clean()
    assert wrong.row(name) == ("held", "held", "recalled")
    assert "reload, release" in wrong.detail(name)
    wrong.configure()
    assert wrong.cli(capsys, "held", "release", name) == 0
    wrong.clean()
    assert [len(wrong.due(one)) for one in ("a", "b")] == [1, 1]


def test_a_copy_that_went_out_beside_another_keeps_its_own_uid(
    wrong: Site, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong.configure(header="both")
    ds = image(AccessionNumber="1")
    wrong.come(ds, "r2")
    ds.AccessionNumber = "2"
    wrong.come(ds, "r2")
    before = wrong.sent(wrong.deliver("a"))
    assert len(set(before)) == 2
    wrong.mends(KEYED)
    assert (
        wrong.asked(capsys, "recall", "--route", "r2", "--send-again", "--out", str(tmp_path), "--yes")["sent_again"]
        == 2
    )
    wrong.clean()
    assert sorted(wrong.sent(wrong.deliver("a"))) == sorted(before)


def test_a_study_that_began_under_the_recalled_recipe_is_not_finished_under_it(
    wrong: Site, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for route in wrong.settings["routes"]:
        route["recipe_change"] = "next-study"
    wrong.configure()
    ds = image()
    wrong.come(ds, "r2")
    gone = image()
    wrong.come(gone)
    wrong.deliver("a")
    wrong.mends(KEYED)
    assert wrong.cli(capsys, "recall", "--project", "p", "--send-again", "--out", str(tmp_path), "--yes") == 0
    wrong.come(gone)
    dues = wrong.due("a")
    assert len(dues) == 2
    assert not any("StudyDescription" in data_of(wrong, due) for due in dues)


def test_what_a_lane_has_claimed_is_not_sent_and_what_it_has_in_hand_is_told_as_delivered(
    wrong: Site, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    in_hand, behind = wrong.come(image()), wrong.come(image())
    dues = {due.id: due for due in wrong.due()}
    lane = SendingLedger(wrong.database, "a")
    assert lane.way("lane/0", dues[in_hand]) is Way.OPEN
    monkeypatch.setattr("node.recalling._WAIT_SECONDS", 0.0)
    done = wrong.cli(capsys, "recall", "--project", "p", "--out", str(tmp_path), "--yes")
    assert done == 1, "it says that something is in hand"
    assert lane.way("lane/0", dues[behind]) is Way.TAKEN
    settlements = [
        Settlement(dues[in_hand], Verdict.DELIVERED, status=0),
        Settlement(dues[behind], Verdict.UNTOUCHED),
    ]
    assert lane.settle("lane/0", settlements) == [], "no file goes that somebody may still need"
    assert wrong.delivery(in_hand) == ("delivered", None, 0, None)
    assert wrong.delivery(behind) == ("held", "recalled", None, None)
    assert wrong.row(in_hand)[1] == "delivered"
    assert wrong.asked(capsys, "recall", "--project", "p", "--out", str(tmp_path), "--yes")["delivered"] == 1


def test_devices_do_not_show_in_a_sealed_ledger_and_are_found_all_the_same(wrong: Site) -> None:
    wrong.come(image())
    wrong.deliver()  # what waits stands in the ledger as it is sent, with all that the recipe keeps
    sealing = Sealing(text="5e" * 32)
    ledger = wrong.folder / "var"
    assert shown(ledger, MODEL)
    seal_ledger(wrong.database, sealing.columns, "f")
    assert not shown(ledger, MODEL)
    wrong.database.columns = sealing.columns
    wrong.come(image())
    wrong.deliver()
    assert wrong.sql("SELECT count(*), min(substr(model, 1, 5)) FROM devices") == [(1, "siv1:")], "the same device"
    assert len(list(impact.find(wrong.database, impact.Filters(model=MODEL)))) == 2


def test_an_instance_whose_device_cannot_be_read_goes_out_as_any_other(site: Site) -> None:
    ds = instance()
    ds.Modality = None
    name = site.come(ds, syntax=EXPLICIT)
    assert site.row(name)[0] == "cleaned"


def test_what_went_with_a_text_that_identifies_is_sent_again_by_the_same_recipe_without_it(
    make_site: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    site = make_site(KEYED + "REPLACE StudyDescription func:clean_text\n")
    site.settings["projects"] = {"p": {"review": True}}
    site.configure()
    name = site.come(image(StudyDescription="Lunge links"), "r2")
    (first,) = site.deliver("a")
    asked = ("recall", "--route", "r2", "--destination", "a", "--send-again", "--yes", "--out", str(tmp_path))
    assert site.cli(capsys, *asked) == 1, "nothing would be otherwise"
    (text,) = [one for one in site.asked(capsys, "review", "list", "--project", "p") if one["text"] == "Lunge links"]
    told = site.asked(capsys, "review", "decide", str(text["id"]), "--project", "p", "--identifying")
    assert {(one["destination"], one["state"]) for one in told["instances"]} == {("a", "delivered"), ("b", "held")}
    assert site.asked(capsys, *asked)["sent_again"] == 1
    site.clean()
    (again,) = site.due("a")
    assert (again.id, again.sop_instance_uid) == (name, first.sop_instance_uid)
    assert "StudyDescription" not in data_of(site, again) or not data_of(site, again).StudyDescription
