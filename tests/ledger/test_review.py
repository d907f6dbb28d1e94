"""Texts that were kept: counted once, decided by a person, and traced to what left with them."""

from __future__ import annotations

import secrets
from dataclasses import replace
from pathlib import Path

import pytest

from node.errors import HoldReason
from node.gate import kept_texts
from node.ledger import Database, Ledger
from node.ledger.alerts import _identifying
from node.ledger.cleaning import CleaningLedger
from node.ledger.maps import LedgerMaps
from node.ledger.review import decide, forget_texts, impact, texts_of, vocabulary_lines
from node.recipe import EncodedDataset, RecipeText, load_recipe
from node.sealing import Columns
from node.spool import Spool
from node.syntaxes import EXPLICIT_LE
from node.vocabulary import load_vocabulary
from tests.ledger.support import clean, receive, sql
from tests.profile.support import element, item
from tests.recipe.support import Keys

PATH = "(0008,103E)"
RECIPE = "FORMAT dicom\n%header\nBLANK PatientName\nREPLACE StationName STATION\nKEEP SeriesDescription\n"


def left(database: Database, uid: str, *texts: str) -> str:
    """Let an instance leave with texts; return its id."""
    name = receive(database, uid=uid)
    ledger = CleaningLedger(database, "cleaner")
    (claimed,) = ledger.claim(1)
    assert ledger.settle([replace(clean(claimed, ("d",)), texts=tuple((PATH, text) for text in texts))])
    return name


def test_a_text_is_kept_once_and_counted(database: Database) -> None:
    left(database, "1.2.1", "Head", "knee of Kowalska")
    left(database, "1.2.2", "Head")
    found = texts_of(database, "p", PATH)
    assert [(one["text"], one["instances"]) for one in found] == [("Head", 2), ("knee of Kowalska", 1)]
    assert not texts_of(database, "p", "(0008,1030)")
    assert not texts_of(database, "other")


def test_what_identifies_tells_what_left_with_it_and_alarms_when_it_leaves_again(database: Database) -> None:
    name = left(database, "1.2.1", "knee of Kowalska")
    left(database, "1.2.2", "Head")
    (one,) = [one for one in texts_of(database, "p") if one["text"] != "Head"]
    assert decide(database, "p", [one["id"], 999], "identifying") == [one["id"]]
    assert [(gone["id"], gone["destination"]) for gone in impact(database, [one["id"]])] == [(name, "d")]
    assert not list(_identifying(database, None, 0.0))  # type: ignore[arg-type]
    left(database, "1.2.3", "knee of Kowalska")
    assert [alert.kind for alert in _identifying(database, None, 0.0)] == ["identifying-text"]  # type: ignore[arg-type]


def test_decisions_become_words_of_a_vocabulary(database: Database, tmp_path: Path) -> None:
    left(database, "1.2.1", "wobbler knee 12345", "knee of Kowalska")
    by_text = {one["text"]: one["id"] for one in texts_of(database, "p")}
    decide(database, "p", [by_text["wobbler knee 12345"]], "harmless")
    decide(database, "p", [by_text["knee of Kowalska"]], "identifying")
    lines = vocabulary_lines(database, "p")
    assert lines == ["knee", "wobbler", "-kowalska", "-of"]
    file, plain = tmp_path / "words.txt", tmp_path / "plain.txt"
    file.write_text("\n".join(lines))
    plain.write_text("wobbler\nkowalska\n")
    vocabulary = load_vocabulary([plain, file])
    assert "wobbler" in vocabulary
    assert "kowalska" not in vocabulary
    assert vocabulary.digest != load_vocabulary([plain]).digest


def ids_of(database: Database, *texts: str) -> list[int]:
    return [one["id"] for one in texts_of(database, "p") if one["text"] in texts]


def test_what_was_being_cleaned_when_something_was_said_is_cleaned_again_by_what_was_said(database: Database) -> None:
    left(database, "1.2.1", "knee of Kowalska", "Head")
    receive(database, uid="1.2.2")
    cleaner = CleaningLedger(database, "cleaner")
    assert cleaner.maps.decided("p") is None
    (claimed,) = cleaner.claim(1)
    decide(database, "p", ids_of(database, "knee of Kowalska"), "identifying")
    assert cleaner.settle([clean(claimed, ("d",))]) == [], "it was cleaned without knowing"
    (claimed,) = cleaner.claim(1)
    said = cleaner.maps.decided("p")
    assert said is not None
    assert said.forbids(PATH, "knee of Kowalska")
    assert not said.forbids(PATH, "Head")
    assert cleaner.maps.decided("other") is None
    assert cleaner.settle([clean(claimed, ("d",))])
    decide(database, "p", ids_of(database, "knee of Kowalska"), "harmless")
    assert LedgerMaps(database).decided("p") is None, "a person may think better of it"


def test_what_waits_with_a_text_that_identifies_is_held_until_somebody_answers_for_it(
    database: Database, tmp_path: Path
) -> None:
    one, other = left(database, "1.2.1", "knee of Kowalska"), left(database, "1.2.2", "knee of Kowalska")
    left(database, "1.2.3", "Head")
    decide(database, "p", ids_of(database, "knee of Kowalska"), "identifying")
    ledger = Ledger(database)
    assert [(entry["id"], entry["reason"]) for entry in ledger.held()] == [(one, "leak"), (other, "leak")]
    assert all(entry["detail"].endswith(f"in {PATH}") for entry in ledger.held())
    assert not ledger.release(one)
    assert ledger.release_despite(HoldReason.LEAK, one)
    spool = Spool(tmp_path / "spool")
    spool.prepare()
    assert ledger.discard(other, spool)
    assert ledger.held() == []
    assert sql(database, "SELECT state FROM deliveries ORDER BY seq") == [("due",), ("discarded",), ("due",)]


def test_a_batch_counts_each_text_once_for_each_instance_and_what_fails_is_not_remembered(database: Database) -> None:
    for uid in ("1.2.1", "1.2.2", "1.2.3"):
        receive(database, uid=uid)
    cleaner = CleaningLedger(database, "cleaner")
    claimed = cleaner.claim(16)
    texts = ((PATH, "Head"), (PATH, "Head"), (PATH, "Neck"))
    results = [replace(clean(one, ("d",)), texts=texts) for one in claimed]
    broken = replace(results[0], destinations=("d", "d"))
    assert [type(one).__name__ for one in cleaner.settle([broken])] == ["Held"], "the ledger refuses a row of it"
    assert not texts_of(database, "p")
    assert cleaner.settle(results[1:])
    assert [(one["text"], one["instances"]) for one in texts_of(database, "p")] == [("Head", 2), ("Neck", 2)]
    assert sql(database, "SELECT count(*) FROM kept_in") == [(4,)]


def test_texts_are_sealed_where_the_ledger_is_and_go_with_their_project(tmp_path: Path) -> None:
    key = secrets.token_bytes(64)
    database = Database(f"sqlite:///{tmp_path / 'sealed.db'}", Columns(lambda: key))
    database.migrate()
    left(database, "1.2.1", "Kowalska")
    left(database, "1.2.2", "Kowalska")
    assert [(one["text"], one["instances"]) for one in texts_of(database, "p")] == [("Kowalska", 2)]
    assert "Kowalska" not in str(sql(database, "SELECT * FROM kept_texts"))
    decide(database, "p", [one["id"] for one in texts_of(database, "p")], "identifying")
    said = LedgerMaps(database).decided("p")
    assert said is not None
    assert said.words == {"kowalska"}
    assert b"owalska" not in b"".join(path.read_bytes() for path in tmp_path.glob("sealed.db*"))
    with database.write(durable=False) as connection:
        forget_texts(connection, "p")
    assert not sql(database, "SELECT 1 FROM kept_texts UNION SELECT 1 FROM kept_in")
    database.close()


@pytest.mark.parametrize("nested", [False, True])
def test_only_texts_of_the_original_count_as_kept(nested: bool) -> None:
    inside = element(0x00081140, "SQ", item(element(0x0008103E, "LO", b"Neck"))) if nested else b""
    encoded = element(0x00081010, "SH", b"SCANNER1") + element(0x0008103E, "LO", b"Head") + inside
    encoded += element(0x00100010, "PN", b"NAME")
    recipe = load_recipe([RecipeText("test", RECIPE)])
    cleaned = recipe.apply(EncodedDataset.scan(encoded, 0, EXPLICIT_LE), Keys(), {})
    found = kept_texts(cleaned, recipe)
    assert found == [(PATH, "Head"), *([("(0008,1140)__(0008,103E)", "Neck")] if nested else [])]
