"""What people were told of, by channel, and how telling them goes: so that a restart neither forgets nor repeats.

Guarantees that what a message tells is written down in one durable commit, after it was taken: what dies in between is
told once more, never forgotten. Nothing of a data set is kept here.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from sqlalchemy import bindparam, delete, select
from sqlalchemy.dialects.sqlite import insert as upsert

from node.ledger.database import Database
from node.ledger.meters import NOT_NOTIFIED, NOTIFIED, Meter, add
from node.ledger.schema import meta
from node.ledger.schema_upkeep import notices
from node.ledger.transactions import Transaction

_SENT, _TROUBLE = "notify_sent_", "notify_trouble_"
HOUR = 3600.0

Key = tuple[str, str]
"""A kind of thing to look at, and what it is about (a destination, a route; empty where there is only one)."""


class Notice(NamedTuple):
    """Since when something is so, as it was told, and when that was (seconds, UTC)."""

    since: float
    told_at: float


@dataclass(frozen=True, slots=True)
class Told:
    """What a channel has told and not yet told the end of; when its messages of the last hour went."""

    notices: Mapping[Key, Notice]
    sent: Sequence[float]


class Trouble(NamedTuple):
    """A channel that cannot tell: since when (seconds, UTC), and why."""

    channel: str
    since: float
    error: str


def told(database: Database, channel: str, now: float) -> Told:
    """Return what a channel has told."""
    with database.read() as connection:
        rows = connection.execute(_OF_CHANNEL, {"the_channel": channel})
        known = {(row.kind, row.about): Notice(row.since, row.told_at) for row in rows}
        return Told(known, _sent(connection, channel, now))


def note_told(database: Database, channel: str, now: float, lasting: Mapping[Key, float], over: Iterable[Key]) -> None:
    """Note that a message was taken: what it told to be so, since when, and what to be over."""
    ended = [{"the_channel": channel, "the_kind": kind, "the_about": about} for kind, about in over]
    rows = [
        {"channel": channel, "kind": kind, "about": about, "since": since, "told_at": now}
        for (kind, about), since in lasting.items()
    ]
    with database.write(durable=True) as connection:
        if ended:
            connection.execute(_ENDED, ended)
        if rows:
            connection.execute(_SO, rows)
        _put(connection, f"{_SENT}{channel}", json.dumps([*_sent(connection, channel, now), now]))
        connection.execute(_FORGET, {"the_key": f"{_TROUBLE}{channel}"})
        add(connection, {(NOTIFIED, channel, 0): Meter(1, 0.0, now)})


def note_trouble(database: Database, channel: str, error: str) -> None:
    """Note that a message was not taken, and why: once it is, that is forgotten."""
    with database.write(durable=False) as connection:
        before = connection.execute(_VALUE, {"the_key": f"{_TROUBLE}{channel}"}).scalar()
        since = json.loads(before)["since"] if before else time.time()
        _put(connection, f"{_TROUBLE}{channel}", json.dumps({"since": since, "error": error}))
        add(connection, {(NOT_NOTIFIED, channel, 0): Meter(1)})


def troubles(connection: Transaction) -> list[Trouble]:
    """Return which channels cannot tell."""
    rows = connection.execute(_TROUBLES).all()
    return [Trouble(row.key.removeprefix(_TROUBLE), **json.loads(row.value)) for row in rows]


def since(database: Database, key: str) -> float:
    """Return when somebody began to watch for something, by a name of it; from the first question on."""
    name = f"notify_since_{key}"
    known = database.get(name)
    if known is not None:
        return float(known)
    now = time.time()
    with database.write(durable=True) as connection:
        _put(connection, name, repr(now))
    return now


def _sent(connection: Transaction, channel: str, now: float) -> list[float]:
    text = connection.execute(_VALUE, {"the_key": f"{_SENT}{channel}"}).scalar()
    return [at for at in json.loads(text or "[]") if now - HOUR < at <= now]


def _put(connection: Transaction, key: str, value: str) -> None:
    connection.execute(_SET, {"key": key, "value": value})


_OF_CHANNEL = select(notices).where(notices.c.channel == bindparam("the_channel"))
_ENDED = delete(notices).where(
    notices.c.channel == bindparam("the_channel"),
    notices.c.kind == bindparam("the_kind"),
    notices.c.about == bindparam("the_about"),
)
_NEW_NOTICE = upsert(notices)
_SO = _NEW_NOTICE.on_conflict_do_update(
    index_elements=list(notices.primary_key),
    set_={"since": _NEW_NOTICE.excluded.since, "told_at": _NEW_NOTICE.excluded.told_at},
)
_VALUE = select(meta.c.value).where(meta.c.key == bindparam("the_key"))
_TROUBLES = select(meta).where(meta.c.key.startswith(_TROUBLE, autoescape=True)).order_by(meta.c.key)
_NEW = upsert(meta)
_SET = _NEW.on_conflict_do_update(index_elements=[meta.c.key], set_={"value": _NEW.excluded.value})
_FORGET = delete(meta).where(meta.c.key == bindparam("the_key"))
