"""What is found of instances that are held, older than the index, sealed, of another project, or of a closed one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from node.instances import Place
from node.ledger import closed
from node.ledger.finding import Found, find
from node.ledger.lookup import look_up
from node.sealing import Sealing
from node.story.past import Past
from tests.copies.support import SECRET, Desk, instance
from tests.ledger.test_size import Plans

STUDY, ACCESSION = "1.2.7", "ACC-1"


@pytest.fixture
def make_desk(tmp_path: Path) -> Iterator[Callable[..., Desk]]:
    made: list[Desk] = []

    def make(*, sealed: bool = False) -> Desk:
        desk = Desk(tmp_path)
        made.append(desk)
        desk.config.node.secret_file.touch(mode=0o600)
        desk.config.node.secret_file.write_text(SECRET.hex() + "\n")
        if sealed:
            key = tmp_path / "encryption.key"
            key.touch(mode=0o600)
            key.write_text("5ea1" * 16 + "\n")
            desk.database.columns = Sealing(key).columns
        return desk

    yield make
    for desk in made:
        desk.database.close()


def search(desk: Desk, term: str) -> Found:
    return find(desk.database, term, Past(desk.config, desk.database).scope)


@pytest.mark.parametrize("sealed", [False, True])
def test_sealed_or_not_the_same_is_found(make_desk: Callable[..., Desk], sealed: bool) -> None:
    desk = make_desk(sealed=sealed)
    name = desk.come(instance("1.2.9", said=ACCESSION))
    other = desk.come(instance("1.2.9", said=ACCESSION), route="other")
    scope = Past(desk.config, desk.database).scope("p")
    assert scope is not None
    pseudonym = look_up(desk.database, scope, "original", ["MRN-1"])["MRN-1"][0].replacement
    for term in (STUDY, STUDY + ".1", "1.2.9", ACCESSION, "MRN-1"):
        assert sorted(search(desk, term).ids) == sorted([name, other]), term
    found = search(desk, pseudonym)
    assert (found.ids, found.studies[0]["project"]) == ([name], "p"), "projects share nothing"
    assert found.studies[0]["study"] == scope.keys.uid(STUDY)
    assert search(desk, scope.keys.uid("1.2.9")).ids == [name]
    ((pair,),) = look_up(desk.database, scope, "replacement", [pseudonym]).values()
    assert (pair.original, pair.shift_days) == ("MRN-1", pair.shift_days)
    told = desk.sql("SELECT study || series || accession || patient FROM series")
    assert not any(word in row[0] for row in told for word in (ACCESSION, "MRN", STUDY)), "it is keyed"


def test_what_is_held_before_anything_was_handed_out_is_found_by_its_header(make_desk: Callable[..., Desk]) -> None:
    desk = make_desk()
    late = instance(said=ACCESSION)
    desk.settings["routes"][0]["documents"] = "hold"
    late.SOPClassUID = "1.2.840.10008.5.1.4.1.1.104.1"
    name = desk.come(late)
    assert desk.row(name)[0] == "held"
    for term in (STUDY, STUDY + ".1", ACCESSION, "MRN-1"):
        assert search(desk, term).ids == [name]


def test_what_an_earlier_version_cleaned_is_found_by_its_study(make_desk: Callable[..., Desk]) -> None:
    desk = make_desk()
    name = desk.come(instance(said=ACCESSION))
    desk.sql("UPDATE instances SET series = NULL")
    desk.sql("DELETE FROM series")
    assert search(desk, STUDY).ids == [name]
    assert search(desk, "MRN-1").ids == [name]
    assert search(desk, ACCESSION).ids == []


def test_of_a_closed_project_nobody_is_found_any_more(make_desk: Callable[..., Desk]) -> None:
    desk = make_desk()
    name = desk.come(instance(said=ACCESSION))
    desk.deliver()
    assert not closed.begin(desk.database, "p", {})
    closed.destroy(desk.database, "p")
    assert search(desk, ACCESSION).ids == []
    assert search(desk, "MRN-1").ids == []
    assert search(desk, name).ids == [name]


def test_a_lost_commit_leaves_no_series_in_memory(make_desk: Callable[..., Desk]) -> None:
    desk = make_desk()
    numbers = desk.cleaner.ledger.series
    with pytest.raises(ZeroDivisionError), numbers.committed(), desk.database.write(durable=True) as connection:
        assert numbers.number(connection, "p", Place("s", "t", "", "")) // 0
    name = desk.come(instance())
    with numbers.committed(), desk.database.write(durable=True) as connection:
        lost = numbers.number(connection, "p", Place("s", "t", "", ""))
    ((own,),) = desk.sql("SELECT series FROM instances WHERE id = ?", name)
    assert lost != own


def test_every_search_goes_by_an_index(make_desk: Callable[..., Desk]) -> None:
    desk = make_desk()
    desk.come(instance("1.2.9", said=ACCESSION))
    plans = Plans(desk.database)
    for term in (STUDY, "1.2.9", ACCESSION):
        assert search(desk, term).ids
    plans.check(expected=10)
