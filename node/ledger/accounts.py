"""The account of one study: what was received of it, and what became of each instance, by series and destination.

Guarantees that it is read from one state of the ledger, by indexes, in as many steps as the study has instances, and
that all UIDs in it are replaced ones. Instances that merely came again are not counted, and those whose header was
never read belong to no study that is known.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from sqlalchemy import bindparam, select, text

from node.errors import HoldReason
from node.ledger.following import expected_of, references_of
from node.ledger.names import ORIGINAL, SOP_INSTANCE_UID
from node.ledger.schema import instances, uid_map
from node.ledger.transactions import Transaction

_VIEWED = str(HoldReason.COMMISSIONING)  # such a study waits for a person, who is told of it already


class Sent(NamedTuple):
    """An instance that a destination has taken."""

    sop_instance_uid: str
    sop_class_uid: str
    transfer_syntax_uid: str
    recipe: str
    engine: str
    digest: bytes | None


@dataclass(slots=True)
class Part:
    """What became of a series at one destination; `sent` by SOP Instance UID, `last` when, in seconds, UTC."""

    sent: dict[str, Sent] = field(default_factory=dict)
    waiting: int = 0
    held: Counter[str] = field(default_factory=Counter)
    discarded: int = 0
    last: float = 0.0


@dataclass(slots=True)
class SeriesAccount:
    """One series: its UID, and the study's, as they were sent; where nothing was, as the key gives them.

    `held` are those that could not be cleaned, by reason, and `held_ids` what the node calls them. `expected` is how
    many the source counts, None where it did not say; `came` tells the instances apart of which it counts one each.
    """

    study_uid: str
    uid: str
    received: int = 0
    cleaned: int = 0
    held: Counter[str] = field(default_factory=Counter)
    held_ids: list[str] = field(default_factory=list)
    excluded: int = 0
    discarded: int = 0
    expected: int | None = None
    came: set[str] = field(default_factory=set)
    at: dict[str, Part] = field(default_factory=dict)


@dataclass(slots=True)
class References:
    """Instances that a study's instances refer to: how many, and which of them did not go out; UIDs as they went out.

    Of those in `not_known` the map has no entry (any more), so that it cannot be told whether they came.
    """

    count: int = 0
    never_came: list[str] = field(default_factory=list)
    held: list[str] = field(default_factory=list)
    excluded: list[str] = field(default_factory=list)
    discarded: list[str] = field(default_factory=list)
    not_known: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Account:
    """A study: its series by their keyed UIDs, and what its source counts."""

    project: str
    study: str
    series: dict[str, SeriesAccount] = field(default_factory=dict)
    expected: int | None = None
    references: References = field(default_factory=References)

    @property
    def uid(self) -> str:
        """The Study Instance UID as it was sent; of several the first, and where nothing was sent the key's."""
        return next((one.study_uid for one in self.series.values() if one.study_uid != self.study), self.study)

    @property
    def destinations(self) -> list[str]:
        """Where instances of it were to go."""
        return sorted({name for one in self.series.values() for name in one.at})

    def parts(self, destination: str) -> Iterator[tuple[SeriesAccount, Part]]:
        """Give the series that were to go to a destination, with what became of each there."""
        return ((one, one.at[destination]) for one in self.series.values() if destination in one.at)


def account_of(connection: Transaction, project: str, study: str) -> Account:
    """Return the account of a study, by the key's replacement of its UID; an empty one where nothing is known of it."""
    account, expected = Account(project, study), expected_of(connection, project, study)
    account.expected = expected.get("")
    rows = {row[0]: row for row in connection.driver.execute(_INSTANCES, (project, study))}
    for row in rows.values():
        _add(account, row)
    for keyed, one in account.series.items():
        one.expected = expected.get(keyed)
    for seq, destination, state, reason, at in connection.driver.execute(_DELIVERIES, (project, study)):
        row = rows[seq]
        part = account.series[row[-1]].at.setdefault(destination, Part())
        if state == "delivered":
            part.sent[row[4]] = Sent(*row[4:10])
            part.last = max(part.last, at)
        elif state == "due" or (state == "held" and reason == _VIEWED):
            part.waiting += 1
        elif state == "held":
            part.held[reason] += 1
        else:
            part.discarded += 1
    account.references = _references(connection, project, study)
    return account


def _add(account: Account, row: tuple[object, ...]) -> None:
    """Count an instance in its series."""
    _, name, state, reason, *_, original, sent_study, sent_series, keyed = map(_text, row)
    one = account.series.get(keyed)
    if one is None:
        one = account.series[keyed] = SeriesAccount(account.study, keyed)
    if sent_series:
        one.study_uid, one.uid = sent_study, sent_series
    one.received += 1
    one.came.add(original or name)
    if state == "cleaned":
        one.cleaned += 1
    elif state == "held":
        one.held[reason] += 1
        one.held_ids.append(name)
    elif state == "excluded":
        one.excluded += 1
    elif state == "discarded":
        one.discarded += 1


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _references(connection: Transaction, project: str, study: str) -> References:
    found = References()
    for uid in references_of(connection, project, study):
        found.count += 1
        is_mapped, states = _states(connection, project, uid)
        if not states:
            (found.never_came if is_mapped else found.not_known).append(uid)
        elif not states & {"received", "cleaned"}:
            kind = next(one for one in ("held", "excluded", "discarded") if one in states)
            getattr(found, kind).append(uid)
    return found


def _states(connection: Transaction, project: str, uid: str) -> tuple[bool, set[str]]:
    """Return whether the map has a UID that went out, and the states of its instances; else of those that kept it."""
    columns = connection.columns
    sealed = connection.execute(_ORIGINAL, {"the_project": project, "the_uid": uid}).scalar()
    # What goes out beside another copy has the digest behind its original.
    original = uid if sealed is None else columns.open(ORIGINAL, project, sealed).partition("#")[0]
    place = {"the_project": project, "the_uid": columns.seal(SOP_INSTANCE_UID, project, original)}
    return sealed is not None, set(connection.execute(_BY_UID, place).scalars())


_OF_STUDY = """
    FROM series s CROSS JOIN instances i ON i.series = s.seq AND i.series IS NOT NULL
"""
_INSTANCES = f"""
    SELECT i.seq, i.id, i.state, i.reason, i.clean_sop_instance_uid, i.clean_sop_class_uid,
        i.clean_transfer_syntax_uid, i.recipe_hash, i.engine_version, i.clean_digest,
        i.sop_instance_uid, t.study, t.series, s.series
    {_OF_STUDY} LEFT JOIN sent_series t ON t.seq = i.sent_series
    WHERE s.project = ? AND s.study = ? ORDER BY i.seq
"""
_DELIVERIES = f"""
    SELECT i.seq, d.destination, d.state, d.reason, d.changed_at
    {_OF_STUDY} CROSS JOIN deliveries d ON d.instance = i.seq
    WHERE s.project = ? AND s.study = ? ORDER BY d.seq
"""
_ORIGINAL = select(uid_map.c.original).where(
    uid_map.c.project == bindparam("the_project"), uid_map.c.replacement == bindparam("the_uid")
)
_BY_UID = select(instances.c.state).where(
    instances.c.project == bindparam("the_project"),
    instances.c.sop_instance_uid == bindparam("the_uid"),
    text("instances.repeat < 2"),
)
