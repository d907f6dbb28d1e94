"""Those who send: each counts what it was answered, and nothing else."""

from __future__ import annotations

import contextlib
import os
import random
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.dicomnet.peers import ABORT
from tests.road.support import SUCCESS, RawSender, associated
from tests.soak.stock import BROKEN, CUT_OFF, MISMATCH, NOBODY, PLAIN, UNWANTED, Item, Stock

ROUTES = ("ALPHA", "BETA")
_KINDS = {PLAIN: 80, NOBODY: 4, UNWANTED: 5, BROKEN: 4, MISMATCH: 2, CUT_OFF: 5}
_REPEATS = 0.15
_SLOW = 0.08
_LOST = (OSError, AssertionError, RuntimeError, ValueError)  # how peers say that the node has gone


@dataclass
class Count:
    """What all senders know: how often each instance was acknowledged, which others were sent, and how."""

    acknowledged: Counter[Item] = field(default_factory=Counter)
    sent: dict[Item, bool] = field(default_factory=dict)  # whether only byte for byte
    refused: int = 0
    lost: int = 0
    _numbers: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def next_number(self) -> int:
        """A number that no instance has."""
        with self._lock:
            self._numbers += 1
            return self._numbers

    def begin(self, item: Item, *, verbatim: bool) -> None:
        """Note that an instance is about to be sent."""
        with self._lock:
            self.sent[item] = self.sent.get(item, True) and verbatim

    def answered(self, item: Item, status: int | None) -> None:
        """Note the status that was read, or that there was none."""
        with self._lock:
            if status == SUCCESS:
                self.acknowledged[item] += 1
            elif status is None:
                self.lost += 1
            else:
                self.refused += 1


class Sender:
    """One sender in a thread of its own, as fast as `rate` instances a second at most."""

    def __init__(self, name: str, seed: str, count: Count, stock: Stock, port: int, folder: Path, rate: float) -> None:
        self._random = random.Random(seed)
        self._count = count
        self._stock = stock
        self._port = port
        self._folder = folder
        self._rate = rate
        self._mine: list[Item] = []
        self._send: Callable[[list[Item]], None] = getattr(self, f"_by_{name}")
        self._verbatim = name != "storescu"
        self._kinds = dict(_KINDS) if name == "raw" else {PLAIN: 80, NOBODY: 4, UNWANTED: 5}
        self.errors: list[BaseException] = []
        folder.mkdir()

    def run(self, stop: threading.Event) -> None:
        """Send until told to stop."""
        try:
            while not stop.is_set():
                items = [self._next() for _ in range(self._random.randint(1, 4))]
                # One association has one called AE title.
                items = [item for item in items if item.called == items[0].called]
                began = time.monotonic()
                for item in items:
                    self._count.begin(item, verbatim=self._verbatim)
                self._send(items)
                stop.wait(max(0.1, len(items) / self._rate * self._random.uniform(0.5, 1.5) - time.monotonic() + began))
        except BaseException as error:  # noqa: BLE001 -- the boundary of the thread: the soak fails with it
            self.errors.append(error)

    def _next(self) -> Item:
        if self._mine and self._verbatim and self._random.random() < _REPEATS:
            return self._random.choice(self._mine[-200:])
        kind = self._random.choices(list(self._kinds), list(self._kinds.values()))[0]
        item = Item(self._count.next_number(), kind, self._random.choice(ROUTES))
        if kind in {PLAIN, UNWANTED, NOBODY}:
            self._mine = [*self._mine[-200:], item]
        return item

    def _by_storescu(self, items: list[Item]) -> None:
        """DCMTK's storescu, that may write the data set anew; it tells each response in its turn."""
        with self._files(items) as paths, contextlib.suppress(subprocess.TimeoutExpired):
            done = subprocess.run(
                ["storescu", "-v", "-aec", items[0].called, "-to", "15", "-ta", "15", "-td", "15", "127.0.0.1",
                 str(self._port), *map(str, paths)],
                capture_output=True, text=True, errors="replace", timeout=120, check=False,
                env={**os.environ, "TCP_NODELAY": "1"},
            )  # fmt: skip
            said = done.stdout + done.stderr
            answers = [line for line in said.splitlines() if "Received Store Response" in line]
            for item, answer in zip(items, answers, strict=False):
                self._count.answered(item, SUCCESS if "(Success)" in answer else 0xA700)
            for item in items[len(answers) :]:
                self._count.answered(item, None)

    def _by_pynetdicom(self, items: list[Item]) -> None:
        """pynetdicom, byte for byte."""
        left = list(items)
        called = items[0].called
        with (
            self._files(items) as paths,
            contextlib.suppress(*_LOST),
            associated(self._port, *paths, called=called) as association,
        ):
            for item, path in zip(items, paths, strict=True):
                status = association.send_c_store(path).get("Status")
                left.remove(item)
                self._count.answered(item, status)
                if status is None:
                    break
        for item in left:
            self._count.answered(item, None)

    def _by_raw(self, items: list[Item]) -> None:
        """A bare socket: slow, broken, mismatching, or gone in the middle."""
        left = list(items)
        with contextlib.suppress(*_LOST), RawSender(self._port) as peer:
            if peer.open(called=items[0].called) != 2:
                raise ConnectionError
            for item in items:
                if item.kind == CUT_OFF:
                    self._cut_off(peer, item)
                    break
                status = self._slowly(peer, item) if self._random.random() < _SLOW else self._at_once(peer, item)
                left.remove(item)
                self._count.answered(item, status)
        for item in left:
            self._count.answered(item, None)

    def _at_once(self, peer: RawSender, item: Item) -> int:
        return int(peer.store(self._stock.data_set(item), item.uid))

    def _slowly(self, peer: RawSender, item: Item) -> int:
        data = self._stock.data_set(item)
        step = len(data) // 5 + 1
        peer.command(item.uid)
        for start in range(0, len(data), step):
            time.sleep(self._random.uniform(0.1, 0.6))
            peer.part(data[start : start + step], last=start + step >= len(data))
        return int(peer.status())

    def _cut_off(self, peer: RawSender, item: Item) -> None:
        data = self._stock.data_set(item)
        peer.command(item.uid)
        peer.part(data[: self._random.randrange(len(data))], last=False)
        if self._random.random() < 0.5:
            peer.send(ABORT)

    @contextlib.contextmanager
    def _files(self, items: list[Item]) -> Iterator[list[Path]]:
        paths = [self._folder / f"{place}.dcm" for place in range(len(items))]
        for item, path in zip(items, paths, strict=True):
            path.write_bytes(self._stock.file(item))
        yield paths
