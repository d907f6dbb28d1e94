"""Work that threads share: whoever gets the turn does it for all that wait.

Guarantees
    `join` returns after a run of the work that began after it was called and took its item in; it raises what that run
    failed with, for everybody whose item was in it. A thread that is alone neither waits nor is woken.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from node.errors import NodeError

Item = TypeVar("Item")


class _Waiting(Generic[Item]):
    __slots__ = ("done", "error", "item")

    def __init__(self, item: Item) -> None:
        self.item = item
        self.done = False
        self.error: NodeError | None = None


class Group(Generic[Item]):
    """Runs `work` on the items of all threads that wait for it.

    Parameters
    ----------
    work
        Does it for all items, or raises a NodeError that is made of one text.
    interrupted
        Makes the error of those whose run ended with anything else.
    """

    def __init__(self, work: Callable[[Sequence[Item]], None], interrupted: Callable[[], NodeError]) -> None:
        self._work = work
        self._interrupted = interrupted
        self._waiting: list[_Waiting[Item]] = []
        self._guard = threading.Lock()
        self._turn = threading.Lock()

    def waiting(self) -> int:
        """Return how many wait for a run that has not begun."""
        return len(self._waiting)

    def join(self, item: Item) -> None:
        """Return when the work is done for `item`; raises what it failed with."""
        mine = _Waiting(item)
        with self._guard:
            self._waiting.append(mine)
        with self._turn:
            if not mine.done:
                with self._guard:
                    batch, self._waiting = self._waiting, []
                self._run(batch)
        if mine.error is not None:
            # One of its own for each thread: an exception carries the places that it passed.
            raise type(mine.error)(*mine.error.args)

    def _run(self, batch: list[_Waiting[Item]]) -> None:
        error: NodeError | None = None
        try:
            self._work([waiting.item for waiting in batch])
        except NodeError as caught:
            error = caught
        except BaseException:
            error = self._interrupted()
            raise
        finally:
            for waiting in batch:
                waiting.done, waiting.error = True, error
