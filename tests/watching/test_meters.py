"""Numbers that only grow: every event counts once, and nothing is written on an instance's way."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.config import Config as AlembicConfig
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, select

from node.errors import HoldReason, LedgerError
from node.ledger import Database, Ledger
from node.ledger.cleaning import CleaningLedger
from node.ledger.meters import (
    BOUNDS,
    CLEANED,
    CLEANING,
    DELIVERED,
    RECEPTION,
    SENDING,
    WHOLE,
    Counts,
    Key,
    Meter,
    fold,
    last,
    read,
)
from node.ledger.migrate import MIGRATIONS
from node.ledger.reception import Refusal, count_refusals
from node.ledger.results import Held
from node.ledger.schema import refusals
from node.ledger.sending import SendingLedger, Settlement, Verdict
from tests.ledger.support import clean, fill, receive, receive_cleaned, sql
from tests.watching.support import ledger_of


def numbers(database: Database) -> dict[Key, Meter]:
    with database.read() as connection:
        return read(connection)


def of(database: Database, name: str) -> Meter:
    """All of a name together."""
    found = [one for (its, _, _), one in numbers(database).items() if its == name]
    return Meter(sum(one.n for one in found), sum(one.total for one in found))


def deliver(database: Database, destination: str = "d") -> None:
    ledger = SendingLedger(database, destination)
    ledger.settle("f", [Settlement(due, Verdict.DELIVERED, status=0) for due in ledger.claim("f", 100)])


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    _, made = ledger_of(tmp_path)
    yield made
    made.close()


def test_what_was_done_is_counted_with_its_bytes_its_seconds_and_when_it_was_last(database: Database) -> None:
    before = time.time()
    for number in range(3):
        receive_cleaned(database, ("d", "e"), uid=f"1.2.{number}")
    deliver(database)
    sql(database, "UPDATE instances SET received_at = received_at - 400")
    sql(database, "UPDATE events SET at = at - 400 WHERE event = 'received'")
    while fold(database, limit=2):
        pass
    found = numbers(database)
    assert found["received", "r", 0][:2] == (3, 300)
    assert found["received", "r", 0].last_at == pytest.approx(before - 400, abs=60)
    assert found[CLEANED, "r", 0].n == 3
    assert found[DELIVERED, "d", 0][:2] == (3, 1200)
    assert (DELIVERED, "e", 0) not in found, "it waits for that one"
    slow = BOUNDS.index(1800.0)
    assert found[CLEANING, "r", slow].n == found[WHOLE, "d", slow].n == 3
    assert found[WHOLE, "d", slow].total == pytest.approx(1200, abs=60)
    assert of(database, SENDING).n == 3
    assert of(database, SENDING).total < 180
    with database.read() as connection:
        assert last(connection, DELIVERED) == {"d": pytest.approx(before, abs=60)}
    assert not fold(database)
    assert numbers(database) == found, "nothing counts twice"


def test_of_two_that_count_at_once_one_does(database: Database) -> None:
    receive_cleaned(database)
    other = Database(f"sqlite:///{database.path}")
    write = database.write

    def late(*, durable: bool) -> Any:
        database.write = write  # type: ignore[method-assign]
        fold(other)
        return write(durable=durable)

    database.write = late  # type: ignore[method-assign]
    fold(database)
    other.close()
    assert of(database, CLEANED).n == 1


def test_what_a_person_held_up_does_not_count_in_seconds(database: Database) -> None:
    name = receive(database)
    sql(database, "UPDATE instances SET received_at = received_at - 40")
    sql(database, "UPDATE events SET at = at - 40")
    cleaning = CleaningLedger(database, "c")
    cleaning.settle([Held(one, HoldReason.UNPARSABLE) for one in cleaning.claim(1)])
    Ledger(database).release(name)
    cleaning.settle([clean(one, ("d",)) for one in cleaning.claim(1)])
    deliver(database)
    fold(database)
    assert (of(database, "held").n, of(database, CLEANED).n, of(database, DELIVERED).n) == (1, 1, 1)
    assert of(database, CLEANING).n == of(database, WHOLE).n == of(database, SENDING).n == 0
    assert of(database, "received").n == 1, "a released one did not come again"


def test_when_all_events_were_removed_their_numbers_begin_anew_and_so_does_counting(database: Database) -> None:
    receive_cleaned(database, uid="1.2.1")
    fold(database)
    sql(database, "DELETE FROM events")
    receive_cleaned(database, uid="1.2.2")
    fold(database)
    receive_cleaned(database, uid="1.2.3")
    fold(database)
    assert of(database, CLEANED).n in (2, 3), "what came in between may be missing"


def test_what_a_process_counts_is_added_and_what_the_ledger_does_not_take_stays(database: Database) -> None:
    counts = Counts()
    for seconds in (0.001, 0.005, 0.3, 1e9, -5.0):
        counts.took(RECEPTION, seconds)
    counts.flush(database)
    assert not numbers(database), "not yet"
    counts.flush(database, now=True)
    counts.flush(database, now=True)
    found = {bucket: one.n for (_, _, bucket), one in numbers(database).items()}
    assert found == {0: 3, BOUNDS.index(0.5): 1, len(BOUNDS): 1}
    counts.count("refused", "out-of-resources")
    path, gone = database.path, database.path.with_name("gone")
    database.close()
    path.rename(gone)
    counts.flush(database, now=True)
    with pytest.raises(LedgerError), database.write(durable=False):
        pass
    gone.rename(path)
    counts.flush(database, now=True)
    assert of(database, "refused").n == 1


def test_refusals_are_counted_by_kind_and_since_when_with_the_syntaxes_of_the_last(database: Database) -> None:
    context = Refusal(
        "presentation-context", "CT1", "DEIDNODE", "10.0.0.1", "1.2.840.10008.1.20.1", "1.2.840.10008.1.2"
    )
    count_refusals(database, {context: 2})
    sql(database, "UPDATE refusals SET first_at = first_at - 1000")
    count_refusals(database, {context: 3, Refusal("tls", "", "", "10.0.0.9"): 1})
    assert numbers(database)["refused", "presentation-context", 0].n == 5
    with database.read() as connection:
        row = connection.execute(select(refusals).where(refusals.c.kind == "presentation-context")).one()
    assert (row.n, row.syntaxes) == (5, "1.2.840.10008.1.2")
    assert 999 < row.last_at - row.first_at < 1060


def test_an_older_ledger_is_counted_from_its_migration_on(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'ledger.db'}")
    alembic = AlembicConfig()
    alembic.set_main_option("script_location", str(MIGRATIONS))
    before = ScriptDirectory(str(MIGRATIONS)).get_revision("0013").down_revision
    with create_engine(f"sqlite:///{database.path}").connect() as connection:
        alembic.attributes["connection"] = connection
        command.upgrade(alembic, str(before))
        connection.commit()
    fill(database.path, 20, names="p r d")
    database.migrate()
    assert not fold(database)
    assert not numbers(database)
    receive_cleaned(database, uid="1.2.77777")
    fold(database)
    assert (of(database, "received").n, of(database, CLEANED).n) == (1, 1)
    database.close()
