"""Rows A (actions), and the cells of two actions on one element."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pydicom.dataset import Dataset

from node.deid import DeidRecipe
from node.errors import RecipeError
from tests.differential.rows import (
    DEEP,
    ID_GONE,
    META,
    NESTED,
    NO_FUNCTION,
    NO_VARIABLE,
    NOTHING,
    Case,
    Fails,
    Held,
    Refused,
    Rule,
    Special,
    differs,
    failed,
    gone,
    left,
    plain,
    plain_with,
    same,
    to,
    with_,
)
from tests.recipe.support import CELLS, LINES, STUDY_DATE, dataset

VALUE, ATTRIBUTE, TYPE = Fails("ValueError"), Fails("AttributeError"), Fails("TypeError")


def recursive() -> Dataset:
    return plain(ContentSequence=[dataset(TextValue="a", ContentSequence=[dataset(TextValue="b")])])


def _a19(folder: Path) -> None:
    """The other side blanks; ours refuses, as it does in a text."""
    from deid.config import DeidRecipe as Theirs
    from deid.dicom.parser import DicomParser
    from pydicom import dcmread

    from tests.differential.rows import encoded

    recipe = {"format": "dicom", "header": [{"action": "DELETE", "field": "PatientID"}]}
    (folder / "a.dcm").write_bytes(encoded(plain()))
    parser = DicomParser(dcmread(folder / "a.dcm"), recipe=Theirs(recipe))
    parser.parse()
    assert parser.dicom["PatientID"].value is None
    with pytest.raises(RecipeError, match="DELETE is no action"):
        DeidRecipe(recipe)


def _a20(folder: Path) -> None:
    """The other side leaves the lines before the failure done and the others not."""
    from deid.config import DeidRecipe as Theirs
    from deid.dicom.parser import DicomParser
    from pydicom import dcmread

    from tests.differential.rows import LOOKUP, encoded

    (folder / "a.dcm").write_bytes(encoded(plain()))
    (folder / "r.dicom").write_text(
        "FORMAT dicom\n%header\nREMOVE Rows\nREPLACE PatientID func:broken\nREMOVE PatientName\n"
    )
    parser = DicomParser(dcmread(folder / "a.dcm"), recipe=Theirs(str(folder / "r.dicom")))
    parser.define("broken", LOOKUP["broken"])
    with pytest.raises(RuntimeError):
        parser.parse()
    assert "Rows" not in parser.dicom
    assert parser.dicom.PatientName == "Simpson^Homer"


DAYS = Refused("only DA and DT can be moved")
DATE = Held("not a full date")
PLAIN_NOT = Refused("ADD names one element")

A = [
    same("A1", "ADD makes an element", "ADD StudyID 1", to(StudyID=("SH", "1"))),
    same("A1-there", "or gives another value to one of the top level", "ADD PatientID x", to(PatientID="x")),
    same("A1-vr", "which keeps its VR", "ADD 00100020 x", to(PatientID=("LO", "x"))),
    same("A1-digits", "by digits a new one has VR ST", "ADD 00200010 x", to(StudyID=("ST", "x"))),
    same(
        "A1-private", "a private one too; nobody reserves its block", "ADD 00351001 x", to({"(0035,1001)": ("ST", "x")})
    ),
    same(
        "A1-meta",
        "file meta information",
        "ADD SourceApplicationEntityTitle ME",
        to({"meta.SourceApplicationEntityTitle": "ME"}),
    ),
    differs("A1-case", "a keyword in another case", "ADD studyid 1", VALUE, to(StudyID="1"), Rule.CASE),
    *(
        differs(f"A1-{n}", "ADD takes a keyword or digits", f"ADD {name} x", VALUE, PLAIN_NOT, Rule.CRASH)
        for n, name in enumerate(
            (
                "(0020,0010)",
                "RequestAttributesSequence__PatientName",
                '(0033,"ACME 1.0",02)',
                "contains:Study",
                "ALL",
                "select:VR:LO",
            )
        )
    ),
    differs(
        "A2",
        "ADD of what is protected",
        "ADD TransferSyntaxUID 1.2",
        to({"meta.TransferSyntaxUID": "1.2"}),
        Refused("is protected"),
        Rule.PROTECTED,
    ),
    same("A2-keep", "ADD goes past KEEP", "KEEP PatientID\nADD PatientID x", to(PatientID="x")),
    differs(
        "A3", "ADD of a number that is absent", "ADD Columns 4", Fails("OSError"), to(Columns=("US", "4")), Rule.CRASH
    ),
    differs("A4", "ADD without a value", "ADD StudyID", Fails("SystemExit"), Refused("needs a value"), Rule.CRASH),
    same("A5", "REPLACE means every level", "REPLACE PatientID x", to({"PatientID": "x", NESTED: "x", DEEP: "x"})),
    same("A5-absent", "and makes nothing", "REPLACE StudyID x", NOTHING),
    same("A6", "BLANK of a text", "BLANK PatientID", to({"PatientID": "", NESTED: "", DEEP: ""})),
    same("A6-number", "BLANK of a number", "BLANK Rows", to(Rows="")),
    same(
        "A6-sequence",
        "BLANK of a sequence leaves no items",
        "BLANK RequestAttributesSequence",
        to({"RequestAttributesSequence": ("SQ", 0), NESTED: None}),
    ),
    differs(
        "A6-words",
        "words behind the field",
        "BLANK Modality x y",
        to(Modality=""),
        Refused("BLANK takes no value"),
        Rule.EXTRA,
    ),
    same("A7", "REMOVE means every level; items stay", "REMOVE PatientID", ID_GONE),
    same(
        "A7-sequence",
        "a sequence goes with its items",
        "REMOVE RequestAttributesSequence",
        gone("RequestAttributesSequence", NESTED),
    ),
    same(
        "A7-yields",
        "REMOVE yields to REPLACE, by whatever name",
        "REMOVE PatientID\nREPLACE select:VR:LO x\nKEEP select:group:0033",
        to(
            {
                "Manufacturer": "x",
                "StudyDescription": "x",
                "PatientID": "x",
                NESTED: "x",
            }
        ),
    ),
    same(
        "A7-jitter",
        "and to JITTER",
        "JITTER StudyDate 1\nREMOVE ALL",
        left("StudyDate", *META),
        plain_with(StudyDate=""),
    ),
    differs(
        "A7-fails",
        "also where that does nothing",
        "REMOVE PatientID\nREPLACE PatientID var:gone",
        NOTHING,
        NO_VARIABLE,
        Rule.UNKNOWN,
    ),
    differs(
        "A7-func",
        "so too with a function",
        "REMOVE PatientID\nREPLACE PatientID func:gone",
        NOTHING,
        NO_FUNCTION,
        Rule.UNKNOWN,
    ),
    differs(
        "A7-text", "REMOVE and JITTER of a text", "REMOVE PatientID\nJITTER PatientID 5", NOTHING, DAYS, Rule.JITTER
    ),
    same(
        "A8",
        "REMOVE where a function says so",
        "REMOVE ALL func:true",
        gone("Manufacturer", "StudyDescription", "(0033,0010)", "(0033,101E)", *ID_GONE.elements),
    ),
    same("A8-false", "or does not", "REMOVE ALL func:false", NOTHING),
    same(
        "A8-var",
        "REMOVE where a variable is not empty",
        "REMOVE Modality var:id\nREMOVE PatientName var:empty",
        gone("Modality"),
    ),
    differs(
        "A8-missing",
        "a function that is missing",
        "REMOVE Modality func:gone",
        NOTHING,
        NO_FUNCTION,
        Rule.UNKNOWN,
    ),
    differs(
        "A9",
        "a condition on values",
        "REMOVE Modality contains:nothing",
        gone("Modality"),
        Refused("no condition on values"),
        Rule.CONDITION,
    ),
    differs(
        "A9-false",
        "the word False",
        "REMOVE Modality False",
        gone("Modality"),
        Refused("no condition on values"),
        Rule.CONDITION,
    ),
    differs(
        "A9-number",
        "a condition on a number",
        "REMOVE Rows equals:4",
        NOTHING,
        Refused("no condition on values"),
        Rule.CONDITION,
    ),
    differs(
        "A10",
        "REMOVE of a tag inside itself",
        "REMOVE ContentSequence",
        ATTRIBUTE,
        gone(
            "ContentSequence",
            "ContentSequence__0__TextValue",
            "ContentSequence__0__ContentSequence",
            "ContentSequence__0__ContentSequence__0__TextValue",
        ),
        Rule.RECURSION,
        recursive,
    ),
    differs(
        "A10-blank",
        "BLANK of a tag inside itself",
        "BLANK ContentSequence",
        ATTRIBUTE,
        to(
            {
                "ContentSequence": ("SQ", 0),
                "ContentSequence__0__TextValue": None,
                "ContentSequence__0__ContentSequence": None,
                "ContentSequence__0__ContentSequence__0__TextValue": None,
            }
        ),
        Rule.RECURSION,
        recursive,
    ),
    differs("A10-all", "REMOVE ALL", "REMOVE ALL", ATTRIBUTE, left(*META), Rule.RECURSION, recursive),
    *(
        same(f"A11-{line.split()[0]}", "KEEP beats the line, wherever it stands", f"{line}\nKEEP StudyDate", NOTHING)
        for line in ("REPLACE StudyDate 20200101", "BLANK StudyDate", "JITTER StudyDate 1", "REMOVE StudyDate")
    ),
    same("A11-nested", "KEEP of an element keeps those in items", "KEEP PatientID\nREMOVE PatientID", NOTHING),
    differs(
        "A11-path",
        "KEEP of a path",
        "KEEP RequestAttributesSequence__PatientID\nREMOVE PatientID",
        ID_GONE,
        gone("PatientID", DEEP),
        Rule.KEEP,
    ),
    differs(
        "A11-tags",
        "KEEP of a path of tags",
        "KEEP (0040,0275)__0__(0010,0020)\nREMOVE PatientID",
        ID_GONE,
        gone("PatientID", DEEP),
        Rule.KEEP,
    ),
    differs(
        "A11-only",
        "KEEP of a tag that is only in items",
        "KEEP PatientID\nREMOVE PatientID",
        gone(NESTED),
        NOTHING,
        Rule.KEEP,
        lambda: dataset(Modality="CT", RequestAttributesSequence=[dataset(PatientID="N1")]),
    ),
    same(
        "A11-items",
        "KEEP of a sequence keeps its items",
        "KEEP RequestAttributesSequence\nREMOVE PatientID",
        gone("PatientID", DEEP),
    ),
    same(
        "A11-parent",
        "KEEP does not save from the removal of the sequence",
        "KEEP PatientID\nREMOVE RequestAttributesSequence",
        gone("RequestAttributesSequence", NESTED),
    ),
    differs(
        "A11-fields",
        "KEEP of a list of fields",
        "%fields k\nFIELD Modality\n%header\nKEEP fields:k\nREMOVE ALL",
        left(*META),
        left("Modality", *META),
        Rule.KEEP,
        plain,
    ),
    differs(
        "A11-values",
        "KEEP of a list of values",
        "%values k\nFIELD Modality\n%header\nKEEP values:k\nREMOVE ALL",
        left(*META),
        Refused("KEEP has no condition on values"),
        Rule.KEEP,
        plain,
    ),
    same("A11-all", "KEEP ALL leaves nothing to do", "KEEP ALL\nREMOVE PatientID\nREPLACE Modality MR", NOTHING),
    same(
        "A12",
        "KEEP of a private element does not keep its creator",
        'KEEP (0033,"ACME 1.0",1E)\nREMOVE ALL',
        left("(0033,101E)", *META),
    ),
    same("A13", "days forth", "JITTER StudyDate 5", to(StudyDate="20230120")),
    same("A13-plus", "with a sign", "JITTER StudyDate +5", to(StudyDate="20230120")),
    same("A13-minus", "days back", "JITTER StudyDate -15", to(StudyDate="20221231")),
    same("A13-var", "days of a variable", "JITTER StudyDate var:days", to(StudyDate="20230224")),
    same("A13-func", "days of a function", "JITTER StudyDate func:twenty", to(StudyDate="20230204")),
    same("A13-empty", "an empty date stays", "JITTER StudyDate 5", NOTHING, with_(StudyDate="")),
    differs("A13-part", "a part of a day", "JITTER StudyDate 1.5", VALUE, Refused("whole days"), Rule.CRASH),
    differs("A13-text", "days that are none", "JITTER StudyDate var:id", VALUE, Held("no whole number"), Rule.CRASH),
    same("A14", "across a leap day", "JITTER StudyDate 1", to(StudyDate="20240229"), with_(StudyDate="20240228")),
    *(
        differs(
            f"A14-{name}",
            "a date in another form",
            "JITTER StudyDate 1",
            theirs,
            DATE,
            Rule.JITTER,
            with_(StudyDate=value),
        )
        for name, value, theirs in (
            ("points", "2023.01.15", to(StudyDate="20230116")),
            ("slashes", "15/01/2023", to(StudyDate="20230116")),
            ("short", "230115", to(StudyDate="20150124")),
            ("zeros", "00000000", VALUE),
            ("word", "UNKNOWN", VALUE),
            ("range", "20230101-20230131", VALUE),
            ("leap", "20230229", VALUE),
        )
    ),
    differs(
        "A14-partial",
        "a year alone",
        "JITTER StudyDate 1",
        to(StudyDate=re.compile("202[34][0-9]{4}")),
        DATE,
        Rule.STATELESS,
        with_(StudyDate="2023"),
    ),
    differs(
        "A15",
        "a date with a time",
        "JITTER AcquisitionDateTime 1",
        to(AcquisitionDateTime="20230116101112.000000"),
        to(AcquisitionDateTime="20230116101112"),
        Rule.JITTER,
        with_(AcquisitionDateTime="20230115101112"),
    ),
    same(
        "A15-whole",
        "with fraction and zone",
        "JITTER AcquisitionDateTime 1",
        to(AcquisitionDateTime="20230116101112.123456+0100"),
        with_(AcquisitionDateTime="20230115101112.123456+0100"),
    ),
    differs(
        "A15-partial",
        "a year alone",
        "JITTER AcquisitionDateTime 1",
        to(AcquisitionDateTime=re.compile(r"202[34][0-9]{4}000000\.000000")),
        DATE,
        Rule.STATELESS,
        with_(AcquisitionDateTime="2023"),
    ),
    *(
        differs(
            f"A16-{vr}",
            "JITTER of what is no date",
            f"JITTER {keyword} 1",
            theirs,
            DAYS,
            Rule.JITTER,
            with_(**{keyword: value}),
        )
        for vr, keyword, value, theirs in (
            ("TM", "StudyTime", "101112", to(StudyTime="20121012")),
            ("DS", "PatientWeight", "99.5", to(PatientWeight=re.compile("(1999|2000)[0-9]{4}.*"))),
            ("IS", "SeriesNumber", "7", to(SeriesNumber=re.compile("20[0-9]{6}"))),
            ("LO", "StudyDescription", "knee", NOTHING),
            ("PN", "PatientName", "A^B", TYPE),
        )
    ),
    differs("A16-US", "JITTER of a number", "JITTER Rows 1", Fails("OSError"), DAYS, Rule.JITTER),
    differs("A16-SQ", "JITTER of a sequence", "JITTER RequestAttributesSequence 1", TYPE, DAYS, Rule.JITTER),
    differs(
        "A16-later",
        "where only the instance shows it",
        "JITTER contains:^StudyTime 1",
        to(StudyTime="20121012"),
        Held("only DA and DT"),
        Rule.JITTER,
    ),
    same(
        "A17",
        "each of several dates moves",
        "JITTER DateOfLastCalibration 1",
        to(DateOfLastCalibration="['20230116', '20240101']"),
        with_(DateOfLastCalibration=["20230115", "20231231"]),
    ),
    same(
        "A17-empty",
        "empty ones stay",
        "JITTER DateOfLastCalibration 1",
        to(DateOfLastCalibration="['20230116', '', '20240101']"),
        with_(DateOfLastCalibration=["20230115", "", "20231231"]),
    ),
    same("A18", "LABEL in %header does nothing", "LABEL PatientID", NOTHING),
    Special("A19", "an unknown action in a dictionary", _a19, Rule.UNKNOWN),
    differs(
        "A20",
        "an exception in a function",
        "REMOVE Rows\nREPLACE PatientID func:broken",
        Fails("RuntimeError"),
        failed("broken"),
        Rule.CLOSED,
    ),
    Special("A20-half", "what it leaves behind on the other side", _a20, Rule.CLOSED),
]


def _cell(first: str, second: str, result: str | None, edge: str = "") -> Case:
    changed = {} if result == STUDY_DATE else {"StudyDate": result}
    lines = f"{LINES[first]}\n{LINES[second]}"
    if edge:
        lines = lines.replace(LINES["REMOVE"], "REMOVE ALL") + "\nKEEP except:^StudyDate|^StudyTime"
        changed |= {"StudyTime": None}
    source = plain_with(StudyDate=STUDY_DATE, StudyTime="101112")
    return same(f"{first}-{second}{edge}", f"{second} behind {first}", lines, to(changed), source)


CELL_ROWS = [
    _cell(first, second, result, edge)
    for first, second, result in CELLS
    for edge in (("", "-all") if "REMOVE" in (first, second) else ("",))
]
