"""Who waits goes once the pair comes, and nobody else; an import is whole or not at all."""

from __future__ import annotations

import csv
import io
import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from node.cli import run
from node.crosswalk import export_pairs, list_waiting, waiting_list
from node.errors import FileError, NodeError
from node.identity import PatientKey, ProjectKeys
from node.ledger.releases import REBUILT_WAITS
from tests.copies.support import SECRET, WITHOUT_KEYS
from tests.crosswalk.support import HEADING, Counter, ct

KEYS = ProjectKeys(SECRET, "p")


def reasons(desk: Counter) -> dict[str | None, int]:
    return dict(desk.sql("SELECT reason, count(*) FROM instances GROUP BY 1"))


def test_an_unknown_patient_waits_and_only_those_who_came_go_in_the_order_of_reception(desk: Counter) -> None:
    mine = [desk.come(ct("MRN-7", "1.2.7")), desk.come(ct("MRN-8", "1.2.8")), desk.come(ct("MRN-7", "1.2.9"))]
    assert [desk.row(one)[:3] for one in mine] == [("held", "held", "no-mapping")] * 3
    assert desk.sql("SELECT count(*) FROM uid_map UNION ALL SELECT count(*) FROM patient_map") == [(0,), (0,)]
    assert [(one["patients"], one["instances"], one["without_id"]) for one in waiting_list(desk.ledger)] == [(2, 3, 0)]
    assert desk.bring(HEADING + "MRN-7;S-7;-40\r\n", dry_run=True)["new"] == 1
    desk.clean()
    assert reasons(desk) == {"no-mapping": 3}, "a dry run writes nothing"
    done = desk.bring(HEADING + "MRN-7;S-7;-40\r\n")
    assert (done["new"], done["known"], done["released"]) == (1, 0, 2)
    assert reasons(desk) == {None: 2, "no-mapping": 1}, "at once, in the commit of the import"
    desk.clean()
    sent = desk.sent()
    assert [str(ds.PatientID) for ds in sent] == ["S-7", "S-7"]
    assert desk.sql("SELECT i.id FROM deliveries d JOIN instances i ON i.seq = d.instance ORDER BY d.due_at") == [
        (mine[0],),
        (mine[2],),
    ]
    assert desk.row(desk.come(ct("MRN-7", "1.2.10")))[0] == "cleaned", "known from now on"
    assert "MRN-7" not in "".join(desk.told())
    assert "crosswalk: 1 pairs imported, 0 known; 2 instances that waited go on" in desk.told()[-1]


def test_commands_for_files_hold_an_unknown_patient_as_the_node_does(
    desk: Counter, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (desk.folder / "r.dicom").write_text(WITHOUT_KEYS)
    desk.configure()
    name = desk.come(ct("MRN-7"))
    assert desk.row(name)[2] == "no-mapping", "also by a recipe that asks for no patient"
    path = desk.spool.original(name)
    common = (str(path), "--config", str(desk.folder / "config.yaml"), "--route", "r")
    assert run(["preview", *common]) == 1
    assert "no-mapping" in capsys.readouterr().out
    assert run(["clean", *common, "--out", str(tmp_path / "out")]) == 1
    desk.bring(HEADING + "MRN-7;S-7;\r\n")
    assert run(["clean", *common, "--out", str(tmp_path / "out"), "--gate", "report"]) == 0
    assert len(list((tmp_path / "out").rglob("*.dcm"))) == 1


def test_releasing_by_hand_lets_nobody_out_who_has_no_pair(desk: Counter) -> None:
    one = desk.come(ct("MRN-7"))
    assert desk.ledger.release(one)
    desk.clean()
    assert desk.row(one)[2] == "no-mapping"


def test_a_route_that_demands_none_goes_on_and_its_patients_have_what_it_handed_out(desk: Counter) -> None:
    assert desk.row(desk.come(ct("MRN-7"), route="r2"))[0] == "cleaned"
    waits = desk.come(ct("MRN-7", "1.2.7"))
    assert desk.row(waits)[2] == "no-mapping", "computed is not imported"
    pseudonym = KEYS.pseudonym(PatientKey("", "MRN-7"))
    assert desk.bring(HEADING + f"MRN-7;{pseudonym};\r\n")["known"] == 1
    desk.clean()
    assert desk.row(waits)[0] == "cleaned"
    assert desk.sql("SELECT origin FROM patient_map") == [("imported",)]


@pytest.mark.parametrize("patient", [None, "UNKNOWN"])
def test_a_patient_without_id_waits_and_is_told_what_to_do(desk: Counter, patient: str | None) -> None:
    one = desk.come(ct(patient))
    assert desk.row(one)[2] == "no-mapping"
    (entry,) = desk.ledger.held()
    assert "no pair can name the patient. Correct it at its source" in entry["detail"]
    assert (waiting_list(desk.ledger)[0]["patients"], waiting_list(desk.ledger)[0]["without_id"]) == (0, 1)
    assert desk.bring(HEADING + "MRN-7;S-7;\r\n")["released"] == 0
    uid = desk.sql("SELECT sop_instance_uid FROM instances")[0][0]
    corrected = ct("MRN-7")
    corrected.SOPInstanceUID = uid
    assert desk.row(desk.come(corrected))[0] == "cleaned", "corrected at its source, it goes"


def test_what_a_rebuild_left_undecided_stays_so_while_it_waits(desk: Counter) -> None:
    one = desk.receive(ct("MRN-7"))
    desk.sql("UPDATE instances SET detail = ?", REBUILT_WAITS)
    desk.clean()
    assert desk.row(one)[2] == "no-mapping"
    desk.bring(HEADING + "MRN-7;S-7;\r\n")
    desk.clean()
    assert desk.sql("SELECT state, reason FROM deliveries") == [("held", "rebuilt")]


def test_a_pair_that_comes_while_it_is_found_missing_wakes_the_instance(desk: Counter) -> None:
    one = desk.receive(ct("MRN-7"))
    ledger = desk.cleaner.ledger
    (claimed,) = ledger.claim(16)
    held = desk.cleaner.cleaning.clean(claimed)
    desk.bring(HEADING + "MRN-7;S-7;\r\n")
    assert ledger.settle([held]) == []
    desk.clean()
    assert desk.row(one)[0] == "cleaned"


def test_what_was_delivered_is_said_of_those_whom_an_import_would_change(desk: Counter) -> None:
    for study in ("1.2.7", "1.2.8", "1.2.8"):
        desk.come(ct("MRN-7", study), route="r2")
    desk.come(ct("MRN-8", "1.2.9"), route="r2")
    desk.deliver("a")
    (first, second) = desk.refused(HEADING + "MRN-9;S-9;\r\nMRN-7;S-7;-40\r\nMRN-8;S-8;\r\n")
    assert (first.line, second.line) == (3, 4)
    assert "3 instances of 2 studies delivered to a (3) since 20" in first.problem
    assert "3 instances on the way" in first.problem, "to b"
    assert "1 instance of 1 study delivered to a (1)" in second.problem
    desk.bring(HEADING + "MRN-9;S-9;-40\r\n")
    (fault,) = desk.refused(HEADING + "MRN-9;S-9;-41\r\n")
    assert "nothing is delivered" in fault.problem


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (["7;A", "7;A"], {3: "the Patient ID stands in line 2 too."}),
        (["7;A", "7;B"], {3: "the Patient ID stands in line 2 too."}),
        (["7;A", "8;A", "9;A"], {3: "another patient has this pseudonym, in line 2.", 4: "another patient"}),
        (["1.23E+05;A", "8;1,5E+7"], {2: "the Patient ID is in scientific notation", 3: "the pseudonym is in"}),
        (["123.0;A", "1234567890123450000;B"], {2: "a number with decimals", 3: "cut off after 15 digits"}),
        (["00123;A", "123;B"], {3: "the same digits with zeros in front"}),
        (
            ["0012345;A", "0099999;B", "4711;C", "1234567;D"],
            {4: "shorter than the ids with leading zeros, which all have 7"},
        ),
        (["UNKNOWN;A", "7;Ä", "8;"], {2: "a placeholder", 3: "not a pseudonym.", 4: "no pseudonym."}),
        (["7;A;x", "8;B;0", ";C"], {2: "not a shift.", 3: "not a shift.", 4: "no Patient ID."}),
    ],
)
def test_conflicts_are_refused_whole_with_their_lines(
    desk: Counter, lines: list[str], expected: dict[int, str]
) -> None:
    found = desk.refused(HEADING + "\r\n".join(lines))
    assert [fault.line for fault in found] == list(expected)
    assert all(expected[fault.line or 0] in fault.problem for fault in found)
    values = {cell for line in lines for cell in line.split(";") if len(cell) > 4}
    assert not any(value in str(fault) for fault in found for value in values)


def test_ids_that_look_spoiled_are_taken_where_somebody_says_so(desk: Counter) -> None:
    text = HEADING + "00123;A;\r\n123;B;\r\n1.2E+5;C;\r\n"
    assert desk.bring(text, as_written=True)["new"] == 3
    (fault,) = desk.refused(HEADING + "0456;D\r\n456;E\r\n")
    assert fault.line == 3
    assert "--ids-as-written" in fault.hint


def test_zeros_that_the_ledger_or_a_waiting_patient_has_show_that_a_file_lost_them(desk: Counter) -> None:
    desk.come(ct("0004711"))
    (fault,) = desk.refused(HEADING + "4711;A\r\n")
    assert "a patient waits whose id has the same digits" in fault.problem
    desk.bring(HEADING + "0004711;A\r\n0000012;B\r\n")
    found = desk.refused(HEADING + "4711;E\r\n13;C\r\n1234567;D\r\n")
    assert [(fault.line, fault.problem.split(",")[0]) for fault in found] == [
        (2, "the same digits with zeros in front are another id: leading zeros were lost."),
        (3, "shorter than the ids with leading zeros"),
    ]


def test_a_table_of_studies_has_a_patient_several_times_and_uids_beside(desk: Counter) -> None:
    head = "ANON-PatientID,PHI-PatientID,DateOffset,ANON-StudyUID,PHI-StudyUID\n"
    done = desk.bring(head + "S-7,MRN-7,0,2.25.1,1.2.7\nS-7,MRN-7,100,2.25.2,1.2.8\nS-8,MRN-8,5,2.25.3,1.2.9\n")
    assert (done["patients"], done["uids"], done["new"]) == (2, 3, 5)
    assert desk.sql("SELECT patient_id, shift_days FROM patient_map") == [("MRN-7", 100), ("MRN-8", 5)]
    desk.come(ct("MRN-7", "1.2.7"))
    assert [str(ds.StudyInstanceUID) for ds in desk.sent()] == ["2.25.1"], "the study goes on under its UID"
    found = desk.refused(head + "S-7,MRN-7,100,2.25.9,1.2.7\nT-9,MRN-9,1,2.25.4,1.2.10\nT-9,MRN-9,2,2.25.4,1.2.10\n")
    assert [fault.line for fault in found] == [2, 4, 4]


def test_a_lookup_table_of_ctp_is_taken_over(desk: Counter) -> None:
    done = desk.bring("ptid/MRN-7=S-7\ndateinc/MRN-7=-30\ncname/x=SITE\n")
    assert (done["new"], done["ignored"]) == (1, {"cname": 1})
    assert desk.sql("SELECT pseudonym, shift_days FROM patient_map") == [("S-7", -30)]


def test_the_issuer_is_that_of_the_routes_and_where_they_differ_it_has_to_be_written(desk: Counter) -> None:
    desk.settings["routes"][0]["issuer"] = desk.settings["routes"][1]["issuer"] = "H"
    desk.configure()
    desk.come(ct("MRN-7"))
    assert desk.bring(HEADING + "MRN-7;S-7;\r\n")["released"] == 1
    desk.settings["routes"][1]["issuer"] = "K"
    desk.configure()
    (fault,) = desk.refused(HEADING + "MRN-8;S-8;\r\n")
    assert fault.problem == "no issuer."
    assert desk.bring("Issuer;" + HEADING + "K;MRN-8;S-8;\r\n")["new"] == 1
    assert desk.bring(HEADING + "MRN-8;S-9;\r\n", issuer="H")["new"] == 1
    with pytest.raises(NodeError, match="no route belongs to a project 'nobody'"):
        desk.bring(HEADING, "nobody")


def test_who_waits_is_listed_as_a_file_to_fill_in_and_whoever_looks_is_written_down(desk: Counter) -> None:
    desk.come(ct("MRN-7"))
    desk.come(ct("=MRN-8", "1.2.8"))
    desk.come(ct(None, "1.2.9"))
    text = list_waiting(desk.config, desk.ledger, "p", ";")
    assert "2 patients who wait were listed" in desk.told()[-1]
    rows = list(csv.reader(io.StringIO(text), delimiter=";"))
    assert [row[1] for row in rows] == ["Patient ID", "MRN-7", "'=MRN-8"]
    rows[2][2] = "S-8"
    done = desk.bring("\r\n".join(";".join(row) for row in rows).encode("utf-8-sig"))
    assert (done["new"], done["open"], done["released"]) == (1, 1, 1)


def test_an_export_is_read_again_on_another_node_and_gives_the_same(
    make_desk: Callable[[str], Counter], tmp_path: Path
) -> None:
    desk, there = make_desk("here"), make_desk("there")
    desk.bring(HEADING + "+7;S-7;-40\r\n00123;-S;\r\n", as_written=True)
    desk.bring("Original UID,Replacement UID\n1.2.7,2.25.33\n")
    first = ct("+7", SOPInstanceUID="1.2.7.1")
    for ds, route in ((first, "r"), (ct("123", "1.2.8", SOPInstanceUID="1.2.8.1"), "r2")):
        desk.come(ds, route)
    before = sorted(desk.sent(), key=lambda ds: ds.SOPInstanceUID)
    out = tmp_path / "out.csv"
    counts = export_pairs(desk.config, desk.ledger, "p", out)
    assert counts == {"patients": 3, "merged": 0, "uids": 4}
    assert "exported: 3 patients, 0 merged, 4 uids" in desk.told()[-1]
    assert stat.S_IMODE(os.stat(out).st_mode) == 0o600
    with pytest.raises(FileError, match="cannot be written"):
        export_pairs(desk.config, desk.ledger, "p", out)
    there.secret(bytes([255]) * 32)
    assert there.bring(out.read_bytes())["new"] == 7
    there.come(ct("+7", SOPInstanceUID="1.2.7.1"))
    there.come(ct("123", "1.2.8", SOPInstanceUID="1.2.8.1"))
    after = sorted(there.sent(), key=lambda ds: ds.SOPInstanceUID)
    assert [(ds.PatientID, ds.StudyInstanceUID, ds.SOPInstanceUID) for ds in after] == [
        (ds.PatientID, ds.StudyInstanceUID, ds.SOPInstanceUID) for ds in before
    ]
    query = "SELECT issuer, patient_id, pseudonym, shift_days FROM patient_map ORDER BY 2"
    assert there.sql(query) == desk.sql(query)
    assert there.bring(out.read_bytes())["known"] == 7


def test_the_command_line_says_it_with_exit_codes(
    desk: Counter, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    desk.come(ct("MRN-7"))
    config = ["--config", str(desk.folder / "config.yaml")]
    path = tmp_path / "new.csv"
    path.write_text(HEADING + "MRN-7;S-7;-40\r\nMRN-7;S-8;\r\n")
    assert run(["crosswalk", "import", str(path), "--project", "p", *config]) == 1
    assert f"{path}:3: the Patient ID stands in line 2 too." in capsys.readouterr().err
    path.write_text(HEADING + "MRN-7;S-7;-40\r\n")
    assert run(["crosswalk", "waiting", *config]) == 0
    assert run(["crosswalk", "waiting", "--identity", *config]) == 2
    listed = tmp_path / "waiting.csv"
    assert run(["crosswalk", "waiting", "--identity", "--project", "p", "--out", str(listed), *config]) == 0
    assert "MRN-7" in listed.read_text()
    assert run(["crosswalk", "import", str(path), "--project", "p", *config]) == 0
    assert "1 instances that waited go on." in capsys.readouterr().out
    assert run(["crosswalk", "export", "--project", "p", "--out", str(tmp_path / "e.csv"), *config]) == 0
    assert run(["crosswalk", "merge", "--project", "p", "MRN-7", "MRN-8", *config]) == 0
    assert run(["crosswalk", "import", str(tmp_path / "none.csv"), "--project", "p", *config]) == 1
