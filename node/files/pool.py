"""Several processes for work that comes as a stream.

Guarantees that each item is worked on once, by one process, that at most one item waits in each, and that a process
that dies takes nothing but the item in its hand with it: that item is given back without a result. All processes end
with the one that made them.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable, Generator, Iterable, Iterator
from multiprocessing import Pipe
from multiprocessing.connection import Connection, wait
from typing import Generic, NoReturn, TypeVar

from node.errors import NodeError, NoRoom

Item = TypeVar("Item")
Result = TypeVar("Result")


class Pool(Generic[Item, Result]):
    """Up to `count` processes that do `work`; with one, it is done here. `work` may raise NodeError."""

    def __init__(self, work: Callable[[Item], Result], count: int) -> None:
        self._work = work
        self._count = count
        self._busy: dict[Connection, tuple[int, Item]] = {}
        self._idle: list[tuple[Connection, int]] = []

    def map(self, items: Iterable[Item]) -> Generator[tuple[Item, Result | None], None, None]:
        """Give each item with its result, in the order in which they are done; None where its process died.

        Raises the NodeError that `work` raised, and then ends all work.
        """
        if self._count == 1:
            yield from ((item, self._work(item)) for item in items)
            return
        try:
            for item in items:
                if len(self._busy) == self._count:
                    yield from self._done()
                self._hand(item)
            while self._busy:
                yield from self._done()
        finally:
            self._end()

    def _hand(self, item: Item) -> None:
        while True:
            connection, pid = self._idle.pop() if self._idle else self._fork()
            try:
                connection.send(item)
            except (BrokenPipeError, ConnectionResetError):
                # It died while it had nothing to do.
                connection.close()
                os.waitpid(pid, 0)
                continue
            self._busy[connection] = pid, item
            return

    def _done(self) -> Iterator[tuple[Item, Result | None]]:
        for connection in wait(list(self._busy)):
            assert isinstance(connection, Connection)
            pid, item = self._busy.pop(connection)
            try:
                result = connection.recv()
            except (EOFError, ConnectionResetError):
                connection.close()
                os.waitpid(pid, 0)
                yield item, None
                continue
            self._idle.append((connection, pid))
            if isinstance(result, NodeError):
                raise result
            yield item, result

    def _fork(self) -> tuple[Connection, int]:
        ours, theirs = Pipe()
        pid = os.fork()
        if pid == 0:
            # A copy of another's end would keep that one waiting when all is over.
            for connection in (ours, *self._busy, *(idle for idle, _ in self._idle)):
                connection.close()
            _serve(theirs, self._work)
        theirs.close()
        return ours, pid

    def _end(self) -> None:
        for connection, pid in [*self._idle, *((busy, pid) for busy, (pid, _) in self._busy.items())]:
            connection.close()
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        self._idle.clear()
        self._busy.clear()


def _serve(connection: Connection, work: Callable[[Item], Result]) -> NoReturn:
    """Work until the connection ends: the process boundary."""
    try:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        while True:
            item = connection.recv()
            try:
                connection.send(work(item))
            except NoRoom as error:
                connection.send(NoRoom(str(error)))
    finally:
        os._exit(0)
