"""What goes by age, what never does, and the record of it."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from node.errors import HoldReason
from node.ledger import Database
from node.ledger.cleaning import CleaningLedger
from node.ledger.erasing import erase_events, erase_maps, erased, maps_are_due
from node.ledger.maps import Handed, LedgerMaps, new_patient, new_uid, today
from node.ledger.results import Held
from node.ledger.sending import SendingLedger, Settlement, Verdict
from tests.ledger.support import clean, receive, sql

DAY = 86400.0
TODAY = today()
FORMS = {"uid_root": "2.25"}


@pytest.fixture(autouse=True)
def one_day(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no test see midnight, UTC."""
    for module in ("maps", "erasing", "many"):
        monkeypatch.setattr(f"node.ledger.{module}.today", lambda: TODAY)


def never() -> bool:
    return False


def cleaned(database: Database, uid: str, patient: str) -> int:
    """Receive and clean an instance of a patient; return its number."""
    receive(database, uid=uid)
    ledger = CleaningLedger(database, "c")
    (claimed,) = ledger.claim(1)
    patients = (("H", patient, patient.upper(), -40),)
    handed = Handed(1, FORMS, ((uid, f"2.25.{uid}"),), patients, (f"2.25.9{claimed.seq}", "X"))
    assert ledger.settle([replace(clean(claimed, ("d",)), handed=handed)])
    return claimed.seq


def settle(database: Database, verdict: Verdict) -> None:
    sending = SendingLedger(database, "d")
    reason = HoldReason.REFUSED if verdict is Verdict.HELD else None
    sending.settle("f", [Settlement(due, verdict, status=0, reason=reason) for due in sending.claim("f", 10)])


def date(database: Database, days_ago: float) -> None:
    """Make all that is in the ledger so much older."""
    ago = days_ago * DAY
    for table, columns in (
        ("instances", ("received_at", "changed_at")),
        ("deliveries", ("created_at", "changed_at")),
        ("events", ("at",)),
    ):
        sql(database, f"UPDATE {table} SET " + ", ".join(f"{name} = {name} - {ago}" for name in columns))
    for table in ("uid_map", "patient_map"):
        sql(database, f"UPDATE {table} SET used_day = used_day - {int(days_ago)}")


def originals(database: Database) -> set[object]:
    return {row[0] for row in sql(database, "SELECT original FROM uid_map")}


def test_events_of_what_is_done_with_go_by_age_and_those_of_held_and_waiting_instances_stay(database: Database) -> None:
    for _ in range(3):
        cleaned(database, "1.2.3", "a")
    settle(database, Verdict.DELIVERED)
    cleaned(database, "1.2.4", "a")
    settle(database, Verdict.HELD)
    cleaned(database, "1.2.5", "a")
    date(database, 40)
    cleaned(database, "1.2.6", "a")
    before = sql(database, "SELECT at FROM events ORDER BY at")[0][0] + 10 * DAY
    count = sql(database, "SELECT count(*) FROM events WHERE instance <= 3")[0][0]
    assert count == 9
    assert erase_events(database, before, never) == 0, "the audit trail has none of them yet"
    sql(database, "UPDATE meta SET value = (SELECT max(seq) FROM events) WHERE key = 'audit_events'")
    assert erase_events(database, before, never) == count
    left = {row[0] for row in sql(database, "SELECT DISTINCT instance FROM events")}
    assert left == {4, 5, 6}
    assert erase_events(database, before, never) == 0
    assert erased(database) == {"events": 9}
    assert sql(database, "SELECT kind, n, ended_at IS NULL FROM erasures") == [("events", 9, 0)]


def test_the_way_back_goes_by_age_and_the_forward_map_gives_the_same_again(database: Database) -> None:
    cleaned(database, "1.2.3.7777777", "mrn-4711")
    settle(database, Verdict.DELIVERED)
    date(database, 100)
    with database.write(durable=True) as connection:
        new_uid(connection, ("p", 1, "1.2.3.imported"), "2.25.77", "imported")
        new_patient(connection, ("p", 1, "H", "imported"), ("CHOSEN", -50), "imported")
    sql(database, "UPDATE uid_map SET used_day = used_day - 100 WHERE origin = 'imported'")
    cleaned(database, "1.2.3.8", "young")
    settle(database, Verdict.DELIVERED)
    assert maps_are_due(database)
    assert erase_maps(database, 30, never) == 2, "a UID and a patient"
    assert originals(database) == {"1.2.3.imported", "1.2.3.8"}
    assert {row[0] for row in sql(database, "SELECT patient_id FROM patient_map")} == {"imported", "young"}
    assert {row[0] for row in sql(database, "SELECT sop_instance_uid FROM instances")} == {"", "1.2.3.8"}
    assert not maps_are_due(database), "they are dated by the day"
    (detail,) = sql(database, "SELECT detail FROM erasures")[0]
    assert json.loads(str(detail)) == {
        "before_day": TODAY - 30, "imported_kept": 1, "instances_without_original_uid": 1,
    }  # fmt: skip
    database.shrink()
    database.close()
    content = database.path.read_bytes()
    assert b"1.2.3.7777777" not in content, "overwritten, not only forgotten"
    assert b"mrn-4711" not in content
    # The same patient again: what the key gives is what it gave.
    cleaned(database, "1.2.3.9", "mrn-4711")
    assert LedgerMaps(database).stored_patient("p", 1, "H", "mrn-4711") == ("MRN-4711", -40)


def test_what_is_in_flight_or_held_keeps_its_way_back(database: Database) -> None:
    for verdict in (Verdict.HELD, None):
        cleaned(database, f"1.2.3.{verdict}", "waits")
        if verdict is not None:
            settle(database, verdict)
        date(database, 100)
        assert erase_maps(database, 30, never) == 0, verdict
        assert f"1.2.3.{verdict}" in originals(database)
    assert "1.2.3.held" in {row[0] for row in sql(database, "SELECT sop_instance_uid FROM instances")}
    sql(database, "UPDATE deliveries SET state = 'delivered', reason = NULL")
    assert erase_maps(database, 30, never) == 3


def test_what_came_before_the_first_that_is_held_goes_all_the_same(database: Database) -> None:
    cleaned(database, "1.2.3.1", "old")
    settle(database, Verdict.DELIVERED)
    date(database, 50)
    receive(database, uid="1.2.3.2")
    ledger = CleaningLedger(database, "c")
    ledger.settle([Held(one, HoldReason.UNPARSABLE) for one in ledger.claim(1)])
    date(database, 50)
    assert erase_maps(database, 30, never) == 2
    assert sql(database, "SELECT sop_instance_uid FROM instances ORDER BY seq") == [("",), ("1.2.3.2",)]


def test_an_entry_that_is_used_again_is_young_again(database: Database) -> None:
    cleaned(database, "1.2.3.1", "regular")
    settle(database, Verdict.DELIVERED)
    date(database, 100)
    cleaned(database, "1.2.3.2", "regular")
    settle(database, Verdict.DELIVERED)
    assert erase_maps(database, 30, never) == 1, "the UID alone"
    assert sql(database, "SELECT patient_id, used_day FROM patient_map") == [("regular", TODAY)]


def test_entries_from_before_they_were_dated_count_from_the_migration_on(database: Database) -> None:
    cleaned(database, "1.2.3.1", "a")
    settle(database, Verdict.DELIVERED)
    sql(database, "UPDATE uid_map SET used_day = NULL")
    assert erase_maps(database, 30, never) == 0
    sql(database, "UPDATE meta SET value = ? WHERE key = 'maps_dated_since'", str(TODAY - 31))
    assert erase_maps(database, 30, never) == 1


def test_a_round_that_is_told_to_end_leaves_the_rest_and_says_so(database: Database) -> None:
    cleaned(database, "1.2.3.1", "a")
    settle(database, Verdict.DELIVERED)
    date(database, 100)
    assert erase_maps(database, 30, lambda: True) == 1, "the first batch"
    assert maps_are_due(database)
    assert erase_maps(database, 30, never) == 1
    assert erased(database) == {"maps": 2}


def test_content_of_which_nothing_is_known_any_more_is_like_no_other(database: Database) -> None:
    for _ in range(2):
        cleaned(database, "1.2.3.1", "a")
    sql(database, "UPDATE instances SET clean_sop_instance_uid = '2.25.1'")
    sending = SendingLedger(database, "d")
    first, second = sending.claim("f", 10)
    sending.settle("f", [Settlement(first, Verdict.AGAIN, sent=True)])
    assert sending.offered_content(second)
    sql(database, "UPDATE instances SET sop_instance_uid = '', digest = x''")
    assert not sending.offered_content(second)
    assert first.seq != second.seq
