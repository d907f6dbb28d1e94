"""Whatever happens to instances, and in whatever order: the counts are those of the rows, and they add up."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from node.errors import HoldReason
from node.ledger import Ledger
from node.ledger.cleaning import CleaningLedger, free_leases, strike
from node.ledger.results import Again, Claimed, Clean, Excluded, Held, Result
from node.ledger.sending import SendingLedger, Settlement, Verdict, hold_gone
from node.spool import Spool
from tests.ledger.support import clean, new_database, receive, sql
from tests.thorough import share

DESTINATIONS = ("a", "b", "c")
OUTCOMES = ("in_flight", "delivered", "held", "excluded", "discarded")


class Histories(RuleBasedStateMachine):
    """Random histories of a few instances on a real file."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        folder = Path(self.folder.name)
        self.spool = Spool(folder / "spool")
        self.spool.prepare()
        self.database = new_database(folder)
        self.ledger = Ledger(self.database)
        self.names: list[str] = []

    def teardown(self) -> None:
        self.database.close()
        self.folder.cleanup()

    @rule(
        route=st.sampled_from(["r", "s"]),
        uid=st.sampled_from(["1.2.3", "1.2.4", "1.2.5"]),
        content=st.sampled_from(["", "corrected"]),
    )
    def receive(self, route: str, uid: str, content: str) -> None:
        name = receive(self.database, route, uid, content)
        self.spool.original(name).touch()
        self.names.append(name)

    @rule(
        owner=st.sampled_from(["x", "y"]),
        fates=st.lists(
            st.sampled_from(["clean", "clean", "replace", "hold", "exclude", "again", "lose"]), min_size=3, max_size=3
        ),
        to=st.lists(st.sampled_from(DESTINATIONS), unique=True, min_size=1, max_size=3),
    )
    def clean(self, owner: str, fates: list[str], to: list[str]) -> None:
        cleaning = CleaningLedger(self.database, owner)
        pairs = zip(cleaning.claim(3), fates, strict=False)
        results = [made for claimed, fate in pairs if (made := self.result(claimed, fate, tuple(to))) is not None]
        if results:
            settled = cleaning.settle(results)
            # What replaces others waits for those that are just being sent.
            late = {one.claimed.id for one in results} - {one.claimed.id for one in settled}
            assert late <= {one.claimed.id for one in results if isinstance(one, Clean) and one.replaces}
            for one in settled:
                for name in one.superseded if isinstance(one, Clean) else ():
                    self.spool.cleaned_file(name).unlink(missing_ok=True)

    def result(self, claimed: Claimed, fate: str, to: tuple[str, ...]) -> Result | None:
        match fate:
            case "clean" | "replace":
                self.spool.cleaned_file(claimed.id).touch()
                return replace(clean(claimed, to), replaces=fate == "replace", whose="p/s")
            case "hold":
                return Held(claimed, HoldReason.UNPARSABLE, "where", whose="p/s")
            case "again":
                return Again(claimed, "another")
            case "exclude":
                return Excluded(claimed, "rule")
        return None

    @rule(
        destination=st.sampled_from(DESTINATIONS),
        owner=st.sampled_from(["x/0", "y/0"]),
        verdicts=st.lists(st.sampled_from(list(Verdict)), min_size=3, max_size=3),
    )
    def send(self, destination: str, owner: str, verdicts: list[Verdict]) -> None:
        ledger = SendingLedger(self.database, destination)
        settlements = [
            Settlement(due, verdict, status=0xA700, reason=HoldReason.REFUSED, detail="status A700H")
            for due, verdict in zip(ledger.claim(owner, 3), verdicts, strict=False)
        ]
        for name in (due.id for due in ledger.settle(owner, settlements)):
            assert sql(
                self.database,
                "SELECT count(*) FROM deliveries JOIN instances ON instances.seq = instance"
                " WHERE id = ? AND deliveries.state IN ('due', 'held')",
                name,
            ) == [(0,)]
            self.spool.cleaned_file(name).unlink(missing_ok=True)

    @rule(number=st.integers(0, 30))
    def release(self, number: int) -> None:
        if self.names:
            self.ledger.release(self.names[number % len(self.names)])

    @rule(number=st.integers(0, 30))
    def discard(self, number: int) -> None:
        if self.names:
            self.ledger.discard(self.names[number % len(self.names)], self.spool)

    @rule(number=st.integers(0, 30))
    def strike(self, number: int) -> None:
        if self.names:
            strike(self.database, 1 + number % len(self.names), "x")

    @rule(owner=st.sampled_from(["x", "y", None]))
    def die(self, owner: str | None) -> None:
        free_leases(self.database, owner)

    @rule(known=st.sets(st.sampled_from(DESTINATIONS)))
    def reconfigure(self, known: set[str]) -> None:
        hold_gone(self.database, known)

    @invariant()
    def tallies_equal_a_recount(self) -> None:
        counted = set(sql(self.database, "SELECT route, state, outcome, repeat, n FROM tallies WHERE n <> 0"))
        recount = "SELECT route, state, outcome, repeat, count(*) FROM instances GROUP BY 1, 2, 3, 4"
        assert counted == set(sql(self.database, recount))
        counted = set(sql(self.database, "SELECT destination, state, n FROM delivery_tallies WHERE n <> 0"))
        recount = "SELECT destination, state, count(*) FROM deliveries GROUP BY 1, 2"
        assert counted == set(sql(self.database, recount))

    @invariant()
    def the_equation_holds(self) -> None:
        status = self.ledger.status()
        assert status["received"] == sum(status[name] for name in OUTCOMES) == len(self.names)
        for route in status["routes"].values():
            assert route["received"] == sum(route[name] for name in OUTCOMES)

    @invariant()
    def an_instance_counts_as_the_contract_says(self) -> None:
        rows = sql(self.database, "SELECT seq, state, outcome FROM instances")
        for seq, state, outcome in rows:
            query = "SELECT state FROM deliveries WHERE instance = ? AND reason IS NOT 'superseded'"
            sent = {row[0] for row in sql(self.database, query, seq)}
            assert sent or state != "cleaned"
            if state != "cleaned":
                expected = {"received": "in_flight"}.get(str(state), state)
            elif "discarded" in sent:
                expected = "discarded"
            elif "held" in sent:
                expected = "held"
            elif "due" in sent:
                expected = "in_flight"
            else:
                expected = "delivered"
            assert outcome == expected

    @invariant()
    def what_may_still_be_sent_or_looked_at_has_its_file(self) -> None:
        needed = sql(
            self.database,
            "SELECT DISTINCT id FROM deliveries JOIN instances ON instances.seq = instance"
            " WHERE deliveries.state IN ('due', 'held')",
        )
        for (name,) in needed:
            assert self.spool.cleaned_file(str(name)).exists()

    @invariant()
    def held_lists_all_that_is_held_with_a_reason(self) -> None:
        held = self.ledger.held()
        assert {entry["id"] for entry in held} >= {
            row[0] for row in sql(self.database, "SELECT id FROM instances WHERE outcome = 'held'")
        }
        assert all(entry["reason"] in set(HoldReason) for entry in held)

    @invariant()
    def the_last_event_is_the_state(self) -> None:
        for seq, state in sql(self.database, "SELECT seq, state FROM instances WHERE state <> 'cleaned'"):
            last = sql(self.database, "SELECT event FROM events WHERE instance = ? ORDER BY seq DESC LIMIT 1", seq)
            assert last == [(state,)]


Histories.TestCase.settings = settings(max_examples=share(8, 2), stateful_step_count=20, deadline=None)
TestHistories = Histories.TestCase
