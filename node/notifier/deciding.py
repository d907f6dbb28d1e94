"""What of all that there is to tell is told now, by one channel: pure.

What is new is told at once; what lasts, again after a while, and sooner where something was added to it; what is not so
any more is told to be over, once, where it had been told. Where as many messages went in the last hour as may go, all
of it waits for the next one, which then tells what is so at that time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from node.ledger.notices import Key, Notice, Told
from node.notifier.matters import Matter


@dataclass(frozen=True, slots=True)
class News:
    """What one message tells: what began, what lasts, and what is over with since when it was so (seconds, UTC)."""

    began: tuple[Matter, ...] = ()
    lasts: tuple[Matter, ...] = ()
    over: Mapping[Key, Notice] | None = None

    def __bool__(self) -> bool:
        return bool(self.began or self.lasts or self.over)


def news(found: Sequence[Matter], told: Told, now: float, again: float, at_most: int) -> News:
    """Return what to tell now: out of all that was found, and what the channel has told.

    `again` is after how many seconds what lasts is told again, `at_most` how many messages may go in an hour.
    """
    if len(told.sent) >= at_most:
        return News()
    known = told.notices
    sure = [matter for matter in found if not matter.unsure]
    keys = {matter.key for matter in found}
    return News(
        tuple(matter for matter in sure if matter.key not in known),
        tuple(
            matter
            for matter in sure
            if matter.key in known and _is_told_again(matter, known[matter.key].told_at, now, again)
        ),
        {key: notice for key, notice in known.items() if key not in keys},
    )


def _is_told_again(matter: Matter, told_at: float, now: float, again: float) -> bool:
    if now - told_at >= again or told_at > now:  # or it was told by a clock that was set back since
        return True
    return matter.every is not None and matter.changed > told_at and now - told_at >= matter.every
