"""The whole node is killed again and again in the middle of a transfer; nothing that was acknowledged is missing."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from pathlib import Path

import pytest

from tests.crash.support import Background, Deadly, Sender, arrived, audit, clean_start, rows, tiny_cts, uids_in_map
from tests.support import StoreSCP, wait_for
from tests.thorough import share

AT_RANDOM = share(13, 4)
# What can be aimed at, so that no row of the table is left to chance.
AIMED = (
    "data-partly-written",
    "original-durable",
    "row-committed",
    "claimed",
    "clean-durable",
    "deliveries-committed",
    "destination-answered",
)
TABLE = (
    "part of the data written; before the file is durable",
    "file durable, before the commit",
    "commit, before the answer",
    "claim",
    "cleaned file written, before the commit",
    "deliveries committed, before the original went",
    "destination answered, before settling",
)
SENDERS = 2
STOCK = 1200  # files for each sender; far more than it gets rid of


def hit(node: Deadly, scp: StoreSCP, senders: list[Sender]) -> set[str]:
    """The rows of the table in which some instance stood when the node died, by spool, ledger, sender and sink."""
    found = set()
    known = rows(node)
    by_id = {row.id: row for row in known}
    names = {path.stem for path in node.spool.joinpath("originals").rglob("*.dcm")}
    cleaned = {path.stem for path in node.spool.joinpath("cleaned").rglob("*.dcm")}
    answered = set().union(*(sender.acknowledged for sender in senders))
    if any(node.spool.joinpath("incoming").glob("*.part")):
        found.add(TABLE[0])
    if names - set(by_id):
        found.add(TABLE[1])
    if any(row.uid not in answered for row in known):
        found.add(TABLE[2])
    if any(row.state == "received" and row.leased for row in known):
        found.add(TABLE[3])
    if any(by_id[name].state == "received" for name in cleaned & set(by_id)):
        found.add(TABLE[4])
    if any(by_id[name].state == "cleaned" for name in names & set(by_id)):
        found.add(TABLE[5])
    due = {row.replacement for row in known if "due" in row.deliveries}
    if due & set(scp.uids()):
        found.add(TABLE[6])
    return found


@pytest.mark.timeout(240)
def test_kills_of_the_whole_node_lose_nothing_that_was_acknowledged(
    node: Deadly, scp: StoreSCP, tmp_path: Path
) -> None:
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    files = [tiny_cts(tmp_path / f"in{n}", STOCK, n * STOCK) for n in range(SENDERS)]
    senders = [Sender(node.port, f"SENDER{n}") for n in range(SENDERS)]
    enough = threading.Event()
    plan = [*AIMED, *[""] * AT_RANDOM]
    chance.shuffle(plan)
    kills: Counter[str] = Counter()
    sending = [
        Background(lambda one=one, its=its: one.send(its, enough.is_set, 200))
        for one, its in zip(senders, files, strict=True)
    ]
    for point in plan:
        before = {sender.title: len(sender.acknowledged) for sender in senders}
        if point == "clean-durable" or (point != "deliveries-committed" and chance.random() < 0.5):
            node.with_files()
        else:
            node.without_files()
        if point:
            # Not the first that comes there: others are under way by then.
            node.dies_at(point, chance.randint(2, 6), "node").start()
            wait_for(node.died, f"the node dies at {point}")
        else:
            node.lives().start()
            wait_for(lambda before=before: all(len(s.acknowledged) > before[s.title] for s in senders), "both send")
            time.sleep(chance.random() * 0.3)
            node.kill()
        kills["all"] += 1
        kills.update(hit(node, scp, senders) or {"between two"})
    node.lives().start()
    enough.set()
    for one in sending:
        one.join()
    print(f"{kills['all']} kills; instances stood in these rows of the table:")
    for row in TABLE:
        print(f"{kills[row]:4}  {row}")
    assert kills["all"] == len(AIMED) + AT_RANDOM
    assert all(kills[row] for row in TABLE), kills
    everybody = Sender(node.port)
    everybody.acknowledged = set().union(*(sender.acknowledged for sender in senders))
    found = audit(node, scp, everybody, [path for its in files for path in its])
    again = sum(found.copies.values()) - len(found.copies)
    print(f"{len(everybody.acknowledged)} acknowledged, {len(found.copies)} delivered, {again} a second time")
    clean_start(node)
    assert set(uids_in_map(node)) >= everybody.acknowledged
    assert arrived(scp).copies == found.copies, "what was settled is not sent again"
