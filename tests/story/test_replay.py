"""What is not sent again, and why: a person's decisions, other routes, other keys, what is just being removed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from node.story.explain import explain
from node.story.replaying import Replay, replay
from tests.copies.support import RECIPE, SECRET, Desk, instance


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    made = Desk(tmp_path)
    made.config.node.secret_file.touch(mode=0o600)
    made.config.node.secret_file.write_text(SECRET.hex() + "\n")
    yield made
    made.database.close()


def keep(desk: Desk, name: str) -> str:
    """Put the original aside as the node does, before what is delivered goes."""
    path = desk.spool.original(name)
    copy = desk.spool.retained_file(name)
    copy.parent.mkdir(parents=True, exist_ok=True)
    copy.write_bytes(path.read_bytes())
    return name


@pytest.fixture
def deliver(desk: Desk) -> Callable[..., str]:
    def done(uid: str, route: str = "r") -> str:
        name = keep(desk, desk.receive(instance(uid), route))
        desk.clean()
        desk.deliver()
        return name

    return done


def again(desk: Desk, *names: str, to: str = "a") -> Replay:
    return replay(desk.config, desk.ledger, names, to)


def test_what_is_due_again_counts_as_in_flight_until_it_is_answered(desk: Desk, deliver: Callable[..., str]) -> None:
    name = deliver("1.2.9")
    assert again(desk, name).again == [name]
    assert desk.row(name)[:2] == ("cleaned", "in_flight")
    assert (desk.status()["in_flight"], desk.status()["delivered"]) == (1, 0)
    assert again(desk, name).waiting == [name], "once is enough"
    (due,) = desk.deliver()
    assert (due.id, due.tries, due.offered_before) == (name, 0, 1)
    assert (desk.status()["in_flight"], desk.status()["delivered"]) == (0, 1)
    # A repetition of the sender's is known as before.
    assert desk.row(desk.come(instance("1.2.9")))[0] == "excluded"


def test_what_nobody_may_send_is_named_with_its_reason(desk: Desk, deliver: Callable[..., str]) -> None:
    gone, waiting = deliver("1.2.9"), deliver("1.2.10")
    desk.spool.retained_file(gone).unlink()
    held = desk.receive(instance("1.2.11"))
    desk.sql("UPDATE instances SET state = 'held', outcome = 'held', reason = 'leak' WHERE id = ?", held)
    discarded = deliver("1.2.12")
    desk.sql("UPDATE deliveries SET state = 'discarded' WHERE instance = (SELECT max(seq) FROM instances)")
    left = deliver("1.2.13")
    desk.spool.cleaned_file(left).write_bytes(b"about to be removed")
    result = again(desk, gone, held, discarded, left)
    assert {one["id"]: one["reason"] for one in result.missing} == {
        gone: "original-gone",
        held: "not-cleaned",
        discarded: "discarded",
        left: "just-delivered",
    }
    assert (result.again, result.first) == ([], [])
    assert desk.status()["in_flight"] == 0
    (other,) = again(desk, waiting, to="b").missing
    assert other["reason"] == "not-of-its-route", "it goes where its route goes, and nowhere else"


def test_of_two_copies_the_one_that_stands_is_sent(desk: Desk) -> None:
    desk.configure(header="replace")
    first = keep(desk, desk.receive(instance("1.2.9", said="one")))
    desk.clean()
    second = keep(desk, desk.receive(instance("1.2.9", said="two")))
    desk.clean()
    desk.deliver()
    result = again(desk, first, second)
    assert (result.again, result.missing) == ([second], []), "the first was replaced before it went"


def test_a_destination_that_came_later_gets_it_for_the_first_time(desk: Desk, deliver: Callable[..., str]) -> None:
    name = deliver("1.2.9")
    desk.settings["routes"][0]["to"] = ["a", "b"]
    desk.configure()
    assert again(desk, name, to="b").first == [name]
    assert [due.id for due in desk.deliver("b")] == [name]


def test_under_another_key_epoch_nothing_goes_out_as_the_same(desk: Desk, deliver: Callable[..., str]) -> None:
    name = deliver("1.2.9")
    desk.settings["projects"] = {"p": {"epoch": 2}}
    desk.configure()
    (missing,) = again(desk, name).missing
    assert missing["reason"] == "differs"
    assert desk.files() == set(), "and nothing of it stays"


def test_a_recipe_that_is_not_kept_sends_nothing(desk: Desk, deliver: Callable[..., str]) -> None:
    name = deliver("1.2.9")
    for kept in (desk.folder / "var/recipes").rglob("*.json"):
        kept.unlink()
    (desk.folder / "r.dicom").write_text(RECIPE + "REMOVE Modality\n")
    desk.configure()
    (missing,) = again(desk, name).missing
    assert missing["reason"] == "recipe-of-then"
    story = explain(desk.config, desk.database, name)
    assert story is not None
    assert "not kept" in story["changes_from"]["because"]
    assert story["changes_from"]["source"] == "trace", "what was noted then needs no recipe"


def test_what_went_out_beside_another_copy_goes_out_beside_it_again(desk: Desk) -> None:
    desk.configure(header="both")
    first = keep(desk, desk.receive(instance("1.2.9", said="one")))
    desk.clean()
    desk.deliver()
    second = keep(desk, desk.receive(instance("1.2.9", said="two")))
    desk.clean()
    ((before,), _) = desk.sql("SELECT clean_sop_instance_uid FROM instances ORDER BY seq DESC")
    desk.deliver()
    assert again(desk, first, second).again == [first, second]
    assert [due.sop_instance_uid for due in desk.deliver()][1] == before
