"""Housekeeping on real files and a real ledger: what it removes, what it adopts, and what it never touches."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import select, update

from node.config import load_config
from node.errors import HoldReason
from node.ledger.cleaning import CleaningLedger
from node.ledger.database import Database
from node.ledger.reception import GroupCommit
from node.ledger.results import Held
from node.ledger.schema import deliveries, instances
from node.ledger.sending import SendingLedger, Settlement, Verdict
from node.opening import make_spool, open_node
from node.spool import new_id
from node.sweeper import GRACE_SECONDS, Sweeper
from tests.crash.support import Deadly, Sender, audit, clean_start, rows, settled, tiny_cts
from tests.support import StoreSCP, wait_for

OLD = GRACE_SECONDS + 60
YOUNG = GRACE_SECONDS - 60


@pytest.fixture
def held_up(node: Deadly, scp: StoreSCP, tmp_path: Path) -> Iterator[tuple[Deadly, Sender, list[Path]]]:
    """A stopped node with four cleaned files that wait for their destination."""
    scp.stop()
    node.with_files().start()
    sender, files = Sender(node.port), tiny_cts(tmp_path / "in", 4)
    sender.send(files)
    node.wait_status(lambda s: s["routes"].get("research", {}).get("cleaned") == 4, "they are cleaned")
    assert node.stop() == 0
    yield node, sender, files
    node.kill()


@pytest.fixture
def originals(node: Deadly, tmp_path: Path) -> tuple[Deadly, Sender, list[Path]]:
    """A node that died with one original or more that is received and not cleaned."""
    sender, files = Sender(node.port), tiny_cts(tmp_path / "in", 3)
    node.dies_at("claimed", 1, "node").start()
    sender.send(files, lambda: node.process is not None and node.process.poll() is not None)
    wait_for(node.died, "it dies")
    node.lives()
    return node, sender, files


class House:
    """A sweeper of its own over a node that does not run."""

    def __init__(self, node: Deadly) -> None:
        self.config = load_config(node.config_path)
        self.spool = make_spool(self.config)
        self.database = Database(self.config.node.ledger)
        self.sweeper = Sweeper(self.config, self.spool, self.database)

    def forget(self) -> None:
        """Take every row away, as an older ledger would not have them."""
        with self.database.write(durable=True) as connection:
            for table in ("events", "deliveries", "instances", "tallies", "delivery_tallies"):
                connection.driver.execute(f"DELETE FROM {table}")


@pytest.fixture
def house(held_up: tuple[Deadly, Sender, list[Path]]) -> Iterator[House]:
    one = House(held_up[0])
    yield one
    one.database.close()


def age(path: Path, seconds: float) -> None:
    then = time.time() - seconds
    os.utime(path, (then, then))


def age_all(spool: Path, seconds: float) -> None:
    for path in spool.rglob("*"):
        if path.is_file():
            age(path, seconds)


def files_in(folder: Path) -> set[str]:
    return {path.stem for path in folder.rglob("*") if path.is_file()}


def test_incoming_is_swept_of_what_is_older_than_the_grace_period_and_of_nothing_else(house: House) -> None:
    incoming = house.spool.incoming
    for name, seconds in (("old", OLD), ("young", YOUNG), ("now", 0.0), ("future", -3600.0)):
        for suffix in ("part", "clean", "inflated"):
            path = incoming / f"{name}.{suffix}"
            path.write_bytes(b"x")
            age(path, seconds)
    before = files_in(house.spool.cleaned)
    assert house.sweeper.sweep().incoming == 3
    assert files_in(incoming) == {"young", "now", "future"}
    assert files_in(house.spool.cleaned) == before


def test_a_sweep_of_a_healthy_spool_changes_nothing(house: House) -> None:
    age_all(house.spool.root, 10 * OLD)
    before = files_in(house.spool.root)
    swept = house.sweeper.sweep()
    assert (swept.incoming, swept.adopted, swept.originals, swept.cleaned) == (0, 0, 0, 0)
    assert files_in(house.spool.root) == before


def test_cleaned_files_that_the_ledger_does_not_know_are_adopted_after_the_grace_period_and_delivered(
    held_up: tuple[Deadly, Sender, list[Path]], house: House, scp: StoreSCP
) -> None:
    node, _, _ = held_up
    house.forget()
    age_all(house.spool.cleaned, YOUNG)
    assert house.sweeper.sweep().adopted == 0, "somebody may be about to write the row"
    age_all(house.spool.cleaned, OLD)
    assert house.sweeper.sweep().adopted == 4
    assert house.sweeper.sweep().adopted == 0
    scp.start()
    node.start()
    status = settled(node)
    assert (status["received"], status["delivered"]) == (4, 4)
    assert len(set(scp.uids())) == 4


def test_originals_that_the_ledger_does_not_know_are_adopted_with_all_that_their_row_had(
    originals: tuple[Deadly, Sender, list[Path]], scp: StoreSCP
) -> None:
    node, sender, files = originals
    house = House(node)
    # Originals that the dead cleaner had yet to remove go, and one that has no row yet gets it.
    age_all(house.spool.originals, OLD)
    house.sweeper.sweep()
    columns = [
        column for column in instances.c if column.key not in {"seq", "changed_at", "lease_owner", "lease_until"}
    ]
    query = select(*columns).order_by(instances.c.id)
    with house.database.read() as connection:
        before = connection.execute(query).all()
    house.forget()
    age_all(house.spool.originals, YOUNG)
    assert house.sweeper.sweep().adopted == 0
    age_all(house.spool.originals, OLD)
    assert house.sweeper.sweep().adopted == len(before)
    with house.database.read() as connection:
        after = connection.execute(query).all()
    house.database.close()
    assert before == after
    node.start()
    sender.send(files)
    audit(node, scp, sender, files)


def test_an_original_whose_row_says_cleaned_is_removed_and_its_cleaned_file_stays(house: House) -> None:
    name = min(files_in(house.spool.cleaned))
    extra = house.spool.original(name)
    extra.write_bytes(b"what was left of it")
    age(extra, YOUNG)
    assert house.sweeper.sweep().originals == 0
    age(extra, OLD)
    assert house.sweeper.sweep().originals == 1
    assert not extra.exists()
    assert len(files_in(house.spool.cleaned)) == 4


def test_a_cleaned_file_goes_only_when_no_delivery_needs_it(house: House) -> None:
    age_all(house.spool.cleaned, OLD)
    for state, removed in (("held", 0), ("due", 0), ("delivered", 4)):
        with house.database.write(durable=True) as connection:
            connection.execute(update(deliveries).values(state=state, reason="refused" if state == "held" else None))
        assert house.sweeper.sweep().cleaned == removed, state


def test_an_original_that_something_is_sent_from_goes_only_when_no_delivery_needs_it(
    node: Deadly, scp: StoreSCP, tmp_path: Path
) -> None:
    scp.stop()
    node.start()
    Sender(node.port).send(tiny_cts(tmp_path / "in", 4))
    node.wait_status(lambda s: s["routes"].get("research", {}).get("cleaned") == 4, "they are cleaned")
    assert node.stop() == 0
    assert node.spool_files() == {"incoming": 0, "originals": 4, "cleaned": 0}
    house = House(node)
    age_all(house.spool.originals, OLD)
    assert house.sweeper.sweep().originals == 0
    sending = SendingLedger(house.database, "dest")
    with house.database.write(durable=True) as connection:
        connection.execute(update(deliveries).values(lease_owner=None, due_at=0))
    dues = sending.claim("test", 10)
    sending.settle("test", [Settlement(due, Verdict.DELIVERED, status=0) for due in dues[:3]])
    sending.settle("test", [Settlement(dues[3], Verdict.HELD, reason=HoldReason.REFUSED)])
    assert house.sweeper.sweep().originals == 3
    assert files_in(house.spool.originals) == {dues[3].id}
    house.database.close()


def test_an_original_that_is_held_or_received_is_never_removed(originals: tuple[Deadly, Sender, list[Path]]) -> None:
    node, _, _ = originals
    house = House(node)
    age_all(house.spool.originals, 100 * OLD)
    before = files_in(house.spool.originals)
    assert house.sweeper.sweep().originals == 0
    ledger = CleaningLedger(house.database, "test")
    with house.database.write(durable=True) as connection:
        connection.execute(update(instances).values(lease_owner=None))
    claimed = ledger.claim(10)
    assert len(claimed) >= 1
    ledger.settle([Held(one, HoldReason.UNPARSABLE) for one in claimed])
    assert house.sweeper.sweep().originals == 0
    assert files_in(house.spool.originals) == before
    house.database.close()


def test_files_are_listed_before_the_ledger_is_asked(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    # An instance that comes while a sweep runs: its file is there, its row is not yet, and both are very old.
    name = new_id()
    source = house.spool.cleaned_file(min(files_in(house.spool.cleaned)))
    commits = GroupCommit(house.database)
    listed = house.spool.list_originals

    def list_then_receive() -> Iterator[tuple[str, float]]:
        yield from listed()
        target = house.spool.original(name)
        target.write_bytes(source.read_bytes())
        age(target, OLD)
        commits.add(house.sweeper.read_original(name))

    monkeypatch.setattr(house.spool, "list_originals", list_then_receive)
    assert house.sweeper.sweep().adopted == 0
    assert house.spool.original(name).exists()


@pytest.mark.slow
def test_a_file_that_is_none_of_the_node_is_left_alone(house: House) -> None:
    strangers = [
        house.spool.originals / "00" / "notes.txt",
        house.spool.originals / "00" / "1.2.3.dcm",
        house.spool.cleaned / "ff" / f"{'0' * 31}g.dcm",
    ]
    for path in strangers:
        path.write_bytes(b"x")
        age(path, OLD)
    house.sweeper.sweep()
    assert all(path.exists() for path in strangers)


@pytest.mark.slow
def test_an_original_that_cannot_be_read_is_neither_adopted_nor_removed(house: House) -> None:
    name = new_id()
    path = house.spool.original(name)
    for content in (b"", b"\0" * 5000, b"\0" * 128 + b"DICM" + b"\xff" * 64):
        path.write_bytes(content)
        age(path, OLD)
        assert house.sweeper.sweep().adopted == 0
        assert path.read_bytes() == content


def test_the_sweep_at_the_start_asks_for_no_age_not_even_after_the_clock_went_back(
    originals: tuple[Deadly, Sender, list[Path]], scp: StoreSCP
) -> None:
    node, sender, files = originals
    house = House(node)
    house.forget()
    house.database.close()
    (node.spool / "incoming" / "left.part").write_bytes(b"x")
    age_all(node.spool, -3 * 86400.0)
    node.start()
    assert node.spool_files()["incoming"] == 0
    sender.send(files)
    audit(node, scp, sender, files)


@pytest.mark.slow
def test_an_instance_received_before_the_clock_went_back_is_cleaned_all_the_same(
    originals: tuple[Deadly, Sender, list[Path]], scp: StoreSCP
) -> None:
    node, sender, files = originals
    house = House(node)
    with house.database.write(durable=True) as connection:
        later = time.time() + 2 * 86400.0
        connection.execute(update(instances).values(received_at=later, changed_at=later, due_at=later))
    house.database.close()
    node.start()
    sender.send(files)
    audit(node, scp, sender, files)


def test_discarded_instances_do_not_come_back(held_up: tuple[Deadly, Sender, list[Path]], scp: StoreSCP) -> None:
    node, _, _ = held_up
    with node.ledger() as ledger, ledger.database.write(durable=True) as connection:
        connection.execute(update(deliveries).values(state="held", reason="refused"))
    ids = [row.id for row in rows(node)]
    assert node.cli("held", "discard", "--yes", *ids).returncode == 0
    assert node.spool_files()["cleaned"] == 0
    scp.start()
    node.start()
    assert node.status()["discarded"] == 4
    assert not scp.files()
    clean_start(node)


def test_a_new_node_opens_an_empty_spool_and_ledger_twice_with_the_same_identity(node: Deadly) -> None:
    config = load_config(node.config_path)
    spool = make_spool(config)
    open_node(config, spool)
    before = (spool.root / "id").read_text(), config.node.secret_file.read_bytes()
    open_node(config, spool)
    assert ((spool.root / "id").read_text(), config.node.secret_file.read_bytes()) == before
