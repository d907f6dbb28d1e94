"""Who the patient is, and who is none."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from node.identity import PatientKey, Patients
from node.identity.patients import PLACEHOLDERS

PAGE = (Path(__file__).parents[2] / "docs/identity.md").read_text(encoding="utf-8")


def test_one_id_in_several_writings_is_one_patient():
    patients = Patients("HOSPITAL")
    keys = {patients.key(issuer, "Mu\u0308ller 7 ") for issuer in ("HOSPITAL", " HOSPITAL\0", "", None)}
    assert keys == {PatientKey("HOSPITAL", "M\u00fcller 7")}


def test_case_and_issuer_make_another_patient():
    patients = Patients()
    keys = {patients.key(*one) for one in (("A", "x1"), ("A", "X1"), ("a", "X1"), ("", "X1"))}
    assert len(keys) == 4


def test_another_name_of_an_issuer_is_the_same_issuer_also_as_the_routes_own():
    aliases = {"HOSP": "HOSPITAL", "Mu\u0308nchen ": "HOSPITAL"}
    patients = Patients("HOSP", aliases)
    for issuer in ("HOSP", "HOSPITAL", " M\u00fcnchen", None):
        assert patients.key(issuer, "1") == PatientKey("HOSPITAL", "1")
    assert patients.key("ELSEWHERE", "1") == PatientKey("ELSEWHERE", "1")


@pytest.mark.parametrize(
    "patient_id",
    [
        "UNKNOWN", "unknown", " Unknown\0", "Un-known", "0000000", "0", "00", "TEST", "test^patient", "ANONYMOUS",
        "NONE", "n/a", "XXXX", "xx", "9999", "999999999", "-", "???", "***", "", " ", "\0", "\uff35\uff2e\uff2b",
        "JOHN_DOE", "no patient id",
    ],
)  # fmt: skip
def test_an_id_that_stands_for_no_one_in_particular_is_none(patient_id):
    assert Patients().key("HOSPITAL", patient_id) is None


@pytest.mark.parametrize(
    "patient_id",
    [
        "1",
        "X",
        "999",
        "9",
        "0001",
        "00000001",
        "UNKNOWN17",
        "TEST001",
        "N4",
        "1CT1",
        "1111",
        "MRN-0001",
        "TESTA",
        "患者",
    ],
)
def test_an_id_of_ones_own_is_one(patient_id):
    assert Patients().key("", patient_id) == PatientKey("", patient_id)


def test_the_list_can_be_another():
    patients = Patients(placeholders=("000", "Phantom"))
    assert [patients.is_placeholder(one) for one in ("000", "0000", "PHANTOM", "-")] == [True] * 4
    assert [patients.is_placeholder(one) for one in ("0", "00", "UNKNOWN", "TEST")] == [False] * 4


def test_the_page_has_the_default_list():
    listed = re.search(r"its default:\n\n((?:    .*\n)+)", PAGE)
    assert listed is not None
    assert re.split(r"  +|\n +", listed[1].strip()) == list(PLACEHOLDERS)
