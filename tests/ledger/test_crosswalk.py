"""Pairs from outside win over what the keys would give, and change nothing that went out."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from node.errors import HoldReason, PairsRefused
from node.identity import PatientKey, Patients, ProjectKeys
from node.instances import InstanceIdentities, Scope
from node.ledger import Database
from node.ledger.crosswalk import Imported, PatientPair, UidPair, import_pairs
from node.ledger.maps import Handed, LedgerMaps
from node.recipe import EncodedDataset
from node.syntaxes import EXPLICIT_LE
from tests.ledger.support import sql
from tests.ledger.test_maps import settle
from tests.recipe.support import dataset, encode

KEYS = ProjectKeys(bytes(range(32)), "p")
SCOPE = Scope("p", KEYS, Patients("H", {"HOSPITAL": "H"}))
PAIRS = (
    PatientPair(1, "H", "1", "SUBJECT-1", -100),
    PatientPair(2, "", "2", "SUBJECT-2"),
    UidPair(3, "1.2.3", "2.25.33"),
)


def identities(database: Database, patient_id: str, issuer: str = "") -> InstanceIdentities:
    source = dataset(PatientID=patient_id, IssuerOfPatientID=issuer, StudyInstanceUID="1.2.3")
    return InstanceIdentities(SCOPE, LedgerMaps(database), EncodedDataset.scan(encode(source), 0, EXPLICIT_LE))


def refused(database: Database, *pairs: PatientPair | UidPair, scope: Scope = SCOPE) -> list[str]:
    before = [sql(database, f"SELECT * FROM {table}") for table in ("uid_map", "patient_map")]
    with pytest.raises(PairsRefused) as error:
        import_pairs(database, scope, pairs, "crosswalk.csv")
    assert [sql(database, f"SELECT * FROM {table}") for table in ("uid_map", "patient_map")] == before
    return [str(fault) for fault in error.value.faults]


def test_imported_pairs_win_over_the_keys_and_are_marked(database: Database) -> None:
    assert import_pairs(database, SCOPE, PAIRS) == Imported(3, 0)
    one, two = identities(database, "1"), identities(database, " 2 ", "HOSPITAL")
    assert (one.pseudonym(), one.shift_days(), one.uid("1.2.3")) == ("SUBJECT-1", -100, "2.25.33")
    assert (two.pseudonym(), two.shift_days()) == ("SUBJECT-2", KEYS.shift_days(PatientKey("H", "2")))
    assert one.uid("1.2.4") == KEYS.uid("1.2.4")
    assert sql(database, "SELECT origin FROM uid_map UNION ALL SELECT origin FROM patient_map") == [("imported",)] * 3


def test_they_are_the_same_after_a_restart_and_when_instances_went_out(database: Database) -> None:
    import_pairs(database, SCOPE, PAIRS)
    one = identities(database, "1")
    one.pseudonym(), one.uid("1.2.3"), one.bind_study()
    patients = tuple((key.issuer, key.patient_id, *given) for key, given in one.patients.items())
    assert settle(database, Handed(1, {}, tuple(one.uids.items()), patients, one.study)) == [None]
    database.close()
    again = Database(f"sqlite:///{database.path}", database.columns)
    assert identities(again, "1").pseudonym() == "SUBJECT-1"
    assert import_pairs(again, SCOPE, PAIRS) == Imported(0, 3), "the same pairs once more change nothing"
    assert sql(again, "SELECT DISTINCT origin FROM patient_map") == [("imported",)]
    again.close()


def test_a_pair_that_would_change_a_patient_with_deliveries_is_refused(database: Database) -> None:
    computed = (KEYS.pseudonym(PatientKey("H", "1")), KEYS.shift_days(PatientKey("H", "1")))
    assert settle(database, Handed(patients=(("H", "1", *computed),), uids=(("1.2.3", KEYS.uid("1.2.3")),))) == [None]
    for pair in (PAIRS[0], PatientPair(1, "", "1", computed[0], computed[1] - 1)):
        (fault,) = refused(database, pair)
        assert fault.startswith("crosswalk.csv:1: the patient has another pseudonym or shift already.")
    (fault,) = refused(database, PAIRS[2])
    assert fault.startswith("crosswalk.csv:3: the UID has another replacement already.")
    assert import_pairs(database, SCOPE, [PatientPair(1, "H", "1", *computed)]) == Imported(0, 1)


def test_a_patient_whose_studies_went_out_without_a_pseudonym_counts_as_one_with_deliveries(database: Database) -> None:
    one = identities(database, "1")
    one.bind_study()
    assert not one.patients
    assert settle(database, Handed(study=one.study)) == [None]
    assert "went out under another" in refused(database, PAIRS[0])[0]
    assert import_pairs(database, SCOPE, [PatientPair(1, "H", "1", KEYS.pseudonym(PatientKey("H", "1")))]).new == 1


def test_a_replacement_for_two_originals_is_refused_as_a_collision(database: Database) -> None:
    twice = PatientPair(2, "", "2", "SUBJECT-1"), UidPair(4, "1.2.4", "2.25.33")
    faults = refused(database, *PAIRS[::2], *twice)
    assert [fault.partition(". ")[0] for fault in faults] == [
        "crosswalk.csv:2: another patient has this pseudonym, in line 1",
        "crosswalk.csv:4: another UID has this replacement, in line 3",
    ]
    import_pairs(database, SCOPE, PAIRS)
    assert len(refused(database, PatientPair(9, "", "9", "SUBJECT-2"), twice[1])) == 2
    third = PatientPair(9, "", "9", KEYS.pseudonym(PatientKey("H", "8")))
    import_pairs(database, SCOPE, [third])
    computed = (KEYS.pseudonym(PatientKey("H", "8")), -40)
    assert settle(database, Handed(patients=(("H", "8", *computed),))) == [HoldReason.COLLISION]


def test_a_cleaner_that_computed_before_the_import_holds_its_instance(database: Database) -> None:
    computed = Handed(patients=(("H", "1", KEYS.pseudonym(PatientKey("H", "1")), -40),))
    import_pairs(database, SCOPE, PAIRS)
    assert settle(database, computed) == [HoldReason.COLLISION]


@pytest.mark.parametrize(
    ("pair", "problem"),
    [
        (PatientPair(5, "", "UNKNOWN", "S"), "the Patient ID is empty or a placeholder"),
        (PatientPair(5, "", " ", "S"), "the Patient ID is empty or a placeholder"),
        *(
            (PatientPair(5, "", "7", name), "not a pseudonym")
            for name in ("", " S", "A^B", "A=B", "A\\B", "Ä", "x" * 65)
        ),
        (PatientPair(5, "", "7", "S", 0), "not a shift"),
        (PatientPair(5, "", "7", "S", 40_000), "not a shift"),
        (UidPair(5, "", "1.2"), "not two UIDs"),
        (UidPair(5, "1.2", "1.2.x"), "not two UIDs"),
        (UidPair(5, "1.2.840.10008.1.2", "2.25.1"), "the standard's own"),
        (UidPair(5, "1.2", "1.2.840.10008.9"), "the standard's own"),
    ],
)
def test_a_pair_that_cannot_be_is_refused_without_its_values(database: Database, pair, problem: str) -> None:
    (fault,) = refused(database, pair)
    assert fault.startswith("crosswalk.csv:5: ")
    assert problem in fault
    values = [pair.original] if isinstance(pair, UidPair) else [pair.patient_id, pair.pseudonym]
    assert not any(value in fault for value in values if len(value) > 3 and not value.startswith("1.2.840.10008"))


def test_pairs_belong_to_one_project_and_epoch(database: Database, tmp_path: Path) -> None:
    import_pairs(database, SCOPE, PAIRS)
    for scope in (Scope("q", ProjectKeys(bytes(32), "q")), Scope("p", ProjectKeys(bytes(range(32)), "p", 2))):
        maps = LedgerMaps(database)
        assert maps.stored_patient(scope.project, scope.keys.epoch, "H", "1") is None
        assert maps.stored_uid(scope.project, scope.keys.epoch, "1.2.3") is None
    other = Scope("q", ProjectKeys(bytes(32), "q"), SCOPE.patients)
    assert import_pairs(database, other, PAIRS) == Imported(3, 0)
    with sqlite3.connect(database.path) as connection:
        assert connection.execute("SELECT count(DISTINCT project) FROM patient_map").fetchone() == (2,)
