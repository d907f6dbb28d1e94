"""Rows F: what a field means."""

from __future__ import annotations

from pydicom.dataset import Dataset

from tests.differential.rows import (
    DEEP,
    ID_GONE,
    META,
    NESTED,
    NOTHING,
    Case,
    Fails,
    Refused,
    Rule,
    differs,
    gone,
    left,
    plain,
    plain_with,
    same,
    sample,
    to,
)
from tests.recipe.support import dataset

VALUE = Fails("ValueError")
UNKNOWN = Refused("is no keyword")
PRIVATE = "(0033,101E)"


def two_items() -> Dataset:
    items = [dataset(PatientID="N1", CodeValue="a"), dataset(PatientID="N2", CodeValue="b")]
    return sample(RequestAttributesSequence=items)


def second_block() -> Dataset:
    """The sample with the same private element in another block."""
    result = plain()
    result.add_new(0x00330010, "LO", "OTHER")
    result.add_new(0x00330011, "LO", "ACME 1.0")
    result.add_new(0x0033101E, "LO", "of the other")
    result.add_new(0x0033111E, "LO", "ours")
    result.add_new(0x00350010, "LO", "ACME: colon")
    result.add_new(0x00351001, "LO", "x")
    return result


def overlays() -> Dataset:
    result = plain()
    result.add_new(0x60003000, "OW", b"\0\0")
    result.add_new(0x60023000, "OW", b"\0\0")
    return result


OVERLAYS = gone("(6000,3000)", "(6002,3000)")


def pixels() -> Dataset:
    result = plain()
    result.add_new(0x7FE00010, "OW", b"\0\0")
    return result


F = [
    same("F1", "a keyword means every level, in any case of letters", "REMOVE patientid", ID_GONE),
    same(
        "F1-meta",
        "a keyword reaches the file meta information",
        "REMOVE SourceApplicationEntityTitle",
        gone("meta.SourceApplicationEntityTitle"),
    ),
    *(
        differs(f"F2-{line.split()[0]}", "an unknown keyword", line, NOTHING, UNKNOWN, Rule.UNKNOWN)
        for line in ("REMOVE PatientsID", "BLANK PatientsID", "REPLACE PatientsID x", "KEEP PatientsID")
    ),
    differs("F2-JITTER", "an unknown keyword", "JITTER StudyDat 1", NOTHING, UNKNOWN, Rule.UNKNOWN),
    differs("F2-ADD", "ADD of an unknown keyword", "ADD PatientsID x", VALUE, UNKNOWN, Rule.CRASH),
    same("F3", "a tag means every level", "REMOVE (0010,0020)", ID_GONE),
    same("F3-small", "hexadecimal digits in any case", "REMOVE (0033,101e)", gone(PRIVATE)),
    differs("F3-blank", "a blank in a tag", "REMOVE (0010, 0020)", NOTHING, Refused("holds a blank"), Rule.UNKNOWN),
    same("F4", "eight digits mean a tag at every level", "REMOVE 00100020", ID_GONE),
    *(
        differs(f"F4-{form}", "other forms of a tag", f"REMOVE {form}", NOTHING, Refused("is no tag"), Rule.UNKNOWN)
        for form in ("0010,0020", "0x00100020")
    ),
    differs("F5", "the name of an element", 'REMOVE "Patient ID"', NOTHING, UNKNOWN, Rule.UNKNOWN),
    same("F6", "a private element by its creator", 'REMOVE (0033,"acme 1.0",1e)', gone(PRIVATE)),
    same("F6-bare", "without parentheses", 'REMOVE 0033,"ACME 1.0",1E', gone(PRIVATE)),
    same("F6-block", "whatever its block", 'REMOVE (0033,"ACME 1.0",1E)', gone("(0033,111E)"), second_block),
    same("F6-colon", "a colon in the creator", 'REMOVE (0035,"ACME: colon",01)', gone("(0035,1001)"), second_block),
    same("F6-prefix", "the beginning of a creator is another one", 'REMOVE (0033,"ACME",1E)', NOTHING),
    same("F7", "a private element by its tag", "REMOVE (0033,101E)", gone(PRIVATE)),
    same("F7-digits", "or the digits of it", "REMOVE 0033101E", gone(PRIVATE)),
    same(
        "F8",
        "a path of keywords means all items",
        "REMOVE RequestAttributesSequence__PatientID",
        gone(NESTED, NESTED.replace("0", "1")),
        two_items,
    ),
    differs(
        "F8-number",
        "an item number in a path of keywords",
        "REMOVE RequestAttributesSequence__0__PatientID",
        NOTHING,
        UNKNOWN,
        Rule.UNKNOWN,
    ),
    same(
        "F9",
        "a path of tags and item numbers means one element",
        "REMOVE (0040,0275)__1__(0010,0020)",
        gone(NESTED.replace("0", "1")),
        two_items,
    ),
    differs(
        "F9-mixed",
        "a path of tags without item numbers",
        "REMOVE (0040,0275)__(0010,0020)",
        NOTHING,
        Refused("is no path"),
        Rule.UNKNOWN,
    ),
    same("F10", "a private sequence has an empty keyword", "REMOVE __PatientID", gone(DEEP)),
    same("F10-tags", "a path of tags through it", "REMOVE (0033,1020)__0__(0010,0020)", gone(DEEP)),
    differs("F11", "a repeating group by keyword", "REMOVE OverlayData", NOTHING, OVERLAYS, Rule.REPEATING, overlays),
    differs(
        "F11-mask", "a group of x", "REMOVE (60xx,3000)", NOTHING, Refused("is no keyword"), Rule.UNKNOWN, overlays
    ),
    same("F11-digits", "by its digits", "REMOVE 60003000", gone("(6000,3000)"), overlays),
    same("F11-group", "by its group", "REMOVE select:group:6000", gone("(6000,3000)"), overlays),
    same("F11-name", "by its name", "REMOVE contains:Overlay", OVERLAYS, overlays),
    same("F11-pattern", "by a pattern of digits", "REMOVE contains:^60", OVERLAYS, overlays),
    same(
        "F12",
        "ALL but what is kept or protected",
        "KEEP Modality\nREMOVE all",
        left("Modality", "PixelData", *META),
        pixels,
    ),
    same(
        "F12-blank",
        "ALL of any action",
        "BLANK ALL\nKEEP select:group:0002",
        to(Modality="", PatientName="", PatientID="", Rows=""),
        plain,
    ),
    differs(
        "F12-charset",
        "Specific Character Set goes only by its name",
        "REMOVE ALL",
        left(*META),
        left("SpecificCharacterSet", *META),
        Rule.CLASSES,
        plain_with(SpecificCharacterSet="ISO_IR 100"),
    ),
    same(
        "F12-named",
        "by that it goes",
        "REMOVE SpecificCharacterSet",
        gone("SpecificCharacterSet"),
        plain_with(SpecificCharacterSet="ISO_IR 100"),
    ),
    same("F13", "contains: searches keywords with those around", "REMOVE contains:attributes.*__patient", gone(NESTED)),
    same("F13-name", "and names", "BLANK contains:study.desc", to(StudyDescription="")),
    same("F13-digits", "and tag digits", "REMOVE contains:0008.?0020", gone("StudyDate")),
    same(
        "F13-either",
        "alternatives",
        "REMOVE contains:^StudyD|^StudyT",
        gone("StudyDate", "StudyTime", "StudyDescription"),
    ),
    same("F13-starts", "startswith: is anchored", "REMOVE startswith:0010", gone("PatientName", *ID_GONE.elements)),
    same("F13-ends", "endswith: is anchored", "REMOVE endswith:date|time", gone("StudyDate", "StudyTime")),
    same("F13-private", "private elements by their creator", "REMOVE contains:acme.1.0.,1E", gone(PRIVATE)),
    differs(
        "F14",
        "the case of an expression is a part of it",
        r"REMOVE contains:^Patient\SD$",
        NOTHING,
        ID_GONE,
        Rule.EXPRESSION,
    ),
    differs(
        "F15",
        "an expression that is none",
        "REMOVE contains:(",
        Fails("error"),
        Refused("is no regular expression"),
        Rule.CRASH,
    ),
    differs(
        "F16",
        "a blank in an expression",
        "REMOVE contains:Patient Name",
        gone("PatientName", *ID_GONE.elements),
        Refused("no condition"),
        Rule.CONDITION,
    ),
    differs(
        "F16-blank",
        "a blank in an expression of BLANK",
        "BLANK contains:Modality x",
        to(Modality=""),
        Refused("BLANK takes no value"),
        Rule.EXTRA,
    ),
    same(
        "F17", "contains: nothing means everything", "KEEP Modality\nREMOVE contains:", left("Modality", *META), plain
    ),
    same("F17-starts", "so does startswith:", "KEEP Modality\nREMOVE startswith:", left("Modality", *META), plain),
    same("F17-except", "except: nothing means nothing", "REMOVE except:", NOTHING),
    same(
        "F18",
        "except: is what contains: is not",
        "REMOVE except:Manufacturer",
        left("Manufacturer", "ManufacturerModelName", *META),
        plain_with(Manufacturer="ACME", ManufacturerModelName="M"),
    ),
    same(
        "F18-whole",
        "a sequence goes with what is spared in it",
        "REMOVE except:Patient",
        left("PatientName", "PatientID", *META),
    ),
    same(
        "F19",
        "by VR, the first two letters of it",
        "REMOVE select:vr:LOng",
        gone("Manufacturer", "StudyDescription", "(0033,0010)", PRIVATE, *ID_GONE.elements),
    ),
    differs("F19-none", "select: without a VR", "REMOVE select:VR", VALUE, Refused("is no VR"), Rule.CRASH),
    Case(
        "F19-classes",
        "class UIDs go only by their name",
        "REMOVE select:VR:UI\nKEEP select:group:0002",
        gone("SOPClassUID", "SOPInstanceUID"),
        gone("SOPInstanceUID"),
        Rule.CLASSES,
        classes=True,
    ),
    *(
        same(
            f"F20-{group}",
            "by group, at every level",
            f"REMOVE select:group:{group}",
            gone("PatientName", *ID_GONE.elements),
        )
        for group in ("0010", "10", "0x10")
    ),
    same(
        "F20",
        "of file meta information too",
        "REMOVE select:group:0002",
        gone("meta.SourceApplicationEntityTitle", "meta.MediaStorageSOPInstanceUID", "meta.ImplementationVersionName"),
    ),
    differs("F20-none", "a group that is none", "REMOVE select:group:xy", VALUE, Refused("is no group"), Rule.CRASH),
    differs("F21", "another attribute", "REMOVE select:name:x", NOTHING, Refused("is no selector"), Rule.UNKNOWN),
    differs(
        "F21-private",
        "select:private is ours",
        "REMOVE select:private",
        VALUE,
        gone("(0033,0010)", PRIVATE, "(0033,1020)", DEEP),
        Rule.CRASH,
    ),
    *(
        differs(
            f"F22-{name.partition(':')[0]}", "an unknown expander", f"REMOVE {name}", NOTHING, refused, Rule.UNKNOWN
        )
        for name, refused in (
            ("allexcept:Modality", Refused("is no expander")),
            ("allfields", UNKNOWN),
            ("matches:Patient", Refused("is no expander")),
        )
    ),
    same("F23", "expanders in any case", "REMOVE CONTAINS:^Modality", gone("Modality")),
    differs(
        "F23-lists",
        "fields: in capitals",
        "%fields p\nFIELD PatientID\n%header\nREMOVE FIELDS:p",
        NOTHING,
        ID_GONE,
        Rule.CASE,
    ),
    *(
        differs(
            f"F24-{kind}", "an unknown list", f"REMOVE {kind}:p", NOTHING, Refused(f"no list %{kind} p"), Rule.UNKNOWN
        )
        for kind in ("fields", "values")
    ),
]
