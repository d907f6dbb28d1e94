"""Rows L (a file, its lines and comments) and S (sections)."""

from __future__ import annotations

import locale
from pathlib import Path

import pytest

from node.errors import RecipeError
from node.recipe import read_recipe
from tests.differential.peer import by_deid
from tests.differential.rows import (
    ID_GONE,
    NOTHING,
    Fails,
    FilterCase,
    Refused,
    Rule,
    Special,
    Whole,
    differs,
    encoded,
    gone,
    plain,
    same,
    sample,
    to,
)

EXIT = Fails("SystemExit")
REMOVE = "%header\nREMOVE PatientID\n"


def _l14(folder: Path) -> None:
    text = "FORMAT dicom\n%header\nREPLACE PatientName Müller\n".encode("latin-1")
    (folder / "r.dicom").write_bytes(text)
    with pytest.raises(RecipeError, match="UTF-8"):
        read_recipe(folder / "r.dicom")
    codec = locale.getpreferredencoding(False)
    assert codec.lower().replace("-", "") == "utf8", "the rows are measured where the platform's text is UTF-8"
    with pytest.raises(UnicodeDecodeError):
        _load(folder / "r.dicom")


def _load(path: Path) -> object:
    from deid.config import DeidRecipe

    return DeidRecipe(str(path))


def _l14_utf8(folder: Path) -> None:
    text = "FORMAT dicom\n%header\nREPLACE PatientName Müller\n"
    (folder / "r.dicom").write_bytes(text.encode())
    assert "Müller" in read_recipe(folder / "r.dicom").text
    assert _load(folder / "r.dicom").get_actions()[0]["value"] == "Müller"  # type: ignore[attr-defined]


def _s7_header(folder: Path) -> None:
    """The rule of the header is lost, and the data set as it was."""
    text = f"FORMAT dicom\n{MISPLACED}"
    before = by_deid(encoded(sample()), "FORMAT dicom\n", folder, {})
    assert by_deid(encoded(sample()), text, folder, {}) == before


MISPLACED = "%filter x\nLABEL a\ncontains Modality CT\nREMOVE PatientID\n"

L = [
    same("L1-capitals", "the format in capitals", Whole(f"FORMAT DICOM\n{REMOVE}"), ID_GONE),
    same("L1-tab", "a tab before the format", Whole(f"FORMAT\tdicom\n{REMOVE}"), ID_GONE),
    same("L1-glued", "nothing before the format", Whole(f"FORMATdicom\n{REMOVE}"), ID_GONE),
    same("L1-last", "FORMAT at the end", Whole(f"{REMOVE}FORMAT dicom\n"), ID_GONE),
    same("L1-twice", "FORMAT more than once", Whole(f"FORMAT dicom\n{REMOVE}FORMAT dicom\n"), ID_GONE),
    differs("L1-lower", "FORMAT in small letters", Whole(f"format dicom\n{REMOVE}"), EXIT, ID_GONE, Rule.CASE),
    differs("L1-comment", "a comment behind FORMAT", Whole(f"FORMAT dicom # x\n{REMOVE}"), EXIT, ID_GONE, Rule.COMMENT),
    differs("L1-other", "another format", Whole("FORMAT nifti\n"), EXIT, Refused("not dicom"), Rule.CRASH),
    differs("L2", "no FORMAT", Whole(REMOVE), Fails("KeyError"), Refused("FORMAT dicom is missing"), Rule.CRASH),
    differs("L2-empty", "an empty file", Whole(""), Fails("KeyError"), Refused("FORMAT dicom is missing"), Rule.CRASH),
    differs(
        "L2-mark",
        "a byte order mark before FORMAT",
        Whole(f"\ufeffFORMAT dicom\n{REMOVE}"),
        Fails("KeyError"),
        ID_GONE,
        Rule.CRASH,
    ),
    same("L3-indent", "lines are trimmed", "  %header\n\n   REMOVE PatientID   \n", ID_GONE),
    same("L3-crlf", "CR LF ends a line", Whole("FORMAT dicom\r\n%header\r\nREMOVE PatientID\r\n"), ID_GONE),
    same("L3-tab", "a tab between action and field", "REMOVE\tPatientID", ID_GONE),
    same("L3-blanks", "blanks in a value become one", "REPLACE Manufacturer a   b", to(Manufacturer="a b")),
    same("L4", "a line that begins with # is a comment", "# x\n   # REMOVE PatientName\nREMOVE PatientID", ID_GONE),
    differs("L5", "a comment behind REMOVE is no condition", "REMOVE PatientID # note", NOTHING, ID_GONE, Rule.COMMENT),
    differs(
        "L5-number", "a comment behind REMOVE of a number", "REMOVE Rows # note", NOTHING, gone("Rows"), Rule.COMMENT
    ),
    differs(
        "L6-var",
        "a comment behind var: is no part of the name",
        "REPLACE Manufacturer var:id # note",
        NOTHING,
        to(Manufacturer="P-0001"),
        Rule.COMMENT,
    ),
    differs(
        "L6-add",
        "a comment behind var: of ADD",
        "ADD StudyID var:id # note",
        NOTHING,
        to(StudyID="P-0001"),
        Rule.COMMENT,
    ),
    differs(
        "L6-func",
        "a comment behind func: is no part of the name",
        "REPLACE Manufacturer func:says # note",
        NOTHING,
        to(Manufacturer="P-0001 func:says CT"),
        Rule.COMMENT,
    ),
    differs(
        "L6-remove", "a comment behind a condition", "REMOVE PatientID var:id # note", NOTHING, ID_GONE, Rule.COMMENT
    ),
    same("L7", "a comment behind a value", "REPLACE Manufacturer Anon # note", to(Manufacturer="Anon")),
    same("L7-blank", "a comment behind BLANK", "BLANK Manufacturer # note", to(Manufacturer="")),
    same("L7-keep", "a comment behind KEEP", "KEEP PatientID # note\nREMOVE PatientID", NOTHING),
    same("L7-jitter", "a comment behind JITTER", "JITTER StudyDate 5 # note", to(StudyDate="20230120")),
    same(
        "L7-deid_func",
        "a comment behind a function",
        "REPLACE StudyDate deid_func:jitter # note",
        to(StudyDate="20230116"),
    ),
    differs(
        "L7-nothing",
        "a comment instead of a value",
        "REPLACE Manufacturer # note",
        to(Manufacturer=""),
        Refused("needs a value"),
        Rule.COMMENT,
    ),
    differs(
        "L7-glued",
        "a # that is part of the field",
        "REMOVE PatientID#",
        NOTHING,
        Refused("is no keyword"),
        Rule.UNKNOWN,
    ),
    differs(
        "L8",
        "a # inside a value",
        "REPLACE Manufacturer a#b",
        to(Manufacturer="a"),
        to(Manufacturer="a#b"),
        Rule.COMMENT,
    ),
    same("L8-quotes", "quotes do not protect it", 'REPLACE Manufacturer "a # b"', to(Manufacturer='"a')),
    same("L9", "quotes are part of a value", 'REPLACE Manufacturer "x"', to(Manufacturer='"x"')),
    same("L9-empty", "also when there is nothing between", 'REPLACE Manufacturer ""', to(Manufacturer='""')),
    differs(
        "L9-apostrophe",
        "an apostrophe stays",
        "REPLACE Manufacturer Patient's data",
        to(Manufacturer="Patient s data"),
        to(Manufacturer="Patient's data"),
        Rule.CRASH,
    ),
    *(
        differs(f"L10-{n}", "an action in another case", f"{word} PatientID", NOTHING, outcome, Rule.CASE, plain)
        for n, (word, outcome) in enumerate(
            [("remove", gone("PatientID")), ("Remove", gone("PatientID")), ("blank", to(PatientID=""))]
        )
    ),
    differs("L10-add", "ADD in small letters", "add StudyID 1", NOTHING, to(StudyID="1"), Rule.CASE),
    differs("L10-keep", "KEEP in small letters", "keep PatientID\nREMOVE PatientID", ID_GONE, NOTHING, Rule.CASE),
    *(
        differs(f"L11-{line.split()[0]}", "a word like an action", line, NOTHING, Refused("is no action"), Rule.UNKNOWN)
        for line in ("REMOVED PatientID", "REPLACES PatientID x", "BLANKED PatientID", "KEEPX PatientID")
    ),
    *(
        differs(f"L12-{line.split()[0]}", "an unknown word", line, NOTHING, Refused("is no action"), Rule.UNKNOWN)
        for line in ("DELETE PatientID", "FIELD PatientID")
    ),
    differs(
        "L13",
        "two actions in a line",
        "KEEP PatientID REMOVE PatientName",
        NOTHING,
        Refused("KEEP takes no value"),
        Rule.EXTRA,
    ),
    Special("L14", "a text that is not UTF-8", _l14, Rule.CLOSED),
    Special("L14-utf8", "a text in UTF-8", _l14_utf8),
    same("L15", "no variables in texts", "REPLACE Manufacturer ${id}", to(Manufacturer="${id}")),
]

ONE, OTHER = "%filter x\nLABEL a\ncontains Modality CT", "%filter x\nLABEL b\npresent Rows"

S = [
    same(
        "S1", "%header in any case; sections add up", f"%HEADER\nREMOVE Rows\n{REMOVE}", gone("Rows", *ID_GONE.elements)
    ),
    differs(
        "S1-name",
        "%header with a name",
        "%header foo\nREMOVE PatientID",
        Fails("AttributeError"),
        Refused("takes no name"),
        Rule.CRASH,
    ),
    differs("S1-blank", "a blank behind %", "% header\nREMOVE PatientID", EXIT, Refused("is no section"), Rule.CRASH),
    differs("S1-plural", "a misspelled section", "%headers", EXIT, Refused("Did you mean %header?"), Rule.CRASH),
    differs("S2", "%filter without a name", "%filter\nLABEL a", EXIT, Refused("has no name"), Rule.CRASH),
    FilterCase("S2-again", "sections of one name add up", f"{ONE}\n{OTHER}", [[], []], [[], []]),
    FilterCase("S2-words", "a name of two words", ONE.replace("x", "x y", 1), True, True),
    FilterCase("S2-blanks", "two blanks before a name", ONE.replace("x", " x", 1), True, True, Rule.CRASH),
    FilterCase("S2-tab", "a tab before a name", ONE.replace(" x", "\tx", 1), EXIT, True, Rule.CRASH),
    differs("S3-fields", "%fields without a name", "%fields\nFIELD Rows", EXIT, Refused("has no name"), Rule.CRASH),
    differs("S3-values", "%values without a name", "%values\nFIELD Rows", EXIT, Refused("has no name"), Rule.CRASH),
    same(
        "S3",
        "lists behind %header, with comments, add up",
        "%header\nREMOVE fields:f\n%fields f # note\nFIELD PatientID\n%fields f\nFIELD Rows",
        gone("Rows", *ID_GONE.elements),
    ),
    same("S4", "%labels are never carried out", "%labels\nADD StudyID 1\nREMOVE PatientID", NOTHING),
    differs(
        "S5",
        "an action before any section",
        Whole("FORMAT dicom\nREMOVE PatientID"),
        Fails("UnboundLocalError"),
        Refused("before any section"),
        Rule.CRASH,
    ),
    *(
        differs(
            f"S6-{section.split()[0][1:]}",
            "an action of the header where there is none",
            f"{section}\nREMOVE PatientID",
            Fails("AttributeError"),
            Refused("Write %header before it."),
            Rule.CRASH,
        )
        for section in ("%filter x", "%values x", "%fields x")
    ),
    FilterCase(
        "S7",
        "an action of the header behind a LABEL",
        MISPLACED,
        True,
        Refused("Write %header before it."),
        Rule.UNKNOWN,
    ),
    Special("S7-header", "it is lost for the header", _s7_header, Rule.UNKNOWN),
]
