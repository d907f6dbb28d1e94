"""The audit trail: the chain of messages in the ledger, and what the ledger's own events say of transfers.

Guarantees
    A message is written in the transaction of what it tells, or in one of its own, durable before the call returns: so
    no crash loses it or writes it twice. Transfers are taken from the ledger's events behind a cursor that moves with
    the chain, every instance once, summed up by sender or destination and study; nothing is written on the way of an
    instance. Where the end of the chain is not as the node left it, that is written down, and `verify` keeps naming it.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice
from typing import Any, NamedTuple

from sqlalchemy import bindparam, delete, func, insert, select, update
from sqlalchemy.dialects.sqlite import insert as upsert

from node.audit import kinds
from node.audit.actor import Actor
from node.audit.chain import Entry, Head, head_of, next_entry, verify
from node.audit.kinds import Peer, Study
from node.audit.messages import Message, Source, render
from node.config import Config
from node.errors import NodeError, StartError
from node.identity import audit_key, load_secret
from node.ledger.database import Database
from node.ledger.schema import audit, events, instances, meta, refusals
from node.ledger.transactions import Transaction

_HEAD, _EVENTS, _SENT, _RUNNING, _TROUBLE = (
    f"audit_{name}" for name in ("head", "events", "sent", "running", "syslog_error")
)
_EVENTS_AT_ONCE = 50_000
_LONGEST_WAIT = 60.0  # for the cleaner, which knows an instance's study


@dataclass(frozen=True, slots=True)
class Backlog:
    """How many entries the chain has, how many of them the syslog receiver has yet to get, and what went wrong last."""

    entries: int
    waiting: int
    error: str | None


@dataclass
class Trail:
    """Writes to the audit trail of a ledger; `by` is who acts. Made by `open_trail`.

    Whatever writes or verifies raises NodeError where `load` does: the key, and only that, is read at the first need.
    """

    load: Callable[[], bytes] = field(repr=False)
    source: Source
    by: Actor

    @cached_property
    def key(self) -> bytes:
        """The key of the chain."""
        return self.load()

    def append(self, connection: Transaction, message: Message, at: float | None = None) -> None:
        """Add a message in the caller's transaction, which has to be durable; `at` in seconds, UTC, by default now."""
        head = head_of(_get(connection, _HEAD))
        last = connection.execute(_LAST).scalar() or 0
        if last != head.seq or not head.is_sealed(self.key):
            # A number is left out, so that nothing makes the break look whole.
            head = self._write(connection, Head(max(last, head.seq) + 1), kinds.chain_broken(self.source), time.time())
        _put(connection, _HEAD, self._write(connection, head, message, time.time() if at is None else at).text())

    def _write(self, connection: Transaction, head: Head, message: Message, at: float) -> Head:
        entry, after = next_entry(self.key, head, at, render(message, self.source, at))
        connection.execute(_INSERT, [entry._asdict()])
        return after

    def record(self, database: Database, *messages: Message) -> None:
        """Write messages in a transaction of their own."""
        with database.write(durable=True) as connection:
            for message in messages:
                self.append(connection, message)

    def begin(self, database: Database, *messages: Message) -> None:
        """Write that the node starts, and before that, where it is so, that it did not end in order."""
        with database.write(durable=True) as connection:
            if _get(connection, _RUNNING) is not None:
                self.append(connection, kinds.stopped(self.source, None, clean=False))
            _put(connection, _RUNNING, "1")
            for message in (kinds.started(self.source, self.by), *messages):
                self.append(connection, message)

    def end(self, database: Database) -> None:
        """Write that the node ends in order."""
        with database.write(durable=True) as connection:
            self.append(connection, kinds.stopped(self.source, self.by))
            connection.execute(_FORGET, {"the_key": _RUNNING})

    def collect(
        self, database: Database, config: Config, *, everything: bool = False, refusals_too: bool = True
    ) -> bool:
        """Write what was transferred since the last time, and what was refused; say whether there is more to do.

        Instances wait up to a minute for their cleaning, by which their study is known, unless `everything` is wanted.
        """
        with database.read() as connection:
            since = int(_get(connection, _EVENTS) or 0)
            upto = _upto(connection, since, everything)
            newest = connection.execute(_NEWEST_EVENT).scalar() or 0
            found = [*_received(connection, since, upto), *_sent(connection, since, upto)] if upto > since else []
            refused = refusals_too and connection.execute(_REFUSED).first() is not None
        if upto <= since <= newest and not refused:
            return False
        messages = [(self._message(one, config), one.at) for one in found]
        with database.write(durable=True) as connection:
            # Another process may have done the same meanwhile. Numbers begin anew where all events were removed.
            moved = {"the_key": _EVENTS, "was": str(since), "value": str(upto if since <= newest else newest)}
            if connection.execute(_MOVE, moved).rowcount:
                for message, at in messages:
                    self.append(connection, message, at)
            if refusals_too:
                self._refused(connection)
        return since + _EVENTS_AT_ONCE <= newest

    def _message(self, one: _Transfer, config: Config) -> Message:
        if one.destination is None:
            return kinds.received(self.source, one.peer, one.study, one.called)
        destination = config.destinations.get(one.destination)
        if destination is None:
            peer, calling, encrypted = Peer("", ""), config.node.ae_title, False
        else:
            peer = Peer(destination.ae_title, destination.address.host)
            calling, encrypted = destination.calling_ae, destination.tls is not None
        return kinds.sent(self.source, one.destination, peer, one.study, calling=calling, encrypted=encrypted)

    def _refused(self, connection: Transaction) -> None:
        rows = connection.execute(_REFUSED).all()
        if not rows:
            return
        found = [
            kinds.Refused(row.kind, Peer(row.calling_ae_title, row.address), row.called_ae_title, row.new)
            for row in rows
        ]
        self.append(connection, kinds.refused(self.source, found))
        connection.execute(_TOLD)


def open_trail(config: Config, by: Actor) -> Trail:
    """Return what writes to the audit trail of a configuration's ledger, in the name of `by`."""

    def load() -> bytes:
        try:
            return audit_key(load_secret(config.node.secret_file))
        except StartError as error:
            # Nothing is started here: it is wrong, no more.
            raise NodeError(str(error)) from None

    named = Source(config.audit.source or config.node.ae_title, config.audit.site or "", config.node.ae_title)
    return Trail(load, named, by)


def problems(database: Database, key: bytes) -> list[str]:
    """Return what was done to the chain since the node wrote it; nothing where it is whole."""
    with database.read() as connection:
        head = head_of(_get(connection, _HEAD))
        return list(verify(key, _entries(connection), head))


def chain_head(database: Database) -> Head:
    """Return where the chain ends."""
    with database.read() as connection:
        return head_of(_get(connection, _HEAD))


def has(database: Database, seq: int, mac: bytes) -> bool:
    """Whether the chain has an entry of this number and hash."""
    with database.read() as connection:
        return any(entry.mac == mac for entry in islice(_entries(connection, seq - 1), 1) if entry.seq == seq)


def entries(database: Database, *, since: float = 0.0, newest: int = 1000) -> list[Entry]:
    """Return the newest entries, oldest first, of those that tell what happened from `since` on (seconds, UTC)."""
    with database.read() as connection:
        return list(deque((entry for entry in _entries(connection) if entry.at >= since), newest))


def next_to_send(database: Database, limit: int) -> list[Entry]:
    """Return the entries that the syslog receiver is to get next."""
    with database.read() as connection:
        after = int(_get(connection, _SENT) or 0)
        return list(islice(_entries(connection, after), limit))


def note_sent(database: Database, seq: int) -> None:
    """Note that the receiver has all up to this entry; a lost commit sends some again."""
    with database.write(durable=False) as connection:
        _put(connection, _SENT, str(seq))
        connection.execute(_FORGET, {"the_key": _TROUBLE})


def note_trouble(database: Database, error: str) -> None:
    """Note why the receiver cannot be reached."""
    with database.write(durable=False) as connection:
        _put(connection, _TROUBLE, error)


def backlog(database: Database) -> Backlog:
    """Return how far the chain is, and its syslog receiver."""
    with database.read() as connection:
        count = connection.execute(_LAST).scalar() or 0
        sent = int(_get(connection, _SENT) or 0)
        return Backlog(count, max(0, count - sent), _get(connection, _TROUBLE))


# -- what the events say ---------------------------------------------------------------------------------------------


class _Transfer(NamedTuple):
    at: float
    peer: Peer
    called: str
    destination: str | None
    study: Study


def _upto(connection: Transaction, since: int, everything: bool) -> int:
    """The last event to be looked at now."""
    last = min(connection.execute(_NEWEST_EVENT).scalar() or 0, since + _EVENTS_AT_ONCE)
    waiting = None if everything else connection.execute(_OLDEST_WAITING).first()
    if waiting is None or not 0 <= time.time() - waiting.changed_at < _LONGEST_WAIT:
        return last
    first = connection.execute(_FIRST_EVENT, {"the_instance": waiting.seq}).scalar() or 0
    return min(last, first - 1) if first > since else last


def _received(connection: Transaction, since: int, upto: int) -> Iterator[_Transfer]:
    rows = connection.driver.execute(_RECEIVED, (since, upto)).fetchall()
    for (calling, called, address, route, project, study, pseudonym), (at, classes) in _by_study(rows).items():
        of_study = Study(study or "", pseudonym or "", classes, route, project)
        yield _Transfer(at, Peer(calling, address), called, None, of_study)


def _sent(connection: Transaction, since: int, upto: int) -> Iterator[_Transfer]:
    rows = connection.driver.execute(_SENT_TO, (since, upto)).fetchall()
    for (destination, route, project, study, pseudonym), (at, classes) in _by_study(rows).items():
        of_study = Study(study or "", pseudonym or "", classes, route, project)
        yield _Transfer(at, Peer("", ""), "", destination, of_study)


def _by_study(rows: Iterable[tuple[Any, ...]]) -> Mapping[tuple[Any, ...], tuple[float, dict[str, int]]]:
    """Join rows that differ in their SOP class only: each is (key …, SOP class, time, count)."""
    found: dict[tuple[Any, ...], tuple[float, dict[str, int]]] = {}
    for *key, sop_class, at, count in rows:
        before, classes = found.get(tuple(key), (0.0, {}))
        found[tuple(key)] = max(before, at), classes | {sop_class: count}
    return found


# An instance is received by its first event; later ones of the kind say that it is cleaned again. Adopted files have
# none of a sender's.
_RECEIVED = """
    SELECT i.calling_ae_title, i.called_ae_title, i.address, i.route, i.project, i.study, s.pseudonym,
        i.sop_class_uid, max(e.at), count(*)
    FROM events e JOIN instances i ON i.seq = e.instance
        LEFT JOIN study_map s ON s.project = i.project AND s.study = i.study
    WHERE e.seq > ?1 AND e.seq <= ?2 AND e.event = 'received'
        AND NOT EXISTS (SELECT 1 FROM events f WHERE f.instance = e.instance AND f.seq < e.seq)
    GROUP BY 1, 2, 3, 4, 5, 6, 7, 8
"""
# The detail is the destination's name, then the status of its answer; without one nothing was sent, but somebody said
# that it had been.
_SENT_TO = """
    SELECT substr(e.detail, 1, instr(e.detail, ' ') - 1), i.route, i.project, i.study, s.pseudonym,
        i.clean_sop_class_uid, max(e.at), count(*)
    FROM events e JOIN instances i ON i.seq = e.instance
        LEFT JOIN study_map s ON s.project = i.project AND s.study = i.study
    WHERE e.seq > ?1 AND e.seq <= ?2 AND e.event = 'delivered' AND e.detail LIKE '% (status %'
    GROUP BY 1, 2, 3, 4, 5, 6
"""
_NEWEST_EVENT = select(func.max(events.c.seq))
_OLDEST_WAITING = (
    select(instances.c.seq, instances.c.changed_at)
    .where(instances.c.state == "received")
    .order_by(instances.c.seq)
    .limit(1)
)
_FIRST_EVENT = select(func.min(events.c.seq)).where(events.c.instance == bindparam("the_instance"))
_REFUSED = (
    select(refusals, (refusals.c.n - func.coalesce(refusals.c.audited, 0)).label("new"))
    .where(refusals.c.n > func.coalesce(refusals.c.audited, 0))
    .order_by(refusals.c.last_at)
)
_TOLD = update(refusals).values(audited=refusals.c.n)


# -- the chain and what is kept with it ------------------------------------------------------------------------------


def _entries(connection: Transaction, after: int = 0) -> Iterator[Entry]:
    for row in connection.driver.execute(
        "SELECT seq, at, message, mac FROM audit WHERE seq > ?1 ORDER BY seq", [after]
    ):
        yield Entry(*row)


def _get(connection: Transaction, key: str) -> str | None:
    value: str | None = connection.execute(_VALUE, {"the_key": key}).scalar()
    return value


def _put(connection: Transaction, key: str, value: str) -> None:
    connection.execute(_SET, {"key": key, "value": value})


_INSERT = insert(audit)
_LAST = select(func.max(audit.c.seq))
_VALUE = select(meta.c.value).where(meta.c.key == bindparam("the_key"))
_NEW = upsert(meta)
_SET = _NEW.on_conflict_do_update(index_elements=[meta.c.key], set_={"value": _NEW.excluded.value})
_FORGET = delete(meta).where(meta.c.key == bindparam("the_key"))
_MOVE = update(meta).where(meta.c.key == bindparam("the_key"), meta.c.value == bindparam("was"))
