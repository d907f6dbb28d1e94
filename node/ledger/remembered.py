"""Numbers of rows that many instances share, as one process knows them.

Guarantees that a process remembers only what was committed: a number always means the row that it was read or written
for. An instance of something known costs a look into memory.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from node.ledger.transactions import Transaction

_MOST = 20_000
_Key = TypeVar("_Key", bound=Hashable)


@dataclass(slots=True)
class Remembered(Generic[_Key]):
    """Numbers by project and key; `write` returns that of a row, which it writes where the ledger has none.

    All are forgotten once there are more than `most`.
    """

    write: Callable[[Transaction, str, _Key], int]
    most: int = _MOST
    _known: dict[tuple[str, _Key], int] = field(default_factory=dict)
    _fresh: dict[tuple[str, _Key], int] = field(default_factory=dict)

    def number(self, connection: Transaction, project: str, key: _Key) -> int:
        """Return the number of a project's row, which is new where the ledger has none."""
        place = project, key
        found = self._known.get(place) or self._fresh.get(place)
        if found is None:
            found = self._fresh[place] = self.write(connection, project, key)
        return found

    @contextlib.contextmanager
    def committed(self) -> Iterator[None]:
        """Around a transaction: what was new in it is remembered where it was committed."""
        self._fresh.clear()
        yield
        if len(self._known) > self.most:
            self._known.clear()
        self._known |= self._fresh
