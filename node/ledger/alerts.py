"""What somebody has to look at, found out whenever it is asked for: nothing of it is stored.

An alert has a kind, a time since when it is so, and a sentence that says what to do. docs/failures.md names the kinds.
No text holds a value of a data set.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, select
from sqlalchemy import text as sql

from node.config import Config
from node.disk import Disk, look
from node.ledger.asked import troubles as unanswered
from node.ledger.canary import wrong
from node.ledger.closed import records
from node.ledger.completeness import DIFFERENT, UNCONFIRMED, count_states
from node.ledger.database import DAMAGED, Database
from node.ledger.halt import stopped
from node.ledger.last_backup import trouble
from node.ledger.notices import troubles
from node.ledger.recalls import under_way
from node.ledger.review import still_kept
from node.ledger.schema import deliveries, instances
from node.ledger.schema_upkeep import commissioned
from node.ledger.seen import older
from node.ledger.times import iso
from node.ledger.transactions import Transaction

NOTIFY_FAILING = "notify-failing"


@dataclass(frozen=True, slots=True)
class Alert:
    """One thing to look at; `since` in seconds, UTC; how many instances it is about, where it is about some."""

    kind: str
    since: float
    text: str
    instances: int = 0

    def told(self) -> dict[str, Any]:
        """As `status --json` prints it."""
        about = {"instances": self.instances} if self.instances else {}
        return {"kind": self.kind, **about, "since": iso(self.since), "text": self.text}


Source = Callable[[Database, Config, float], Iterator[Alert]]


def disk_of(config: Config) -> Disk | None:
    """The state of the spool's disk; None where there is no spool that can be seen from here."""
    try:
        return look(config)
    except OSError:
        return None


def alerts(database: Database, config: Config) -> list[dict[str, Any]]:
    """Everything that somebody has to look at now, oldest first. Raises LedgerError."""
    now = time.time()
    found = [alert for source in SOURCES for alert in source(database, config, now)]
    return [alert.told() for alert in sorted(found, key=lambda alert: alert.since)]


def _disk(_database: Database, config: Config, _now: float) -> Iterator[Alert]:
    disk = disk_of(config)
    if disk is not None and disk.text:
        yield Alert(f"disk-{disk.state}", disk.since, disk.text)


def held_long(database: Database, config: Config, now: float) -> Iterator[Alert]:
    """Tell of what is held for longer than `retention.held`; it is never deleted by age."""
    age = config.retention.held
    if age is None:
        return
    count, first = 0, now
    with database.read() as connection:
        for table in (instances, deliveries):
            query = select(func.count(), func.min(table.c.changed_at))
            row = connection.execute(query.where(table.c.state == "held", table.c.changed_at < now - age)).one()
            count, first = count + row[0], min(first, row[1] or now)
    if count:
        text = f"{count} held for longer than retention.held: deid-node held list; release or discard them"
        yield Alert("held-long", first + age, text, count)


_MEANING = {
    "patient-corrected": "of another patient or study than what came before under the same UID: deid-node held list",
    "rejection-note": "a source says that images are not to be used: deid-node held list",
}
_ALERTING = (
    select(instances.c.reason, func.count().label("n"), func.min(instances.c.changed_at).label("since"))
    .where(sql("state = 'held' AND reason IN ('patient-corrected', 'rejection-note')"))
    .group_by(instances.c.reason)
    .order_by(instances.c.reason)
)


def of_instances(connection: Transaction) -> list[Alert]:
    """Tell of what is held for a reason that cannot wait."""
    rows = connection.execute(_ALERTING)
    return [Alert(row.reason, row.since, f"{row.n} held: {_MEANING[row.reason]}", row.n) for row in rows]


def _urgent(database: Database, _config: Config, _now: float) -> Iterator[Alert]:
    with database.read() as connection:
        yield from of_instances(connection)


def _ledger(_database: Database, config: Config, _now: float) -> Iterator[Alert]:
    found = older(config.node.spool)
    if found is not None:
        at, missing = found
        text = (
            f"the ledger is older than the spool: at least {missing} instances that were received are not in it. Those "
            f"whose files are in the spool were adopted; of the others, which were delivered, nothing is known"
        )
        yield Alert("ledger-older", at, text)


def _damaged(database: Database, _config: Config, _now: float) -> Iterator[Alert]:
    at = database.damage_seen()
    if at is not None:
        yield Alert("ledger-damaged", at, DAMAGED)


def _closing(database: Database, _config: Config, _now: float) -> Iterator[Alert]:
    for project, record in records(database).items():
        if record["closed"] is None:
            text = f"closing project {project} did not come to its end: deid-node project close {project} --yes"
            yield Alert("closing", record["begun"], text)


def _drills(database: Database, _config: Config, _now: float) -> Iterator[Alert]:
    with database.read() as connection:
        halted, recalls = stopped(connection), under_way(connection)
    if halted is not None:
        yield Alert("stopped", halted["at"], "nothing is sent, to no destination; to let it go on: deid-node go")
    for one in recalls:
        text = (
            f"recall {one['recall']}: {one['delivered']} to be deleted at {', '.join(one['destinations'])}; "
            f"when they are: deid-node recall --done {one['recall']}"
        )
        yield Alert("recall", one["at"], text, one["delivered"])


def _backups(_database: Database, config: Config, now: float) -> Iterator[Alert]:
    for kind, since, text in trouble(config, now):
        yield Alert(kind, since, text)


def _notify(database: Database, config: Config, _now: float) -> Iterator[Alert]:
    with database.read() as connection:
        found = troubles(connection) if config.notify.wanted else []
    for one in found:
        text = f"messages cannot be sent by {one.channel} ({one.error}): deid-node notify --test"
        yield Alert(NOTIFY_FAILING, one.since, text)


def _commissioning(database: Database, _config: Config, _now: float) -> Iterator[Alert]:
    query = select(func.count(), func.min(commissioned.c.begun_at)).where(commissioned.c.released_at.is_(None))
    with database.read() as connection:
        count, since = connection.execute(query).one()
    if count:
        text = f"{count} studies wait until somebody has looked at them: deid-node commissioning list"
        yield Alert("commissioning", since, text)


def _canary(database: Database, config: Config, now: float) -> Iterator[Alert]:
    yield from (Alert("canary", since, text) for since, text in wrong(database, config, now))


def _identifying(database: Database, _config: Config, _now: float) -> Iterator[Alert]:
    for project, count, since in still_kept(database):
        text = (
            f"{count} texts of project {project} identify, and still leave: deid-node review list --project {project}"
        )
        yield Alert("identifying-text", since, text)


_STUDIES = {
    DIFFERENT: ("study-incomplete", "are not complete at their destinations"),
    UNCONFIRMED: ("study-unconfirmed", "cannot be compared, since a destination does not answer C-FIND"),
}


def _studies(database: Database, config: Config, _now: float) -> Iterator[Alert]:
    if config.completeness is None:
        return
    with database.read() as connection:
        found = count_states(connection)
    for state, (kind, what) in _STUDIES.items():
        if state in found:
            count, since = found[state]
            yield Alert(kind, since, f"{count} studies {what}: deid-node completeness list --problems")


def _commitments(database: Database, config: Config, _now: float) -> Iterator[Alert]:
    yield from (Alert("commitment", since, text) for since, text in unanswered(database, set(config.peers)))


SOURCES: tuple[Source, ...] = (
    _disk,
    _urgent,
    held_long,
    _ledger,
    _damaged,
    _drills,
    _closing,
    _backups,
    _notify,
    _commissioning,
    _canary,
    _identifying,
    _studies,
    _commitments,
)
