"""The recipes of the comparison with pydicom/deid: constructs by elements, generated."""

from __future__ import annotations

from collections.abc import Iterator

from tests.recipe.support import LINES

# Ours leaves it to lines that name it; without it the texts of both sides could not be compared.
KEPT = "KEEP SpecificCharacterSet"
VARIABLES = {"id": "P-0001", "days": 40, "empty": "", "many": ["A", "B"]}

NAMED = (
    "PatientID",
    "patientname",
    "(0008,0060)",
    "00080020",
    "Rows",
    "ImageType",
    "SeriesInstanceUID",
    "SliceThickness",
    "ReferencedSOPInstanceUID",
    "RequestAttributesSequence",
    "ContentSequence__ConceptNameCodeSequence__CodeValue",
    "BeamSequence__ControlPointSequence__GantryAngle",
    "(0008,1140)__0__(0008,1155)",
    "(0008,1110)__0__(0008,1155)",
    '(0009,"GEMS_IDEN_01",02)',
    '0029,"SIEMENS CSA HEADER",08',
    "SourceApplicationEntityTitle",
    "MediaStorageSOPInstanceUID",
    "PatientBirthDate",
    "CodeMeaning",
)
EXPANDERS = (
    "ALL",
    "contains:Patient",
    "contains:physician|operator",
    "contains:10",
    "contains:^0008",
    "contains:Sequence__",
    "startswith:Study",
    "startswith:0010",
    "startswith:[(]0028,",
    "endswith:ID",
    "endswith:date|time",
    "except:Patient",
    "except:Series|Study|Instance",
    "select:VR:PN",
    "select:vr:LOng",
    "select:VR:DA",
    "select:VR:UI",
    "select:VR:SQ",
    "select:VR:US",
    "select:group:0008",
    "select:group:10",
    "select:group:0x0018",
    "select:group:0002",
)
WRITTEN = (
    "REPLACE PatientID Anon",
    "REPLACE patientname A^B",
    "REPLACE (0008,0060) OT",
    "REPLACE 00080020 20200101",
    "REPLACE Rows 7",
    "REPLACE SliceThickness 2.5",
    r"REPLACE ImageType DERIVED\SECONDARY",
    "REPLACE PatientID two   words",
    "REPLACE select:VR:LO text",
    "REPLACE select:VR:SH x",
    "REPLACE select:VR:PN Nobody",
    "REPLACE select:VR:US 3",
    "REPLACE select:VR:FL 1.5",
    "REPLACE select:VR:FD -2",
    "REPLACE endswith:PatientID var:id",
    "REPLACE PatientID var:empty",
    "REPLACE OtherPatientIDs var:many",
    "REPLACE select:VR:UI 1.2.3",
    "REPLACE select:VR:UI deid_func:pydicom_uuid",
    "REPLACE StudyInstanceUID deid_func:pydicom_uuid prefix=1.55.",
    "REPLACE StudyDate deid_func:jitter",
    "REPLACE StudyDate deid_func:jitter days=-3 years=2",
    "REPLACE ContentSequence__ConceptNameCodeSequence__CodeMeaning said",
    "REPLACE (0008,1140)__0__(0008,1155) 1.2.3",
    "REPLACE CodeValue X",
    "REPLACE SourceApplicationEntityTitle NEW",
    "ADD PatientID Anon",
    "ADD 00100020 Anon",
    "ADD PatientIdentityRemoved YES",
    "ADD 00120062 YES",
    "ADD DeidentificationMethod A way",
    "ADD StudyDate 20200101",
    "ADD PatientComments var:id",
    "ADD SourceApplicationEntityTitle ME",
    "ADD 00331001 odd",
    "JITTER StudyDate 5",
    "JITTER StudyDate -365",
    "JITTER SeriesDate +1",
    "JITTER StudyDate var:days",
    "REMOVE PatientID var:id",
    "REMOVE PatientID var:empty",
)
LISTS = (
    ("%fields f", "FIELD PatientID"),
    ("%fields f", "FIELD endswith:PatientID", "FIELD endswith:Description"),
    ("%fields f", "FIELD ConceptNameCodeSequence__CodeValue", "FIELD select:VR:PN"),
    ("%fields f", "FIELD (0010,0020)", "FIELD 00081030", "%fields f", "FIELD StudyID"),
    ("%values f", "FIELD PatientID"),
    ("%values f", "FIELD PatientID", "FIELD StudyInstanceUID"),
    ("%values f", 'SPLIT PatientName by="^";minlength=5'),
    ("%values f", "SPLIT PatientName by=^;minlength=6", "FIELD SOPInstanceUID"),
    ("%values f", "SPLIT StationName minlength=6", "FIELD AccessionNumber"),
    ("%values f", "SPLIT StudyDescription minlength=4", "FIELD AccessionNumber"),
)


def recipe(*lines: str) -> str:
    return "\n".join(("FORMAT dicom", *lines)) + "\n"


def recipes() -> list[str]:
    return list(dict.fromkeys(_all()))


def _all() -> Iterator[str]:
    yield from (recipe("%header", f"{action} {name}") for name in NAMED for action in ("REMOVE", "BLANK"))
    yield from (recipe("%header", KEPT, f"{action} {name}") for name in EXPANDERS for action in ("REMOVE", "BLANK"))
    yield from (recipe("%header", KEPT, f"KEEP {name}", "REMOVE ALL") for name in (*NAMED[:9], *EXPANDERS))
    yield from (recipe("%header", KEPT, line) for line in WRITTEN)
    yield from _with_lists()
    yield from (recipe("%header", LINES[one], LINES[other]) for one in LINES for other in LINES)


def _with_lists() -> Iterator[str]:
    for lines in LISTS:
        for action in ("REMOVE {}", "BLANK {}", "REPLACE {} x"):
            if action != "REPLACE {} x" or lines[0] == "%fields f":
                yield recipe(*lines, "%header", KEPT, action.format(f"{lines[0][1:7]}:f"))


CRITERIA = (
    "contains Modality MR",
    "contains StudyDescription e",
    "notcontains Manufacturer GE",
    "equals Modality MR",
    "notequals Modality CT",
    "missing PatientName",
    "present PatientName",
    "empty PatientBirthDate",
    "empty AccessionNumber",
    "missing StationName",
    "present Rows",
    "contains Rows 6",
    "equals Rows 64",
    "contains ImageType ORIGINAL",
    "equals ImageType ORIGINAL",
    "contains 0x00080060 MR",
    "present 0x00080060",
    "missing 0x00081030",
    "contains PatientName ^Comp",
    "contains SliceThickness [0-9]",
    "contains Modality MR + contains Manufacturer GE",
    "contains Modality CT || contains Modality MR",
    "contains Modality CT || contains Modality MR + contains Manufacturer TOSHIBA",
    "contains Modality MR + equals Rows 1 || contains Manufacturer TOSHIBA",
    "contains Modality MR || missing StudyDate",
    "empty ReferencedImageSequence",
    "present BeamSequence",
)
REGIONS = (
    (),
    ("coordinates 0,0,10,20",),
    ("ctpcoordinates 1,2,30,40", "keepcoordinates 5,5,6,6", "ctpkeepcoordinates 1,1,2,2"),
    ("coordinates all", "keepcoordinates from:SequenceOfUltrasoundRegions"),
)


def filters() -> list[str]:
    found = [recipe("%filter group", "LABEL one", *regions, line) for line in CRITERIA for regions in REGIONS[:2]]
    found += [recipe("%filter group", "LABEL one", CRITERIA[0], *regions) for regions in REGIONS]
    for first in CRITERIA[:8]:
        for mark in ("", "+ ", "|| "):
            found += [recipe("%filter whitelist", "LABEL one", first, mark + second) for second in CRITERIA[2:6]]
    found.append(
        recipe("%filter a", "LABEL x", CRITERIA[0], "LABEL y", CRITERIA[3], "%filter b c", "LABEL z", CRITERIA[6])
    )
    return list(dict.fromkeys(found))
