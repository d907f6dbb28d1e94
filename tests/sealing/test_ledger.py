"""A sealed ledger: the maps do what they do, and nothing of an original stands in any of its files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from node.errors import LedgerError
from node.ledger import Database
from node.ledger.cleaning import CleaningLedger
from node.ledger.maps import Handed, LedgerMaps
from node.ledger.sealed import seal_ledger
from node.sealing import Sealing
from tests.ledger.support import new_database, receive, sql
from tests.ledger.test_crosswalk import (
    test_a_pair_that_would_change_a_patient_with_deliveries_is_refused,
    test_imported_pairs_win_over_the_keys_and_are_marked,
    test_they_are_the_same_after_a_restart_and_when_instances_went_out,
)
from tests.ledger.test_maps import FORMS, settle
from tests.sealing.support import shown

__all__ = [
    "test_a_pair_that_would_change_a_patient_with_deliveries_is_refused",
    "test_imported_pairs_win_over_the_keys_and_are_marked",
    "test_they_are_the_same_after_a_restart_and_when_instances_went_out",
]

SEALING = Sealing(text="5e" * 32)
UID, PATIENT, ISSUER = "1.2.826.0.1.3680043.8.498.1", "MRN-4711", "ST ELSEWHERE"
HANDED = Handed(forms=FORMS, uids=((UID, "2.25.7"),), patients=((ISSUER, PATIENT, "PSEUDO", -41),))


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    made = new_database(tmp_path)
    made.columns = SEALING.columns
    yield made
    made.close()


def known(database: Database) -> tuple[object, object]:
    maps = LedgerMaps(database)
    return maps.stored_uid("p", 1, UID), maps.stored_patient("p", 1, ISSUER, PATIENT)


def test_what_was_handed_out_is_found_again_and_does_not_show(database: Database, tmp_path: Path) -> None:
    receive(database, uid=UID)
    (row,) = CleaningLedger(database, "a").claim(2)
    assert row.sop_instance_uid == UID
    assert settle(database, HANDED) == [None]
    assert known(database) == ("2.25.7", ("PSEUDO", -41))
    assert not shown(tmp_path, UID, PATIENT, ISSUER)
    assert LedgerMaps(database).stored_uid("q", 1, UID) is None


def test_an_instance_that_came_before_is_known_as_repeated(database: Database) -> None:
    assert settle(database, HANDED) == [None]
    assert settle(database, HANDED, owner="b") == [None]
    assert sql(database, "SELECT repeat FROM instances ORDER BY seq") == [(0,), (1,)]


def test_a_plain_ledger_is_sealed_as_a_whole_and_its_old_values_are_gone(tmp_path: Path) -> None:
    database = new_database(tmp_path)
    receive(database, uid=UID)
    assert settle(database, HANDED) == [None]
    assert shown(tmp_path, UID, PATIENT, ISSUER)
    before = sql(database, "SELECT replacement FROM uid_map UNION ALL SELECT pseudonym FROM patient_map")
    seal_ledger(database, SEALING.columns, "f")
    database.columns = SEALING.columns
    assert known(database) == ("2.25.7", ("PSEUDO", -41))
    assert sql(database, "SELECT replacement FROM uid_map UNION ALL SELECT pseudonym FROM patient_map") == before
    assert not shown(tmp_path, UID, PATIENT, ISSUER)
    assert sql(database, "SELECT value FROM meta WHERE key = 'encryption_fingerprint'") == [("f",)]
    with pytest.raises(LedgerError):  # twice: it is remembered already, and nothing is sealed a second time
        seal_ledger(database, SEALING.columns, "f")
    assert known(database) == ("2.25.7", ("PSEUDO", -41))
    database.close()


def test_a_value_that_somebody_moved_to_another_row_is_no_answer(database: Database) -> None:
    other = Handed(forms=FORMS, patients=((ISSUER, "OTHER", "PSEUDO-2", -50),))
    assert settle(database, HANDED, other) == [None, None]
    ((shift,),) = sql(database, "SELECT shift_days FROM patient_map WHERE pseudonym = 'PSEUDO-2'")
    sql(database, "UPDATE patient_map SET shift_days = ? WHERE pseudonym = 'PSEUDO'", shift)
    with pytest.raises(LedgerError):
        known(database)
