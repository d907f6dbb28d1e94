"""Rows G: lists of fields and of values."""

from __future__ import annotations

from tests.differential.rows import (
    ID_GONE,
    NESTED,
    NOTHING,
    Fails,
    Refused,
    Rule,
    differs,
    gone,
    plain,
    plain_with,
    same,
    to,
)
from tests.recipe.support import dataset

NO_META = "KEEP select:group:0002"
VALUE, TYPE = Fails("ValueError"), Fails("TypeError")
NAME_GONE = gone("PatientName")


def fields(line: str, action: str = "REMOVE fields:f") -> str:
    return f"%fields f\n{line}\n%header\n{action}"


def values(line: str, action: str = "REMOVE values:v") -> str:
    return f"%values v\n{line}\n%header\n{action}"


def named(name: str, **others: object):
    return plain_with(PatientName=name, **others)


G = [
    same(
        "G1",
        "a list of fields",
        fields("FIELD Modality\nFIELD startswith:Study", "BLANK fields:f"),
        to(Modality="", StudyDate="", StudyTime="", StudyDescription=""),
    ),
    same(
        "G1-path",
        "a path widens to its tag at every level",
        fields("FIELD RequestAttributesSequence__PatientID"),
        ID_GONE,
    ),
    differs(
        "G2",
        "SPLIT in a list of fields",
        fields("SPLIT PatientName"),
        Fails("SystemExit"),
        Refused("SPLIT is no line of %fields"),
        Rule.CRASH,
    ),
    same(
        "G3",
        "FIELD takes whole values, and not empty ones",
        values("FIELD PatientID\nFIELD PatientName"),
        gone("PatientID", "StudyDescription"),
        named("", StudyDescription="of E123 too"),
    ),
    same(
        "G3-several",
        "each of several",
        values("FIELD OtherPatientIDs"),
        gone("OtherPatientIDs", "PatientID", "StudyDescription"),
        plain_with(OtherPatientIDs=["E123", "F4"], StudyDescription="or f4"),
    ),
    differs(
        "G3-sequence",
        "a pattern that finds a sequence",
        values("FIELD contains:Attributes", "BLANK values:v"),
        TYPE,
        to({"RequestAttributesSequence": ("SQ", 0), NESTED: None}),
        Rule.CRASH,
    ),
    differs(
        "G3-named",
        "a sequence by its name",
        values("FIELD RequestAttributesSequence"),
        TYPE,
        Refused("A sequence has no value"),
        Rule.CRASH,
    ),
    differs(
        "G3-unknown", "an unknown keyword", values("FIELD PatientsID"), NOTHING, Refused("is no keyword"), Rule.UNKNOWN
    ),
    same(
        "G4",
        "SPLIT at blanks",
        values("SPLIT StudyDescription"),
        gone("StudyDescription", "PatientID"),
        plain_with(StudyDescription="for E123"),
    ),
    same(
        "G4-options",
        "SPLIT at another text, parts of some length",
        values('SPLIT PatientName by="^";minlength=5'),
        gone("PatientName", "StudyDescription"),
        named("Simpson^J", StudyDescription="of Simpson", Manufacturer="J"),
    ),
    differs(
        "G4-splitval",
        "splitval= is by=",
        values("SPLIT PatientName splitval=^"),
        NOTHING,
        NAME_GONE,
        Rule.DOCUMENTED,
        named("Simpson^J"),
    ),
    differs(
        "G4-quotes",
        "a number in quotes",
        values("SPLIT PatientName by=^;minlength='4'"),
        VALUE,
        NAME_GONE,
        Rule.DOCUMENTED,
        named("Simpson^J"),
    ),
    differs(
        "G4-equals",
        "a = to split at",
        values("SPLIT StudyDescription by=="),
        VALUE,
        gone("StudyDescription", "PatientID"),
        Rule.CRASH,
        plain_with(StudyDescription="id=E123"),
    ),
    differs(
        "G4-option",
        "a misspelled option",
        values("SPLIT PatientName bye=^"),
        NOTHING,
        Refused("is no option of SPLIT"),
        Rule.UNKNOWN,
    ),
    differs(
        "G4-none",
        "an absent number is not the word None",
        values("SPLIT SliceThickness"),
        gone("ImageType", "SliceThickness"),
        NOTHING,
        Rule.TEXTS,
        plain_with(ImageType=["ORIGINAL", "NONE"], SliceThickness=None),
    ),
    differs(
        "G4-zero",
        "parts without a character",
        values("SPLIT PatientName minlength=0", f"{NO_META}\nREMOVE values:v"),
        gone("Modality", "PatientName", "PatientID", "Rows"),
        Refused("minlength is a whole number from 1"),
        Rule.TEXTS,
        named(""),
    ),
    same(
        "G5",
        "whatever holds one of the values, in any case",
        values("FIELD Modality"),
        gone("Modality", "StudyDescription"),
        plain_with(StudyDescription="ct of a knee"),
    ),
    *(
        differs(
            f"G5-{name}",
            "a value with a sign of patterns",
            values("FIELD PatientName"),
            NOTHING,
            NAME_GONE,
            Rule.TEXTS,
            named(value),
        )
        for name, value in (("caret", "Simpson^Homer"), ("plus", "a+b"), ("parentheses", "x(y)"))
    ),
    differs(
        "G5-error",
        "a value that is no pattern at all",
        values("FIELD PatientName"),
        Fails("error"),
        NAME_GONE,
        Rule.TEXTS,
        named("Smith (MD"),
    ),
    differs(
        "G5-empty",
        "an empty one of several values",
        values("FIELD OtherPatientIDs", f"{NO_META}\nBLANK values:v"),
        to(Modality="", PatientName="", PatientID="", Rows="", OtherPatientIDs=""),
        to(OtherPatientIDs=""),
        Rule.TEXTS,
        plain_with(OtherPatientIDs=["A1", ""]),
    ),
    same(
        "G5-short",
        "a short value is in many",
        values("FIELD Rows"),
        gone("Rows", "StudyDate"),
        plain_with(StudyDate="20240115"),
    ),
    same(
        "G6",
        "a sequence that holds one goes as a whole",
        values("FIELD PatientName"),
        gone("PatientName", "RequestAttributesSequence", "RequestAttributesSequence__0__CodeMeaning"),
        named("knee", RequestAttributesSequence=[dataset(CodeMeaning="a Knee")]),
    ),
    differs(
        "G6-print",
        "names and tags inside a sequence",
        values("FIELD PatientID"),
        gone("PatientID", "RequestAttributesSequence", "RequestAttributesSequence__0__CodeValue"),
        gone("PatientID"),
        Rule.TEXTS,
        plain_with(PatientID="Code", RequestAttributesSequence=[dataset(CodeValue="1")]),
    ),
    differs(
        "G6-replace",
        "REPLACE of a sequence that holds one",
        values("FIELD PatientName", "REPLACE values:v x"),
        TYPE,
        to({"PatientName": "x", "RequestAttributesSequence__0__CodeMeaning": "x"}),
        Rule.CRASH,
        named("knee", RequestAttributesSequence=[dataset(CodeMeaning="a Knee")]),
    ),
    same(
        "G7",
        "what KEEP holds gives no values",
        values("FIELD PatientName", "KEEP PatientName\nREMOVE values:v"),
        NOTHING,
        named("knee", StudyDescription="knee"),
    ),
    differs("G8", "field in small letters", values("field Modality"), NOTHING, gone("Modality"), Rule.CASE, plain),
    differs(
        "G8-FIELDS",
        "a misspelled FIELD",
        values("FIELDS Modality"),
        NOTHING,
        Refused("is no line of %values"),
        Rule.UNKNOWN,
    ),
    differs(
        "G9",
        "values: as a condition",
        values("FIELD Modality", f"{NO_META}\nREMOVE ALL values:v"),
        gone("Modality", "PatientName", "PatientID"),
        Refused("Write REMOVE and the field alone"),
        Rule.CONDITION,
        plain,
    ),
    differs(
        "G10",
        "a name of two words",
        "%values my list\nFIELD PatientID\n%header\nREMOVE values:my list",
        NOTHING,
        Refused("has a blank"),
        Rule.UNKNOWN,
    ),
]
