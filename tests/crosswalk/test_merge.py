"""Two ids that are one person: pseudonym and shift follow the person, and what was delivered is never changed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from node.crosswalk import export_pairs, merge_ids
from node.errors import MergeRefused
from node.ledger import backup
from node.ledger.closed import destroy
from node.ledger.database import Database
from node.ledger.maps import LedgerMaps
from node.ledger.pairs import persons_of
from node.ledger.sealed import seal_ledger
from node.sealing import Columns
from tests.crosswalk.support import HEADING, Counter, ct


def merge(desk: Counter, old: str, new: str) -> dict[str, object]:
    return merge_ids(desk.config, desk.ledger, "p", old, new)


def pseudonyms(desk: Counter) -> list[str]:
    return [str(ds.PatientID) for ds in desk.sent()]


def test_the_second_id_has_pseudonym_and_shift_of_the_first(desk: Counter) -> None:
    desk.bring(HEADING + "OLD;S-1;-40\r\n")
    waits = desk.come(ct("NEW", "1.2.8"))
    assert desk.row(waits)[2] == "no-mapping"
    desk.come(ct("OLD"))
    assert merge(desk, "OLD", "NEW") == {"project": "p", "known": False, "dropped": False, "released": 1}
    assert "two ids made one person; 1 instances that waited go on" in desk.told()[-1]
    assert not any(one in "".join(desk.told()) for one in ("OLD", "NEW"))
    desk.clean()
    desk.come(ct("NEW", "1.2.7"))
    assert pseudonyms(desk) == ["S-1"] * 3, "also in one study, which is one patient's"
    assert merge(desk, "OLD", "NEW")["known"] is True
    with desk.database.read() as connection:
        assert persons_of(connection, "p", "S-1") == [("", "OLD"), ("", "NEW")], "the way back names both"


def test_what_comes_again_under_the_second_id_is_of_the_same_patient(desk: Counter) -> None:
    desk.bring(HEADING + "OLD;S-1;-40\r\n")
    desk.come(ct("OLD", SOPInstanceUID="1.2.7.1"))
    desk.deliver()
    again = desk.come(ct("NEW", SOPInstanceUID="1.2.7.1"))
    assert desk.row(again)[2] == "patient-corrected"
    assert desk.ledger.discard(again, desk.spool)
    merge(desk, "OLD", "NEW")
    again = desk.come(ct("NEW", SOPInstanceUID="1.2.7.1"))
    assert desk.row(again)[2] == "changed", "another header, of the same patient and study"


def test_ids_that_both_have_deliveries_are_refused_with_what_was_delivered(desk: Counter) -> None:
    desk.come(ct("OLD"), route="r2")
    desk.come(ct("NEW", "1.2.8"), route="r2")
    desk.deliver()
    before = desk.sql("SELECT * FROM patient_map"), len(desk.told())
    with pytest.raises(MergeRefused, match=r"both ids have deliveries, .* 1 instance of 1 study delivered to a \(1\)"):
        merge(desk, "OLD", "NEW")
    with pytest.raises(MergeRefused, match="merge them the other way round"):
        merge(desk, "THIRD", "NEW")
    with pytest.raises(MergeRefused, match="a placeholder"):
        merge(desk, "UNKNOWN", "NEW")
    assert (desk.sql("SELECT * FROM patient_map"), len(desk.told())) == before
    assert desk.sql("SELECT count(*) FROM patient_aliases") == [(0,)]
    assert merge(desk, "NEW", "THIRD")["known"] is False


def test_a_pair_without_deliveries_is_dropped_and_ids_that_were_merged_go_along(desk: Counter) -> None:
    desk.bring(HEADING + "A;S-1;\r\nB;S-2;\r\nC;S-3;\r\n")
    assert merge(desk, "B", "A")["dropped"] is True
    assert merge(desk, "C", "B")["dropped"] is True
    assert desk.sql("SELECT pseudonym FROM patient_map") == [("S-3",)]
    for patient, study in (("A", "1.2.7"), ("B", "1.2.8"), ("C", "1.2.9")):
        desk.come(ct(patient, study))
    assert pseudonyms(desk) == ["S-3"] * 3
    assert merge(desk, "A", "C")["known"] is True
    with pytest.raises(MergeRefused, match="one with another id already"):
        merge(desk, "D", "A")
    assert desk.bring(HEADING + "A;S-3;\r\n")["known"] == 1, "a pair of the id is one of the person"
    (fault,) = desk.refused(HEADING + "A;S-1;\r\n")
    assert "3 instances of 3 studies delivered to a (3)" in fault.problem


def test_what_is_being_cleaned_while_ids_become_one_is_cleaned_again(desk: Counter) -> None:
    desk.come(ct("OLD"), route="r2")
    one = desk.receive(ct("NEW", "1.2.8"), route="r2")
    ledger = desk.cleaner.ledger
    results = [desk.cleaner.cleaning.clean(claimed) for claimed in ledger.claim(16)]
    merge(desk, "OLD", "NEW")
    desk.cleaner.cleaning.publish()
    assert ledger.settle(results) == []
    assert desk.sql("SELECT count(*) FROM patient_map") == [(1,)]
    desk.clean()
    assert desk.row(one)[0] == "cleaned"
    assert len(set(pseudonyms(desk))) == 1


def test_it_survives_an_export_a_backup_and_encryption_and_goes_with_the_project(
    make_desk: Callable[[str], Counter], tmp_path: Path
) -> None:
    desk, other = make_desk("here"), make_desk("there")
    desk.bring(HEADING + "OLD;S-1;-40\r\n")
    merge(desk, "OLD", "NEW")
    counts = export_pairs(desk.config, desk.ledger, "p", tmp_path / "out.csv", separator=";")
    assert counts["merged"] == 1
    assert other.bring((tmp_path / "out.csv").read_bytes())["merged"] == 1
    assert other.bring((tmp_path / "out.csv").read_bytes())["known"] == 2
    other.come(ct("NEW"))
    assert pseudonyms(other) == ["S-1"]

    desk.sql("INSERT OR REPLACE INTO meta (key, value) VALUES ('secret_fingerprint', 'f')")
    columns = Columns(lambda: bytes(64))
    made = Database(f"sqlite:///{tmp_path / 'made.db'}", columns)
    made.migrate()
    counts = backup.restore(made, backup.read(desk.database.path, "f"), ())
    assert counts["patient_aliases"] == 1
    desk.database.close()
    sealed = Database(f"sqlite:///{desk.database.path}", columns)
    seal_ledger(sealed, columns, "k")
    for database in (made, sealed):
        assert LedgerMaps(database).stored_person("p", 1, "", "NEW") == ("", "OLD")
        with database.read() as connection:
            (row,) = connection.driver.execute("SELECT patient_id, same_patient_id FROM patient_aliases").fetchall()
        assert all(text.startswith("siv1:") for text in row)
    destroy_of(sealed)
    assert LedgerMaps(sealed).stored_person("p", 1, "", "NEW") is None
    for database in (made, sealed):
        database.close()


def destroy_of(database: Database) -> None:
    with database.write(durable=True) as connection:
        connection.driver.execute("INSERT INTO closed_projects VALUES ('p', 1, NULL, '{}')")
    destroy(database, "p")
