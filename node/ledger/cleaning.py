"""Claims and results of cleaning, and the maps that it fills.

Guarantees
    "Cleaned", the map's entries and the deliveries appear in one durable commit, and only for the owner of the lease: a
    worker that lost its claim changes nothing. What collides with the maps is held, alone.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from sqlalchemy import bindparam, insert, select, update

from node import __version__
from node.effects import Noted
from node.errors import Collision, HoldReason, ProjectChanged, ProjectClosed, RecipeChanged, TwoPatients
from node.instances import Place
from node.ledger.commissioning import hold_for_release
from node.ledger.copies import AGAIN, ONLY_AGAIN, Replacement, Sent, has_copies, look, note, sent_of, spoken_of
from node.ledger.database import Database
from node.ledger.following import note_followed
from node.ledger.leases import LEASE_SECONDS, is_due, is_free
from node.ledger.maps import LedgerMaps, is_imported, refuse_closed
from node.ledger.names import SOP_INSTANCE_UID
from node.ledger.recalls import recalled_among, send_again
from node.ledger.releases import REBUILT_DELIVERED, REBUILT_WAITS
from node.ledger.remembered import Remembered
from node.ledger.results import Again, Claimed, Clean, Excluded, Held, Result, Withdrawn
from node.ledger.review import Text, note_texts, number_of_text
from node.ledger.schema import deliveries, derivations, instances
from node.ledger.sending import finish
from node.ledger.sentseries import SentSeries, number_of_sent_series
from node.ledger.series import number_of_series
from node.ledger.traces import number_of_trace
from node.ledger.transactions import Transaction
from node.ledger.withdrawals import WITHDRAWN, Withdrawals

MAX_STRIKES = 2
_MOST_TRACES = 1000  # remembered with what they say: some thousand bytes each
_COPY_WAITS = 0.25  # seconds; until it is known what became of the copy before
_LOOKS = 8  # at the queue, where copies wait in front of it
_LONGEST_WAIT = 60.0  # seconds; what lies further ahead was received by a clock that has been set back since


_COLUMNS = (
    instances.c.seq,
    instances.c.id,
    instances.c.route,
    instances.c.project,
    instances.c.sop_class_uid,
    instances.c.sop_instance_uid,
    instances.c.transfer_syntax_uid,
    instances.c.strikes,
    instances.c.received_at,
    instances.c.detail,
    instances.c.recipe_hash,
    instances.c.digest,
    instances.c.decision,
    instances.c.asked_recipe,
)


@dataclass(slots=True)
class CleaningLedger:
    """What a cleaner asks of the ledger; `owner` is its name in leases."""

    database: Database
    owner: str
    maps: LedgerMaps = field(init=False)
    withdrawals: Withdrawals = field(default_factory=Withdrawals)
    series: Remembered[Place] = field(init=False, default_factory=lambda: Remembered(number_of_series))
    sent: Remembered[SentSeries] = field(init=False, default_factory=lambda: Remembered(number_of_sent_series))
    texts: Remembered[Text] = field(init=False, default_factory=lambda: Remembered(number_of_text))
    traces: Remembered[Noted] = field(init=False, default_factory=lambda: Remembered(number_of_trace, _MOST_TRACES))

    def __post_init__(self) -> None:
        self.maps = LedgerMaps(self.database)

    def claim(self, limit: int) -> list[Claimed]:
        """Take up to `limit` received instances, oldest first; one that has killed a worker is taken alone.

        Of the copies of an instance one is taken, with all that is known of the others; those `behind` it have to be
        looked at again when it is settled (`look_again`).
        """
        bound = {"now": time.time(), "the_owner": self.owner, "the_limit": limit}
        with self.database.read() as connection:
            if connection.execute(_RECEIVED, bound | {"the_limit": 1}).first() is None:
                return []
            self.maps.refresh(connection)
        with self.database.write(durable=False) as connection:
            claimed = _alone_if_struck(self._free_ones(connection, bound))
            if claimed:
                self.withdrawals.refresh(connection)
                claimed = _with_recalled(connection, claimed)
                until = time.time() + LEASE_SECONDS
                connection.execute(
                    _CLAIM, [{"the_seq": one.seq, "lease_owner": self.owner, "lease_until": until} for one in claimed]
                )
        return claimed

    def _free_ones(self, connection: Transaction, bound: dict[str, object]) -> list[Claimed]:
        """Return those of the queue that wait for no copy of theirs; copies that wait are put behind the others."""
        for _ in range(_LOOKS):
            rows = connection.execute(_RECEIVED, bound).all()
            copied = {row.seq for row in rows if row.copied}
            every = [self._claimed(row[:-1]) for row in rows]
            found, waiting = self._apart(connection, every, copied) if copied else (every, [])
            if waiting:
                due_at = time.time() + _COPY_WAITS
                connection.execute(_CLAIM, [{"the_seq": one.seq, "due_at": due_at} for one in waiting])
            if found or not waiting:
                return found
        return []

    def _claimed(self, row: Sequence[Any]) -> Claimed:
        claimed, columns = Claimed(*row), self.database.columns
        if not columns.active:
            return claimed
        return replace(
            claimed, sop_instance_uid=columns.open(SOP_INSTANCE_UID, claimed.project, claimed.sop_instance_uid)
        )

    def look_again(self, behind: Sequence[Claimed]) -> list[Claimed]:
        """Return claimed copies with what is known now of those in front of them; let go of those that have to wait."""
        if not behind:
            return []
        with self.database.read() as connection:
            found, waiting = self._apart(connection, behind, {one.seq for one in behind})
        for one in waiting:
            self.give_back(one, _COPY_WAITS)
        return found

    def _apart(
        self, connection: Transaction, every: Sequence[Claimed], copied: Collection[int]
    ) -> tuple[list[Claimed], list[Claimed]]:
        """Return instances with their copies, and those that have to wait for a copy which is not among these."""
        found, waiting, taken = list[Claimed](), list[Claimed](), set[int]()
        for one in every:
            others, ahead = look(connection, one.seq, self.owner) if one.seq in copied else ((), set[int]())
            if ahead <= taken:
                found.append(replace(one, others=others, behind=bool(ahead)) if others or ahead or one.behind else one)
                taken.add(one.seq)
            else:
                waiting.append(one)
        return found, waiting

    def settle(self, results: Sequence[Result]) -> list[Result]:
        """Write what became of claimed instances, durably, in one commit; return the results that are ours to act on.

        An instance whose map entries collide is held instead, alone. Where ids were made one or something was said of
        texts since they were claimed, nothing is ours to act on: what was found out may not hold, so they are cleaned
        again.
        """
        # What can be made ready is, before others have to wait.
        rows = [_written(result) for result in results]
        projects = {result.claimed.project for result in results if isinstance(result, Clean)}
        try:
            with self._remembering(), self.database.write(durable=True) as connection:
                if self.maps.is_stale(connection):
                    for result in results:
                        connection.execute(_MINE, self._again(result.claimed, 0.0))
                    return []
                # Once more, in the transaction that makes them sendable: consent may have been withdrawn meanwhile.
                self.withdrawals.refresh(connection)
                for project in projects:
                    refuse_closed(connection, project)
                both = zip(results, rows, strict=True)
                settled = [done for one in both if (done := self._settle(connection, *one)) is not None]
                self._note_texts(connection, settled)
        except Collision as error:
            if len(results) > 1:
                return [one for result in results for one in self.settle([result])]
            first = results[0] if isinstance(results[0], Clean) else None
            whose = first.whose if first else None
            place = first.place if first and not isinstance(error, ProjectClosed) else None
            held = Held(results[0].claimed, *_collided(error), whose=whose, place=place)
            with self._remembering(), self.database.write(durable=True) as connection:
                return [held] if self._settle(connection, held, _written(held)) is not None else []
        for result in settled:
            if isinstance(result, Clean):
                self.maps.remember(result.claimed.project, result.handed)
        return settled

    def _note_texts(self, connection: Transaction, settled: Sequence[Result]) -> None:
        left = [one for one in settled if isinstance(one, Clean) and one.texts]
        if left:
            note_texts(connection, self.texts, [(one.claimed.project, one.claimed.seq, one.texts) for one in left])

    def spoken_of(self, project: str, uids: Sequence[str]) -> tuple[list[int], list[Sent]]:
        """Return the numbers of a project's instances of these SOP Instance UIDs, and their deliveries."""
        with self.database.read() as connection:
            about = spoken_of(connection, project, uids)
            return about, sent_of(connection, about)

    def mark_withdrawn(self, claimed: Claimed) -> None:
        """Note, durably, that an instance is to be discarded, before its files go: a death in between is understood."""
        with self.database.write(durable=True) as connection:
            connection.execute(_MINE, {"the_seq": claimed.seq, "the_owner": self.owner, "decision": WITHDRAWN})

    def give_back(self, claimed: Claimed, seconds: float) -> None:
        """Let go of an instance that could not be cleaned for want of room or the like, to be taken again later."""
        with self.database.write(durable=False) as connection:
            connection.execute(_MINE, self._again(claimed, seconds))

    def _again(self, claimed: Claimed, seconds: float) -> dict[str, object]:
        """What the row of a claimed instance becomes that is to be taken again later."""
        due_at = time.time() + seconds
        return {"the_seq": claimed.seq, "the_owner": self.owner, "due_at": due_at, "lease_owner": None}

    @contextlib.contextmanager
    def _remembering(self) -> Iterator[None]:
        """Around a commit: the numbers of series that it writes are remembered."""
        with self.series.committed(), self.sent.committed(), self.texts.committed(), self.traces.committed():
            yield

    def _placed(self, connection: Transaction, result: Result) -> dict[str, object]:
        """Return the numbers of an instance's series, by which it is found and in which it went out; of its trace."""
        found: dict[str, object] = {}
        project = result.claimed.project
        if isinstance(result, Clean | Held | Excluded) and result.place is not None:
            found["series"] = self.series.number(connection, project, result.place)
        if isinstance(result, Clean) and result.sent_in is not None:
            found["sent_series"] = self.sent.number(connection, project, result.sent_in)
        if isinstance(result, Clean) and result.effects is not None:
            found["trace"] = self.traces.number(connection, project, result.effects.noted)
            found["trace_of"] = None if result.effects.instance == result.claimed.seq else result.effects.instance
        return found

    def _settle(self, connection: Transaction, result: Result, row: dict[str, object]) -> Result | None:
        """Write one result, and what its row says of it; None where it is not ours to write, or not yet."""
        if _has_to_wait(connection, result):
            connection.execute(_MINE, self._again(result.claimed, _COPY_WAITS))
            return None
        if isinstance(result, Clean | Held) and self.withdrawals.blocks(result.claimed.project, result.whose):
            connection.execute(_MINE, self._again(result.claimed, 0.0))
            return None
        mine = {"the_seq": result.claimed.seq, "the_owner": self.owner, "lease_owner": None}
        if connection.execute(_MINE, {**mine, **row, **self._placed(connection, result)}).rowcount != 1:
            return None
        if isinstance(result, Held):
            note(connection, result.claimed.seq, result.about)
        return self._let_out(connection, result) if isinstance(result, Clean) else result

    def _let_out(self, connection: Transaction, result: Clean) -> Clean:
        if result.replaces:
            place = _place_of(result).take(connection)
            done = finish(connection, [seq for seq, _ in place])
            result = replace(result, superseded=tuple(name for seq, name in place if seq in done))
        self.maps.write(connection, result.claimed.project, result.handed)
        if result.derived is not None and result.claimed.detail != REBUILT_DELIVERED:
            one = result.derived
            values = {"before": one.before, "start": one.start, "length": one.length, "after": one.after}
            connection.execute(_DERIVED, {"instance": result.claimed.seq, **values})
        # What replaces another goes behind it: it is due since now.
        due_at = None if result.replaces else result.claimed.received_at
        if result.claimed.recalled is not None:
            send_again(connection, result.claimed.seq)
        else:
            add_deliveries(connection, result.claimed.seq, result.destinations, due_at)
        _decide_rebuilt(connection, result.claimed)
        if result.followed is not None and result.place is not None:
            note_followed(connection, result.claimed.project, result.place, result.followed)
        if result.viewing is not None and not _is_rebuilt(result.claimed):
            hold_for_release(connection, result.claimed.seq, result.viewing, result.recipe_hash)
        return result


def _with_recalled(connection: Transaction, claimed: list[Claimed]) -> list[Claimed]:
    """Say of each what it went out as, where it was recalled and is to be sent again."""
    seqs = [one.seq for one in claimed]
    found = recalled_among(connection, min(seqs), max(seqs))
    return [replace(one, recalled=found[one.seq]) if one.seq in found else one for one in claimed] if found else claimed


def _has_to_wait(connection: Transaction, result: Result) -> bool:
    """Whether another copy is just being sent; or a patient's pair came while it was found out that there is none."""
    match result:
        case Clean(replaces=True):
            return _place_of(result).is_taken(connection)
        case Held(awaits=(_, _, _, _) as place):
            return is_imported(connection, place)
    return False


def _written(result: Result) -> dict[str, object]:
    """Return what the row of an instance says of a result."""
    values: dict[str, object] = {"changed_at": time.time()}
    if result.claimed.others:
        values["repeat"] = 1
    match result:
        case Held():
            values |= {"state": "held", "outcome": "held", "reason": str(result.reason), "detail": result.detail}
            values |= {"recipe_hash": result.recipe_hash, "whose": result.whose}
        case Excluded():
            values |= {"state": "excluded", "outcome": "excluded", "reason": "rule", "detail": result.rule}
        case Again():
            values |= {"state": "excluded", "outcome": "excluded", "reason": AGAIN, "repeat": ONLY_AGAIN}
            values["detail"] = f"as {result.earlier}"
        case Withdrawn():
            values |= {"state": "discarded", "outcome": "discarded", "reason": WITHDRAWN, "detail": None}
            values |= {} if result.whose is None else {"whose": result.whose}
        case Clean():
            values |= {
                "state": "cleaned",
                "outcome": "in_flight",
                "reason": None,
                "detail": result.detail,
                "recipe_hash": result.recipe_hash,
                "clean_sop_class_uid": result.sop_class_uid,
                "clean_sop_instance_uid": result.sop_instance_uid,
                "clean_transfer_syntax_uid": result.transfer_syntax_uid,
                "clean_size": result.size,
                "clean_offset": result.offset,
                "engine_version": __version__,
                "study": None if result.handed.study is None else result.handed.study[0],
                "whose": result.whose,
                "clean_digest": None if result.followed is None else result.followed.digest,
                "trace": None,
                "trace_of": None,
            }
    return values


def _place_of(result: Clean) -> Replacement:
    return Replacement(result.claimed.seq, result.claimed.id, result.whose, result.destinations)


def _collided(error: Collision) -> tuple[HoldReason, str]:
    """Why an instance is held whose map entries collide."""
    match error:
        case TwoPatients():
            return HoldReason.STUDY_OF_TWO_PATIENTS, "the study (0020,000D) came under another (0010,0020)"
        case ProjectChanged():
            return HoldReason.PROJECT_CHANGED, "other forms of the project were handed out before"
        case ProjectClosed():
            return HoldReason.PROJECT_CLOSED, "the project was closed: nothing goes out in its name any more"
        case RecipeChanged():
            return HoldReason.RECIPE_CHANGED, "the study began under another recipe meanwhile: release"
    return HoldReason.COLLISION, "two originals would share a replacement"


def add_deliveries(connection: Transaction, seq: int, names: Sequence[str], due_at: float | None = None) -> None:
    """Make the deliveries of a cleaned instance: due since it was received, so that they go in that order, or now."""
    now = time.time()
    connection.execute(
        _NEW_DELIVERY,
        [
            {
                "instance": seq,
                "destination": name,
                "state": "due",
                "created_at": now,
                "changed_at": now,
                "due_at": now if due_at is None else due_at,
            }
            for name in names
        ],
    )


def hold_rebuilt(connection: Transaction, seq: int) -> None:
    """Hold the deliveries of an instance that may have been delivered before the ledger was lost."""
    detail = "whether it was delivered is not known: rebuild --send or --assume-delivered"
    held = {"state": "held", "reason": str(HoldReason.REBUILT), "detail": detail, "changed_at": time.time()}
    connection.execute(update(deliveries).where(deliveries.c.instance == seq).values(**held))


def _is_rebuilt(claimed: Claimed) -> bool:
    return claimed.detail in (REBUILT_WAITS, REBUILT_DELIVERED)


def _decide_rebuilt(connection: Transaction, claimed: Claimed) -> None:
    if claimed.detail == REBUILT_WAITS:
        hold_rebuilt(connection, claimed.seq)
    elif claimed.detail == REBUILT_DELIVERED:
        done = {"state": "delivered", "changed_at": time.time()}
        connection.execute(update(deliveries).where(deliveries.c.instance == claimed.seq).values(**done))


def free_leases(database: Database, owner: str | None = None) -> None:
    """Free at once what a dead owner holds; without one, everything (only while no worker lives)."""
    with database.write(durable=False) as connection:
        for table, waiting in ((instances, "received"), (deliveries, "due")):
            statement = update(table).where(table.c.state == waiting, table.c.lease_owner.is_not(None))
            if owner is not None:
                # A forwarder's lanes add a number to its name.
                statement = statement.where(
                    (table.c.lease_owner == owner) | table.c.lease_owner.startswith(f"{owner}/")
                )
            connection.execute(statement.values(lease_owner=None, lease_until=None))


def strike(database: Database, seq: int, owner: str) -> bool:
    """Count that cleaning this instance killed `owner`; the second time hold it as poison, and say so."""
    now = time.time()
    with database.write(durable=True) as connection:
        row = connection.execute(
            update(instances)
            .where(instances.c.seq == seq, instances.c.state == "received", instances.c.lease_owner == owner)
            .values(strikes=instances.c.strikes + 1, lease_owner=None, lease_until=None)
            .returning(instances.c.strikes)
        ).first()
        if row is None or row.strikes < MAX_STRIKES:
            return False
        connection.execute(
            update(instances)
            .where(instances.c.seq == seq)
            .values(
                state="held",
                outcome="held",
                reason=str(HoldReason.POISON),
                detail="cleaning it ended its worker twice",
                changed_at=now,
            )
        )
        return True


def _alone_if_struck(rows: list[Claimed]) -> list[Claimed]:
    """Only instances without a strike go together, so that the next death is surely the struck one's."""
    if rows and rows[0].strikes:
        return rows[:1]
    return [row for row in rows if not row.strikes]


_RECEIVED = (
    select(*_COLUMNS, has_copies().label("copied"))
    .where(instances.c.state == "received", is_due(instances.c.due_at, _LONGEST_WAIT))
    .where(is_free(instances.c.lease_owner, instances.c.lease_until))
    .order_by(instances.c.seq)
    .limit(bindparam("the_limit"))
)
_CLAIM = update(instances).where(instances.c.seq == bindparam("the_seq"))
_MINE = update(instances).where(
    instances.c.seq == bindparam("the_seq"),
    instances.c.lease_owner == bindparam("the_owner"),
    instances.c.state == "received",
)
_NEW_DELIVERY = insert(deliveries)
_DERIVED = insert(derivations)
