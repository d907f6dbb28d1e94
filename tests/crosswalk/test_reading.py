"""Files as Excel and other programs write them, and what of them is refused with its line."""

from __future__ import annotations

import pytest

from node.crosswalk.headings import Column
from node.crosswalk.lookup import is_lookup_table, read_lookup_table
from node.crosswalk.reading import Row, Table, decode, read_table
from node.crosswalk.writing import csv_lines
from node.errors import PairsRefused

ID, PSEUDONYM, SHIFT, ISSUER = Column.PATIENT_ID, Column.PSEUDONYM, Column.SHIFT, Column.ISSUER


def read(data: bytes | str) -> Table:
    return read_table(decode(data if isinstance(data, bytes) else data.encode(), "c.csv"), "c.csv")


def faults(data: bytes | str) -> list[tuple[int | None, str]]:
    with pytest.raises(PairsRefused) as error:
        read(data)
    assert not any("SECRET" in str(fault) for fault in error.value.faults)
    return [(fault.line, fault.problem) for fault in error.value.faults]


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("ends", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252"])
def test_separators_ends_of_lines_and_encodings_are_found(separator: str, ends: str, encoding: str) -> None:
    lines = ["", "patient id,PSEUDONYM,Date Shift (Days)", ' 007 ,"S-1",-30', "", ",,", "Müller 7,S-2,"]
    table = read(ends.join(line.replace(",", separator) for line in lines).encode(encoding))
    assert table.rows == [
        Row(3, {ID: "007", PSEUDONYM: "S-1", SHIFT: "-30"}),
        Row(6, {ID: "Müller 7", PSEUDONYM: "S-2"}),
    ]


def test_quotes_keep_separators_and_quotes_and_a_line_may_name_the_separator() -> None:
    (row,) = read('sep=;\r\n"Patient ID";Pseudonym;Comment\r\n"a;""b""";S;"x, y"\r\n').rows
    assert row == Row(3, {ID: 'a;"b"', PSEUDONYM: "S", Column.NOTHING: "x, y"})


def test_headings_of_other_programs_are_known() -> None:
    rsna = (
        "ANON-PatientID,ANON-PatientName,PHI-PatientName,PHI-PatientID,DateOffset,PHI-StudyDate,ANON-AccNo,PHI-AccNo,"
        "ANON-StudyUID,PHI-StudyUID,Series,Instances\n"
        "S-1,S-1,A^B,7,100,20200101,1,2,2.25.1,1.2.3,3,90\n"
    )
    (row,) = (table := read(rsna)).rows
    assert (row[ID], row[PSEUDONYM], row[SHIFT]) == ("7", "S-1", "100")
    assert (row[Column.ORIGINAL_UID], row[Column.REPLACEMENT_UID]) == ("1.2.3", "2.25.1")
    assert table.is_of_studies
    assert table.zero_is_none
    (row,) = read('Original PatientID,Trial PatientID\n"7","S-1"\n').rows
    assert (row[ID], row[PSEUDONYM]) == ("7", "S-1")
    (row,) = read('Trial UID,Original UID\n"2.25.1","1.2.3"\n').rows
    assert (row[Column.ORIGINAL_UID], row[Column.REPLACEMENT_UID]) == ("1.2.3", "2.25.1")
    karnak = "External Pseudonym;Patient ID;Patient first name;Patient last name;Issuer of patient ID\nS-1;7;A;B;H\n"
    (row,) = read(karnak).rows
    assert (row[ID], row[PSEUDONYM], row[ISSUER]) == ("7", "S-1", "H")


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", [(None, "empty.")]),
        (b"7;SECRET\n8;S\n", [(1, "no heading that is known.")]),
        (b"Patient ID;Pseudonim\n", [(1, "the heading of column 2 is not known.")]),
        (b"Patient ID;Comment\n", [(1, "a heading is missing.")]),
        (b"Patient ID;Pseudonym;MRN\n", [(1, "column 3 holds what column 1 does.")]),
        (b"Original AccessionNumber,Trial AccessionNumber\n", [(1, "no heading that is known.")]),
        (b"PK\x03\x04rest", [(None, "a workbook, not a CSV file.")]),
        ("Patient ID;Pseudonym".encode("utf-16"), [(None, "not UTF-8 or Windows-1252; UTF-16, it seems.")]),
        (
            b"Patient ID;Pseudonym\nSECRET\x81;S\n1;S\nA\x8d;S\n",
            [(n, "neither UTF-8 nor Windows-1252.") for n in (2, 4)],
        ),
        (b"Patient ID;Pseudonym\nM\xc3\xbcller;S\nM\xfcller;S\n", [(3, "not UTF-8, which other lines are.")]),
        (b"\xef\xbb\xbfPatient ID;Pseudonym\nM\xfcller;S\n", [(2, "not UTF-8, which other lines are.")]),
        (b"Patient ID;Pseudonym\n1;S;;\n2;S;SECRET\n", [(3, "more cells than headings.")]),
        (
            b'Patient ID;Pseudonym\n1;S\n"2;SECRET\n3;S\n',
            [(3, "not CSV: a quote that does not close, or text behind one.")],
        ),
        (
            b'Patient ID;Pseudonym\n1;"a\nb"\n3\t;S\n',
            [
                (2, "a line break in a cell, or a quote that does not close."),
                (4, "a character that nobody sees, U+0009, in column 1."),
            ],
        ),
        ("Patient ID;Pseudonym\n7\u00a0;S\n", [(2, "a character that nobody sees, U+00A0, in column 1.")]),
    ],
)
def test_what_cannot_be_read_with_certainty_is_refused_with_its_lines(data: bytes | str, expected: object) -> None:
    assert faults(data) == expected


@pytest.mark.parametrize(
    "text", ["=1+1", "+49", "-x", "@A1", "\tx", "'", "'=x", "''", '"', "a;b,c", "", "007", "ü\ufffd"]
)
def test_no_cell_is_a_formula_and_each_is_read_again_as_it_was(text: str) -> None:
    lines = list(csv_lines([["Patient ID", "Pseudonym", "Origin"], [text, "S", "computed"]], ";"))
    cell = lines[1].split('";"')[0].removeprefix('"')
    assert cell[:1] not in tuple("=+-@\t\r")
    if text.startswith("\t"):
        return  # reading refuses what nobody sees
    table = read("".join(lines))
    assert table.rows[0][ID] == text
    assert table.untouched
    assert not read("".join(lines).replace('"', "")).untouched if '"' not in text and ";" not in text else True


def test_a_lookup_table_of_ctp_is_read_with_its_escapes() -> None:
    text = (
        "#LookupTable.properties\n! more\nptid/MRN-7 = S-1\ndateinc/MRN-7=-30\n\n"
        "ptid/with\\ blank\\:x:S-2\nptid/M\\u00fcller S-3\ncname/x=SITE\n"
    )
    assert is_lookup_table(text)
    assert not is_lookup_table("Patient ID;Pseudonym\nptid/7=S\n")
    table = read_lookup_table(text, "t")
    assert table.rows == (
        Row(3, {ID: "MRN-7", PSEUDONYM: "S-1", SHIFT: "-30"}),
        Row(6, {ID: "with blank:x", PSEUDONYM: "S-2"}),
        Row(7, {ID: "Müller", PSEUDONYM: "S-3"}),
    )
    assert table.others == {"cname": 1}
    with pytest.raises(PairsRefused) as error:
        read_lookup_table("ptid/1=S\nSECRET\nptid/1=T\n", "t")
    assert [fault.line for fault in error.value.faults] == [2, 3]
    assert "SECRET" not in str(error.value)
