"""Claims: one owner at a time, no clock and no dead owner keeps an instance from going on."""

from __future__ import annotations

import multiprocessing
import threading
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from node.errors import HoldReason
from node.ledger import Database
from node.ledger.cleaning import CleaningLedger, free_leases
from node.ledger.leases import LEASE_SECONDS
from node.ledger.results import Held
from node.ledger.sending import SendingLedger, Settlement, Verdict, renew_leases
from tests.ledger.support import clean, new_database, receive, receive_cleaned, sql


def test_only_the_owner_of_a_lease_settles_a_delivery(database: Database) -> None:
    receive_cleaned(database)
    ledger = SendingLedger(database, "d")
    (due,) = ledger.claim("one", 10)
    assert ledger.claim("two", 10) == []
    assert ledger.settle("two", [Settlement(due, Verdict.DELIVERED, status=0)]) == []
    assert sql(database, "SELECT state, lease_owner FROM deliveries") == [("due", "one")]
    assert ledger.settle("one", [Settlement(due, Verdict.DELIVERED, status=0)]) == [due]
    assert sql(database, "SELECT state, lease_owner FROM deliveries") == [("delivered", None)]


def test_a_settled_delivery_is_not_settled_again(database: Database) -> None:
    receive_cleaned(database)
    ledger = SendingLedger(database, "d")
    (due,) = ledger.claim("one", 10)
    ledger.settle("one", [Settlement(due, Verdict.DELIVERED, status=0)])
    ledger.settle("one", [Settlement(due, Verdict.HELD, reason=HoldReason.REFUSED)])
    assert sql(database, "SELECT state FROM deliveries") == [("delivered",)]


def test_only_the_owner_of_a_lease_settles_a_cleaning(database: Database) -> None:
    receive(database)
    one, two = CleaningLedger(database, "one"), CleaningLedger(database, "two")
    (claimed,) = one.claim(10)
    assert two.claim(10) == []
    assert two.settle([clean(claimed, ("d",))]) == []
    assert two.settle([Held(claimed, HoldReason.UNPARSABLE)]) == []
    assert sql(database, "SELECT count(*) FROM deliveries") == [(0,)]
    assert one.settle([clean(claimed, ("d",))])


@pytest.mark.parametrize("owner", ["forwarder0-ab", None])
def test_the_leases_of_a_dead_owner_are_freed_and_no_others(database: Database, owner: str | None) -> None:
    for number in range(2):
        receive_cleaned(database, uid=f"1.2.{number}")
    ledger = SendingLedger(database, "d")
    ledger.claim("forwarder0-ab/d/0", 1)
    ledger.claim("forwarder0-abc/d/0", 1)
    free_leases(database, owner)
    assert len(ledger.claim("new", 10)) == (1 if owner else 2)


def test_a_lease_runs_out_by_itself(database: Database) -> None:
    receive_cleaned(database)
    ledger = SendingLedger(database, "d")
    ledger.claim("one", 10)
    sql(database, "UPDATE deliveries SET lease_until = ?", time.time() - 1)
    assert len(ledger.claim("two", 10)) == 1


def test_a_lease_that_is_renewed_does_not_run_out(database: Database) -> None:
    receive_cleaned(database)
    ledger = SendingLedger(database, "d")
    ledger.claim("forwarder0-x/d/0", 10)
    sql(database, "UPDATE deliveries SET lease_until = ?", time.time() - 1)
    renew_leases(database, "forwarder0-x")
    assert ledger.claim("two", 10) == []
    ((until,),) = sql(database, "SELECT lease_until FROM deliveries")
    assert until > time.time() + LEASE_SECONDS / 2
    renew_leases(database, "forwarder0")
    renew_leases(database, "nobody")


def test_who_claims_anew_has_let_go_of_what_it_held(database: Database) -> None:
    receive_cleaned(database)
    ledger = SendingLedger(database, "d")
    assert len(ledger.claim("one", 10)) == 1
    assert len(ledger.claim("one", 10)) == 1


@pytest.mark.parametrize("days", [0.1, 1, 400])
def test_a_clock_that_was_set_back_stalls_no_lease(database: Database, days: float) -> None:
    receive(database)
    receive_cleaned(database, uid="1.2.4")
    later = time.time() + days * 86400
    sql(database, "UPDATE instances SET lease_owner = 'dead', lease_until = ? WHERE state = 'received'", later)
    sql(database, "UPDATE deliveries SET lease_owner = 'dead', lease_until = ?", later)
    assert len(SendingLedger(database, "d").claim("two", 10)) >= 1


@pytest.mark.parametrize("seconds", [60, 1000, 86400, 400 * 86400])
def test_a_clock_that_was_set_back_stalls_no_delivery(database: Database, seconds: float) -> None:
    """What was never tried is due whatever its time; what was tried waits no longer than the cap."""
    for number in range(2):
        receive_cleaned(database, uid=f"1.2.{number}")
    ledger = SendingLedger(database, "d", longest_delay=900)
    later = time.time() + seconds
    sql(database, "UPDATE deliveries SET due_at = ?", later)
    sql(database, "UPDATE deliveries SET tries = 1 WHERE seq = 1")
    assert len(ledger.claim("two", 10)) == (1 if seconds < 900 else 2)


def test_a_clock_that_was_set_forward_frees_what_is_due_at_once(database: Database) -> None:
    receive_cleaned(database)
    ledger = SendingLedger(database, "d")
    (due,) = ledger.claim("one", 10)
    ledger.settle("one", [Settlement(due, Verdict.AGAIN, delay=100)])
    assert ledger.claim("one", 10) == []
    sql(database, "UPDATE deliveries SET due_at = due_at - 86400")
    assert len(ledger.claim("one", 10)) == 1


def test_what_waits_goes_behind_what_is_due(database: Database) -> None:
    names = [receive_cleaned(database, uid=f"1.2.{number}") for number in range(3)]
    ledger = SendingLedger(database, "d")
    first = ledger.claim("one", 10)
    assert [due.id for due in first] == names, "in order of reception"
    ledger.settle(
        "one", [Settlement(first[0], Verdict.AGAIN, 0.001), *(Settlement(d, Verdict.UNTOUCHED) for d in first[1:])]
    )
    time.sleep(0.01)
    assert [due.id for due in ledger.claim("one", 10)] == [*names[1:], names[0]]


def test_only_what_went_out_whole_or_was_answered_counts_as_offered(database: Database) -> None:
    receive_cleaned(database)
    ledger = SendingLedger(database, "d")
    (due,) = ledger.claim("one", 10)
    assert not due.offered_before
    free_leases(database)  # its process died; what went out of its batch is not known
    for settlement in (Settlement(due, Verdict.UNTOUCHED), Settlement(due, Verdict.AGAIN)):
        (due,) = ledger.claim("one", 10)
        assert not due.offered_before
        ledger.settle("one", [replace(settlement, due=due)])
    for settlement in (Settlement(due, Verdict.AGAIN, sent=True), Settlement(due, Verdict.REFUSED, status=0xA900)):
        sql(database, "UPDATE deliveries SET offered = 0")
        (due,) = ledger.claim("one", 10)
        assert not due.offered_before
        ledger.settle("one", [replace(settlement, due=due)])
        (due,) = ledger.claim("one", 10)
        assert due.offered_before
        ledger.settle("one", [Settlement(due, Verdict.UNTOUCHED)])


def hammer(url: str, owner: str, found: list[tuple[str, int]], done: threading.Event) -> None:
    database = Database(url)
    ledger = SendingLedger(database, "d")
    while not done.is_set():
        claimed = ledger.claim(owner, 7)
        if not claimed:
            break
        found += [(owner, due.seq) for due in claimed]
        ledger.settle(owner, [Settlement(due, Verdict.DELIVERED, status=0) for due in claimed])
    database.close()


def hammer_in_threads(url: str, process: int, pipe: object) -> None:
    found: list[tuple[str, int]] = []
    done = threading.Event()
    threads = [threading.Thread(target=hammer, args=(url, f"p{process}/d/{n}", found, done)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    pipe.send(found)  # type: ignore[attr-defined]


def test_many_threads_of_two_processes_never_get_the_same_delivery(tmp_path: Path) -> None:
    database = new_database(tmp_path)
    for number in range(300):
        receive(database, uid=f"1.2.{number}")
    cleaning = CleaningLedger(database, "cleaner")
    assert len(cleaning.settle([clean(one, ("d",)) for one in cleaning.claim(1000)])) == 300
    url = f"sqlite:///{database.path}"
    database.close()
    context = multiprocessing.get_context("spawn")
    pipes, processes = [], []
    for number in range(2):
        ours, theirs = context.Pipe(duplex=False)
        process = context.Process(target=hammer_in_threads, args=(url, number, theirs))
        process.start()
        pipes.append(ours)
        processes.append(process)
    try:
        found: list[tuple[str, int]] = []
        for pipe in pipes:
            assert pipe.poll(60)
            found += pipe.recv()
    finally:
        for process in processes:
            process.join(10)
            if process.is_alive():
                process.kill()
    counts = Counter(seq for _, seq in found)
    assert len(counts) == 300
    assert set(counts.values()) == {1}
