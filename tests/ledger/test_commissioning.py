"""Studies that wait until a person has looked at them: which, together with what, and for how long."""

from __future__ import annotations

import itertools
from dataclasses import replace

from node.ledger import Database, Ledger
from node.ledger.cleaning import CleaningLedger
from node.ledger.commissioning import Rule, release_study, viewing_of, waiting
from node.ledger.sending import SendingLedger
from tests.ledger.support import clean, receive

NUMBERS = itertools.count(1)


def come(database: Database, rule: Rule, study: str, recipe: str = "hash", route: str = "r") -> str:
    """Receive and clean one instance of a study; return its id."""
    name = receive(database, route, uid=f"1.2.{next(NUMBERS)}")
    ledger = CleaningLedger(database, "cleaner")
    (claimed,) = ledger.claim(1)
    one = replace(clean(claimed, ("d", "e")), recipe_hash=recipe, viewing=viewing_of(rule, route, study))
    assert ledger.settle([one])
    return name


def due(database: Database) -> list[str]:
    """What a forwarder would send now."""
    return [one.id for one in SendingLedger(database, "d").claim("lane", 1000)]


def held(database: Database) -> set[str]:
    return {entry["id"] for entry in Ledger(database).held() if entry["reason"] == "commissioning"}


def test_the_first_studies_wait_whole_and_the_next_ones_go(database: Database) -> None:
    rule = Rule(2, 0.0, anew=False)
    first = [come(database, rule, "2.25.1"), come(database, rule, "2.25.2"), come(database, rule, "2.25.1")]
    later = come(database, rule, "2.25.3")
    assert held(database) == set(first)
    assert due(database) == [later]
    assert [(one["study"], one["instances"]) for one in waiting(database)] == [("2.25.1", 2), ("2.25.2", 1)]


def test_a_release_lets_the_whole_study_go_and_what_comes_later(database: Database) -> None:
    rule = Rule(1, 0.0, anew=False)
    first = {come(database, rule, "2.25.1"), come(database, rule, "2.25.1")}
    assert release_study(database, "2.25.9") == 0
    assert release_study(database, "2.25.1") == 2
    last = come(database, rule, "2.25.1")
    assert not held(database)
    assert set(due(database)) == {*first, last}
    assert not waiting(database)


def test_the_last_release_by_id_releases_the_study(database: Database) -> None:
    rule, ledger = Rule(1, 0.0, anew=False), Ledger(database)
    one, other = come(database, rule, "2.25.1"), come(database, rule, "2.25.1")
    assert ledger.release(one)
    assert [study["study"] for study in waiting(database)] == ["2.25.1"]
    third = come(database, rule, "2.25.1")
    assert held(database) == {other, third}
    assert ledger.release(other)
    assert ledger.release(third)
    assert not waiting(database)
    come(database, rule, "2.25.1")
    assert not held(database)


def test_a_changed_recipe_begins_anew_only_where_that_is_asked_for(database: Database) -> None:
    plain, anew = Rule(1, 0.0, anew=False), Rule(1, 0.0, anew=True)
    come(database, plain, "2.25.1", "one", "plain")
    come(database, plain, "2.25.2", "other", "plain")
    come(database, anew, "2.25.1", "one", "anew")
    come(database, anew, "2.25.2", "other", "anew")
    assert [(one["route"], one["study"]) for one in waiting(database)] == [
        ("plain", "2.25.1"),
        ("anew", "2.25.1"),
        ("anew", "2.25.2"),
    ]


def test_the_share_is_kept_and_the_same_study_gets_the_same_answer() -> None:
    rule = Rule(0, 0.1, anew=False)
    studies = [f"2.25.{number}" for number in range(5000)]
    chosen = [study for study in studies if viewing_of(rule, "r", study).is_chosen]
    assert 400 < len(chosen) < 600
    assert chosen == [study for study in studies if viewing_of(rule, "r", study).is_chosen]
    assert chosen != [study for study in studies if viewing_of(rule, "other", study).is_chosen]
    assert all(viewing_of(Rule(0, 1.0, anew=False), "r", study).is_chosen for study in studies)
    assert not any(viewing_of(Rule(9, 0.0, anew=False), "r", study).is_chosen for study in studies)
