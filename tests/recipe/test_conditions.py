"""Conditions on the header (language page 1.11, section 7)."""

from __future__ import annotations

import pytest

from node.errors import RecipeError
from node.recipe import EncodedDataset, compile_conditions
from node.syntaxes import EXPLICIT_LE, IMPLICIT_LE
from tests.recipe.support import dataset, encode

SOURCE = dataset(
    Modality="SR",
    SeriesDescription="Dose Report (Simpson^Homer)",
    ImageType=["DERIVED", "SECONDARY"],
    PatientID="",
    SliceThickness="",
    SeriesNumber="0",
    StudyID="0",
    Rows=4,
    RequestAttributesSequence=[],
    ReferencedImageSequence=[dataset(PatientName="nested")],
)


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ("contains SeriesDescription dose", True),
        ("contains SeriesDescription ^dose", True),
        ("contains SeriesDescription ^report", False),
        (r"contains SeriesDescription Dose\S", False),
        ("contains StudyDescription dose", False),
        ("notcontains StudyDescription dose", True),
        ("notcontains SeriesDescription dose", False),
        ("contains ImageType ^SECONDARY$", True),
        (r"contains ImageType DERIVED\\SECONDARY", True),
        ("contains ImageType DERIVED+SECONDARY", False),
        ("contains Rows 4", True),
        ("equals Modality sr", True),
        ("EQUALS Modality CT|SR", True),
        ("equals Modality CT", False),
        ("equals Modality S", False),
        ("equals StudyDescription x", False),
        ("notequals StudyDescription x", True),
        ("notequals Modality KO | SR", False),
        ("equals Rows 4", True),
        ("equals Rows 4.0", False),
        (r"equals ImageType DERIVED\SECONDARY", True),
        ("equals ImageType DERIVED", False),
        ("missing StudyDescription", True),
        ("missing Modality", False),
        ("missing PatientID", False),
        ("missing SliceThickness", True),
        ("missing PatientName", True),
        ("present PatientID", True),
        ("present SliceThickness", False),
        ("present RequestAttributesSequence", True),
        ("empty PatientID", True),
        ("empty SliceThickness", True),
        ("empty StudyDescription", False),
        ("empty RequestAttributesSequence", True),
        ("empty ReferencedImageSequence", False),
        ("empty SeriesNumber", True),
        ("empty StudyID", False),
        ("empty Modality", False),
        ("equals Modality CT || missing StudyDate + equals Rows 4", True),
        ("equals Modality SR + equals Rows 5 || missing StudyDate", True),
        ("equals Modality SR || missing StudyDate + equals Rows 5", False),
        ("missing Modality || contains SeriesDescription dose", True),
        ("+ equals Modality SR", True),
        ("equals 0x00080060 SR", True),
        ("equals (0008,0060) SR # note", True),
        ("equals 00080060 SR", True),
    ],
)
def test_a_condition_is_judged_as_the_language_says(condition, expected):
    for syntax in (EXPLICIT_LE, IMPLICIT_LE):
        source = EncodedDataset.scan(encode(SOURCE, syntax), 0, syntax)
        assert compile_conditions([condition], "routes.0.exclude").matches(source) == (condition if expected else None)


def test_the_first_condition_that_is_met_is_named():
    source = EncodedDataset.scan(encode(SOURCE), 0, EXPLICIT_LE)
    conditions = compile_conditions(["equals Modality CT", "missing StudyDate", "present Modality"], "x")
    assert conditions.matches(source) == "missing StudyDate"
    assert compile_conditions([], "x").matches(source) is None


@pytest.mark.parametrize(
    ("condition", "words"),
    [
        ("startswith Modality C", "startswith is no test"),
        ("containsX Modality C", "Did you mean contains"),
        ("equals Modalty CT", "Did you mean Modality"),
        ("equals Modality", "needs a value"),
        ("missing", "names no element"),
        ("missing Modality CT", "takes no value"),
        ("contains Modality (", "regular expression"),
        ("contains RequestAttributesSequence x", "sequence"),
        ("equals (0002,0010) 1.2", "file meta"),
        ("present OverlayData", "many groups"),
        ("", "no test"),
    ],
)
def test_a_condition_that_cannot_be_meant_is_a_fault(condition, words):
    with pytest.raises(RecipeError, match="x:2") as refused:
        compile_conditions(["present Modality", condition], "x")
    assert words in str(refused.value)
