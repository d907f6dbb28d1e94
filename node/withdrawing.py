"""Consent that is withdrawn: what waits is discarded, what comes later is, and what went out is listed.

Guarantees
    From the moment at which `withdraw` has written it down nothing more of the subject becomes sendable, in this
    project, by no process of the node; what a destination is just being sent is told as delivered. Who has withdrawn
    stands, as a keyed number and never as an id, in the ledger and in a file of the data folder, so that neither
    erased maps nor a closed project, a rebuilt ledger or an older one that was put back forgets it.

Refuses
    (DrillError) a subject that cannot be told, or that nobody has heard of, unless that is said.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sqlalchemy import select

from node.audit import kinds
from node.config import Config
from node.durable import sync_folder
from node.errors import DatasetError, DrillError, HoldInstance, StartError
from node.identity import PatientKey, load_secret
from node.identity.patients import cleaned
from node.instances import InstanceIdentities, Scope, make_scope, opened
from node.instances.identities import NoMaps
from node.ledger import impact, withdrawals
from node.ledger.aliases import read_aliases
from node.ledger.audit import Trail
from node.ledger.database import Database
from node.ledger.impact import Item
from node.ledger.names import ISSUER, PATIENT_ID
from node.ledger.schema import instances, patient_map
from node.ledger.withdrawals import Change, Found
from node.sealing import check_memory, new_memory
from node.spool import Spool

_WAIT_SECONDS = 30.0
_LOOK_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class Subject:
    """A patient of a project: the keyed number, the pseudonyms that the patient goes by, the numbers of merged ids."""

    project: str
    number: str
    pseudonyms: tuple[str, ...]
    merged: tuple[str, ...] = ()

    @property
    def numbers(self) -> tuple[str, ...]:
        """All keyed numbers, the patient's own first: an id stays withdrawn where its merge is forgotten."""
        return (self.number, *self.merged)


def find_subject(  # noqa: PLR0913 -- what a person says of a subject
    config: Config,
    database: Database,
    project: str,
    text: str,
    *,
    issuer: str | None = None,
    is_pseudonym: bool = False,
    even_unknown: bool = False,
) -> Subject:
    """Return who is meant by a Patient ID, or by a pseudonym.

    Parameters
    ----------
    issuer
        Of the Patient ID; None where there is one patient of this id only.
    even_unknown
        Whether it may be somebody of whom the maps know nothing: nothing came yet, or the way back was erased.

    Raises
    ------
    DrillError
        It is nobody in particular, or several.
    StartError
        The secret, or the project's own key, cannot be read.
    """
    scopes = _scopes(config, database, project)
    with database.read() as connection:
        rows = connection.execute(select(patient_map).where(patient_map.c.project == project)).all()
        columns, aliases = connection.columns, read_aliases(connection)
        wanted = columns.seal(PATIENT_ID, project, cleaned(text))
        known = {
            PatientKey(columns.open(ISSUER, project, row.issuer), columns.open(PATIENT_ID, project, row.patient_id))
            for row in rows
            if (row.pseudonym == text if is_pseudonym else row.patient_id == wanted)
        }
    same = {PatientKey(*place[2:]): PatientKey(*one) for place, one in aliases.items() if place[0] == project}
    known |= set() if is_pseudonym else {one for one in same if one.patient_id == cleaned(text)}
    key = _one_of(known, project) if is_pseudonym else _key(known, scopes, project, (issuer, text), even_unknown)
    key = same.get(key, key)
    keys = scopes[0].keys
    names = {row.pseudonym for row in rows if _is(key, columns.seal, project, row)}
    number = withdrawals.subject_of(keys.whose(key, ""))
    merged = {withdrawals.subject_of(keys.whose(one, "")) for one, person in same.items() if person == key}
    return Subject(project, number, tuple(sorted(names | {keys.pseudonym(key)})), tuple(sorted(merged)))


def _is(key: PatientKey, seal: Any, project: str, row: Any) -> bool:
    sealed = seal(ISSUER, project, key.issuer), seal(PATIENT_ID, project, key.patient_id)
    return (row.issuer, row.patient_id) == sealed


def _scopes(config: Config, database: Database, project: str) -> list[Scope]:
    """The scopes of a project: of each of its routes, whose default issuers may differ; else the project's own."""
    routes = [route for route in config.routes if route.project == project]
    if not routes and project not in config.projects:
        with database.read() as connection:
            query = select(instances.c.project).where(instances.c.project == project).limit(1)
            if connection.execute(query).first() is None:
                raise DrillError("neither the configuration nor the ledger has this project: deid-node project list")
    secret = load_secret(config.node.secret_file)
    return [make_scope(config, project, route, secret) for route in routes] or [
        make_scope(config, project, None, secret)
    ]


def _one_of(known: set[PatientKey], project: str) -> PatientKey:
    if len(known) != 1:
        raise DrillError(
            f"project {project} knows nobody of this pseudonym: the way back may have been erased; name the Patient ID"
        )
    return next(iter(known))


def _key(
    known: set[PatientKey],
    scopes: Sequence[Scope],
    project: str,
    said: tuple[str | None, str],
    even_unknown: bool,
) -> PatientKey:
    issuer, text = said
    possible = {scope.patients.key(issuer, text) for scope in scopes}
    if None in possible:
        raise DrillError("this Patient ID stands for no one in particular (a placeholder): it cannot be withdrawn")
    named = {one for one in possible if one is not None}
    found = (known if issuer is None else known & named) or named
    if len(found) > 1:
        raise DrillError(f"project {project} may have {len(found)} patients of this id: say whose it is with --issuer")
    if not known & found and not even_unknown:
        raise DrillError(
            f"project {project} knows nobody of this Patient ID and issuer: look whether they are right. Where nothing "
            f"came of the patient yet, or the way back was erased, say --even-unknown"
        )
    return next(iter(found))


def foretell(database: Database, subject: Subject) -> tuple[dict[str, Any], list[Item]]:
    """Return what `withdraw` would find, and change nothing; `not_looked_at` wait, and may be the subject's."""
    every = list(withdrawals.instances_of(database, subject.project, subject.numbers, subject.pseudonyms))
    found = [one.seq for one in every if one.whose is not None]
    items = list(impact.of_instances(database, found, waiting=True))
    held = sum(one.whose is not None and one.state in ("received", "held") for one in every)
    went = [item for item in items if item.state != impact.WAITING]
    told = {
        "project": subject.project,
        "subject": subject.number,
        "pseudonyms": list(subject.pseudonyms),
        "waiting": held + len({item.instance for item in items if item.waits}),
        "not_looked_at": len(every) - len(found),
        "delivered": len(went),
    }
    return told, went


def withdraw(
    config: Config, database: Database, spool: Spool, trail: Trail | None, subject: Subject
) -> tuple[dict[str, Any], list[Item]]:
    """Withdraw a subject's consent; return what became of what was there, and what went where.

    What was withdrawn before is looked at again: what an interruption has left is done then.

    Raises
    ------
    LedgerError, SpoolError
        The ledger or the disk refused; the same command goes on where it ended.
    """
    changes = _changes(database, subject, undo=False)
    for change in changes:
        _write(config, database, trail, subject, change)
    found, unread = _mine(config, database, spool, subject)
    counts = withdrawals.discard(database, spool, found)
    left = _wait(database, [one.seq for one in found])
    again = withdrawals.discard(database, spool, [one for one in found if one.seq in left])
    went = list(impact.of_instances(database, [one.seq for one in found]))
    told = {
        "project": subject.project,
        "subject": subject.number,
        "pseudonyms": list(subject.pseudonyms),
        "new": bool(changes),
        "discarded": counts["discarded"] + again["discarded"],
        "files_removed": counts["removed"] + again["removed"],
        "in_hand": again["in_hand"],
        "unreadable": unread,
        "delivered": len(went),
    }
    return told, went


def undo(config: Config, database: Database, trail: Trail | None, subject: Subject) -> None:
    """Take a withdrawal back: what comes from now on is cleaned and sent. What was discarded is gone.

    Raises
    ------
    DrillError
        The subject has not withdrawn.
    """
    changes = _changes(database, subject, undo=True)
    if not changes:
        raise DrillError("this subject has not withdrawn: deid-node revoke --list")
    for change in changes:
        _write(config, database, trail, subject, change)


def withdrawn(database: Database, subject: Subject) -> bool:
    """Whether a subject has withdrawn, and has not taken it back."""
    return bool(_changes(database, subject, undo=True))


def _changes(database: Database, subject: Subject, *, undo: bool) -> list[Change]:
    found = [withdrawals.next_change(database, subject.project, number, undo=undo) for number in subject.numbers]
    return [one for one in found if one is not None]


def _wait(database: Database, seqs: Sequence[int]) -> set[int]:
    """Wait for those that have one of the instances in hand; return those that somebody had at first."""
    deadline = time.monotonic() + _WAIT_SECONDS
    had = left = {seq for seq in seqs if withdrawals.busy(database, [seq])}
    while left and time.monotonic() < deadline:
        time.sleep(_LOOK_SECONDS)
        left = {seq for seq in left if withdrawals.busy(database, [seq])}
    return had


def _mine(config: Config, database: Database, spool: Spool, subject: Subject) -> tuple[list[Found], list[str]]:
    """Return the subject's instances, and the ids of those that wait of which nobody can tell whose they are."""
    secret = load_secret(config.node.secret_file)
    by_route = {
        route.name: make_scope(config, subject.project, route, secret)
        for route in config.routes
        if route.project == subject.project
    }
    other = make_scope(config, subject.project, None, secret)
    mine, unread = list[Found](), list[str]()
    for one in withdrawals.instances_of(database, subject.project, subject.numbers, subject.pseudonyms):
        if one.whose is not None:
            mine.append(one)
            continue
        whose = _whose(spool, by_route.get(one.route, other), one.id)
        if whose is None:
            unread.append(one.id)
        elif withdrawals.subject_of(whose) in subject.numbers:
            mine.append(replace(one, whose=whose))
    return mine, unread


def _whose(spool: Spool, scope: Scope, name: str) -> str | None:
    """Whose an original is; None where that cannot be read."""
    try:
        with (
            contextlib.closing(spool.open_original(name)) as original,
            opened(original.mappable(), new_memory, check_memory) as source,
        ):
            return InstanceIdentities(scope, NoMaps(), source.dataset).whose()
    except (DatasetError, HoldInstance, OSError):
        return None


# -- who has withdrawn, beside the ledger ----------------------------------------------------------------------------


def _write(config: Config, database: Database, trail: Trail | None, subject: Subject, change: Change) -> None:
    """Write a change to the ledger and the data folder: both have it when this returns, or the ledger refused."""
    undone = change.undone_at is not None
    said = "withdrawal of consent taken back" if undone else "consent withdrawn"
    with database.write(durable=True) as connection:
        known = {(one.project, one.subject): one for one in read_file(config)}
        _write_file(config, list((known | {(change.project, change.subject): change}).values()))
        withdrawals.write(connection, [change])
        if trail is not None:
            told = f"{said}: project {subject.project}, pseudonym {', '.join(subject.pseudonyms)}"
            trail.append(connection, kinds.restricted(trail.source, trail.by, told))


def withdrawn_file(config: Config) -> Path:
    """Where the withdrawals are kept beside the ledger's own."""
    return config.node.data / "withdrawn.json"


def read_file(config: Config) -> list[Change]:
    """Return what the data folder knows of withdrawals.

    Raises
    ------
    StartError
        It cannot be read: nobody could say any more who has withdrawn.
    """
    path = withdrawn_file(config)
    try:
        return [Change(str(p), str(s), float(at), undone, int(n)) for p, s, at, undone, n in json.loads(_text(path))]
    except (OSError, ValueError, TypeError):
        raise StartError(f"{path}, which says who has withdrawn consent, cannot be read: put it back") from None


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii")
    except FileNotFoundError:
        return "[]"


def _write_file(config: Config, found: Sequence[Change]) -> None:
    path = withdrawn_file(config)
    draft = path.with_name(f"{path.name}.new")
    try:
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            json.dump([list(one) for one in found], file, indent=1)
            file.flush()
            os.fsync(file.fileno())
        draft.rename(path)
        sync_folder(path.parent)
    except OSError as error:
        raise StartError(f"{path} cannot be written ({error.strerror})") from None


def agree(config: Config, database: Database) -> int:
    """Let ledger and data folder know the same withdrawals, the later state of each; return how many the ledger lacked.

    For a ledger that was made again, or is an older one. Raises StartError, LedgerError.
    """
    kept = read_file(config)
    known = withdrawals.changes(database)
    if set(kept) == set(known):
        return 0
    with database.write(durable=True) as connection:
        lacking = withdrawals.write(connection, kept)
    _write_file(config, withdrawals.changes(database))
    return lacking
