"""The replacements of one instance: for whom, and what is noted of them."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydicom.dataset import Dataset

from node.errors import HoldInstance, HoldReason
from node.identity import PatientKey, Patients, ProjectKeys
from node.instances import InstanceIdentities, Maps, NoMaps, Scope
from node.ledger.cleaning import CleaningLedger
from node.ledger.maps import Handed, LedgerMaps
from node.recipe import EncodedDataset
from node.syntaxes import EXPLICIT_LE
from tests.ledger.support import new_database
from tests.recipe.support import encode

KEYS = ProjectKeys(bytes(range(32)), "demo")
STUDY = "1.2.3.4"


def identities(scope: Scope | None = None, maps: Maps | None = None, **values: str) -> InstanceIdentities:
    dataset = Dataset()
    for keyword, value in {"StudyInstanceUID": STUDY, "PatientID": "MRN-1", **values}.items():
        setattr(dataset, keyword, value)
    encoded = EncodedDataset.scan(encode(dataset), 0, EXPLICIT_LE)
    return InstanceIdentities(scope or Scope("demo", KEYS), maps or NoMaps(), encoded)


@pytest.mark.parametrize("patient_id", ["UNKNOWN", "0000000", "", "-"])
def test_an_id_of_no_one_is_held_and_never_hashed(patient_id: str) -> None:
    one = identities(PatientID=patient_id)
    for ask in (one.pseudonym, one.shift_days):
        with pytest.raises(HoldInstance) as held:
            ask()
        assert held.value.reason is HoldReason.NO_PATIENT_ID
        assert held.value.detail in ("(0010,0020) is a placeholder", "(0010,0020) is absent or empty")
    one.bind_study()
    assert (one.patients, one.study) == ({}, None)


def test_where_the_study_stands_for_the_patient_two_studies_are_two_patients() -> None:
    scope = Scope("demo", KEYS, without_patient_id="study")
    found = [
        identities(scope, PatientID=patient_id, StudyInstanceUID=study)
        for patient_id in ("UNKNOWN", "unknown ", "")
        for study in (STUDY, "1.2.3.5")
    ]
    pseudonyms = [one.pseudonym() for one in found]
    assert (len(set(pseudonyms)), pseudonyms[0::2]) == (2, [pseudonyms[0]] * 3)
    assert identities(scope).pseudonym() == KEYS.pseudonym(PatientKey("", "MRN-1")), "an id of one's own counts"
    found[0].bind_study()
    assert found[0].study == (KEYS.uid(STUDY), pseudonyms[0])


def test_whatever_is_handed_out_is_noted_and_nothing_else() -> None:
    one = identities(IssuerOfPatientID="H")
    one.bind_study()
    assert (one.uids, one.patients) == ({}, {}), "a study is noted without handing out anything"
    one.uid(" 1.2 ")
    one.shift_days()
    other = one.pseudonym_of("X7")
    assert one.uids == {"1.2": KEYS.uid("1.2")}
    assert list(one.patients) == [PatientKey("H", "MRN-1"), PatientKey("H", "X7")]
    assert one.patients[PatientKey("H", "X7")] == (other, KEYS.shift_days(PatientKey("H", "X7")))
    assert one.pseudonym_of("UNKNOWN") == ""


def test_another_id_by_an_issuer_of_its_own_is_somebody_elses_number() -> None:
    one = identities(IssuerOfPatientID="H")
    assert len({one.pseudonym_of("MRN-1"), one.pseudonym_of("MRN-1", "CLINIC")}) == 2
    assert one.pseudonym_of("MRN-1") == one.pseudonym_of("MRN-1", "H") == one.pseudonym()
    assert PatientKey("CLINIC", "MRN-1") in one.patients


def test_an_alias_of_an_issuer_and_the_routes_issuer_are_the_same_patient() -> None:
    scope = Scope("demo", KEYS, Patients("OLD", {"OLD": "NEW"}))
    assert len({identities(scope, **more).pseudonym() for more in ({}, {"IssuerOfPatientID": "NEW"})}) == 1


def test_what_the_maps_hold_wins_and_a_study_of_another_patient_is_held(tmp_path: Path) -> None:
    database = new_database(tmp_path)
    handed = Handed(
        uids=((STUDY, "2.25.77"),), patients=(("", "MRN-1", "IMPORTED", -11),), study=(KEYS.uid(STUDY), "IMPORTED")
    )
    with database.write(durable=True) as connection:
        CleaningLedger(database, "c").maps.write(connection, "demo", handed)
    maps = LedgerMaps(database)
    one = identities(maps=maps)
    assert (one.uid(STUDY), one.pseudonym(), one.shift_days()) == ("2.25.77", "IMPORTED", -11)
    one.bind_study()
    assert one.study == handed.study
    with pytest.raises(HoldInstance) as held:
        identities(maps=maps, PatientID="MRN-2").bind_study()
    assert held.value.reason is HoldReason.STUDY_OF_TWO_PATIENTS
    assert not {"MRN", STUDY} & set(held.value.detail.split())
    for project, epoch in (("other", 1), ("demo", 2)):
        elsewhere = identities(Scope(project, ProjectKeys(bytes(range(32)), project, epoch)), maps, PatientID="MRN-2")
        elsewhere.bind_study()
        assert elsewhere.uid(STUDY) != "2.25.77"
    database.close()
