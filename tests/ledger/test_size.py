"""A ledger of 100 000 instances: every statement of the hot path goes by an index."""

from __future__ import annotations

import re
import sqlite3
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from node.errors import HoldReason
from node.ledger import Database, Ledger
from node.ledger.cleaning import CleaningLedger, free_leases, strike
from node.ledger.maps import Handed
from node.ledger.meters import fold
from node.ledger.reception import GroupCommit, known_ids
from node.ledger.results import Held
from node.ledger.sending import SendingLedger, Settlement, Verdict, hold_gone, renew_leases
from node.metrics import render
from node.notifier.matters import matters
from node.refused import refused
from node.spool import Spool
from tests.audit.support import config_in
from tests.ledger.support import clean, fill, new_database, received, trace

ROWS = 100_000
BIG_TABLES = "instances|deliveries|events|uid_map|patient_map|study_map|projects|mine|other"
# These hold but what is still to be done, or to be looked at by a person.
SMALL_INDEXES = (
    "instances_received|instances_alerting|instances_held_at|deliveries_due|deliveries_held_at|deliveries_leased"
)
FULL_SCAN = re.compile(rf"SCAN ({BIG_TABLES})\b(?! USING (COVERING )?INDEX ({SMALL_INDEXES})\b)")


@pytest.fixture
def large(tmp_path: Path) -> Iterator[Database]:
    database = new_database(tmp_path)
    fill(database.path, ROWS)
    yield database
    database.close()


class Plans:
    """Every statement that the node's code runs, and how SQLite finds the rows."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._seen: set[str] = set()
        trace(database, self._note)

    def _note(self, statement: str) -> None:
        if statement.lstrip().upper().startswith(("SELECT", "UPDATE", "DELETE", "WITH")):
            self._seen.add(statement)

    def check(self, expected: int) -> None:
        connection = sqlite3.connect(self._database.path)
        try:
            assert len(self._seen) >= expected
            for statement in self._seen:
                plan = connection.execute(f"EXPLAIN QUERY PLAN {statement}").fetchall()
                text = "\n".join(str(row[3]) for row in plan)
                assert not FULL_SCAN.search(text), f"{statement}\n{text}"
        finally:
            connection.close()


def test_every_statement_goes_by_an_index(large: Database, tmp_path: Path) -> None:
    receive_and_clean(large)
    send(large)
    look(large, tmp_path)
    watch(large, tmp_path)


def receive_and_clean(large: Database) -> None:
    plans = Plans(large)
    GroupCommit(large).add(received(uid="1.2.50"))
    known_ids(large, ["0" * 32, "f" * 32])
    cleaning = CleaningLedger(large, "c")
    claimed = cleaning.claim(8)
    assert len(claimed) == 8
    cleaning.maps.stored_uid("p", 1, "1.2.77")
    cleaning.maps.stored_patient("p", 1, "", "x")
    cleaning.maps.stored_study("p", "2.25.1")
    handed = Handed(1, {"uid_root": "2.25"}, (("1.2.8", "2.25.8"),), (("", "x", "X", -30),), ("2.25.1", "X"))
    cleaning.settle([replace(clean(claimed[0], ("d",)), handed=handed), Held(claimed[1], HoldReason.UNPARSABLE)])
    cleaning.give_back(claimed[2], 5)
    strike(large, claimed[3].seq, "c")
    free_leases(large, "c")
    plans.check(8)


def send(large: Database) -> None:
    plans = Plans(large)
    ledger = SendingLedger(large, "d")
    batch = ledger.claim("f/d/0", 16)
    assert batch, "the one that was just cleaned"
    ledger.settle("f/d/0", [Settlement(due, Verdict.DELIVERED, status=0) for due in batch])
    assert ledger.claim("f/d/0", 16) == []
    ledger.offered_content(batch[0])
    ledger.state()
    renew_leases(large, "f")
    free_leases(large, "f")
    plans.check(6)


def look(large: Database, tmp_path: Path) -> None:
    plans = Plans(large)
    ledger, spool = Ledger(large), Spool(tmp_path)
    spool.prepare()
    status = ledger.status()
    assert status["received"] >= ROWS
    assert status["destinations"]["d"]["waiting"] > 900
    held = ledger.held(50)
    assert len(held) == 50
    assert ledger.held_detail(held[0]["id"])
    assert ledger.release(held[0]["id"])
    assert ledger.discard(held[1]["id"], spool)
    ledger.resume("d")
    hold_gone(large, ["d"])
    plans.check(9)


def watch(large: Database, tmp_path: Path) -> None:
    """Metrics, and what people are told of, cost what waits and what is held."""
    plans = Plans(large)
    config = config_in(tmp_path)
    assert fold(large, limit=5000)
    assert b'deid_node_received_total{route="r"}' in render(config, large)
    assert [one.kind for one in matters(large, config, time.time())] == ["held"]
    refused(large, config)
    plans.check(20)
