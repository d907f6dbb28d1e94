"""An instance that comes again with another content, and one that turns out to be of another patient or study."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from node.ledger.sending import SendingLedger, Settlement, Verdict
from tests.copies.support import WITHOUT_KEYS, Desk, instance

Make = Callable[..., Desk]


def of(desk: Desk, name: str, column: str = "clean_sop_instance_uid") -> str:
    return str(desk.sql(f"SELECT {column} FROM instances WHERE id = ?", name)[0][0])


def test_another_header_of_the_same_patient_and_study_is_held_and_says_what_was_delivered(desk: Desk) -> None:
    ds = instance(said="1")
    first = desk.come(ds)
    desk.deliver()
    second = desk.come(instance(ds.SOPInstanceUID, said="2", patient=" MRN-1 "))
    assert desk.row(second) == ("held", "held", "changed")
    assert f"delivered: a as {of(desk, first)} at 20" in desk.detail(second)
    assert desk.due() == []
    found = desk.ledger.held_detail(second)
    assert found is not None
    assert [(one["destination"], one["state"], one["sop_instance_uid"]) for one in found["concerns"]] == [
        ("a", "delivered", of(desk, first))
    ]
    assert desk.status()["duplicates"] == 1
    assert desk.row(desk.come(instance(ds.SOPInstanceUID, said="2", patient=" MRN-1 ")))[2] == "again"
    assert desk.ledger.release(second), "the step runs again"
    desk.clean()
    assert desk.row(second)[2] == "changed"


@pytest.mark.parametrize("by_person", [False, True])
def test_a_replacement_goes_under_the_same_uid_behind_the_earlier_one(make_desk: Make, *, by_person: bool) -> None:
    desk = make_desk(header="hold" if by_person else "replace")
    ds = instance(said="1")
    first = desk.come(ds)
    desk.deliver()
    second = desk.come(instance(ds.SOPInstanceUID, said="2"))
    if by_person:
        assert not desk.ledger.release_as("correction", second), "it is not held for that"
        assert desk.ledger.release_as("replace", second)
        desk.clean()
        assert of(desk, second, "decision") == "replace"
    assert [due.id for due in desk.deliver()] == [second]
    assert of(desk, first) == of(desk, second)
    assert desk.row(first)[:2] == ("cleaned", "delivered")
    assert desk.files() == set()


def test_what_is_replaced_before_it_was_delivered_is_never_sent(make_desk: Make) -> None:
    desk = make_desk(header="replace")
    ds = instance(said="1")
    first = desk.come(ds, "r2")
    desk.deliver("b")
    second = desk.come(instance(ds.SOPInstanceUID, said="2"), "r2")
    assert [due.id for due in desk.due()] == [second]
    assert desk.row(first) == ("cleaned", "delivered", None), "it was delivered to b, and is not needed at a"
    assert [due.id for due in desk.deliver("b")] == [second]
    assert desk.files() == {second}
    third = desk.receive(instance(ds.SOPInstanceUID, said="3"), "r2")
    desk.cleaner._clean_all(desk.cleaner.ledger.claim(16))
    assert desk.row(second)[1] == "in_flight", "it is just being sent to a"
    assert desk.row(third)[0] == "received"


def test_what_went_nowhere_is_excluded_by_what_takes_its_place(make_desk: Make) -> None:
    desk = make_desk(header="replace")
    ds = instance(said="1")
    first = desk.come(ds)
    second = desk.come(instance(ds.SOPInstanceUID, said="2"))
    assert desk.row(first) == ("excluded", "excluded", "superseded")
    assert desk.detail(first) == f"by {second}"
    assert desk.files() == {second}
    assert desk.row(desk.come(ds))[2] == "again", "the older content does not come back"
    assert [due.id for due in desk.deliver()] == [second]
    held = desk.come(instance(said="3", patient=""))
    assert desk.row(held)[2] == "no-patient-id"
    found = desk.status()
    assert (found["excluded"], found["delivered"], found["held"]) == (2, 1, 1)


def test_a_replacement_waits_for_what_is_just_being_sent(make_desk: Make) -> None:
    desk = make_desk(header="replace")
    ds = instance(said="1")
    first = desk.come(ds)
    (due,) = desk.due()
    second = desk.receive(instance(ds.SOPInstanceUID, said="2"))
    desk.cleaner._clean_all(desk.cleaner.ledger.claim(16))
    assert desk.row(second)[0] == "received"
    desk.sql("UPDATE instances SET due_at = 0")
    SendingLedger(desk.database, "a").settle("lane/0", [Settlement(due, Verdict.DELIVERED, status=0)])
    desk.clean()
    assert [one.id for one in desk.deliver()] == [second]
    assert desk.row(first)[1] == "delivered"


def test_a_copy_released_late_does_not_replace_what_came_after_it(make_desk: Make) -> None:
    desk = make_desk(header="replace")
    ds = instance(said="1")
    first = desk.receive(ds)
    desk.sql("UPDATE instances SET state = 'held', outcome = 'held', reason = 'route-gone' WHERE id = ?", first)
    second = desk.come(instance(ds.SOPInstanceUID, said="2"))
    assert desk.ledger.release(first)
    desk.clean()
    assert desk.row(first)[2] == "changed"
    assert [due.id for due in desk.deliver()] == [second]


@pytest.mark.parametrize("by_person", [False, True])
def test_both_go_out_and_references_keep_pointing_to_the_first(make_desk: Make, *, by_person: bool) -> None:
    desk = make_desk(header="hold" if by_person else "both")
    ds = instance(said="1")
    changed = instance(ds.SOPInstanceUID, said="2")
    first = desk.come(ds)
    desk.deliver()
    second = desk.come(changed)
    if by_person:
        assert desk.ledger.release_as("both", second)
        desk.clean()
    (due,) = desk.deliver()
    assert due.sop_instance_uid == of(desk, second) != of(desk, first)
    digest = desk.sql("SELECT digest FROM instances WHERE id = ?", second)[0][0].hex()
    assert desk.sql("SELECT original FROM uid_map WHERE replacement = ?", of(desk, second)) == [
        (f"{ds.SOPInstanceUID}#{digest}",)
    ]
    desk.configure(same="resend")
    (again,) = [desk.come(changed)]
    assert of(desk, again) == of(desk, second), "a repetition agrees"
    assert of(desk, desk.come(ds)) == of(desk, first)


def test_a_recipe_that_keeps_uids_cannot_let_both_go(make_desk: Make) -> None:
    desk = make_desk(WITHOUT_KEYS, header="both")
    ds = instance(said="1")
    desk.come(ds)
    second = desk.come(instance(ds.SOPInstanceUID, said="2"))
    assert desk.row(second)[2] == "changed"
    assert "no SOP Instance UID of its own" in desk.detail(second)


@pytest.mark.parametrize("recipe", ["keys", "none"])
@pytest.mark.parametrize("header", ["hold", "replace", "both"])
def test_another_patient_or_study_is_held_whatever_the_policy(make_desk: Make, header: str, recipe: str) -> None:
    desk = make_desk(**{"header": header} | ({"recipe": WITHOUT_KEYS} if recipe == "none" else {}))
    ds = instance(said="1")
    first = desk.come(ds)
    desk.deliver()
    patient = desk.come(instance(ds.SOPInstanceUID, patient="MRN-2"))
    study = desk.come(instance(ds.SOPInstanceUID, study="1.2.8", said="1"))
    assert (desk.row(patient)[2], desk.row(study)[2]) == ("patient-corrected", "patient-corrected")
    assert "another patient than before" in desk.detail(patient)
    assert "another study than before" in desk.detail(study)
    for name in (patient, study):
        assert f"delivered: a as {of(desk, first)} at 20" in desk.detail(name)
        assert not any(word in desk.detail(name) for word in ("MRN", "PLANTED"))
        assert not desk.ledger.release(name)
    (alert,) = desk.status()["alerts"]
    assert (alert["kind"], alert["instances"]) == ("patient-corrected", 2)


def test_a_correction_goes_when_a_person_answers_for_it_and_nothing_of_the_other_after_it(desk: Desk) -> None:
    ds = instance(said="1")
    first = desk.come(ds)
    second = desk.come(instance(ds.SOPInstanceUID, patient="MRN-2", study="1.2.8"))
    assert "not yet delivered: 1 to a" in desk.detail(second)
    assert not desk.ledger.release_as("replace", second)
    assert desk.ledger.release_as("correction", second)
    desk.clean()
    assert [due.id for due in desk.deliver()] == [second]
    assert desk.row(first) == ("excluded", "excluded", "superseded")
    history = desk.ledger.held_detail(second)
    assert history is not None
    assert any(one["detail"] == "released: correction" for one in history["events"])


def test_the_decision_outlives_another_hold(desk: Desk) -> None:
    ds = instance(said="1")
    desk.come(ds)
    second = desk.come(instance(ds.SOPInstanceUID, patient="MRN-2"))
    assert desk.ledger.release_as("correction", second)
    desk.clean()
    assert desk.row(second)[2] == "study-of-two-patients", "that is another question"
    assert of(desk, second, "decision") == "correction"
