"""The whole node is killed again and again in the middle of a transfer; nothing that was acknowledged is missing."""

from __future__ import annotations

import functools
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
# The rows of the table, and where to aim so that none of them is left to chance.
TABLE = {
    "part of the data written; before the file is durable": "data-partly-written",
    "file durable, before the commit": "original-durable",
    "commit, before the answer": "row-committed",
    "claim": "claimed",
    "cleaned file written, before the commit": "clean-durable",
    "deliveries committed, before the original went": "deliveries-committed",
    "destination answered, before settling": "destination-answered",
}
# A batch may consist of what came again: then a death after it is at its point, and beside the row.
SHOTS = 5
SENDERS = 2
STOCK = 1200  # files for each sender; far more than it gets rid of


def hit(node: Deadly, scp: StoreSCP, senders: list[Sender]) -> set[str]:
    """The rows of the table in which some instance stood when the node died, by spool, ledger, sender and sink."""
    part, durable, committed, claimed, written, delivering, unsettled = TABLE
    found = set()
    known = rows(node)
    by_id = {row.id: row for row in known}
    names = {path.stem for path in node.spool.joinpath("originals").rglob("*.dcm")}
    cleaned = {path.stem for path in node.spool.joinpath("cleaned").rglob("*.dcm")}
    answered = set().union(*(sender.acknowledged for sender in senders))
    if any(node.spool.joinpath("incoming").glob("*.part")):
        found.add(part)
    if names - set(by_id):
        found.add(durable)
    if any(row.uid not in answered for row in known):
        found.add(committed)
    if any(row.state == "received" and row.leased for row in known):
        found.add(claimed)
    if any(by_id[name].state == "received" for name in cleaned & set(by_id)):
        found.add(written)
    if any(by_id[name].state == "cleaned" for name in names & set(by_id)):
        found.add(delivering)
    due = {row.replacement for row in known if "due" in row.deliveries}
    if due & set(scp.uids()):
        found.add(unsettled)
    return found


class Trial:
    """Two senders that go on sending to a node that dies, and how often it died in which row of the table."""

    def __init__(self, node: Deadly, scp: StoreSCP, folder: Path, chance: random.Random) -> None:
        self.node, self.scp, self.chance = node, scp, chance
        self.files = [tiny_cts(folder / f"in{n}", STOCK, n * STOCK) for n in range(SENDERS)]
        self.senders = [Sender(node.port, f"SENDER{n}") for n in range(SENDERS)]
        self.kills: Counter[str] = Counter()
        self._enough = threading.Event()
        self._sending = [
            Background(functools.partial(one.send, its, self._enough.is_set, 200))
            for one, its in zip(self.senders, self.files, strict=True)
        ]

    def kill(self, point: str) -> set[str]:
        """Let the node die at the point, or at any time; the rows in which it did."""
        before = {sender.title: len(sender.acknowledged) for sender in self.senders}
        if point == "clean-durable" or (point != "deliveries-committed" and self.chance.random() < 0.5):
            self.node.with_files()
        else:
            self.node.without_files()
        if point:
            # Not the first that comes there: others are under way by then.
            self.node.dies_at(point, self.chance.randint(2, 6), "node").start()
            wait_for(self.node.died, f"the node dies at {point}")
        else:
            self.node.lives().start()
            wait_for(lambda: all(len(s.acknowledged) > before[s.title] for s in self.senders), "both send")
            time.sleep(self.chance.random() * 0.3)
            self.node.kill()
        stood = hit(self.node, self.scp, self.senders)
        self.kills["all"] += 1
        self.kills.update(stood or {"between two"})
        return stood

    def end(self) -> None:
        self.node.lives().start()
        self._enough.set()
        for one in self._sending:
            one.join()


@pytest.mark.timeout(240)
def test_kills_of_the_whole_node_lose_nothing_that_was_acknowledged(
    node: Deadly, scp: StoreSCP, tmp_path: Path
) -> None:
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    trial = Trial(node, scp, tmp_path, chance)
    plan = [*TABLE, *[""] * AT_RANDOM]
    chance.shuffle(plan)
    for row in plan:
        if row:
            assert any(row in trial.kill(TABLE[row]) for _ in range(SHOTS)), f"never died there: {row}"
        else:
            trial.kill("")
    trial.end()
    print(f"{trial.kills['all']} kills; instances stood in these rows of the table:")
    for row in TABLE:
        print(f"{trial.kills[row]:4}  {row}")
    assert trial.kills["all"] >= len(TABLE) + AT_RANDOM
    everybody = Sender(node.port)
    everybody.acknowledged = set().union(*(sender.acknowledged for sender in trial.senders))
    found = audit(node, scp, everybody, [path for its in trial.files for path in its])
    again = sum(found.copies.values()) - len(found.copies)
    print(f"{len(everybody.acknowledged)} acknowledged, {len(found.copies)} delivered, {again} a second time")
    clean_start(node)
    assert set(uids_in_map(node)) >= everybody.acknowledged
    assert arrived(scp).copies == found.copies, "what was settled is not sent again"
