"""An instance that comes again with the same content."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from node.errors import HoldReason
from node.ledger.cleaning import CleaningLedger
from node.ledger.sending import SendingLedger, Settlement, Verdict
from tests.copies.support import IMPLICIT, Desk, instance

Make = Callable[..., Desk]


def test_what_came_before_is_neither_cleaned_nor_sent_again_and_counts_as_a_duplicate(desk: Desk) -> None:
    ds = instance()
    first = desk.come(ds)
    assert [due.id for due in desk.deliver()] == [first]
    second = desk.come(ds)
    assert desk.row(second) == ("excluded", "excluded", "again")
    assert desk.detail(second) == f"as {first}"
    assert desk.due() == []
    assert desk.row(first) == ("cleaned", "delivered", None)
    assert desk.files() == set(), "nothing stays of either"
    found = desk.status()
    assert (found["delivered"], found["excluded"], found["duplicates"]) == (1, 1, 1)


def test_a_copy_of_what_still_waits_for_its_destination_is_not_sent_beside_it(desk: Desk) -> None:
    ds = instance()
    first = desk.come(ds)
    second = desk.come(ds)
    assert desk.row(second)[2] == "again"
    assert [due.id for due in desk.deliver()] == [first]
    assert desk.files() == set()


def test_two_copies_at_once_are_not_in_two_hands(desk: Desk) -> None:
    ds = instance()
    first, second = desk.receive(ds), desk.receive(ds)
    one, two = (CleaningLedger(desk.database, f"cleaner{n}") for n in (1, 2))
    claimed = one.claim(16)
    assert [(claim.id, claim.behind) for claim in claimed] == [(first, False), (second, True)]
    desk.sql("UPDATE instances SET due_at = 0")
    assert two.claim(16) == [], "it waits for the first"
    for claim in claimed:
        one.give_back(claim, 0)
    third = desk.receive(ds)
    (claim, *_) = one.claim(1)
    desk.sql("UPDATE instances SET due_at = 0")
    assert (claim.id, two.claim(16)) == (first, []), "the others wait for what is in another's hand"
    one.give_back(claim, 0)
    desk.clean()
    assert desk.row(first)[0] == "cleaned"
    assert desk.row(third)[2] == "again"
    assert desk.row(second)[2] == "again"


def test_copies_that_wait_do_not_keep_others_from_being_cleaned(desk: Desk) -> None:
    ds = instance()
    for _ in range(40):
        desk.receive(ds)
    taken = desk.cleaner.ledger.claim(1)
    other = desk.receive(instance())
    (found,) = CleaningLedger(desk.database, "cleaner1").claim(16)
    assert found.id == other
    desk.cleaner._clean_all(taken)
    desk.clean()
    assert desk.status()["duplicates"] == 39


def test_many_cleaners_and_copies_give_one_delivery_each(desk: Desk) -> None:
    instances = [instance() for _ in range(12)]
    for _ in range(3):
        for ds in instances:
            desk.receive(ds)
    cleaners = [desk.make_cleaner(f"cleaner{n}") for n in range(1, 4)]
    left = threading.Event()

    def work(number: int) -> None:
        while not left.is_set():
            cleaners[number]._clean_all(cleaners[number].ledger.claim(4))

    threads = [threading.Thread(target=work, args=(n,)) for n in range(3)]
    for thread in threads:
        thread.start()
    try:
        from tests.support import wait_for

        wait_for(lambda: desk.sql("SELECT 1 FROM instances WHERE state = 'received'") == [], "all are decided")
    finally:
        left.set()
        for thread in threads:
            thread.join()
    assert len(desk.deliver()) == len(instances)
    found = desk.status()
    assert (found["delivered"], found["excluded"], found["duplicates"]) == (12, 24, 24)


def test_a_copy_waits_for_one_whose_cleaner_died_and_goes_in_its_place_never(desk: Desk) -> None:
    ds = instance()
    first = desk.receive(ds)
    assert CleaningLedger(desk.database, "dead").claim(16)
    second = desk.receive(ds)
    desk.clean()
    assert desk.row(second)[0] == "received"
    desk.sql("UPDATE instances SET lease_until = 0")
    desk.clean()
    assert (desk.row(first)[0], desk.row(second)[2]) == ("cleaned", "again")


def test_what_a_person_discarded_never_came(desk: Desk) -> None:
    ds = instance()
    first = desk.come(ds)
    (due,) = desk.due()
    held = Settlement(due, Verdict.HELD, reason=HoldReason.REFUSED, status=0xC000)
    SendingLedger(desk.database, "a").settle("lane/0", [held])
    assert desk.row(desk.come(ds))[2] == "again", "held: its outcome stands"
    assert desk.ledger.discard(first, desk.spool)
    third = desk.come(ds)
    assert [due.id for due in desk.deliver()] == [third]


def test_a_copy_follows_one_that_is_held_until_that_is_discarded(desk: Desk) -> None:
    ds = instance(patient="")
    first, second = desk.come(ds), desk.come(ds)
    assert (desk.row(first)[2], desk.row(second)[2]) == ("no-patient-id", "again")
    assert desk.files() == {first}
    assert desk.ledger.discard(first, desk.spool)
    assert desk.row(desk.come(ds))[2] == "no-patient-id", "it is as new"


def test_a_copy_of_what_lost_its_file_takes_its_place(desk: Desk) -> None:
    ds = instance()
    first = desk.receive(ds)
    desk.spool.original(first).unlink()
    desk.clean()
    assert desk.row(first)[2] == "file-missing"
    second = desk.come(ds)
    assert [due.id for due in desk.deliver()] == [second]


def test_it_goes_to_a_destination_that_never_had_it_and_only_there(desk: Desk) -> None:
    ds = instance()
    first = desk.come(ds)
    desk.deliver()
    second = desk.come(ds, "r2")  # the other route of the project sends to b too
    assert desk.due() == []
    (due,) = desk.deliver("b")
    assert (due.id, desk.row(second)[1]) == (second, "delivered")
    assert due.sop_instance_uid == desk.sql("SELECT clean_sop_instance_uid FROM instances WHERE id = ?", first)[0][0]
    assert desk.row(desk.come(ds, "r2"))[2] == "again"
    desk.settings["routes"][0]["to"] = ["a", "b"]
    desk.configure()
    assert desk.row(desk.come(ds))[2] == "again", "b has it by the other route"


def test_another_transfer_syntax_is_another_content(desk: Desk) -> None:
    ds = instance()
    desk.come(ds)
    assert desk.row(desk.come(ds, syntax=IMPLICIT))[2] == "changed"


def test_two_projects_share_nothing(desk: Desk) -> None:
    ds = instance()
    desk.come(ds)
    assert desk.row(desk.come(ds, "other"))[0] == "cleaned"
    assert desk.row(desk.come(instance(ds.SOPInstanceUID, patient="MRN-2"), "other"))[2] == "patient-corrected"
    assert len(desk.deliver()) == 2
    assert desk.status()["duplicates"] == 1


def test_a_site_that_wants_repetitions_gets_them_with_the_same_uids(make_desk: Make) -> None:
    desk = make_desk(same="resend")
    ds = instance()
    desk.come(ds)
    (first,) = desk.deliver()
    desk.come(ds)
    (second,) = desk.deliver()
    assert first.sop_instance_uid == second.sop_instance_uid
    assert (desk.status()["delivered"], desk.status()["duplicates"]) == (2, 1)


def test_an_instance_that_an_old_ledger_has_by_another_digest_is_held(desk: Desk) -> None:
    ds = instance()
    first = desk.come(ds)
    desk.deliver()
    desk.sql("UPDATE instances SET digest = ?, whose = NULL WHERE id = ?", bytes(32), first)
    assert desk.row(desk.come(ds))[2] == "changed", "the maps say whose it is"
    desk.sql("UPDATE instances SET study = NULL WHERE id = ?", first)
    third = desk.come(instance(ds.SOPInstanceUID, said="3"))
    assert desk.row(third)[2] == "patient-corrected", "whose it was cannot be told"
    assert "cannot be told" in desk.detail(third)


def test_the_first_copy_costs_one_look_by_an_index(desk: Desk) -> None:
    desk.receive(instance())
    plan = desk.sql(
        "EXPLAIN QUERY PLAN SELECT EXISTS (SELECT 1 FROM instances AS other WHERE other.project = instances.project "
        "AND other.sop_instance_uid = instances.sop_instance_uid AND other.seq <> instances.seq AND other.repeat < 2) "
        "FROM instances WHERE state = 'received' ORDER BY seq LIMIT 16"
    )
    said = " / ".join(str(row[-1]) for row in plan)
    assert "SEARCH other USING INDEX instances_copies (project=? AND sop_instance_uid=?)" in said


@pytest.mark.parametrize("size", [1, 500])
def test_what_only_came_again_is_not_looked_at_again(desk: Desk, size: int) -> None:
    ds = instance()
    desk.come(ds)
    again = desk.come(ds)
    columns = "received_at, changed_at, project, route, calling_ae_title, called_ae_title, address, sop_class_uid, "
    columns += "sop_instance_uid, transfer_syntax_uid, size, digest, state, outcome, repeat, reason, due_at"
    for n in range(size):
        desk.sql(
            f"INSERT INTO instances (id, {columns}) SELECT 'x' || ?, {columns} FROM instances WHERE id = ?",
            n,
            again,
        )
    desk.receive(ds)
    (claimed,) = desk.cleaner.ledger.claim(16)
    assert len(claimed.others) == 1
