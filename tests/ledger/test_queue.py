"""Ten thousand that wait for a destination go in the order in which they came, also over a restart."""

from __future__ import annotations

from pathlib import Path

import pytest

from node.ledger import Database
from node.ledger.cleaning import free_leases
from node.ledger.sending import SendingLedger, Settlement, Verdict
from tests.ledger.support import fill, new_database, sql

COUNT = 10_000
BATCH = 250


def send_some(database: Database, batches: int) -> list[int]:
    """Send as a lane does, batch by batch; return the numbers of the instances in the order in which they went."""
    sending, sent = SendingLedger(database, "d"), list[int]()
    for _ in range(batches):
        dues = sending.claim("lane", BATCH)
        sending.settle("lane", [Settlement(due, Verdict.DELIVERED, status=0) for due in dues], durable=False)
        sent += [due.instance for due in dues]
    return sent


@pytest.mark.slow
def test_ten_thousand_that_wait_go_each_once_and_in_order_over_a_restart(tmp_path: Path) -> None:
    database = new_database(tmp_path)
    fill(database.path, COUNT, waiting=1, unsettled=0)
    sql(database, "UPDATE deliveries SET state = 'due', due_at = due_at - 1000 + instance / 1e6")
    sql(database, "UPDATE instances SET outcome = 'in_flight'")
    sent = send_some(database, 15)
    SendingLedger(database, "d").claim("lane", BATCH)  # in hand when the node dies
    database.close()

    database = Database(f"sqlite:///{database.path}")
    free_leases(database)
    sent += send_some(database, COUNT // BATCH - 15)
    assert sent == list(range(1, COUNT + 1))
    assert SendingLedger(database, "d").claim("lane", BATCH) == []
    database.close()
