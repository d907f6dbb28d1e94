"""Whether a study is complete: what was received, what destinations have, what differs; what a person says of it.

Guarantees
    What is told of a study is made of the ledger as it is and of what each destination answered last: an instance that
    came since is in it. All UIDs are replaced ones, all ids the node's own. A difference that a person has accepted
    counts again as soon as it is another one.

A study is `complete` where all that was to go is delivered, and confirmed by those that are asked; `under-way` while
something waits or an answer does; `unconfirmed` where a destination does not answer; `different` where something is
held or missing; `accepted` where a person takes these differences as they are.
"""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from sqlalchemy import Float, bindparam, func, select, update
from sqlalchemy.dialects.sqlite import insert as upsert

from node.audit import kinds
from node.config import Config
from node.ledger.accounts import Account, Part, SeriesAccount, account_of
from node.ledger.audit import Trail
from node.ledger.database import Database
from node.ledger.following import LONGEST_PAUSE, FollowedStudy, study_of
from node.ledger.receipts import Writer, write_rows
from node.ledger.schema_studies import studies, study_answers
from node.ledger.times import iso
from node.ledger.transactions import Row, Transaction

COMPLETE, UNDER_WAY, UNCONFIRMED, DIFFERENT, ACCEPTED = "complete", "under-way", "unconfirmed", "different", "accepted"
STATES = (COMPLETE, UNDER_WAY, UNCONFIRMED, DIFFERENT, ACCEPTED)
PROBLEMS = (DIFFERENT, UNCONFIRMED)
MOST_LISTED = 1000  # UIDs or ids of one kind in a report
PATIENCE = 3  # times that a destination may not answer before somebody is told


@dataclass(slots=True)
class Answer:
    """What a destination said of a study.

    `missing` are those of the instances sent to it that it does not have, by series, and `others` how many it has
    beside them; `other_series` how many series. `problem` is why it gave no answer the last `tries` times.
    """

    asked_at: float | None = None
    ask_at: float | None = None
    tries: int = 0
    problem: str | None = None
    missing: Mapping[str, list[str]] = field(default_factory=dict)
    others: Mapping[str, int] = field(default_factory=dict)
    other_series: int | None = None


@dataclass(slots=True)
class Judgement:
    """What is to be said of an account and the answers: its state, and its differences, one for each kind and place."""

    state: str
    differences: list[dict[str, Any]]
    to_ask: list[str]
    confirmed: dict[str, float | None]

    @property
    def digest(self) -> str:
        """By which the same differences are known again."""
        text = json.dumps(self.differences, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest() if self.differences else ""


@dataclass(slots=True)
class Book:
    """Keeps what is said of studies up to date. `asked` are the destinations that are asked; `receipts` None: none."""

    database: Database
    asked: Collection[str]
    receipts: Writer | None = None
    _guard: threading.Lock = field(default_factory=threading.Lock)

    def conclude(self, seq: int) -> None:
        """Look at a study that is quiet, by its row, and write down what there is to say of it. Raises LedgerError.

        Destinations that have something new are to be asked; those that have all there was to go get their receipts.
        """
        with self._guard:
            self._conclude(seq)

    def conclude_if_quiet(self, seq: int) -> None:
        """Look at a study, unless something has happened since the last look: then the next one will see it all."""
        with self._guard:  # a look that is under way may have seen less than there is now
            with self.database.read() as connection:
                is_quiet = study_of(connection, seq).due_at is None
            if is_quiet:
                self._conclude(seq)

    def _conclude(self, seq: int) -> None:
        with self.database.read() as connection:
            one = study_of(connection, seq)
            account = account_of(connection, one.project, one.study)
            judgement = judge(account, answers_of(connection, one.seq), self.asked)
            rows = []
            if self.receipts is not None and judgement.confirmed:
                rows = self.receipts.rows(connection, account, judgement.confirmed)
        self._write(one, account, judgement, rows)

    def _write(self, one: FollowedStudy, account: Account, judgement: Judgement, rows: list[dict[str, Any]]) -> None:
        now = time.time()
        with self.database.write(durable=bool(rows)) as connection:
            known = connection.execute(_STATE, {"the_seq": one.seq}).one()
            state = judgement.state
            if state == DIFFERENT and known.accepted == judgement.digest:
                state = ACCEPTED
            values: dict[str, Any] = {
                "uid": account.uid,
                "checked_at": now,
                "state": state,
                "counts": json.dumps(_counts(account, judgement)),
            }
            if state != known.state:
                values["state_since"] = now
            if known.due_at == one.due_at:  # else something has happened since
                values["due_at"] = None
            connection.execute(update(studies).where(studies.c.seq == one.seq).values(**values))
            for name in judgement.to_ask:
                connection.execute(_ASK, [{"study": one.seq, "destination": name, "ask_at": now, "tries": 0}])
            write_rows(connection, rows)

    def answered(self, one: FollowedStudy, destination: str, began: float, answer: Answer) -> None:
        """Write down what a destination has; it was asked at `began` (seconds, UTC)."""
        found = {"missing": answer.missing, "others": answer.others, "other_series": answer.other_series}
        values = {"tries": 0, "problem": None, "asked_at": began, "found": json.dumps(found)}
        self._answer(one, destination, began, None, values)

    def not_answered(
        self, one: FollowedStudy, destination: str, began: float, why: str, *, pause: float, hopeless: bool
    ) -> None:
        """Write down that a destination gave no answer, and ask it again after `pause` seconds, later each time.

        `hopeless` says that it never answers such questions: then somebody is told at once.
        """
        with self.database.read() as connection:
            tries = answers_of(connection, one.seq).get(destination, Answer()).tries
        wait = min(LONGEST_PAUSE, pause * 4 ** min(tries, 20))
        tries = max(tries + 1, PATIENCE) if hopeless else tries + 1
        self._answer(one, destination, began, time.time() + wait, {"tries": tries, "problem": why})

    def _answer(
        self, one: FollowedStudy, destination: str, began: float, ask_at: float | None, values: dict[str, Any]
    ) -> None:
        """Write what came of a question, and when the next one is due, unless one became due since it was asked."""
        mine = study_answers.c.study == one.seq, study_answers.c.destination == destination
        with self.database.write(durable=False) as connection:
            connection.execute(update(study_answers).where(*mine).values(**values))
            asked = study_answers.c.ask_at <= bindparam("began", type_=Float)
            connection.execute(update(study_answers).where(*mine, asked).values(ask_at=ask_at), {"began": began})


def judge(account: Account, answers: Mapping[str, Answer], asked: Collection[str]) -> Judgement:
    """Say what an account and the answers of the destinations that are `asked` amount to."""
    differences = list(_differences(account, answers, asked))
    stuck = any(one.held for one in account.series.values())
    to_ask, confirmed, waits, silent = list[str](), dict[str, float | None](), False, False
    for name in account.destinations:
        parts = [part for _, part in account.parts(name)]
        if any(part.waiting for part in parts):
            waits = True
            continue
        sent = [part for part in parts if part.sent]
        if not sent:
            continue
        at: float | None = None
        if name in asked:
            answer = answers.get(name, Answer())
            at = answer.asked_at
            if at is None or at < max(part.last for part in sent):
                waits, silent = True, silent or answer.tries >= PATIENCE
                if answer.ask_at is None:
                    to_ask.append(name)
                continue
        if not stuck and not any(part.held for part in parts) and not any(_missing(account, answers, name)):
            confirmed[name] = at
    state = DIFFERENT if differences else UNCONFIRMED if silent else UNDER_WAY if waits else COMPLETE
    return Judgement(state, differences, to_ask, confirmed)


def _differences(account: Account, answers: Mapping[str, Answer], asked: Collection[str]) -> Iterator[dict[str, Any]]:
    """Give what differs, by series: what it is, how many, where, and which."""
    for one in account.series.values():
        yield from _differences_of(one)
    for name in account.destinations:
        for one, missing in _missing(account, answers, name) if name in asked else ():
            told = _told("missing", one, len(missing))
            yield {**told, "destination": name, "sop_instance_uids": _some(missing)}
    came = sum(len(one.came) for one in account.series.values())
    if account.expected is not None and came < account.expected:
        yield {"kind": "fewer-than-expected", "series_instance_uid": None, "instances": account.expected - came}


def _differences_of(one: SeriesAccount) -> Iterator[dict[str, Any]]:
    if one.held:
        yield {**_told("held", one, one.held.total()), "reasons": dict(one.held), "ids": _some(one.held_ids)}
    if one.expected is not None and len(one.came) < one.expected:
        yield _told("fewer-than-expected", one, one.expected - len(one.came))
    for name, part in one.at.items():
        if part.held:
            told = _told("held", one, part.held.total())
            yield {**told, "destination": name, "reasons": dict(part.held)}


def _missing(
    account: Account, answers: Mapping[str, Answer], destination: str
) -> Iterator[tuple[SeriesAccount, list[str]]]:
    """Give the series of which a destination does not list what it has taken, with the SOP Instance UIDs."""
    answer = answers.get(destination, Answer())
    for one, part in account.parts(destination):
        missing = [uid for uid in answer.missing.get(one.uid, ()) if uid in part.sent]
        if missing:
            yield one, missing


def _told(kind: str, one: SeriesAccount, n: int) -> dict[str, Any]:
    return {"kind": kind, "series_instance_uid": one.uid, "instances": n}


def _some(found: list[str]) -> list[str]:
    return sorted(found)[:MOST_LISTED]


def _counts(account: Account, judgement: Judgement) -> dict[str, Any]:
    """The numbers of a study that lists of studies show."""
    every = account.series.values()
    return {
        "series": len(account.series),
        "received": sum(one.received for one in every),
        "held": sum(one.held.total() for one in every),
        "excluded": sum(one.excluded for one in every),
        "discarded": sum(one.discarded for one in every),
        "expected": account.expected,
        "delivered": {name: sum(len(part.sent) for _, part in account.parts(name)) for name in account.destinations},
        "differences": sum(one["instances"] for one in judgement.differences),
    }


def answers_of(connection: Transaction, seq: int) -> dict[str, Answer]:
    """Return what destinations said of a study, by its row."""
    return {row.destination: _answer(row) for row in connection.execute(_ANSWERS, {"the_seq": seq})}


def _answer(row: Row) -> Answer:
    found = json.loads(row.found) if row.found else {}
    return Answer(row.asked_at, row.ask_at, row.tries, row.problem, **found)


def known(database: Database, uid: str) -> list[tuple[str, str]]:
    """Return the studies that are followed under a UID, as it was sent or as the key gives it: project, keyed UID."""
    with database.read() as connection:
        rows = connection.execute(_KNOWN, {"the_uid": uid}).all()
    return list(dict.fromkeys((row.project, row.study) for row in rows))


def listed(database: Database, *, problems: bool = False, limit: int = 1000) -> list[dict[str, Any]]:
    """Return studies as `completeness list --json` prints them, the last that changed first.

    With `problems` those that differ, or that a destination does not answer for, the oldest first.
    """
    query = select(studies).order_by(studies.c.changed_at.desc(), studies.c.seq.desc()).limit(limit)
    if problems:
        query = select(studies).where(studies.c.state.in_(PROBLEMS)).order_by(studies.c.state_since).limit(limit)
    with database.read() as connection:
        rows = connection.execute(query).all()
    return [
        {
            "number": row.seq,
            "project": row.project,
            "study_instance_uid": row.uid or row.study,
            "state": row.state or UNDER_WAY,
            "since": iso(row.state_since),
            "changed": iso(row.changed_at),
            "looked_at": iso(row.checked_at),
            "changed_since": row.due_at is not None,
            **(json.loads(row.counts) if row.counts else {}),
        }
        for row in rows
    ]


def report(database: Database, project: str, study: str, asked: Collection[str]) -> dict[str, Any]:
    """Return all that is to be said of a study now, as `completeness show --json` prints it."""
    with database.read() as connection:
        account = account_of(connection, project, study)
        row = connection.execute(_OF_STUDY, {"the_project": project, "the_study": study}).first()
        answers = {} if row is None else answers_of(connection, row.seq)
    judgement = judge(account, answers, asked)
    is_accepted = row is not None and judgement.state == DIFFERENT and row.accepted == judgement.digest
    return {
        "project": project,
        "study_instance_uid": account.uid,
        "state": ACCEPTED if is_accepted else judgement.state,
        "looked_at": None if row is None else iso(row.checked_at),
        "changed": None if row is None else iso(row.changed_at),
        "changed_since": row is not None and row.due_at is not None,
        **_counts(account, judgement),
        "accepted": {"by": row.accepted_by, "at": iso(row.accepted_at)} if row is not None and is_accepted else None,
        "destinations": {
            name: _at_destination(account, answers.get(name), name, asked) for name in account.destinations
        },
        "differences": judgement.differences,
        "by_series": [_of_series(one, answers, asked) for one in account.series.values()],
        "references": {
            key: _some(value) if isinstance(value, list) else value for key, value in asdict(account.references).items()
        },
    }


def _at_destination(account: Account, answer: Answer | None, name: str, asked: Collection[str]) -> dict[str, Any]:
    parts = [part for _, part in account.parts(name)]
    held = sum((part.held for part in parts), Counter[str]())
    answer = answer or Answer()
    delivered = sum(len(part.sent) for part in parts)
    missing = sum(len(uids) for _, uids in _missing(account, {name: answer}, name))
    is_new = answer.asked_at is not None and answer.asked_at >= max((part.last for part in parts), default=0.0)
    return {
        "delivered": delivered,
        "waiting": sum(part.waiting for part in parts),
        "held": held.total(),
        "reasons": dict(held),
        "discarded": sum(part.discarded for part in parts),
        "asked": iso(answer.asked_at) if name in asked else "not asked",
        "confirmed": delivered - missing if name in asked and is_new else None,
        "missing": missing if name in asked and is_new else None,
        "did_not_answer": answer.problem if name in asked else None,
        "others_there": sum(answer.others.values()) if name in asked else None,
        "other_series_there": answer.other_series if name in asked else None,
    }


def _of_series(one: SeriesAccount, answers: Mapping[str, Answer], asked: Collection[str]) -> dict[str, Any]:
    return {
        "series_instance_uid": one.uid,
        "received": one.received,
        "expected": one.expected,
        "cleaned": one.cleaned,
        "held": dict(one.held),
        "excluded": one.excluded,
        "discarded": one.discarded,
        "destinations": {
            name: _part(one, part, answers.get(name, Answer()), name in asked) for name, part in sorted(one.at.items())
        },
    }


def _part(one: SeriesAccount, part: Part, answer: Answer, is_asked: bool) -> dict[str, Any]:
    is_new = is_asked and answer.asked_at is not None and answer.asked_at >= part.last
    missing = [uid for uid in answer.missing.get(one.uid, ()) if uid in part.sent]
    return {
        "delivered": len(part.sent),
        "waiting": part.waiting,
        "held": dict(part.held),
        "discarded": part.discarded,
        "confirmed": len(part.sent) - len(missing) if is_new else None,
        "missing": _some(missing) if is_new else None,
        "others_there": answer.others.get(one.uid) if is_new else None,
    }


def accept(database: Database, project: str, study: str, asked: Collection[str], trail: Trail) -> int:
    """Take the differences of a study as they are; return how many instances they are about, 0 where there are none.

    Whoever does it is written to the audit trail in the same commit. Raises LedgerError.
    """
    with database.write(durable=True) as connection:
        row = connection.execute(_OF_STUDY, {"the_project": project, "the_study": study}).first()
        if row is None:
            return 0
        account = account_of(connection, project, study)
        judgement = judge(account, answers_of(connection, row.seq), asked)
        count = int(sum(one["instances"] for one in judgement.differences))
        if not count:
            return 0
        now = time.time()
        by = trail.by.participant().user
        said = {"accepted": judgement.digest, "accepted_by": by, "accepted_at": now}
        state = {"state": ACCEPTED, "state_since": now}
        connection.execute(update(studies).where(studies.c.seq == row.seq).values(**said, **state))
        text = f"differences of study {account.uid} accepted: {count} instances"
        trail.append(connection, kinds.restricted(trail.source, trail.by, text))
    return count


def followed_row(database: Database, project: str, study: str) -> int | None:
    """Return the row of a study; None where it is not followed."""
    with database.read() as connection:
        row = connection.execute(_OF_STUDY, {"the_project": project, "the_study": study}).first()
    return None if row is None else int(row.seq)


def place_of(database: Database, number: int) -> tuple[str, str] | None:
    """Return project and keyed UID of the study with a number of `listed`; None where there is none."""
    with database.read() as connection:
        row = connection.execute(_ONE, {"the_seq": number}).first()
    return None if row is None else (row.project, row.study)


def asked_of(config: Config) -> frozenset[str]:
    """Return the destinations that are asked what they have."""
    return frozenset(name for name, one in config.destinations.items() if one.query is not None)


def count_states(connection: Transaction) -> dict[str, tuple[int, float]]:
    """Return how many studies are in each state, and since when the first of them is."""
    rows = connection.execute(_STATES)
    return {row[0]: (row[1], row[2] or 0.0) for row in rows}


_STATE = select(studies.c.state, studies.c.accepted, studies.c.due_at).where(studies.c.seq == bindparam("the_seq"))
_NEW = upsert(study_answers)
_ASK = _NEW.on_conflict_do_update(
    index_elements=list(study_answers.primary_key),
    set_={"ask_at": _NEW.excluded.ask_at, "tries": 0, "problem": None},
)
_ANSWERS = select(study_answers).where(study_answers.c.study == bindparam("the_seq"))
_ONE = select(studies.c.project, studies.c.study).where(studies.c.seq == bindparam("the_seq"))
_KNOWN = select(studies.c.project, studies.c.study).where(studies.c.uid == bindparam("the_uid"))
_OF_STUDY = select(studies).where(
    studies.c.project == bindparam("the_project"), studies.c.study == bindparam("the_study")
)
_STATES = (
    select(studies.c.state, func.count(), func.min(studies.c.state_since))
    .where(studies.c.state.in_(STATES))
    .group_by(studies.c.state)
)
