"""UIDs, pseudonyms and date shifts from the secret."""

from __future__ import annotations

import hashlib
import re
import uuid
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pydicom.uid import UID

from node.config import Project
from node.config.yaml12 import StrictLoader
from node.identity import PatientKey, ProjectKeys, fingerprint, with_project_key

SECRET = bytes(range(32))
KEYS = ProjectKeys(SECRET, "demo")
KINDS = ("uid", "pseudonym", "shift", "text")
PAGE = (Path(__file__).parents[2] / "docs/identity.md").read_text(encoding="utf-8")


def vectors() -> list[list[str]]:
    rows = [[cell.strip().strip("`") for cell in line.split("|")[1:-1]] for line in PAGE.splitlines() if "|" in line]
    return [row for row in rows if len(row) == 5 and row[0] in KINDS]


def forms() -> list[list[str]]:
    rows = [[cell.strip().strip("`") for cell in line.split("|")[1:-1]] for line in PAGE.splitlines() if "|" in line]
    return [row for row in rows if len(row) == 3 and row[0] in ("pseudonym", "uid_root", "dates")]


@pytest.mark.parametrize(("what", "project", "epoch", "original", "result"), vectors())
def test_the_page_and_the_program_agree(what, project, epoch, original, result):
    keys = ProjectKeys(SECRET, project, int(epoch))
    if what in ("uid", "text"):
        assert getattr(keys, what)(original) == result
        return
    issuer, _, patient_id = original.partition(" / ")
    patient = PatientKey(issuer.strip("-"), patient_id)
    assert (keys.pseudonym(patient) if what == "pseudonym" else str(keys.shift_days(patient))) == result


def test_the_page_has_vectors_of_each_kind():
    assert {row[0] for row in vectors()} == set(KINDS)
    assert len(vectors()) >= 17
    assert len(forms()) == 5
    assert fingerprint(SECRET) in PAGE


def test_the_page_and_the_program_agree_on_a_key_of_the_projects_own():
    both = with_project_key(SECRET, bytes(range(32, 64)), "demo")
    assert both.hex() in PAGE
    assert ProjectKeys(both, "demo").uid("1.2.3.4") in PAGE
    others = [with_project_key(bytes(32), bytes(range(32, 64)), "demo"), with_project_key(SECRET, bytes(32), "demo")]
    assert len({both, *others, with_project_key(SECRET, bytes(range(32, 64)), "other")}) == 4


@pytest.mark.parametrize(("key", "value", "result"), forms())
def test_the_page_and_the_program_agree_in_other_forms(key, value, result):
    project = Project.model_validate({key: yaml.load(value, StrictLoader)})
    keys = ProjectKeys(SECRET, "demo", forms=project.forms())
    patient = PatientKey("", "PAT001")
    results = {"pseudonym": keys.pseudonym(patient), "uid_root": keys.uid("1.2.3.4"), "dates": keys.shift_days(patient)}
    assert str(results[key]) == result


@given(st.text(min_size=1, max_size=64))
def test_a_uid_is_a_uuid_of_version_8_under_2_25(original):
    replaced = KEYS.uid(original)
    if not original.strip("\0 "):
        assert replaced == ""
        return
    assert UID(replaced).is_valid
    number = uuid.UUID(int=int(replaced.removeprefix("2.25.")))
    assert (number.version, number.variant) == (8, uuid.RFC_4122)


def test_padding_does_not_matter_and_empty_stays_empty():
    assert KEYS.uid("1.2.3\0") == KEYS.uid(" 1.2.3 ") == KEYS.uid("1.2.3")
    assert KEYS.uid("") == KEYS.uid(" \0") == ""
    assert PatientKey(" H\0", "Mu\u0308ller ") == PatientKey("H", "Müller")


def test_projects_epochs_secrets_and_issuers_share_nothing():
    patient = PatientKey("A", "1")
    all_keys = [KEYS, ProjectKeys(SECRET, "demo2"), ProjectKeys(SECRET, "demo", 2), ProjectKeys(bytes(32), "demo")]
    assert len({keys.uid("1.2.3") for keys in all_keys}) == 4
    assert len({keys.pseudonym(patient) for keys in all_keys}) == 4
    assert len({keys.shift_days(patient) for keys in all_keys}) == 4
    assert len({keys.text("1.2.3") for keys in all_keys}) == 4
    assert KEYS.pseudonym(PatientKey("", "1")) != KEYS.pseudonym(patient)
    assert KEYS.pseudonym(PatientKey("A1", "2")) != KEYS.pseudonym(PatientKey("A", "12"))


@given(st.text(min_size=1, max_size=64).filter(lambda text: text.strip("\0 ")))
def test_a_pseudonym_is_13_letters_and_digits_and_a_shift_goes_into_the_past(patient_id):
    patient = PatientKey("", patient_id)
    assert re.fullmatch("[0-9A-HJKMNP-TV-Z]{13}", KEYS.pseudonym(patient))
    assert -730 <= KEYS.shift_days(patient) <= -30


def test_a_patient_without_id_and_a_weak_key_are_refused():
    for call in (KEYS.pseudonym, KEYS.shift_days):
        with pytest.raises(ValueError, match="no id"):
            call(PatientKey("A", " "))
    with pytest.raises(ValueError, match="32 bytes"):
        ProjectKeys(b"short", "demo")
    with pytest.raises(ValueError, match="no name"):
        ProjectKeys(SECRET, "")


def test_a_known_original_cannot_be_recomputed_without_the_secret():
    original, patient = "1.2.840.113619.2.1", PatientKey("", "PAT001")
    mine = ProjectKeys(bytes(range(32)), "demo")
    results = {mine.uid(original), mine.pseudonym(patient), mine.text("PAT001")}
    # What somebody tries who has the program, its documentation, the project's name and the original, but no secret.
    for guess in (bytes(32), b"\xff" * 32, b"demo".ljust(32, b"\0"), b"deid-node secret fingerprint".ljust(32, b"\0")):
        other = ProjectKeys(guess, "demo")
        assert results.isdisjoint({other.uid(original), other.pseudonym(patient), other.text("PAT001")})
    number = int(mine.uid(original).rpartition(".")[2])
    plain = [uuid.uuid5(space, original).int for space in (uuid.NAMESPACE_OID, uuid.NAMESPACE_URL, uuid.NAMESPACE_DNS)]
    for name in ("md5", "sha1", "sha256", "sha512"):
        texts = (original, f"demo{original}", f"{original}demo")
        plain += [int.from_bytes(hashlib.new(name, text.encode()).digest()[:16], "big") for text in texts]
    kept = ~(0xF << 76 | 0x3 << 62)  # without version and variant
    assert all(number & kept != one & kept for one in plain)
