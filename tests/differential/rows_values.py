"""Rows V: what a value means."""

from __future__ import annotations

import re
from pathlib import Path

from pydicom.dataset import Dataset

from tests.differential.peer import by_deid, by_ours, ours
from tests.differential.rows import (
    NO_FUNCTION,
    NO_VARIABLE,
    NOTHING,
    Fails,
    Held,
    Refused,
    Rule,
    Special,
    differs,
    encoded,
    failed,
    plain,
    recipe_of,
    same,
    to,
    with_,
)

VALUE = Fails("ValueError")
REFUSED = Refused("does not take this value")


def _v8(folder: Path) -> None:
    """The other side gives an element, but a text for ADD; ours a text that also has what the element has."""
    seen: list[tuple[bool, object]] = []

    def function(item: object, value: str, field: object, dicom: Dataset) -> str:
        assert value == "func:f"
        assert dicom.Modality == "CT"
        seen.append((isinstance(field, str), getattr(field, "name", None)))
        return "x"

    data, text = encoded(plain()), recipe_of("REPLACE PatientID func:f\nADD StudyID func:f")
    by_deid(data, text, folder, {"f": function})
    by_ours(data, ours(text), {"f": function})
    assert seen == [(False, "PatientID"), (True, None), (True, "PatientID"), (True, "StudyID")]


V = [
    same("V1", "a literal, its blanks as one", "REPLACE Manufacturer a   b", to(Manufacturer="a b")),
    same("V1-integer", "an integer", "REPLACE Rows 7", to(Rows=("US", "7"))),
    same(
        "V1-float",
        "a float",
        "REPLACE RecommendedDisplayFrameRateInFloat 2.5",
        to(RecommendedDisplayFrameRateInFloat="2.5"),
        with_(RecommendedDisplayFrameRateInFloat=1.0),
    ),
    same(
        "V1-bytes",
        "bytes",
        "REPLACE EncapsulatedDocument text",
        to(EncapsulatedDocument=("OB", b"text")),
        with_(EncapsulatedDocument=b"%PDF"),
    ),
    same(
        "V1-several",
        "a backslash makes several values",
        r"REPLACE ImageType DERIVED\SECONDARY",
        to(ImageType="['DERIVED', 'SECONDARY']"),
    ),
    differs("V2", "a number that is none", "REPLACE Rows ANON", NOTHING, REFUSED, Rule.LITERAL),
    differs(
        "V2-later",
        "where only the instance shows it",
        "REPLACE select:group:0028 ANON",
        NOTHING,
        Held("not a number"),
        Rule.LITERAL,
    ),
    same("V3", "a decimal string", "REPLACE PatientWeight 70", to(PatientWeight="70"), with_(PatientWeight="99.5")),
    *(
        differs(
            f"V3-{vr}",
            "a number as text that is none",
            f"REPLACE {keyword} x",
            VALUE,
            REFUSED,
            Rule.LITERAL,
            with_(**{keyword: "7"}),
        )
        for vr, keyword in (("DS", "PatientWeight"), ("IS", "SeriesNumber"))
    ),
    *(
        differs(
            f"V4-{vr}",
            "any text at all",
            f"REPLACE {keyword} {text}",
            to({keyword: text}),
            REFUSED,
            Rule.LITERAL,
            with_(**{keyword: value}),
        )
        for vr, keyword, value, text in (
            ("DA", "PatientBirthDate", "20000101", "ANON"),
            ("TM", "StudyTime", "101112", "ANON"),
            ("DT", "AcquisitionDateTime", "20230115101112", "ANON"),
            ("AS", "PatientAge", "042Y", "ANON"),
            ("CS", "PatientSex", "F", "anonymous"),
            ("UI", "SOPInstanceUID", "1.2.3", "foo bar"),
            ("PN", "PatientName", "A", "a=b=c=d"),
        )
    ),
    differs(
        "V5",
        "a text for a sequence",
        "REPLACE RequestAttributesSequence x",
        Fails("TypeError"),
        Refused("A sequence takes no value"),
        Rule.LITERAL,
    ),
    differs(
        "V5-later",
        "where only the instance shows it",
        "REPLACE contains:Attributes x",
        Fails("TypeError"),
        Held("no text can be a sequence"),
        Rule.LITERAL,
    ),
    same("V6", "a variable", "REPLACE Manufacturer var:id", to(Manufacturer="P-0001")),
    same("V6-words", "its name is the rest of the line", "REPLACE Manufacturer var:two words", to(Manufacturer="both")),
    same("V6-empty", "an empty one empties", "REPLACE Manufacturer var:empty", to(Manufacturer="")),
    same("V6-number", "a number", "REPLACE Rows var:days", to(Rows="40")),
    differs("V6-none", "None", "REPLACE Manufacturer var:none", NOTHING, NO_VARIABLE, Rule.UNKNOWN),
    differs(
        "V6-case",
        "var: in capitals",
        "REPLACE Manufacturer VAR:id",
        to(Manufacturer="VAR:id"),
        Refused("lower case"),
        Rule.UNKNOWN,
    ),
    differs("V6-name", "a name in another case", "REPLACE Manufacturer var:ID", NOTHING, NO_VARIABLE, Rule.UNKNOWN),
    *(
        differs(f"V7-{line.split()[0]}", "a missing variable", line, NOTHING, NO_VARIABLE, Rule.UNKNOWN)
        for line in (
            "REPLACE PatientID var:gone",
            "ADD PatientIdentityRemoved var:gone",
            "JITTER StudyDate var:gone",
            "REMOVE PatientID var:gone",
        )
    ),
    same(
        "V8",
        "a function is called by keywords",
        "REPLACE Manufacturer func:says",
        to(Manufacturer="P-0001 func:says CT"),
    ),
    same("V8-add", "also for an element that is new", "ADD StudyID func:says", to(StudyID="P-0001 func:says CT")),
    same("V8-meta", "it sees file meta information", "REPLACE Manufacturer func:sender", to(Manufacturer="SCANNER")),
    differs(
        "V8-arguments",
        "arguments behind the name",
        "REPLACE Manufacturer func:says a=1",
        NOTHING,
        NO_FUNCTION,
        Rule.UNKNOWN,
    ),
    differs(
        "V8-signature",
        "a function with other parameters",
        "REPLACE Manufacturer func:other",
        Fails("TypeError"),
        failed("other"),
        Rule.CLOSED,
    ),
    Special("V8-field", "what a function is given as field", _v8, Rule.FUNCTION),
    differs("V9", "a missing function", "REPLACE Manufacturer func:gone", NOTHING, NO_FUNCTION, Rule.UNKNOWN),
    differs(
        "V9-none",
        "a function that gives None",
        "REPLACE Manufacturer func:nothing",
        NOTHING,
        failed("nothing"),
        Rule.CLOSED,
    ),
    differs(
        "V10",
        "an unknown deid_func:",
        "REPLACE Manufacturer deid_func:gone",
        NOTHING,
        Refused("no function of deid_func"),
        Rule.UNKNOWN,
    ),
    differs(
        "V11",
        "another prefix",
        "REPLACE Manufacturer Func:says",
        to(Manufacturer="Func:says"),
        Refused("lower case"),
        Rule.UNKNOWN,
    ),
    same("V12", "several parameters", "REPLACE StudyDate deid_func:jitter days=-3 years=1", to(StudyDate="20240112")),
    differs(
        "V12-word",
        "a word that is no parameter",
        "REPLACE StudyDate deid_func:jitter days=2 x",
        to(StudyDate="20230117"),
        Refused("is no parameter"),
        Rule.EXTRA,
    ),
    same(
        "V12-false",
        "false",
        "REPLACE SOPInstanceUID deid_func:pydicom_uuid stable_remapping=false",
        to(SOPInstanceUID=re.compile(r"2\.25\.[0-9]{20,59}")),
    ),
    same(
        "V12-none",
        "none",
        "REPLACE SOPInstanceUID deid_func:pydicom_uuid prefix=none stable_remapping=false",
        to(SOPInstanceUID=re.compile(r"2\.25\.[0-9]{20,59}")),
    ),
]
