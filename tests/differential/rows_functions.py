"""The five functions of deid_func:."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from tests.differential.peer import by_deid, by_ours, ours
from tests.differential.rows import (
    DEEP,
    NESTED,
    NOTHING,
    Case,
    Fails,
    Refused,
    Rule,
    Special,
    differs,
    encoded,
    recipe_of,
    same,
    sample,
    to,
)

VALUE, ATTRIBUTE = Fails("ValueError"), Fails("AttributeError")
UUID = "[0-9a-f]{8}-[0-9a-f-]{27}"
STABLE = "REPLACE SOPInstanceUID deid_func:pydicom_uuid"


def uid_of(prefix: str, value: str) -> str:
    from pydicom.uid import generate_uid

    return str(generate_uid(prefix=prefix, entropy_srcs=[value]))


def function(name: str, at: str = "PatientID") -> str:
    return f"REPLACE {at} deid_func:{name}"


def like(pattern: str, *names: str) -> Any:
    return to(dict.fromkeys(names, re.compile(pattern)))


TOP = "(0010,0020)"


def _occurrences(folder: Path) -> None:
    data, text = encoded(sample()), recipe_of(function("basic_uuid"))
    for side in (by_deid(data, text, folder, {})[0], by_ours(data, ours(text), {})[0]):
        assert len({value for path, (_, value) in side.items() if path.endswith(TOP)}) == 3


FUNCTIONS = [
    same("basic_uuid", "a random UUID", function("basic_uuid"), like(UUID, "PatientID", NESTED, DEEP)),
    Special("basic_uuid-nested", "another one for each element", _occurrences),
    differs(
        "basic_uuid-simple",
        "simple_uuid is its other name",
        function("simple_uuid"),
        NOTHING,
        like(UUID, "PatientID", NESTED, DEEP),
        Rule.DOCUMENTED,
    ),
    same("pydicom_uuid", "a UID out of the old one", STABLE, to(SOPInstanceUID=uid_of("2.25.", "1.2.3"))),
    same(
        "pydicom_uuid-prefix", "behind a prefix", f"{STABLE} prefix=1.55.", to(SOPInstanceUID=uid_of("1.55.", "1.2.3"))
    ),
    differs(
        "pydicom_uuid-dot", "a prefix ends with a dot", f"{STABLE} prefix=1.55", VALUE, Refused("no prefix"), Rule.CRASH
    ),
    same(
        "pydicom_uuid-random",
        "or a random one",
        f"{STABLE} stable_remapping=false",
        to(SOPInstanceUID=re.compile(r"2\.25\.[0-9]{30,59}")),
    ),
    Case(
        "pydicom_uuid-classes",
        "a selector of UIDs",
        function("pydicom_uuid", "select:VR:UI") + "\nKEEP select:group:0002",
        to(SOPInstanceUID=uid_of("2.25.", "1.2.3"), SOPClassUID=uid_of("2.25.", "1.2.840.10008.5.1.4.1.1.2")),
        to(SOPInstanceUID=uid_of("2.25.", "1.2.3")),
        Rule.CLASSES,
        classes=True,
    ),
    Case(
        "pydicom_uuid-named",
        "a class UID that a line names",
        function("pydicom_uuid", "SOPClassUID"),
        to(SOPClassUID=uid_of("2.25.", "1.2.840.10008.5.1.4.1.1.2")),
        to(SOPClassUID=uid_of("2.25.", "1.2.840.10008.5.1.4.1.1.2")),
        classes=True,
    ),
    differs(
        "pydicom_uuid-add",
        "of an element that ADD makes",
        "ADD StudyInstanceUID deid_func:pydicom_uuid",
        ATTRIBUTE,
        to(StudyInstanceUID=uid_of("2.25.", "")),
        Rule.CRASH,
    ),
    same(
        "suffix_uuid",
        "the name and a random UUID",
        function("suffix_uuid", TOP),
        to(
            {
                "PatientID": re.compile(f"patientid-{UUID}"),
                NESTED: re.compile(f"requestattributessequence__patientid-{UUID}"),
                DEEP: re.compile(f"__patientid-{UUID}"),
            }
        ),
    ),
    same(
        "dicom_uuid",
        "a root and a random number",
        function("dicom_uuid", "Manufacturer"),
        like(r"anonymous-organization\.[0-9]{30,41}", "Manufacturer"),
    ),
    same(
        "dicom_uuid-root",
        "with a root of one's own",
        function("dicom_uuid org_root=1.2", "SOPInstanceUID"),
        like(r"1\.2\.[0-9]{30,39}", "SOPInstanceUID"),
    ),
    same("jitter", "one day", function("jitter", "StudyDate"), to(StudyDate="20230116")),
    same("jitter-days", "so many days", function("jitter days=-15", "StudyDate"), to(StudyDate="20221231")),
    same(
        "jitter-years",
        "a year is 365 days, and one day more",
        function("jitter years=1", "StudyDate"),
        to(StudyDate="20240116"),
    ),
    differs(
        "jitter-var",
        "a variable as number",
        function("jitter days=var:days", "StudyDate"),
        VALUE,
        Refused("days is a whole number"),
        Rule.CRASH,
    ),
    differs(
        "jitter-add",
        "of an element that ADD makes",
        "ADD StudyDate deid_func:jitter",
        ATTRIBUTE,
        Refused("Write REPLACE"),
        Rule.CRASH,
    ),
]
