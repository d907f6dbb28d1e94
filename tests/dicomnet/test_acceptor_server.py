"""The server around the associations: nobody blocks others, shared listeners, an orderly end."""

import os
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest

from node.dicomnet import AcceptorLimits, AssociationServer
from node.dicomnet.dimse import encode_store_request
from tests.support import wait_for

from .peers import (
    ABORT_TYPE,
    ACCEPT_TYPE,
    CT,
    PATIENCE,
    RELEASE_RQ,
    RawPeer,
    RecordingPolicy,
    accepting,
    listen,
    p_data,
    pdv,
    run,
    until,
)

STORE = p_data(pdv(encode_store_request(1, CT, "1.2.3"), command=True, last=True))
PART, REST = p_data(pdv(b"12", command=False, last=False)), p_data(pdv(b"34", command=False, last=True))


def test_silent_connections_do_not_keep_others_waiting() -> None:
    with accepting() as acceptor:
        silent = [RawPeer(acceptor.port) for _ in range(30)]
        assert run("echoscu", "127.0.0.1", str(acceptor.port)).returncode == 0
        for peer in silent:
            peer.socket.close()
        assert acceptor.ended() == ["released"]


def test_the_oldest_silent_connection_makes_room_and_associations_stay() -> None:
    with accepting(limits=AcceptorLimits(unassociated=3)) as acceptor, RawPeer(acceptor.port) as associated:
        associated.associate()
        silent = []
        for _ in range(5):
            silent.append(RawPeer(acceptor.port))
            count = len(silent) + 1
            assert until(lambda n=count: len(acceptor.server._associations) >= min(n, 4))
        assert silent[0].at_end()
        assert silent[1].at_end()
        assert silent[4].associate()[0] == ACCEPT_TYPE
        associated.send(STORE + REST)
        assert associated.status() == 0
        assert acceptor.server.active() == 2


def test_descriptors_beyond_1024_are_served() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(4096, hard), hard))
    opened = [os.open("/dev/null", os.O_RDONLY) for _ in range(1100)]
    try:
        with accepting() as acceptor, RawPeer(acceptor.port) as peer:
            peer.associate()
            peer.send(STORE + REST)
            assert peer.status() == 0
    finally:
        for descriptor in opened:
            os.close(descriptor)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_without_descriptors_it_waits_and_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with accepting() as acceptor, socket.socket() as unconnected:
        opened: list[int] = []
        resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
        try:
            with suppress(OSError):
                while True:
                    opened.append(os.open("/dev/null", os.O_RDONLY))
            unconnected.connect(("127.0.0.1", acceptor.port))
            assert until(lambda: "no connection accepted" in caplog.text)
        finally:
            for descriptor in opened:
                os.close(descriptor)
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        assert run("echoscu", "127.0.0.1", str(acceptor.port)).returncode == 0


def test_draining_lets_an_association_end_and_cuts_the_silent_one() -> None:
    with accepting() as acceptor, RawPeer(acceptor.port) as peer, RawPeer(acceptor.port) as silent:
        peer.associate()
        peer.send(STORE + PART)
        wait_for(lambda: acceptor.server.connections() == 2, "both are accepted")
        acceptor.server.stop()
        drained = threading.Thread(target=acceptor.server.drain, args=(PATIENCE,))
        drained.start()
        assert silent.at_end()
        assert drained.is_alive()
        peer.send(REST + RELEASE_RQ)
        assert peer.status() == 0
        drained.join(PATIENCE)
        assert not drained.is_alive()
        assert acceptor.ended() == ["released"]
        assert acceptor.server.active() == 0


def test_what_is_open_after_the_drain_gets_an_abort_and_leaves_no_instance() -> None:
    with accepting() as acceptor, RawPeer(acceptor.port) as idle, RawPeer(acceptor.port) as busy:
        idle.associate()
        busy.associate()
        busy.send(STORE + PART)
        assert until(lambda: bool(acceptor.policy.stored))
        acceptor.server.stop()
        acceptor.server.drain(0.1)
        assert idle.receive() == (ABORT_TYPE, b"\0\0\0\0")
        assert busy.receive() == (ABORT_TYPE, b"\0\0\0\0")
        assert acceptor.ended(2) == ["stopped", "stopped"]
        assert [stored.state for stored in acceptor.policy.stored] == ["abandoned"]


def test_an_instance_in_the_hands_of_the_policy_is_still_answered_at_the_end_of_the_drain() -> None:
    with accepting() as acceptor, RawPeer(acceptor.port) as peer:
        may_answer = threading.Event()
        acceptor.policy.before_answer = lambda: may_answer.wait(PATIENCE)
        peer.associate()
        peer.send(STORE + REST)
        assert until(lambda: bool(acceptor.policy.stored) and acceptor.policy.stored[0].state == "finished")
        acceptor.server.stop()
        drained = threading.Thread(target=acceptor.server.drain, args=(0.0,))
        drained.start()
        assert until(lambda: acceptor.server._abort.given)
        may_answer.set()
        assert peer.status() == 0
        assert peer.receive()[0] == ABORT_TYPE
        drained.join(PATIENCE)


def test_a_place_is_free_before_the_peer_can_come_back() -> None:
    """A policy of one place must never reject a peer that released and comes again at once."""

    class OnePlace(RecordingPolicy):
        taken = 0
        worst = 0

        def admit(self, peer, verification_only):  # type: ignore[no-untyped-def]
            self.taken += 1
            self.worst = max(self.worst, self.taken)
            return super().admit(peer, verification_only)

        def ended(self, peer, how):  # type: ignore[no-untyped-def]
            self.taken -= 1
            super().ended(peer, how)

    policy = OnePlace()
    with accepting(policy) as acceptor:
        for _ in range(50):
            with RawPeer(acceptor.port) as peer:
                peer.associate()
                peer.send(RELEASE_RQ)
                peer.receive()
    assert policy.worst == 1


def test_two_servers_share_a_listener_and_the_end_of_one_is_not_the_end_of_the_other() -> None:
    with listen() as listener:
        port = listener.getsockname()[1]
        policies = [RecordingPolicy(), RecordingPolicy()]
        copy = listener.dup()
        servers = [AssociationServer(listener, policies[0]), AssociationServer(copy, policies[1])]
        threads = [threading.Thread(target=server.serve) for server in servers]
        for thread in threads:
            thread.start()
        servers[1].stop()
        threads[1].join(PATIENCE)
        copy.close()
        for _ in range(10):
            with RawPeer(port) as peer:
                assert peer.associate()[0] == ACCEPT_TYPE
        servers[0].stop()
        threads[0].join(PATIENCE)
        servers[0].drain(PATIENCE)
        assert len(policies[0].admitted) == 10


MEMORY_PROGRAM = """
import resource, socket, sys
from node.dicomnet import AssociationServer
from tests.dicomnet.peers import RecordingPolicy
listener = socket.create_server(("127.0.0.1", 0))
policy = RecordingPolicy()
policy.keep = False
server = AssociationServer(listener, policy)
ended = policy.ended
policy.ended = lambda peer, how: (ended(peer, how), server.stop())
print(listener.getsockname()[1], resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, flush=True)
server.serve()
server.drain(5)
print(policy.ends, sum(policy.stored[0].fragments), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, flush=True)
"""


def test_50_megabytes_are_received_in_flat_memory() -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", MEMORY_PROGRAM],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    try:
        assert process.stdout is not None
        port, before = map(int, process.stdout.readline().split())
        size = 50 << 20
        piece = bytes(100_000)
        with RawPeer(port) as peer:
            peer.associate()
            peer.send(STORE)
            for offset in range(0, size, len(piece)):
                part = piece[: size - offset]
                peer.send(p_data(pdv(part, command=False, last=offset + len(part) == size)))
            assert peer.status() == 0
            peer.send(RELEASE_RQ)
            peer.receive()
        ends, total, after = process.stdout.readline().rsplit(" ", 2)
        assert (ends, int(total)) == ("['released']", size)
        assert int(after) - before < 8 << 10, "KiB more than at the start"
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait(PATIENCE)


def wakings(threads: set[threading.Thread]) -> int:
    """How often threads of this process have gone to sleep by themselves."""
    status = [Path(f"/proc/self/task/{one.native_id}/status").read_text() for one in threads]
    return sum(int(text.partition("\nvoluntary_ctxt_switches:")[2].split()[0]) for text in status)


def test_a_waiting_association_is_not_woken() -> None:
    of_others = set(threading.enumerate())
    with accepting() as acceptor, RawPeer(acceptor.port) as peer:
        peer.associate()
        own = set(threading.enumerate()) - of_others
        assert "association" in {one.name for one in own}
        before = wakings(own)
        time.sleep(0.5)
        assert wakings(own) - before < 100, "polling each millisecond gives 500"
