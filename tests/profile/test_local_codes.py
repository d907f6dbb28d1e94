"""Codes of somebody's own, and other ids of a patient in items."""

from __future__ import annotations

import pytest
from pydicom.dataset import Dataset

from node.recipe import load_recipe, shipped_recipe
from tests.profile.support import CT, profile
from tests.recipe.support import CODINGS, apply, dataset

RESEARCH = load_recipe([found for found in [shipped_recipe("research")] if found is not None])
PATIENT = {"PatientID": "77313-K", "PatientName": "KOWALSKA^ZOFIA", "AccessionNumber": "880121071"}
BY = [profile("clean-descriptors"), profile("clean-descriptors", "clean-structured-content"), RESEARCH]


def procedure(value: str, scheme: str | None, keyword: str = "CodeValue") -> Dataset:
    code = dataset(CodeMeaning="knee")
    setattr(code, keyword, value)
    if scheme is not None:
        code.CodingSchemeDesignator = scheme
    # A sequence that every option lets stay.
    return dataset(SOPClassUID=CT, AnatomicRegionSequence=[code], **PATIENT)


@pytest.mark.parametrize("recipe", BY, ids=["descriptors", "content", "research"])
@pytest.mark.parametrize("scheme", ["99ACME", "L", "", None])
@pytest.mark.parametrize("value", ["77313-K", "KOWALSKA", "P_77313-K", "880121071", "Zofia_1"])
def test_a_local_code_that_is_somebody_goes(recipe, scheme, value):
    for syntax in CODINGS:
        code = apply(recipe, procedure(value, scheme), syntax).AnatomicRegionSequence[0]
        assert code.CodeValue.startswith("CODE_")
        assert value not in str(code)
    again = apply(recipe, procedure(value, scheme, "LongCodeValue")).AnatomicRegionSequence[0]
    assert again.LongCodeValue == code.CodeValue


@pytest.mark.parametrize("recipe", BY, ids=["descriptors", "content", "research"])
def test_other_codes_stay(recipe):
    for value, scheme in (("KNIE-L", "99ACME"), ("880121071", "DCM"), ("880121071", "SCT"), ("4711", "")):
        assert apply(recipe, procedure(value, scheme)).AnatomicRegionSequence[0].CodeValue == value


def test_so_it_is_in_a_report():
    concept = dataset(CodeValue="77313-K", CodingSchemeDesignator="99ACME", CodeMeaning="knee")
    item = dataset(RelationshipType="CONTAINS", ValueType="CODE", ConceptNameCodeSequence=[concept],
                   ConceptCodeSequence=[concept])  # fmt: skip
    source = dataset(SOPClassUID="1.2.840.10008.5.1.4.1.1.88.33", ContentSequence=[item], **PATIENT)
    for recipe in (profile("clean-structured-content"), RESEARCH):
        assert "77313" not in str(apply(recipe, source))


def test_ids_of_other_issuers_become_pseudonyms_and_what_stands_beside_them_goes():
    other = dataset(PatientID="X-90210", IssuerOfPatientID="CLINIC", TypeOfPatientID="TEXT")
    unnamed = dataset(PatientID="Y-1")
    referenced = dataset(ReferencedSOPClassUID="1.2.3", PatientID="Z-1")
    source = dataset(SOPClassUID=CT, OtherPatientIDsSequence=[other, unnamed, dataset(PatientID="")],
                     ReferencedImageSequence=[referenced], **PATIENT)  # fmt: skip
    for syntax in CODINGS:
        after = apply(RESEARCH, source, syntax)
        assert [item.PatientID for item in after.OtherPatientIDsSequence] == ["OTHER7CLINIC", "OTHER3", ""]
        assert "IssuerOfPatientID" not in after.OtherPatientIDsSequence[0]
        assert after.ReferencedImageSequence[0].PatientID == ""
