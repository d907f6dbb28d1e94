"""Leases: a claim with an owner and an end, not a state.

A lease that has run out, and one that ends later than any lease could, does not count: so neither a worker that died
nor a clock that was set back keeps an instance from going on. The same holds for `due_at`.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Column, ColumnElement, Float, and_, bindparam, not_, or_

LEASE_SECONDS = 600.0
LONGEST_DELAY = 7 * 86400.0
_NOW: ColumnElement[Any] = bindparam("now", type_=Float)


def is_free(owner: Column[str], until: Column[float]) -> ColumnElement[bool]:
    """The condition that nobody but `the_owner` holds the row at `now`: who claims anew has let go of what it held.

    `now` may be a little older than another's claim, so the longest lease that counts is twice as long as any is made.
    """
    return or_(
        owner.is_(None), owner == bindparam("the_owner"), not_(and_(until >= _NOW, until <= _NOW + 2 * LEASE_SECONDS))
    )


def is_due(due_at: Column[float], longest: float = LONGEST_DELAY) -> ColumnElement[bool]:
    """The condition that the row may be taken at `now`; it never waits longer than `longest` seconds."""
    return or_(due_at <= _NOW, due_at > _NOW + longest)
