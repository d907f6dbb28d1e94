"""What was handed out stays what it was, whoever writes it first."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Callable
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config as Alembic
from sqlalchemy import create_engine

from node import __version__
from node.config import load_config
from node.errors import ConfigError, HoldReason
from node.identity import Forms
from node.ledger import Database
from node.ledger.cleaning import CleaningLedger
from node.ledger.maps import DATE_MODE, Handed, LedgerMaps
from node.ledger.migrate import MIGRATIONS
from node.ledger.operation import Ledger
from node.ledger.projects import refuse_changed
from node.ledger.reception import GroupCommit
from node.ledger.results import Clean, Held
from tests.config.support import GOOD, write
from tests.ledger.support import clean, new_database, receive, received, sql

FORMS = {"dates.shift_max": 730, "uid_root": "2.25"}


def settle(database: Database, *handed: Handed, owner: str = "c") -> list[HoldReason | None]:
    """Receive and settle an instance for each; return why it was held, or None."""
    for number in range(len(handed)):
        receive(database, uid=f"1.2.3.{number}")
    cleaning = CleaningLedger(database, owner)
    claimed = cleaning.claim(len(handed))
    results = cleaning.settle(
        [
            replace(clean(one, ("d",)), handed=each, recipe_hash=each.recipe)
            for one, each in zip(claimed, handed, strict=True)
        ]
    )
    by_seq = {result.claimed.seq: result for result in results}
    return [result.reason if isinstance(result := by_seq[one.seq], Held) else None for one in claimed]


def patient(pseudonym: str, study: str = "2.25.5", **more: object) -> Handed:
    return Handed(forms=FORMS, patients=(("H", pseudonym.lower(), pseudonym, -40),), study=(study, pseudonym), **more)


def test_a_study_under_two_patients_is_held_and_its_other_instances_go_on(database: Database) -> None:
    assert settle(database, patient("A"), patient("B"), patient("A"), patient("B", "2.25.6")) == [
        None, HoldReason.STUDY_OF_TWO_PATIENTS, None, None,
    ]  # fmt: skip
    assert settle(database, patient("B"), owner="another") == [HoldReason.STUDY_OF_TWO_PATIENTS]
    assert sql(database, "SELECT project, study, pseudonym FROM study_map ORDER BY study") == [
        ("p", "2.25.5", "A"),
        ("p", "2.25.6", "B"),
    ]
    # Held, it has neither deliveries nor entries of its own.
    assert sql(database, "SELECT count(*) FROM deliveries") == [(3,)]
    assert LedgerMaps(database).stored_study("p", "2.25.5") == "A"
    assert LedgerMaps(database).stored_study("q", "2.25.5") is None, "projects share nothing"


def test_studies_that_went_out_under_two_recipes_are_counted(database: Database) -> None:
    def mixed() -> int:
        return Ledger(database).status()["studies_with_two_recipes"]

    assert (
        settle(database, *(patient("A", study, recipe="r1") for study in ("2.25.5", "2.25.5", "2.25.6"))) == [None] * 3
    )
    assert mixed() == 0
    assert settle(database, *(patient("A", "2.25.5", recipe=recipe) for recipe in ("r2", "r1", "r3"))) == [None] * 3
    assert settle(database, patient("A", "2.25.6", recipe="r1"), owner="another") == [None]
    assert mixed() == 1
    assert sql(database, "SELECT project, study FROM mixed_studies") == [("p", "2.25.5")]
    assert sql(database, "SELECT DISTINCT engine_version FROM instances") == [(__version__,)]

    assert Ledger(database).mixed() == [
        {
            "study": "2.25.5",
            "project": "p",
            "began": "r1",
            "recipes": [{"hash": one, "instances": count} for one, count in (("r1", 3), ("r2", 1), ("r3", 1))],
        }
    ]


def test_a_study_that_is_to_have_one_recipe_gets_no_other_meanwhile(database: Database) -> None:
    one, other = (patient("A", recipe=recipe, sole=True) for recipe in ("r1", "r2"))
    assert settle(database, one, other, one) == [None, HoldReason.RECIPE_CHANGED, None]
    assert settle(database, other, owner="another") == [HoldReason.RECIPE_CHANGED]
    assert sql(database, "SELECT count(*) FROM mixed_studies") == [(0,)]
    assert LedgerMaps(database).stored_recipe("p", "2.25.5") == "r1"
    assert LedgerMaps(database).stored_recipe("q", "2.25.5") is None
    # Where the recipe is another route's, nobody minds.
    assert settle(database, replace(other, sole=False)) == [None]


def _race(folder: str, owner: str, gate: Callable[[], object]) -> None:
    database = Database(f"sqlite:///{folder}/ledger.db")
    cleaning = CleaningLedger(database, owner)
    claimed = cleaning.claim(20)
    gate()
    for one in claimed:
        cleaning.settle([replace(clean(one, ("d",)), handed=patient(owner))])
    database.close()


def test_of_several_cleaners_only_one_patient_gets_the_study(database: Database, tmp_path: Path) -> None:
    for number in range(60):
        receive(database, uid=f"1.2.3.{number}")
    database.close()
    context = get_context("fork")
    barrier = context.Barrier(3)
    workers = [context.Process(target=_race, args=(str(tmp_path), owner, barrier.wait)) for owner in "ABC"]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert [worker.exitcode for worker in workers] == [0, 0, 0]
    ((winner,),) = sql(database, "SELECT pseudonym FROM study_map")
    assert sql(database, "SELECT state, reason, count(*) FROM instances GROUP BY 1, 2 ORDER BY 1") == [
        ("cleaned", None, 20),
        ("held", "study-of-two-patients", 40),
    ]
    assert sql(database, "SELECT pseudonym FROM patient_map") == [(winner,)]


def test_other_forms_than_those_handed_out_are_held(database: Database) -> None:
    other = Handed(forms={**FORMS, "dates.shift_max": 365})
    assert settle(database, Handed(forms=FORMS), other, Handed(forms=FORMS)) == [
        None, HoldReason.PROJECT_CHANGED, None,
    ]  # fmt: skip
    assert settle(database, replace(other, epoch=2)) == [None]
    assert settle(database, other) == [HoldReason.PROJECT_CHANGED]


def test_a_uid_that_another_process_has_written_meanwhile_stays_what_it_is(database: Database) -> None:
    """On the day of its writing, when the same statement changes nothing, and on a later one, when it notes the use."""
    mine, theirs = (Handed(1, FORMS, (("1.2", replacement),)) for replacement in ("2.25.1", "2.25.2"))
    assert settle(database, mine, owner="one") == [None]
    for days_ago in (0, 3):
        sql(database, "UPDATE uid_map SET used_day = used_day - ?", days_ago)
        assert settle(database, mine, owner="another") == [None]
        sql(database, "UPDATE uid_map SET used_day = used_day - ?", days_ago)
        assert settle(database, theirs, mine, owner="a third") == [HoldReason.COLLISION, None]
    assert sql(database, "SELECT original, replacement FROM uid_map") == [("1.2", "2.25.1")]


def test_what_is_cleaned_for_a_closed_project_is_held_and_the_others_of_its_batch_go_on(database: Database) -> None:
    for number, project in enumerate("pqp"):
        GroupCommit(database).add(received(uid=f"1.2.3.{number}")._replace(project=project))
    cleaning = CleaningLedger(database, "c")
    claimed = cleaning.claim(3)
    sql(database, "INSERT INTO closed_projects (project, begun_at, record) VALUES ('p', 1, '{}')")
    cleaning.settle([clean(one, ("d",)) for one in claimed])
    assert sql(database, "SELECT project, state, reason FROM instances ORDER BY seq") == [
        ("p", "held", "project-closed"),
        ("q", "cleaned", None),
        ("p", "held", "project-closed"),
    ]
    assert sql(database, "SELECT count(*) FROM deliveries") == [(1,)]


def test_what_is_asked_of_the_maps_leaves_nothing_open_that_the_log_would_wait_for(database: Database) -> None:
    assert settle(database, Handed(1, FORMS, (("1.2", "2.25.1"),))) == [None]
    maps = LedgerMaps(database)
    assert [maps.stored_uid("p", 1, uid) for uid in ("1.2", "1.3")] == ["2.25.1", None]
    with contextlib.closing(sqlite3.connect(database.path, timeout=0, isolation_level=None)) as other:
        assert other.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0] == 0, "somebody still reads"


def test_each_epoch_has_replacements_of_its_own(database: Database) -> None:
    first = Handed(1, FORMS, (("1.2", "2.25.1"),), (("", "1", "A", -40),))
    second = Handed(2, FORMS, (("1.2", "2.25.2"),), (("", "1", "B", -50),))
    assert settle(database, first, second, first) == [None] * 3
    maps = LedgerMaps(database)
    assert [maps.stored_uid("p", epoch, "1.2") for epoch in (1, 2, 3)] == ["2.25.1", "2.25.2", None]
    assert [maps.stored_patient("p", epoch, "", "1") for epoch in (1, 2, 3)] == [("A", -40), ("B", -50), None]


@pytest.mark.parametrize(
    "other",
    [
        Handed(uids=(("1.2", "2.25.9"),)),
        Handed(uids=(("1.3", "2.25.1"),)),
        Handed(epoch=2, uids=(("1.2", "2.25.1"),)),
        Handed(patients=(("", "1", "A", -41),)),
        Handed(patients=(("", "1", "B", -40),)),
        Handed(patients=(("", "2", "A", -40),)),
    ],
)
def test_a_second_replacement_and_a_shared_one_are_held(database: Database, other: Handed) -> None:
    assert settle(database, Handed(uids=(("1.2", "2.25.1"),), patients=(("", "1", "A", -40),))) == [None]
    assert settle(database, other) == [HoldReason.COLLISION]


# -- the forms of a project -----------------------------------------------------------------------------------------


def config(folder: Path, projects: str = ""):
    return load_config(write(folder, GOOD + projects))


def handed_out(database: Database, folder: Path, projects: str = "") -> None:
    """Let the node have sent one instance of the project `research`."""
    project = config(folder, projects).project("research")
    name = receive(database)
    sql(database, "UPDATE instances SET project = 'research' WHERE id = ?", name)
    cleaning = CleaningLedger(database, "c")
    (claimed,) = cleaning.claim(1)
    result = replace(clean(claimed, ("d",)), handed=Handed(project.epoch, project.forms().fixed))
    assert all(isinstance(one, Clean) for one in cleaning.settle([result]))


CHANGES = {
    "dates: {shift_max: 365d}": ("dates.shift_max", "was 730d", "is 365d"),
    "dates: {shift_min: 31d}": ("dates.shift_min", "was 30d", "is 31d"),
    "dates: {whole_weeks: true}": ("dates.whole_weeks", "was false", "is true"),
    "uid_root: 1.2.826.0.1": ("uid_root", "was '2.25'", "is '1.2.826.0.1'"),
    "pseudonym: {length: 14}": ("pseudonym.length", "was 13", "is 14"),
    "pseudonym: {prefix: A, length: 13}": ("pseudonym.prefix", "was ''", "is 'A'"),
    "pseudonym: {check_digit: true}": ("pseudonym.check_digit", "was false", "is true"),
    "pseudonym: {alphabet: ABCDEFGHIJKLMNOPQRSTUVWXYZ, length: 13}": ("pseudonym.alphabet", "was '0123", "is 'ABC"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_form_is_refused_with_the_way_to_do_it(database: Database, tmp_path: Path, change: str) -> None:
    changed = config(tmp_path, f"projects: {{research: {{{change}}}}}\n")
    refuse_changed(database, changed)  # nothing was handed out yet
    handed_out(database, tmp_path)
    refuse_changed(database, config(tmp_path))
    with pytest.raises(ConfigError) as refused:
        refuse_changed(database, changed)
    (fault,) = refused.value.faults
    key, before, now = CHANGES[change]
    assert fault.key == f"projects.research.{key}"
    assert (before in fault.problem, now in fault.problem) == (True, True), fault.problem
    assert "set projects.research.epoch to 2" in fault.hint
    refuse_changed(database, config(tmp_path, f"projects: {{research: {{{change}, epoch: 2}}}}\n"))


def test_what_is_no_form_may_change(database: Database, tmp_path: Path) -> None:
    handed_out(database, tmp_path)
    rules = "dates: {invalid: empty}, issuers: {A: [B]}, placeholder_ids: [NOBODY]"
    refuse_changed(database, config(tmp_path, f"projects: {{research: {{{rules}}}}}\n"))


def test_an_older_ledger_keeps_its_maps_and_binds_its_projects_to_the_shifts_that_it_gave(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    engine = create_engine(f"sqlite:///{path}")
    with engine.connect() as connection:
        alembic = Alembic()
        alembic.set_main_option("script_location", str(MIGRATIONS))
        alembic.attributes["connection"] = connection
        command.upgrade(alembic, "0001")
        connection.commit()
    engine.dispose()
    with sqlite3.connect(path) as connection:
        connection.execute("INSERT INTO uid_map VALUES ('research', '1.2', '2.25.1', 'imported')")
        connection.execute("INSERT INTO patient_map VALUES ('research', 'H', '7', 'PSEUDO', -2760, 'computed')")
        columns = (
            "id, received_at, changed_at, project, route, calling_ae_title, called_ae_title, address, sop_class_uid, "
            "sop_instance_uid, transfer_syntax_uid, size, digest, state, outcome, due_at, clean_sop_instance_uid"
        )
        for name, project, state, outcome, cleaned in (
            ("a", "research", "cleaned", "in_flight", "2.25.4"),
            ("b", "research", "cleaned", "in_flight", "2.25.5"),
            ("c", "other", "received", "in_flight", None),
        ):
            row = (name, 0, 0, project, "r", "", "", "", "", "", "", 0, b"", state, outcome, 0, cleaned)
            connection.execute(f"INSERT INTO instances ({columns}) VALUES ({', '.join('?' * len(row))})", row)
    connection.close()
    database = new_database(tmp_path)
    maps = LedgerMaps(database)
    assert maps.stored_uid("research", 1, "1.2") == "2.25.1"
    assert maps.stored_patient("research", 1, "H", "7") == ("PSEUDO", -2760)
    assert sql(database, "SELECT origin FROM uid_map") == [("imported",)]
    ((project, epoch, forms),) = sql(database, "SELECT project, epoch, forms FROM projects")
    assert (project, epoch) == ("research", 1)
    assert json.loads(str(forms)) == {**Forms().fixed, "dates.shift_max": 3650, "dates.shift_min": 1}
    with pytest.raises(ConfigError, match="was 3650d"):
        refuse_changed(database, config(tmp_path))
    dates = "dates: {shift_min: 1d, shift_max: 3650d}"
    refuse_changed(database, config(tmp_path, f"projects: {{research: {{{dates}}}}}\n"))
    refuse_changed(database, config(tmp_path, "projects: {research: {epoch: 2}}\n"))
    database.close()


def with_mode(mode: str) -> Handed:
    return Handed(1, {**Forms().fixed, **({DATE_MODE: mode} if mode else {})})


def test_a_project_that_moved_dates_never_keeps_them_in_the_same_epoch(database: Database, tmp_path: Path) -> None:
    handed_out(database, tmp_path)
    refuse_changed(database, config(tmp_path), {"research": "kept"})  # nothing with dates went out yet
    assert settle(database, with_mode(""), with_mode("moved"), with_mode("")) == [None] * 3
    assert settle(database, with_mode("kept"), owner="another") == [HoldReason.PROJECT_CHANGED]
    assert settle(database, with_mode("moved"), with_mode(""), owner="a third") == [None] * 2
    sql(database, "DELETE FROM projects WHERE project = 'research'")
    sql(database, "UPDATE projects SET project = 'research'")
    refuse_changed(database, config(tmp_path), {"research": "moved"})
    refuse_changed(database, config(tmp_path))
    with pytest.raises(ConfigError, match=r"moved by the recipe .* would be kept") as refused:
        refuse_changed(database, config(tmp_path), {"research": "kept"})
    assert "projects.research.epoch to 2" in refused.value.faults[0].hint
    refuse_changed(database, config(tmp_path, "projects: {research: {epoch: 2}}\n"), {"research": "kept"})
