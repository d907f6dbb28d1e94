"""The supervisor: what dies is replaced, what is told to end ends in order, and nothing stays behind."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from pynetdicom import AE, evt
from pynetdicom.presentation import build_context

from tests.crash.support import CT, EXPLICIT, Background, Deadly, Sender, audit, settled, tiny_cts
from tests.forwarding.raw import RawSCP
from tests.support import REPOSITORY, StoreSCP, can_connect, free_port, wait_for

ROLES = {"keeper": 1, "auditor": 1, "forwarder": 1, "cleaner": 2, "receiver": 2}


@pytest.fixture
def loud(node: Deadly) -> Deadly:
    """A node whose log names the process ids of its children."""
    node.config["node"]["log"]["level"] = "debug"
    node.write_config()
    return node


def all_up(node: Deadly) -> dict[str, list[psutil.Process]]:
    def look() -> dict[str, list[psutil.Process]] | None:
        found = node.children()
        return found if {name: len(ones) for name, ones in found.items()} == ROLES else None

    found = wait_for(look, "every role runs")
    assert isinstance(found, dict)
    return found


class Peer:
    """A pynetdicom association of the test's own, and how it ended."""

    def __init__(self, port: int, title: str = "PEER") -> None:
        self.aborted = False
        ae = AE(ae_title=title)
        ae.acse_timeout = ae.dimse_timeout = ae.network_timeout = 30
        self.association = ae.associate(
            "127.0.0.1",
            port,
            [build_context(CT, EXPLICIT)],
            ae_title="DEIDNODE",
            evt_handlers=[(evt.EVT_ABORTED, self._note)],
        )

    def _note(self, _event: evt.Event) -> None:
        self.aborted = True

    def send(self, path: Path) -> int | None:
        status = self.association.send_c_store(path).get("Status")
        return None if status is None else int(status)


@pytest.fixture
def peer() -> Iterator[Callable[..., Peer]]:
    made: list[Peer] = []

    def make(port: int, title: str = "PEER") -> Peer:
        made.append(Peer(port, title))
        assert made[-1].association.is_established
        return made[-1]

    try:
        yield make
    finally:
        for one in made:
            if one.association.is_established:
                one.association.abort()


def killed(node: Deadly, role: str, processes: list[psutil.Process]) -> None:
    """Kill these children and wait until others have their place."""
    pids = {one.pid for one in processes}
    for one in processes:
        one.kill()

    def replaced() -> bool:
        now = node.children().get(role, [])
        return len(now) == ROLES[role] and not pids & {one.pid for one in now}

    wait_for(replaced, f"{role} is replaced")


@pytest.mark.parametrize(
    "role",
    [pytest.param(one, marks=pytest.mark.slow) if one in ("keeper", "auditor", "forwarder") else one for one in ROLES],
)
def test_a_child_that_is_killed_is_replaced_and_the_transfer_goes_on(
    loud: Deadly, scp: StoreSCP, tmp_path: Path, role: str
) -> None:
    loud.start()
    files = tiny_cts(tmp_path / "in", 120)
    sender = Sender(loud.port)
    everything = all_up(loud)
    sending = Background(lambda: sender.send(files))
    wait_for(lambda: len(sender.acknowledged) > 5, "it runs")
    killed(loud, role, everything[role])
    sending.join()
    audit(loud, scp, sender, files)
    assert {name: len(ones) for name, ones in all_up(loud).items()} == ROLES
    assert loud.process is not None
    assert loud.process.poll() is None


@pytest.mark.slow
def test_a_child_that_dies_again_and_again_is_started_ever_later(loud: Deadly, tmp_path: Path) -> None:
    loud.start()
    waits = []
    for _ in range(3):
        before = loud.log().count('"died"')
        wait_for(lambda: loud.children().get("keeper"), "the keeper runs")[0].kill()
        wait_for(lambda before=before: loud.log().count('"died"') > before, "its death is seen")
        waits.append(float(loud.log().split('"event": "died"')[-1].split('"again_in": ')[1].split("}")[0]))
    assert waits == sorted(set(waits)), waits
    assert waits[-1] <= 30


def test_where_the_processors_are_short_a_sender_who_waits_comes_first(loud: Deadly) -> None:
    loud.start()
    nice = {name: {one.nice() for one in ones} for name, ones in all_up(loud).items()}
    assert max(nice["receiver"]) < min(nice["forwarder"] | nice["cleaner"])


def test_one_of_two_receivers_is_killed_and_the_other_takes_every_association(
    loud: Deadly, scp: StoreSCP, tmp_path: Path
) -> None:
    loud.start()
    victim, survivor = all_up(loud)["receiver"]
    victim.suspend()
    victim.kill()
    files = tiny_cts(tmp_path / "in", 10)
    sender = Sender(loud.port)
    for path in files:
        sender.send([path])  # an association each
    assert not sender.others
    assert set(sender.attempts.values()) == {1}, "none was lost with the one that is gone"
    assert survivor.is_running()
    audit(loud, scp, sender, files)


@pytest.mark.slow
def test_one_of_two_receivers_is_drained_and_the_other_still_accepts(
    loud: Deadly, scp: StoreSCP, tmp_path: Path
) -> None:
    loud.start()
    first, second = all_up(loud)["receiver"]
    for one in (first, second):
        # Whoever shuts the inherited listener down closes it for all.
        one.send_signal(signal.SIGTERM)
        one.wait(10)
        assert can_connect(loud.port)
        wait_for(lambda: len(loud.children().get("receiver", [])) == 2, "it is replaced")
    files = tiny_cts(tmp_path / "in", 6)
    sender = Sender(loud.port)
    sender.send(files)
    audit(loud, scp, sender, files)


def test_sigterm_lets_an_open_association_go_on_until_drain_then_aborts_it(
    loud: Deadly, scp: StoreSCP, tmp_path: Path, peer: Callable[..., Peer]
) -> None:
    loud.config["node"]["drain"] = "5s"
    loud.write_config()
    loud.start()
    files = tiny_cts(tmp_path / "in", 3)
    one = peer(loud.port)
    assert one.send(files[0]) == 0
    assert loud.process is not None
    loud.process.send_signal(signal.SIGTERM)
    wait_for(lambda: '"ending"' in loud.log(), "it ends")
    wait_for(lambda: not can_connect(loud.port), "nobody new is let in")
    assert one.send(files[1]) == 0, "an open association may go on"
    assert loud.process.wait(20) == 0
    wait_for(lambda: not one.association.is_alive(), "the association is over")
    assert one.aborted, "by A-ABORT, not by a lost connection"
    loud.start()
    loud.wait_delivered(2)
    assert settled(loud)["received"] == 2


def test_sigterm_ends_at_once_where_nobody_is_connected_and_nothing_stays(loud: Deadly) -> None:
    loud.config["node"]["drain"] = "10min"
    loud.write_config()
    loud.start()
    children = [one for ones in all_up(loud).values() for one in ones]
    assert loud.stop(20) == 0
    assert not [one for one in children if one.is_running()]


def test_sigkill_of_the_supervisor_takes_every_child_along(loud: Deadly) -> None:
    loud.start()
    children = [one for ones in all_up(loud).values() for one in ones]
    assert loud.process is not None
    loud.process.kill()
    loud.process.wait(10)
    gone, alive = psutil.wait_procs(children, 10)
    assert not alive
    assert len(gone) == len(children)


def test_a_child_whose_supervisor_dies_while_it_is_started_does_not_stay(loud: Deadly) -> None:
    marker = str(loud.config_path)
    for pause in (0.5, 0.6, 0.7, 0.75, 0.8, 0.9):
        process = subprocess.Popen(
            loud.command,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=loud.folder,
            env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        )
        time.sleep(pause)
        process.kill()
        process.wait(10)

    def left() -> list[int]:
        return [one.pid for one in psutil.process_iter(["cmdline"]) if marker in (one.info["cmdline"] or [])]

    wait_for(lambda: not left(), "none stays", 10)
    loud.start()


def test_an_association_on_a_receiver_that_is_killed_ends_and_its_place_is_free_again(
    loud: Deadly, tmp_path: Path, peer: Callable[..., Peer]
) -> None:
    loud.config["node"]["max_associations"] = 1
    loud.write_config()
    loud.start()
    one = peer(loud.port)
    other = AE(ae_title="OTHER").associate("127.0.0.1", loud.port, [build_context(CT, EXPLICIT)], ae_title="DEIDNODE")
    assert other.is_rejected, "the only place is taken"
    killed(loud, "receiver", all_up(loud)["receiver"])
    wait_for(lambda: not one.association.is_alive(), "the first is over")
    assert peer(loud.port, "OTHER").send(tiny_cts(tmp_path / "in", 1)[0]) == 0


def test_the_sink_of_the_node_is_replaced_too(make_node: Callable[..., Deadly], tmp_path: Path) -> None:
    port = free_port()
    node = make_node({"archive": port})
    node.config["trial_destination"] = {
        "enabled": True,
        "ae_title": "ARCHIVE",
        "listen": f"127.0.0.1:{port}",
        "folder": "archive",
    }
    node.config["node"]["log"]["level"] = "debug"
    node.write_config()
    node.start()
    files = tiny_cts(tmp_path / "in", 20)
    sender = Sender(node.port)
    sender.send(files[:10])
    wait_for(lambda: node.children().get("sink"), "the sink runs")[0].kill()
    sender.send(files[10:])
    node.wait_delivered(20)
    stored = [path for path in (node.folder / "archive").rglob("*.dcm") if not path.parent.name.startswith(".")]
    assert len(stored) == 20


def test_what_the_dead_had_in_hand_goes_on_as_soon_as_the_ledger_can_be_written(make_node, tmp_path):
    """Their leases would last for ten minutes: what could not be freed at once is tried again."""
    over = threading.Event()

    def behave(connection, number):
        connection.accept()
        while True:
            context, message, uid = connection.store()
            if number == 1:
                over.wait(60)
            connection.answer(context, message, uid)

    destination = RawSCP(behave).start()
    try:
        node = make_node({"dest": destination.port})
        node.config["node"]["log"]["level"] = "debug"
        node.config["destinations"]["dest"] |= {"associations": 1, "timeout": {"response": "60s"}}
        node.write_config()
        node.start()
        Sender(node.port).send(tiny_cts(tmp_path / "in", 1))
        wait_for(lambda: destination.connections, "it is being sent")
        (forwarder,) = wait_for(lambda: node.children().get("forwarder"), "somebody sends it")
        ledger, away = node.data / "ledger.db", node.data / "away.db"
        ledger.rename(away)  # whoever has it open goes on
        forwarder.kill()
        wait_for(lambda: '"event": "recovery-failed"' in node.log(), "its leases cannot be freed")
        away.rename(ledger)
        node.wait_delivered(1)
    finally:
        over.set()
        destination.stop()
