"""Ids that a person has made one with another: whose pair they have.

Guarantees
    An id stands for itself or for an id that stands for itself; that holds for all that is handed out after the commit
    of a merge, by every process: what was being cleaned meanwhile is cleaned again. No merge changes the pseudonym or
    shift of an id that something went out under.

Refuses
    (MergeRefused) an id of no one, one that has withdrawn consent, one that stands for another one already, and one
    that something went out under, with what was delivered.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

from sqlalchemy import bindparam, delete, insert, update

from node.audit import kinds
from node.errors import MergeRefused
from node.identity import PatientKey
from node.instances import Scope
from node.ledger.aliases import Aliases, PersonPlace, read_aliases
from node.ledger.audit import Trail
from node.ledger.database import Database
from node.ledger.delivered import delivered_under
from node.ledger.maps import known_study, refuse_closed, row_of, sealed_patient
from node.ledger.names import ALIAS_ISSUER, ALIAS_PATIENT_ID, SAME_ISSUER, SAME_PATIENT_ID
from node.ledger.schema import patient_aliases, patient_map
from node.ledger.transactions import Transaction
from node.ledger.waiting import release_of
from node.ledger.withdrawals import is_withdrawn

_NEW_EPOCH = "begin a new epoch of the project's key"


@dataclass(frozen=True, slots=True)
class Merged:
    """What a merge did: nothing where the ids were one already; how many instances that waited go on.

    `dropped` says that the second id had a pair of its own that nothing went out under, and that is gone.
    """

    known: bool = False
    dropped: bool = False
    released: int = 0


def person_of(aliases: Aliases, scope: Scope, key: PatientKey) -> PatientKey:
    """Whose pair an id has."""
    same = aliases.get((scope.project, scope.keys.epoch, key.issuer, key.patient_id))
    return key if same is None else PatientKey(*same)


def merge(database: Database, scope: Scope, old: PatientKey, new: PatientKey, trail: Trail | None = None) -> Merged:
    """Make two ids of a project one person: from now on `new` has the pair of `old`, in the key epoch of now.

    What waits under `new` for a pair goes on. Told to the audit trail in the same commit.

    Raises
    ------
    MergeRefused
        Nothing was changed; as said above.
    ProjectClosed, LedgerError
        Nothing was changed.
    """
    with database.write(durable=True) as connection:
        refuse_closed(connection, scope.project)
        done = join(connection, scope, old, new)
        if trail is not None and not done.known:
            text = f"two ids made one person; {done.released} instances that waited go on"
            trail.append(connection, kinds.crosswalk_changed(trail.source, trail.by, scope.project, text))
    return done


def join(connection: Transaction, scope: Scope, old: PatientKey, new: PatientKey) -> Merged:
    """Do in the caller's transaction what `merge` does. Raises MergeRefused."""
    aliases = read_aliases(connection)
    person = check_join(connection, scope, aliases, old, new)
    if person is None:
        return Merged(known=True)
    place = _place(scope, new)
    dropped = connection.execute(_DROP, _bound(connection, place)).rowcount > 0
    moved = [one for one, same in aliases.items() if one[:2] == place[:2] and same == place[2:]]
    for one in (*moved, place):
        _point(connection, one, person)
    waiting = [scope.keys.whose(PatientKey(*one[2:]), "") for one in (*moved, place)]
    return Merged(dropped=dropped, released=release_of(connection, scope.project, waiting))


def check_join(
    connection: Transaction, scope: Scope, aliases: Aliases, old: PatientKey, new: PatientKey
) -> PatientKey | None:
    """Return whose pair `new` would have; None where the ids are one already. Raises MergeRefused."""
    person = person_of(aliases, scope, old)
    if person == person_of(aliases, scope, new):
        return None
    if any(is_withdrawn(connection, scope.project, scope.keys.whose(one, "")) for one in (person, new)):
        raise MergeRefused(
            "one of the ids has withdrawn consent; nothing was changed. Withdraw that of the other too, or take the "
            "withdrawal back (deid-node revoke)"
        )
    if person_of(aliases, scope, new) != new:
        raise MergeRefused("the second id was made one with another id already; nothing was changed")
    mine, others = _handed(connection, scope, new), _handed(connection, scope, person)
    if mine is None:
        return person
    told = delivered_under(connection, scope.project, [one for one in (mine, others) if one is not None])
    if others is None:
        raise MergeRefused(
            f"something went out under the second id: {told[mine]}; nothing was changed. Under the first one nothing "
            f"did: merge them the other way round"
        )
    raise MergeRefused(
        f"both ids have deliveries, under two pseudonyms: the first {told[others]}; the second {told[mine]}; nothing "
        f"was changed. Have one of them taken away at its destinations, or {_NEW_EPOCH}"
    )


def _handed(connection: Transaction, scope: Scope, key: PatientKey) -> str | None:
    """The pseudonym that something was handed out under; None where nothing was."""
    place = _place(scope, key)
    row = row_of(connection, place)
    pseudonym = scope.keys.pseudonym(key) if row is None else row[0]
    if row is not None and row[2] == "computed":
        return pseudonym
    values = {"the_project": scope.project, "the_pseudonym": pseudonym}
    return pseudonym if connection.execute(known_study, values).first() is not None else None


def _place(scope: Scope, key: PatientKey) -> PersonPlace:
    return scope.project, scope.keys.epoch, key.issuer, key.patient_id


def _bound(connection: Transaction, place: PersonPlace) -> dict[str, str | int]:
    project, epoch, issuer, patient_id = place
    issuer, patient_id = sealed_patient(connection, project, issuer, patient_id)
    return {"the_project": project, "the_epoch": epoch, "the_issuer": issuer, "the_patient": patient_id}


def _point(connection: Transaction, place: PersonPlace, person: PatientKey) -> None:
    """Let an id stand for another one from now on."""
    project, epoch, issuer, patient_id = place
    seal = connection.columns.seal
    same = {
        "same_issuer": seal(SAME_ISSUER, project, person.issuer),
        "same_patient_id": seal(SAME_PATIENT_ID, project, person.patient_id),
    }
    mine = {"issuer": seal(ALIAS_ISSUER, project, issuer), "patient_id": seal(ALIAS_PATIENT_ID, project, patient_id)}
    bound = {f"the_{name}": value for name, value in {"project": project, "epoch": epoch, **mine}.items()}
    if connection.execute(_MOVE, {**bound, **same}).rowcount == 0:
        row = {"at": time.time(), "project": project, "epoch": epoch, **mine, **same}
        connection.execute(insert(patient_aliases), row)


_MOVE = update(patient_aliases).where(
    patient_aliases.c.project == bindparam("the_project"),
    patient_aliases.c.epoch == bindparam("the_epoch"),
    patient_aliases.c.issuer == bindparam("the_issuer"),
    patient_aliases.c.patient_id == bindparam("the_patient_id"),
)
_DROP = delete(patient_map).where(
    patient_map.c.project == bindparam("the_project"),
    patient_map.c.epoch == bindparam("the_epoch"),
    patient_map.c.issuer == bindparam("the_issuer"),
    patient_map.c.patient_id == bindparam("the_patient"),
)
