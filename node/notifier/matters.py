"""What there is to tell now: found in the ledger and on the disk whenever it is asked for.

Guarantees that no text holds more than counts, reasons, times, and names of the configuration: no value of a data set,
no address, no AE title that the configuration does not have. Raises LedgerError where the ledger cannot be asked.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from sqlalchemy import func, select

from node.config import Config
from node.config.notify import DAY, DAYS, WHOLE_DAY, Quiet
from node.ledger.alerts import NOTIFY_FAILING, SOURCES, Alert
from node.ledger.database import Database
from node.ledger.meters import RECEIVED, last
from node.ledger.notices import Key, since, troubles
from node.ledger.reception import CONTEXT
from node.ledger.schema import deliveries, destinations, instances, refusals
from node.refused import name_of_class, named_sender

_MOST_REASONS = 5


@dataclass(frozen=True, slots=True)
class Matter:
    """One thing to look at: what kind, about what, since when (seconds, UTC), in words, how many.

    `changed` is when something was added to it last, and then it is told again after `every` seconds. One that is
    `unsure` is neither told nor over: nothing can be said of it now.
    """

    kind: str
    about: str
    since: float
    text: str
    n: int = 0
    changed: float = 0.0
    every: float | None = None
    unsure: bool = False

    @property
    def key(self) -> Key:
        """By which it is known again."""
        return self.kind, self.about


Source = Callable[[Database, Config, float], Iterator[Matter]]


def matters(database: Database, config: Config, now: float) -> list[Matter]:
    """Return everything that there is to tell at `now` (seconds, UTC), longest first."""
    found: dict[Key, Matter] = {}
    for source in (_alerts, _failing, _held, _down, _refused, _quiet):
        found |= {matter.key: matter for matter in source(database, config, now)}
    return sorted(found.values(), key=lambda matter: matter.since)


def _alerts(database: Database, config: Config, now: float) -> Iterator[Matter]:
    """Those that `status` shows, but for what `_failing` tells; several of one kind are told as one."""
    wanted = config.notify.on
    by_kind: dict[str, list[Alert]] = {}
    for source in SOURCES:
        for alert in source(database, config, now):
            told = wanted.disk if alert.kind.startswith("disk-") else wanted.alerts
            if told and alert.kind != NOTIFY_FAILING:
                by_kind.setdefault(alert.kind, []).append(alert)
    for kind, found in by_kind.items():
        text = "; ".join(dict.fromkeys(alert.text for alert in found))
        yield Matter(kind, "", min(alert.since for alert in found), text, sum(alert.instances for alert in found))


def _failing(database: Database, config: Config, _now: float) -> Iterator[Matter]:
    """Channels that cannot tell; by another one that can."""
    if config.notify.on.alerts:
        with database.read() as connection:
            found = troubles(connection)
        for one in found:
            yield Matter(NOTIFY_FAILING, one.channel, one.since, f"{one.error}: deid-node notify --test")


def _held(database: Database, config: Config, _now: float) -> Iterator[Matter]:
    every = config.notify.on.held
    if every is None:
        return
    reasons, first, newest = Counter[str](), [], []
    with database.read() as connection:
        for table in (instances, deliveries):
            query = select(table.c.reason, func.count(), func.min(table.c.changed_at), func.max(table.c.changed_at))
            for reason, n, begun, ended in connection.execute(
                query.where(table.c.state == "held").group_by(table.c.reason)
            ):
                reasons[reason] += n
                first.append(begun)
                newest.append(ended)
    if reasons:
        total = reasons.total()
        most = [f"{n} {reason}" for reason, n in reasons.most_common(_MOST_REASONS)]
        others = "" if len(reasons) <= _MOST_REASONS else f" and {len(reasons) - _MOST_REASONS} reasons more"
        text = f"{total} held ({', '.join(most)}{others}): deid-node held list"
        yield Matter("held", "", min(first), text, total, max(newest), every)


def _down(database: Database, config: Config, now: float) -> Iterator[Matter]:
    after = config.notify.on.destination_down
    if after is None:
        return
    with database.read() as connection:
        rows = connection.execute(_FAILING).all()
    for row in rows:
        if row.name in config.destinations and now - row.failing_since >= after:
            text = f"cannot be reached, {row.failures} tries: deid-node status says why; what is for it waits"
            yield Matter("destination-down", row.name, row.failing_since, text)


def _refused(database: Database, config: Config, now: float) -> Iterator[Matter]:
    """Presentation contexts of the last day; a sender that the configuration does not name is `another sender`."""
    every = config.notify.on.refused_contexts
    if every is None:
        return
    with database.read() as connection:
        rows = connection.execute(_CONTEXTS.where(refusals.c.last_at > now - max(DAY, every))).all()
    senders: dict[str, list[tuple[float, float, str, int]]] = {}
    for row in rows:
        sender = named_sender(config, row.calling_ae_title) or "another sender"
        begun = row.last_at if row.first_at is None else row.first_at
        senders.setdefault(sender, []).append((begun, row.last_at, name_of_class(row.uid, private_uids=False), row.n))
    for sender, found in senders.items():
        times = Counter[str]()
        for _, _, name, n in found:
            times[name] += n
        names = ", ".join(f"{name} ({n} times)" for name, n in times.most_common(_MOST_REASONS))
        text = f"presentation contexts refused to it: {names}: deid-node refused"
        newest = max(at for _, at, _, _ in found)
        yield Matter("refused-contexts", sender, min(at for at, *_ in found), text, times.total(), newest, every)


def _quiet(database: Database, config: Config, now: float) -> Iterator[Matter]:
    watched = config.notify.on.nothing_received
    if not watched:
        return
    with database.read() as connection:
        came = last(connection, RECEIVED)
    for quiet in watched:
        matter = silence(quiet, came.get(quiet.route), since(database, f"quiet_{quiet.route}"), now)
        if matter is not None:
            yield matter


def silence(quiet: Quiet, came: float | None, watched_since: float, now: float) -> Matter | None:
    """Say whether a route is silent for too long; None where it is not. Times in seconds, UTC.

    Only what lies in the part of the day counts, so that a night is no silence. Outside of it, and until so much of it
    has passed, a silence that was told goes on: it is over when something has come.
    """
    last_word = max(came or 0.0, watched_since)
    if now - last_word < quiet.after:
        return None
    begun = _window_begun(quiet, now)
    sure = begun is not None and now - max(last_word, begun) >= quiet.after
    text = f"nothing received for more than {quiet.after / 3600:g} h: look at the sender and at the network"
    return Matter("nothing-received", quiet.route, last_word, text, unsure=not sure)


def _window_begun(quiet: Quiet, now: float) -> float | None:
    """When the part of the day began that `now` lies in, in seconds, UTC; None where it lies in none."""
    here = time.localtime(now)
    minute, (begin, end) = here.tm_hour * 60 + here.tm_min, quiet.between
    midnight = now - minute * 60 - here.tm_sec
    day = here.tm_wday
    if begin < end:
        inside = begin <= minute < end
    else:
        inside = minute >= begin or minute < end
        if minute < end:
            midnight, day = midnight - DAY, (day - 1) % 7
    if not inside or DAYS[day] not in quiet.days:
        return None
    before = 0
    if (begin, end) == WHOLE_DAY:  # then one day goes on where the one before ended
        while before < len(DAYS) and DAYS[(day - before - 1) % 7] in quiet.days:
            before += 1
    return midnight + begin * 60 - before * DAY


_FAILING = select(destinations).where(
    destinations.c.failures > 0, destinations.c.paused == 0, destinations.c.failing_since.is_not(None)
)
_CONTEXTS = select(refusals).where(refusals.c.kind == CONTEXT, refusals.c.n > 0)
