"""Transfers stand in the trail once each, summed up, without anything that identifies a person."""

from __future__ import annotations

import threading
from base64 import b64decode
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from alembic import command
from alembic.config import Config as AlembicConfig
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine

from node.audit.chain import verify
from node.config import Config
from node.errors import HoldReason, LedgerError
from node.ledger import Database, Ledger
from node.ledger.audit import chain_head, entries, problems
from node.ledger.migrate import MIGRATIONS
from node.ledger.reception import Refusal, count_refusals
from node.ledger.sending import SendingLedger, Settlement, Verdict
from tests.audit.support import KEY, config_in, event_of, instances_of, messages, new_trail
from tests.ledger.support import fill, new_database, receive, receive_cleaned, sql

TRANSFERRED = ("DICOM Instances Transferred", "")


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return config_in(tmp_path)


@pytest.fixture
def database(tmp_path: Path) -> Database:
    return new_database(tmp_path)


def deliver(database: Database, verdict: Verdict = Verdict.DELIVERED) -> int:
    """Deliver all that is due to `d`; return how many."""
    ledger = SendingLedger(database, "d")
    due = ledger.claim("me", 1000)
    ledger.settle("me", [Settlement(one, verdict, status=0, reason=HoldReason.REFUSED) for one in due])
    return len(due)


def of_study(database: Database, study: str, pseudonym: str) -> None:
    """Let all instances belong to a study, as the cleaner notes it."""
    sql(database, "UPDATE instances SET study = ?", study)
    sql(database, "INSERT OR IGNORE INTO study_map (project, study, pseudonym) VALUES ('p', ?, ?)", study, pseudonym)


def transfers(database: Database) -> list[tuple[str, int]]:
    """Who sent (by AE title), and how many instances, of each message in the trail."""
    found = []
    for message in messages(database):
        if event_of(message) == TRANSFERRED:
            sender = message.find("ActiveParticipant")
            assert sender is not None
            found.append((str(sender.get("UserID")), instances_of(message)))
    return found


def test_what_was_received_and_sent_is_told_once_summed_up_by_study(database: Database, config: Config) -> None:
    for number in range(5):
        receive_cleaned(database, uid=f"1.2.{number}")
    of_study(database, "2.25.77", "PSEUDO7")
    assert deliver(database) == 5
    for _ in range(2):
        new_trail().collect(database, config)
    assert transfers(database) == [("SCU", 5), ("NODE1", 5)]
    text = "".join(entry.message for entry in entries(database))
    assert text.count('ParticipantObjectID="2.25.77"') == 2
    assert text.count('ParticipantObjectID="PSEUDO7"') == 2
    assert "1.2.0" not in text, "no UID of an original"
    deliver(database)
    receive_cleaned(database, uid="1.2.9")
    new_trail().collect(database, config)
    assert transfers(database)[2:] == [("SCU", 1)]
    assert problems(database, KEY) == []


def test_a_sender_waits_for_the_study_but_not_for_ever(database: Database, config: Config) -> None:
    receive(database)
    new_trail().collect(database, config)
    assert transfers(database) == []
    sql(database, "UPDATE instances SET changed_at = changed_at - 61")
    new_trail().collect(database, config)
    assert transfers(database) == [("SCU", 1)]
    receive(database, uid="1.2.4")
    new_trail().collect(database, config, everything=True)
    assert transfers(database) == [("SCU", 1), ("SCU", 1)]


def test_what_is_cleaned_again_was_received_once(database: Database, config: Config) -> None:
    name = receive(database)
    sql(database, "UPDATE instances SET state = 'held', outcome = 'held', reason = 'leak'")
    assert Ledger(database, new_trail()).release_despite(HoldReason.LEAK, name)
    new_trail().collect(database, config, everything=True)
    assert transfers(database) == [("SCU", 1)]


def test_who_lets_a_finding_of_the_gate_go_is_written_down_and_only_where_it_went(database: Database) -> None:
    name, other = receive(database), receive(database, uid="1.2.4")
    sql(database, "UPDATE instances SET state = 'held', outcome = 'held', reason = 'leak' WHERE id = ?", name)
    ledger = Ledger(database, new_trail())
    assert not ledger.release_despite(HoldReason.LEAK, other)
    assert ledger.release_despite(HoldReason.LEAK, name)
    (message,) = messages(database)
    assert event_of(message) == ("Security Alert", "Use of Restricted Function")
    details = {
        one.get("type"): b64decode(str(one.get("value"))).decode() for one in message.iter("ParticipantObjectDetail")
    }
    assert details == {"Alert Description": "released despite leak", "instance": name}
    assert [who.get("UserName") for who in message.findall("ActiveParticipant")] == ["deid-node", "held show"]


def test_what_somebody_says_was_delivered_was_not_sent(database: Database, config: Config) -> None:
    receive_cleaned(database)
    sql(database, "UPDATE deliveries SET state = 'delivered'")
    new_trail().collect(database, config)
    assert transfers(database) == [("SCU", 1)]


def test_a_fault_in_the_middle_neither_loses_nor_doubles(database: Database, config: Config) -> None:
    for number in range(3):
        receive_cleaned(database, uid=f"1.2.{number}")
    deliver(database)
    sql(database, "CREATE TRIGGER fault BEFORE INSERT ON audit WHEN new.seq = 2 BEGIN SELECT RAISE(ABORT, 'no'); END")
    with pytest.raises(LedgerError):
        new_trail().collect(database, config)
    assert entries(database) == []
    sql(database, "DROP TRIGGER fault")
    new_trail().collect(database, config)
    assert sorted(transfers(database)) == [("NODE1", 3), ("SCU", 3)]


def test_two_that_collect_at_once_tell_everything_once(database: Database, config: Config) -> None:
    for number in range(20):
        receive_cleaned(database, uid=f"1.2.{number}")

    def collect() -> None:
        own = Database(f"sqlite:///{database.path}")
        new_trail().collect(own, config)
        own.close()

    threads = [threading.Thread(target=collect) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert transfers(database) == [("SCU", 20)]


def test_the_trail_goes_on_when_all_events_were_removed(database: Database, config: Config) -> None:
    receive_cleaned(database)
    new_trail().collect(database, config)
    sql(database, "DELETE FROM events")
    new_trail().collect(database, config)
    receive_cleaned(database, uid="1.2.9")
    new_trail().collect(database, config)
    assert transfers(database) == [("SCU", 1), ("SCU", 1)]


def test_refused_peers_are_summed_up_once(database: Database, config: Config) -> None:
    one, other = Refusal("association", "STRANGER", "NOBODY", "10.0.0.9"), Refusal("tls", "", "", "10.0.0.8")
    count_refusals(database, {one: 40, other: 2})
    for _ in range(2):
        new_trail().collect(database, config)
    (message,) = messages(database)
    assert event_of(message) == ("Security Alert", "Node Authentication")
    assert message.findtext("EventIdentification/EventOutcomeDescription") == "42 refused"
    assert {who.get("NetworkAccessPointID") for who in message.findall("ActiveParticipant")} >= {"10.0.0.8", "10.0.0.9"}
    count_refusals(database, {one: 3})
    new_trail().collect(database, config)
    assert messages(database)[1].findtext("EventIdentification/EventOutcomeDescription") == "3 refused"


def test_an_end_without_a_word_is_told_by_the_next_start(database: Database) -> None:
    trail = new_trail()
    trail.begin(database)
    trail.begin(database)
    trail.end(database)
    trail.begin(database)
    told = [(event_of(one)[1], one.find("EventIdentification")) for one in messages(database)]
    assert [kind for kind, _ in told] == [
        "Application Start",
        "Application Stop",
        "Application Start",
        "Application Stop",
        "Application Start",
    ]
    assert [one.get("EventOutcomeIndicator") for _, one in told if isinstance(one, ET.Element)] == list("08000")
    assert list(verify(KEY, entries(database), chain_head(database))) == []


def test_a_trail_begins_with_what_happens_after_its_ledger_was_migrated(tmp_path: Path, config: Config) -> None:
    (tmp_path / "old").mkdir()
    database = Database(f"sqlite:///{tmp_path / 'old/ledger.db'}")
    alembic = AlembicConfig()
    alembic.set_main_option("script_location", str(MIGRATIONS))
    before = ScriptDirectory(str(MIGRATIONS)).get_revision("0008").down_revision
    with create_engine(f"sqlite:///{database.path}").connect() as connection:
        alembic.attributes["connection"] = connection
        command.upgrade(alembic, str(before))
        connection.commit()
    fill(database.path, 20, names="p r d")
    sql(database, "INSERT INTO refusals VALUES ('tls', '', '', '10.0.0.8', '', 5, 1.0)")
    database.migrate()
    new_trail().collect(database, config, everything=True)
    assert messages(database) == []
    receive_cleaned(database, uid="1.2.77777")
    count_refusals(database, {Refusal("tls", "", "", "10.0.0.8"): 1})
    new_trail().collect(database, config, everything=True)
    assert transfers(database) == [("SCU", 1)]
    assert messages(database)[-1].findtext("EventIdentification/EventOutcomeDescription") == "1 refused"
