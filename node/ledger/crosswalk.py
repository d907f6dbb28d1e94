"""Pairs from outside: originals whose replacements somebody else has chosen, put into the maps.

Guarantees
    All pairs of a call are written, in one durable commit and marked as imported, or none; the same commit lets those
    go who waited for them, and tells the audit trail. From then on they win over what the keys would give, for every
    process and after a restart. A pair never changes what a patient or UID has already, and never gives two originals
    one replacement. No message holds a value: it names the pair's line.

Refuses
    (PairsRefused) ids that are no one's own, replacements that no attribute could hold, and all that would break the
    guarantees above, with a fault for each pair; of a patient who has deliveries, with what was delivered.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from sqlalchemy import bindparam, select

from node.audit import kinds
from node.errors import Fault, MergeRefused, PairsRefused
from node.identity import PatientKey
from node.instances import Scope, is_uid
from node.ledger.aliases import Aliases, PersonPlace, read_aliases
from node.ledger.audit import Trail
from node.ledger.database import Database
from node.ledger.delivered import delivered_under
from node.ledger.maps import known_study, known_uid, mark_imported, new_patient, new_uid, refuse_closed, row_of
from node.ledger.merging import check_join, join, person_of
from node.ledger.schema import patient_map, uid_map
from node.ledger.transactions import Transaction
from node.ledger.waiting import release_of, who_waits

# What Patient ID (LO) and Patient's Name (PN) both take, in every character set, and as one component.
_PSEUDONYM = re.compile(r"[!-<>-\[\]_-~](?:[ -<>-\[\]_-~]{0,62}[!-<>-\[\]_-~])?")
_STANDARD = "1.2.840.10008"
_LONGEST_SHIFT = 36_525  # days


@dataclass(frozen=True, slots=True)
class PatientPair:
    """A patient and the pseudonym that was chosen; `line` is where the pair stands.

    `shift_days` is by how many days the dates move, never 0; None leaves it to the project's keys.
    """

    line: int
    issuer: str
    patient_id: str
    pseudonym: str
    shift_days: int | None = None


@dataclass(frozen=True, slots=True)
class UidPair:
    """A UID and the one that was chosen for it; `line` is where the pair stands."""

    line: int
    original: str
    replacement: str


@dataclass(frozen=True, slots=True)
class SamePerson:
    """An id that has the pair of another one, by whoever wrote `line`."""

    line: int
    issuer: str
    patient_id: str
    same_issuer: str
    same_patient_id: str


Pair = PatientPair | UidPair | SamePerson


@dataclass(frozen=True, slots=True)
class Imported:
    """How many pairs are new in the maps, how many were there already, how many instances that waited go on."""

    new: int
    known: int
    released: int = 0


def import_pairs(
    database: Database, scope: Scope, pairs: Sequence[Pair], file: str = "pairs", trail: Trail | None = None
) -> Imported:
    """Put pairs into the maps of a project, in its key epoch of now.

    Parameters
    ----------
    database
        The ledger, migrated.
    scope
        The project; its rules say who the patient of an issuer and id is.
    pairs
        At most as many as memory holds.
    file
        How messages call where the pairs come from.
    trail
        Where it is written down, in the same commit.

    Raises
    ------
    PairsRefused
        With a fault for every pair that cannot be; nothing was written.
    ProjectClosed
        Nothing is ever handed out in the project's name again.
    LedgerError
        The ledger refused; nothing was written.
    """
    with database.write(durable=True) as connection:
        refuse_closed(connection, scope.project)
        work = _Import(connection, scope)
        work.check(pairs, file)
        done = work.write()
        if trail is not None:
            text = f"{done.new} pairs imported, {done.known} known; {done.released} instances that waited go on"
            trail.append(connection, kinds.crosswalk_changed(trail.source, trail.by, scope.project, text))
    return done


def check_pairs(database: Database, scope: Scope, pairs: Sequence[Pair], file: str = "pairs") -> Imported:
    """Return what `import_pairs` would do, as far as can be seen now; write nothing. Raises PairsRefused."""
    with database.read() as connection:
        refuse_closed(connection, scope.project)
        work = _Import(connection, scope)
        work.check(pairs, file)
        return Imported(work.new, len(pairs) - work.new)


_Problem = tuple[str, str] | None
_Given = tuple[str, int]


@dataclass(slots=True)
class _Import:
    """One import under way, inside of its transaction."""

    connection: Transaction
    scope: Scope
    _aliases: Aliases = field(init=False)
    _patients: dict[PersonPlace, tuple[int, _Given]] = field(default_factory=dict)
    _pseudonyms: dict[str, int] = field(default_factory=dict)
    _uids: dict[str, tuple[int, str]] = field(default_factory=dict)
    _replacements: dict[str, int] = field(default_factory=dict)
    _there: list[PersonPlace] = field(default_factory=list)
    _confirmed: list[PersonPlace] = field(default_factory=list)
    _joined: list[tuple[PatientKey, PatientKey]] = field(default_factory=list)
    _delivered: list[tuple[int, str]] = field(default_factory=list)
    _known: int = 0

    def __post_init__(self) -> None:
        self._aliases = read_aliases(self.connection)

    @property
    def new(self) -> int:
        return len(self._patients) + len(self._uids) + len(self._joined)

    def check(self, pairs: Sequence[Pair], file: str) -> None:
        """Find out what is new. Raises PairsRefused with everything that is wrong."""
        found: list[tuple[int, tuple[str, str]]] = []
        for pair in pairs:
            problem = self._check(pair)
            if problem is not None:
                found.append((pair.line, problem))
        if found:
            raise PairsRefused(self._faults(found, file))

    def write(self) -> Imported:
        """Write what `check` found to be new; let those go who waited for it."""
        released = 0
        for old, new in self._joined:
            released += join(self.connection, self.scope, old, new).released
        for place, (_, given) in self._patients.items():
            new_patient(self.connection, place, given, "imported")
        for place in self._confirmed:
            mark_imported(self.connection, place)
        key = (self.scope.project, self.scope.keys.epoch)
        for original, (_, replacement) in self._uids.items():
            new_uid(self.connection, (*key, original), replacement, "imported")
        return Imported(self.new, self._known, released + self._release())

    def _release(self) -> int:
        places = (*self._patients, *self._there)
        waits = who_waits(self.connection, self.scope.project, len(places))
        if waits is None:
            return 0
        whose = self.scope.keys.whose
        keyed = (whose(PatientKey(issuer, patient_id), "") for _, _, issuer, patient_id in places)
        return release_of(self.connection, self.scope.project, filter(waits, keyed))

    def _check(self, pair: Pair) -> _Problem:
        match pair:
            case PatientPair():
                return self._patient(pair)
            case UidPair():
                return self._uid(pair)
        return self._same(pair)

    def _patient(self, pair: PatientPair) -> _Problem:
        keys = self.scope.keys
        key = self.scope.patients.key(pair.issuer, pair.patient_id)
        wrong = next(_wrong_patient(pair, key), None)
        if wrong is not None or key is None:
            return wrong
        person = person_of(self._aliases, self.scope, key)
        shift = keys.shift_days(person) if pair.shift_days is None else pair.shift_days
        place = (self.scope.project, keys.epoch, person.issuer, person.patient_id)
        earlier = self._patients.get(place)
        if earlier is not None:
            if (pair.pseudonym, shift) == earlier[1]:
                self._known += 1
                return None
            return f"line {earlier[0]} gives the patient another pseudonym or shift.", "Keep one of the two."
        row = row_of(self.connection, place)
        if row is None:
            return self._new_patient(pair, person, place, (pair.pseudonym, shift))
        if row[:2] != (pair.pseudonym, row[1] if pair.shift_days is None else shift):
            self._delivered.append((pair.line, row[0]))
            return "the patient has another pseudonym or shift already.", _NEW_EPOCH
        self._known += 1
        self._there.append(place)
        if row[2] != "imported":
            self._confirmed.append(place)
        return None

    def _new_patient(self, pair: PatientPair, person: PatientKey, place: PersonPlace, given: _Given) -> _Problem:
        project = self.scope.project
        sent = self._sent_as(person, given)
        if sent is not None:
            self._delivered.append((pair.line, sent))
            return "instances of the patient went out under another pseudonym or shift already.", _NEW_EPOCH
        if pair.pseudonym in self._pseudonyms:
            problem = f"another patient has this pseudonym, in line {self._pseudonyms[pair.pseudonym]}."
            return problem, "Choose another: two patients would become one."
        taken = self.connection.execute(_BY_PSEUDONYM, {"the_project": project, "the_one": pair.pseudonym}).first()
        if taken is not None:
            return "another patient has this pseudonym.", "Choose another: two patients would become one."
        self._patients[place] = (pair.line, given)
        self._pseudonyms[pair.pseudonym] = pair.line
        return None

    def _sent_as(self, person: PatientKey, given: _Given) -> str | None:
        """The keys' pseudonym, where studies went out under it by a recipe that asked for no pseudonym."""
        keys = self.scope.keys
        computed = keys.pseudonym(person), keys.shift_days(person)
        values = {"the_project": self.scope.project, "the_pseudonym": computed[0]}
        sent = computed != given and self.connection.execute(known_study, values).first() is not None
        return computed[0] if sent else None

    def _same(self, pair: SamePerson) -> _Problem:
        key = self.scope.patients.key
        new, old = key(pair.issuer, pair.patient_id), key(pair.same_issuer, pair.same_patient_id)
        if new is None or old is None:
            return "a Patient ID is empty or a placeholder, and no one's own.", "Remove the line."
        try:
            person = check_join(self.connection, self.scope, self._aliases, old, new)
        except MergeRefused as error:
            return f"{error}.", "Remove the line."
        if person is None:
            self._known += 1
        else:
            self._joined.append((old, new))
        return None

    def _uid(self, pair: UidPair) -> _Problem:
        project, epoch = self.scope.project, self.scope.keys.epoch
        original, replacement = pair.original.strip("\0 "), pair.replacement
        if not original or not is_uid(replacement):
            return "not two UIDs.", "Write the original and its replacement."
        if any(f"{one}.".startswith(f"{_STANDARD}.") for one in (original, replacement)):
            return "UIDs under 1.2.840.10008 are the standard's own, and stay.", "Remove the line."
        line, known = self._uids.get(original, (0, None))
        known = known or known_uid(self.connection, (project, epoch, original))
        if known is not None:
            if known == replacement:
                self._known += 1
                return None
            where = f", in line {line}" if line else " already"
            return f"the UID has another replacement{where}.", _NEW_EPOCH
        other = self._replacements.get(replacement)
        values = {"the_project": project, "the_one": replacement}
        if other is not None or self.connection.execute(_BY_REPLACEMENT, values).first() is not None:
            where = f", in line {other}" if other else ""
            return f"another UID has this replacement{where}.", "Choose another: two objects would become one."
        self._uids[original] = (pair.line, replacement)
        self._replacements[replacement] = pair.line
        return None

    def _faults(self, found: list[tuple[int, tuple[str, str]]], file: str) -> list[Fault]:
        """Say of those who have deliveries what was delivered."""
        under = delivered_under(self.connection, self.scope.project, (one for _, one in self._delivered))
        told = {line: f" Under the one that it has: {under[pseudonym]}." for line, pseudonym in self._delivered}
        return [Fault(file, line, problem + told.get(line, ""), hint) for line, (problem, hint) in found]


_NEW_EPOCH = "Keep what was handed out, or begin a new epoch of the project's key."


def _wrong_patient(pair: PatientPair, key: PatientKey | None) -> Iterator[tuple[str, str]]:
    """Give what is wrong with a pair, whatever the maps hold."""
    if key is None:
        yield "the Patient ID is empty or a placeholder, and no one's own.", "Remove the line."
    if not _PSEUDONYM.fullmatch(pair.pseudonym):
        yield "not a pseudonym.", "Write 1 to 64 ASCII characters without ^, = and backslash, no blank at the ends."
    if pair.shift_days is not None and not 0 < abs(pair.shift_days) <= _LONGEST_SHIFT:
        yield "not a shift.", f"Write a number of days other than 0, of at most {_LONGEST_SHIFT}."


_BY_PSEUDONYM = select(patient_map.c.pseudonym).where(
    patient_map.c.project == bindparam("the_project"), patient_map.c.pseudonym == bindparam("the_one")
)
_BY_REPLACEMENT = select(uid_map.c.replacement).where(
    uid_map.c.project == bindparam("the_project"), uid_map.c.replacement == bindparam("the_one")
)
