"""What is held, by its reason: whatever the oldest thousand are, nothing of the rest is out of sight."""

from __future__ import annotations

from pathlib import Path

from node.errors import HoldReason
from node.ledger import Ledger
from node.ledger.cleaning import CleaningLedger
from node.ledger.results import Held
from node.ledger.sending import SendingLedger, Settlement, Verdict
from tests.ledger.support import new_database, receive, receive_cleaned


def test_a_reason_is_found_behind_however_many_others(tmp_path: Path) -> None:
    database = new_database(tmp_path)
    for number in range(5):
        receive(database, uid=f"1.2.{number}")
    cleaning = CleaningLedger(database, "cleaner")
    reasons = [HoldReason.NO_MAPPING] * 4 + [HoldReason.LEAK]
    claimed = cleaning.claim(5)
    assert cleaning.settle([Held(one, reason, "") for one, reason in zip(claimed, reasons, strict=True)])
    late = receive_cleaned(database, uid="1.3")
    (due,) = SendingLedger(database, "d").claim("f", 1)
    refused = Settlement(due, Verdict.HELD, reason=HoldReason.REFUSED, detail="A900H")
    SendingLedger(database, "d").settle("f", [refused])
    ledger = Ledger(database)
    assert {one["reason"] for one in ledger.held(2)} == {"no-mapping"}
    assert [one["reason"] for one in ledger.held(2, "leak")] == ["leak"]
    assert [one["id"] for one in ledger.held(2, "refused")] == [late]
    assert ledger.held(2, "poison") == []
    assert ledger.held_by_reason() == {"leak": 1, "no-mapping": 4, "refused": 1}
    database.close()
