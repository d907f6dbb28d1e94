"""Studies are followed until they are complete: what was received, what became of it, what differs, what is told."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from node.ledger.completeness import report
from node.ledger.following import due_studies, follow, study_to_ask_about
from node.ledger.sealed import seal_ledger
from node.notifier.matters import matters
from node.sealing import Sealing
from tests.completeness.support import HOUR, FollowedSite, burned_in, refers_to
from tests.copies.support import IMPLICIT, WITHOUT_KEYS
from tests.drills.support import KEYED, Site, image
from tests.ledger.support import trace

ORIGINALS = ("MRN-1", "PLANTED", '"1.2.7', "1.2.7.1")
REFERRING = KEYED + "REPLACE ReferencedSOPInstanceUID func:generate_uid\n"


def test_all_that_became_of_a_study_is_told_by_series_in_new_uids(
    site: FollowedSite, capsys: pytest.CaptureFixture[str]
) -> None:
    site.settings["routes"][1]["exclude"] = ["equals SeriesDescription SCOUT"]
    site.configure()
    came = [site.come(image(), "r2") for _ in range(3)]
    held = site.come(burned_in(), "r2")
    site.come(image(SeriesDescription="SCOUT"), "r2")
    gone = site.come(burned_in(SeriesInstanceUID="1.2.7.2"), "r2")
    assert site.cli(capsys, "held", "discard", gone, "--yes") == 0, site.said
    site.deliver("a")
    site.pass_time()

    (listed,) = site.listed(capsys)
    found = site.shown(capsys, listed["study_instance_uid"], code=1)
    assert not any(original in site.said for original in ORIGINALS), "nothing of an original"
    told = {key: found[key] for key in ("received", "held", "excluded", "discarded", "expected")}
    assert told == {"received": 6, "held": 1, "excluded": 1, "discarded": 1, "expected": None}
    assert found["destinations"]["a"]["delivered"] == 3
    assert found["destinations"]["b"] | {"waiting": 3, "delivered": 0} == found["destinations"]["b"]
    assert found["destinations"]["a"]["asked"] == "not asked"
    images, others = sorted(found["by_series"], key=lambda one: -one["received"])
    assert (images["received"], images["cleaned"], images["held"]) == (5, 3, {"pixel-risk": 1})
    assert (others["received"], others["discarded"]) == (1, 1)
    assert images["destinations"]["a"]["delivered"] == 3
    (difference,) = found["differences"]
    assert difference["ids"] == [held]
    assert difference["series_instance_uid"] == images["series_instance_uid"]
    sent = {
        site.sql("SELECT t.series FROM instances i JOIN sent_series t ON t.seq = i.sent_series WHERE id = ?", one)[0][0]
        for one in came
    }
    assert sent == {images["series_instance_uid"]}


def test_a_study_is_looked_at_when_it_is_quiet_and_again_when_something_is_new(site: FollowedSite) -> None:
    site.come(image())
    site.deliver("a")
    site.follow()
    assert due_studies(site.database, 10, HOUR) == [], "something came less than an hour ago"
    site.pass_time()
    assert site.state() == "complete"
    checked = site.sql("SELECT checked_at FROM studies")
    site.pass_time()
    assert site.sql("SELECT checked_at FROM studies") == checked, "nothing is new"
    site.come(image())
    site.pass_time()
    assert site.state() == "under-way", "it waits for its destination"
    assert site.alerts() == []
    site.deliver("a")
    site.pass_time()
    assert site.state() == "complete"


def test_a_difference_is_told_until_it_is_gone(site: FollowedSite, capsys: pytest.CaptureFixture[str]) -> None:
    site.come(image())
    held = site.come(burned_in())
    site.deliver("a")
    site.pass_time()
    assert site.state() == "different"
    assert "study-incomplete" in site.alerts()
    (problem,) = site.listed(capsys, "--problems", code=1)
    assert problem["differences"] == 1
    (told,) = [one for one in matters(site.database, site.config, 0.0) if one.kind == "study-incomplete"]
    assert told.text == "1 studies are not complete at their destinations: deid-node completeness list --problems"
    assert site.cli(capsys, "held", "release", "--despite-pixel-risk", held) == 0, site.said
    site.clean()
    site.deliver("a")
    site.pass_time()
    assert site.state() == "complete"
    assert "study-incomplete" not in site.alerts()
    assert site.listed(capsys, "--problems") == []


def test_what_a_person_accepts_is_told_again_when_it_is_another_difference(
    site: FollowedSite, capsys: pytest.CaptureFixture[str]
) -> None:
    site.come(burned_in())
    site.pass_time()
    (one,) = site.listed(capsys, "--problems", code=1)
    assert site.cli(capsys, "completeness", "accept", one["study_instance_uid"]) == 0, site.said
    assert site.alerts() == []
    assert f"differences of study {one['study_instance_uid']} accepted: 1 instances" in site.said_in_audit()
    site.come(image())
    site.deliver("a")
    site.pass_time()
    assert site.state() == "accepted", "the difference is the same"
    assert site.shown(capsys, one["study_instance_uid"])["accepted"]["by"]
    site.come(burned_in())
    site.pass_time()
    assert site.state() == "different"
    assert "study-incomplete" in site.alerts()


def test_there_is_nothing_to_accept_where_nothing_differs(
    site: FollowedSite, capsys: pytest.CaptureFixture[str]
) -> None:
    site.come(image())
    site.deliver("a")
    site.pass_time()
    (one,) = site.listed(capsys)
    assert site.cli(capsys, "completeness", "accept", one["study_instance_uid"]) == 1
    assert site.cli(capsys, "completeness", "show", "2.25.404") == 1
    assert "accepted" not in site.said_in_audit()


def test_a_look_by_the_original_study_uid_is_recorded(site: FollowedSite, capsys: pytest.CaptureFixture[str]) -> None:
    site.come(image())
    site.deliver("a")
    site.pass_time()
    (one,) = site.listed(capsys)
    assert site.shown(capsys, one["study_instance_uid"])["received"] == 1
    before = site.said_in_audit()
    assert "Patient Record" not in before
    found = site.shown(capsys, "1.2.7")
    assert found["study_instance_uid"] == one["study_instance_uid"]
    assert "Patient Record" in site.said_in_audit()


@pytest.mark.parametrize("syntax", ["1.2.840.10008.1.2.1", IMPLICIT])
def test_references_to_instances_that_never_went_are_listed(
    tmp_path: Path, syntax: str, capsys: pytest.CaptureFixture[str]
) -> None:
    site = FollowedSite(tmp_path, REFERRING)
    went, held = image(), burned_in()
    site.come(went, syntax=syntax)
    site.come(held, syntax=syntax)
    uids = (str(went.SOPInstanceUID), str(held.SOPInstanceUID), "1.2.7.404")
    site.come(refers_to(*uids), syntax=syntax)
    site.deliver("a")
    site.pass_time()
    (one,) = site.listed(capsys)
    references = site.shown(capsys, one["study_instance_uid"], code=1)["references"]
    new = dict(site.sql("SELECT original, replacement FROM uid_map"))
    assert references["count"] == 3, "a step of a procedure is no instance"
    assert references["never_came"] == [new["1.2.7.404"]]
    assert references["held"] == [new[uids[1]]]
    late = image()
    late.SOPInstanceUID = "1.2.7.404"
    site.come(late, syntax=syntax)
    assert site.shown(capsys, one["study_instance_uid"], code=1)["references"]["never_came"] == []
    site.database.close()


def test_references_are_found_in_a_sealed_ledger_too(tmp_path: Path) -> None:
    site = FollowedSite(tmp_path, REFERRING)
    sealing = Sealing(text="5e" * 32)
    seal_ledger(site.database, sealing.columns, "f")
    site.database.columns = sealing.columns
    went, held = image(), burned_in()
    site.come(went)
    site.come(held)
    site.come(refers_to(str(went.SOPInstanceUID), str(held.SOPInstanceUID), "1.2.7.404"))
    site.pass_time()
    ((study,),) = site.sql("SELECT study FROM studies")
    references = report(site.database, "p", study, ())["references"]
    counts = {key: value if isinstance(value, int) else len(value) for key, value in references.items()}
    assert counts == {"count": 3, "never_came": 1, "held": 1, "excluded": 0, "discarded": 0, "not_known": 0}
    site.database.close()


def test_a_reference_that_does_not_go_out_is_none_and_one_that_stays_as_it_is_counts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    removed, kept = tmp_path / "removed", tmp_path / "kept"
    for folder, recipe, count in (
        (removed, KEYED + "REMOVE CurrentRequestedProcedureEvidenceSequence\n", 0),
        (kept, WITHOUT_KEYS, 2),
    ):
        folder.mkdir()
        site = FollowedSite(folder, recipe)
        went = image()
        site.come(went)
        site.come(refers_to(str(went.SOPInstanceUID), "1.2.7.404"))
        site.pass_time()
        (one,) = site.listed(capsys)
        references = site.shown(capsys, one["study_instance_uid"])["references"]
        assert references["count"] == count
        assert references["not_known"] == (["1.2.7.404"] if count else [])
        site.database.close()


def test_fewer_than_the_source_counts_is_a_difference(site: FollowedSite, capsys: pytest.CaptureFixture[str]) -> None:
    for _ in range(2):
        ds = image()
        ds.NumberOfSeriesRelatedInstances, ds.NumberOfStudyRelatedInstances = 3, 4
        site.come(ds)
    site.deliver("a")
    site.pass_time()
    assert site.state() == "different"
    (one,) = site.listed(capsys)
    found = site.shown(capsys, one["study_instance_uid"], code=1)
    assert found["expected"] == 4
    kinds = [(one["kind"], one["series_instance_uid"] is None, one["instances"]) for one in found["differences"]]
    assert kinds == [("fewer-than-expected", False, 1), ("fewer-than-expected", True, 2)]


def test_without_the_section_nothing_is_followed(tmp_path: Path) -> None:
    (tmp_path / "off").mkdir()
    site = Site(tmp_path / "off", REFERRING)
    site.come(refers_to("1.2.7.404"))
    site.deliver("a")
    for table in ("studies", "study_references", "study_expected", "receipts"):
        assert site.sql(f"SELECT count(*) FROM {table}") == [(0,)]
    assert site.sql("SELECT count(*) FROM instances WHERE clean_digest IS NOT NULL") == [(0,)]
    site.database.close()


def test_what_was_not_quiet_yet_when_it_was_turned_on_is_followed(tmp_path: Path) -> None:
    site = Site(tmp_path)
    site.come(image())
    assert not follow(site.database, HOUR)
    assert site.sql("SELECT count(*) FROM studies") == [(1,)]
    site.database.close()


def test_events_are_read_some_at_a_time_and_each_once(site: FollowedSite) -> None:
    for number in range(3):
        site.come(image(study=f"1.2.{number + 20}"))
    site.come(image(), "other")
    assert follow(site.database, HOUR, limit=2)
    while follow(site.database, HOUR, limit=2):
        pass
    assert site.sql("SELECT project, count(*) FROM studies GROUP BY 1") == [("p", 3), ("q", 1)]
    site.sql("UPDATE studies SET due_at = NULL")
    assert not follow(site.database, HOUR)
    assert site.sql("SELECT count(*) FROM studies WHERE due_at IS NOT NULL") == [(0,)]


def test_what_was_there_before_it_was_turned_on_is_told_but_not_looked_at(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    site = Site(tmp_path)
    site.come(image())
    site.deliver("a")
    site.settings["completeness"] = {}
    site.configure()
    site.sql("UPDATE events SET at = at - 7200")
    assert not follow(site.database, HOUR)
    assert site.sql("SELECT count(*) FROM studies") == [(0,)]
    assert site.cli(capsys, "completeness", "show", "1.2.7", "--json") == 0, site.said
    assert json.loads(site.said)["destinations"]["a"]["delivered"] == 1
    site.come(image())
    assert not follow(site.database, HOUR)
    assert site.sql("SELECT count(*) FROM studies") == [(1,)]
    site.database.close()


def test_a_clock_that_was_set_back_keeps_no_study_waiting(site: FollowedSite) -> None:
    site.come(image())
    site.follow()
    site.sql("UPDATE studies SET due_at = due_at + 864000")
    assert len(due_studies(site.database, 10, HOUR)) == 1


def test_a_look_at_a_study_reads_no_table_from_end_to_end(site: FollowedSite) -> None:
    statements: list[str] = []
    trace(site.database, statements.append)
    site.come(refers_to("1.2.7.404"))
    site.deliver("a")
    ((study,),) = site.sql("SELECT study FROM series")
    del statements[:]
    site.pass_time()
    report(site.database, "p", study, ("a",))
    study_to_ask_about(site.database, "a")
    asked = [one for one in statements if one.lstrip().startswith("SELECT")]
    assert any("FROM series" in one for one in asked)
    plans = [str(row[3]) for one in asked for row in site.sql(f"EXPLAIN QUERY PLAN {one}")]
    scans = {plan.split()[1] for plan in plans if plan.startswith("SCAN")}
    assert scans <= {"receipts"}, "of the receipts the last one, by their numbers"
