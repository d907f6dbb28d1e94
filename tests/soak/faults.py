"""What goes wrong: processes are killed, the node too, the disk fills, a destination goes, people decide."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import socket
import threading
import time
from collections import Counter
from pathlib import Path

import psutil

from tests.support import RunningNode, StoreSCP, can_connect, wait_for

_KINDS = {"kill a process": 5, "kill the node": 2, "reload": 3, "sink up or down": 4, "fill the disk": 2, "people": 3}


class Faults:
    """Makes one fault after the other, `every` so many seconds, until told to stop."""

    def __init__(self, seed: str, node: RunningNode, sink: StoreSCP, disk: Path | None, every: float) -> None:
        self._random = random.Random(seed)
        self._node = node
        self._sink = sink
        self._disk = disk
        self._every = every
        self.made: Counter[str] = Counter()
        self.errors: list[BaseException] = []
        self._held: socket.socket | None = None

    def run(self, stop: threading.Event) -> None:
        """Make faults; in the end node and sink run, and the disk has room."""
        kinds = {kind: weight for kind, weight in _KINDS.items() if self._disk is not None or kind != "fill the disk"}
        try:
            while not stop.wait(self._every * self._random.uniform(0.4, 1.6)):
                kind = self._random.choices(list(kinds), list(kinds.values()))[0]
                getattr(self, "_" + kind.replace(" ", "_"))()
                self.made[kind] += 1
        except BaseException as error:  # noqa: BLE001 -- the boundary of the thread: the soak fails with it
            self.errors.append(error)
        finally:
            if self._sink.process is None:
                self._start_sink()

    def _kill_a_process(self) -> None:
        assert self._node.process is not None
        with contextlib.suppress(psutil.NoSuchProcess, ProcessLookupError):
            children = psutil.Process(self._node.process.pid).children()
            if children:
                os.kill(self._random.choice(sorted(child.pid for child in children)), signal.SIGKILL)

    def _kill_the_node(self) -> None:
        self._node.kill()
        time.sleep(self._random.uniform(0.0, 2.0))
        self._node.start()

    def _reload(self) -> None:
        assert self._node.process is not None
        for destination in self._node.config["destinations"].values():
            destination["linger"] = self._random.choice(["200ms", "500ms", "1s"])
        self._node.write_config()
        self._node.process.send_signal(signal.SIGHUP)

    def _sink_up_or_down(self) -> None:
        if self._sink.process is None:
            self._start_sink()
            return
        self._sink.stop()
        # Nobody answers there, and nobody else takes it meanwhile: the tests that run beside the soak look for free
        # ports too, and would be given what is meant for this sink.
        self._held = socket.socket()
        self._held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._held.bind(("127.0.0.1", self._sink.port))

    def _start_sink(self) -> None:
        if self._held is not None:
            self._held.close()
        self._sink.start()

    def _fill_the_disk(self) -> None:
        assert self._disk is not None
        ballast = self._disk / "ballast"
        try:
            with ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
                while True:
                    file.write(bytes(1 << 20))
            time.sleep(self._random.uniform(1.0, 3.0))
        finally:
            ballast.unlink(missing_ok=True)

    def _people(self) -> None:
        """Release or discard something that is held."""
        if not can_connect(self._node.port):
            return
        held = self._node.held()
        if held:
            name = self._random.choice(held)["id"]
            decision = ["release", name] if self._random.random() < 0.7 else ["discard", name, "--yes"]
            self._node.cli("held", *decision)

    def settle(self, seconds: float) -> None:
        """Start the node anew, in good order: what was left behind is tidied up."""
        self._node.stop(seconds)
        self._node.start()
        wait_for(lambda: f" listens on 127.0.0.1:{self._node.port}" in self._node.log(), "the node has started")
