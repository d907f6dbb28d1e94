"""What the canary leaves in the ledger is removed, and nothing else; what is wrong with it is told."""

from __future__ import annotations

import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from sqlalchemy import insert

from node.config.canary import Canary
from node.ledger import Database, Ledger
from node.ledger.canary import ask, asked_since, summary, tidy, write_results, wrong
from node.ledger.cleaning import CleaningLedger
from node.ledger.schema import meta
from node.ledger.sending import SendingLedger, Settlement, Verdict
from node.spool import Spool
from tests.ledger.support import clean, receive, sql


def deliver(database: Database, route: str, uid: str, destination: str) -> None:
    receive(database, route, uid=uid)
    cleaning = CleaningLedger(database, "cleaner")
    assert cleaning.settle([clean(one, (destination,)) for one in cleaning.claim(10)])
    ledger = SendingLedger(database, destination)
    ledger.settle("lane", [Settlement(due, Verdict.DELIVERED, status=0) for due in ledger.claim("lane", 10)])


def audited(database: Database) -> None:
    """As the auditor leaves it when it has read every event."""
    (last,) = sql(database, "SELECT max(seq) FROM events")[0]
    with database.write(durable=False) as connection:
        connection.driver.execute("DELETE FROM meta WHERE key = 'audit_events'")
        connection.execute(insert(meta), [{"key": "audit_events", "value": str(last)}])


def test_only_the_canarys_rows_go_with_their_counts_and_the_newest_stays(database: Database, tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool")
    spool.prepare()
    deliver(database, "real", "1.2.1", "archive")
    for uid in ("1.2.2", "1.2.3"):
        deliver(database, "canary.real", uid, "canary.sink")
    assert tidy(database, spool) == 2, "the audit trail has not read them"
    audited(database)
    assert tidy(database, spool) == 1, "the newest number must not be given twice"
    assert sql(database, "SELECT route, n FROM tallies WHERE n > 0") == [("real", 1), ("canary.real", 1)]
    assert sql(database, "SELECT destination, n FROM delivery_tallies WHERE n > 0") == [
        ("archive", 1),
        ("canary.sink", 1),
    ]
    deliver(database, "real", "1.2.4", "archive")
    audited(database)
    assert tidy(database, spool) == 0
    assert sql(database, "SELECT route FROM instances") == [("real",), ("real",)]
    status = Ledger(database).status()
    assert (status["received"], list(status["routes"]), list(status["destinations"])) == (2, ["real"], ["archive"])


def told(verdict: str) -> dict[str, Any]:
    return {"verdict": verdict, "seconds": 1.0, "checks": [{"name": "tokens", "ok": verdict == "passed", "text": ""}]}


def test_a_failure_is_told_since_it_began_until_a_round_comes_out_clean(database: Database) -> None:
    config: Any = SimpleNamespace(canary=Canary(), routes=(1,))
    now = time.time()
    assert not list(wrong(database, config, now))
    write_results(database, now - 60, {"r": told("failed")})
    write_results(database, now, {"r": told("failed")})
    ((since, text),) = wrong(database, config, now)
    assert since == now - 60
    assert "route r" in text
    assert "tokens" in text
    assert summary(database)["routes"]["r"] == {"verdict": "failed", "seconds": 1.0}
    write_results(database, now, {"r": told("passed")})
    assert not list(wrong(database, config, now))
    assert [text for _, text in wrong(database, config, now + 5000)] == [
        "the canary has not been sent since: is the node running?"
    ]
    assert not list(wrong(database, SimpleNamespace(canary=None), now + 5000))  # type: ignore[arg-type]
    asked = ask(database)
    assert asked_since(database, asked - 1)
    assert not asked_since(database, asked)
