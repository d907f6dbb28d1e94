"""Pairs from outside: originals whose replacements somebody else has chosen, put into the maps.

Guarantees
    All pairs of a call are written, in one durable commit and marked as imported, or none; the same commit tells the
    audit trail, and lets those go who waited for them: at once, or, where they are many, a few hundred at a time, so
    that nobody waits long for the ledger; the keeper finishes what an importer did not. From then on they win over what
    the keys would give, for every process and after a restart. A pair never changes what a patient or UID has already,
    and never gives two originals one replacement. No message holds a value: it names the pair's line.
    What can be found out beforehand is, while others write: in the commit it is only seen that it still holds.

Refuses
    (PairsRefused) ids that are no one's own, replacements that no attribute could hold, and all that would break the
    guarantees above, with a fault for each pair; of a patient who has deliveries, with what was delivered.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

from node.audit import kinds
from node.errors import Collision, Fault, MergeRefused, PairsRefused, ProjectClosed
from node.identity import PatientKey
from node.instances import Scope, is_uid
from node.ledger import many
from node.ledger.aliases import Aliases, PersonPlace, generation, read_aliases
from node.ledger.audit import Trail
from node.ledger.database import Database
from node.ledger.delivered import delivered_under
from node.ledger.maps import mark_imported, refuse_closed
from node.ledger.merging import check_join, join, person_of
from node.ledger.transactions import Transaction
from node.ledger.waiting import anybody_waits, begin_to_let_go, count_waiting, let_go, release_of

# What Patient ID (LO) and Patient's Name (PN) both take, in every character set, and as one component.
_PSEUDONYM = re.compile(r"[!-<>-\[\]_-~](?:[ -<>-\[\]_-~]{0,62}[!-<>-\[\]_-~])?")
_STANDARD = "1.2.840.10008"
_LONGEST_SHIFT = 36_525  # days
_FEW = 1000  # patients, and instances that wait: so many are let go in the commit of their pairs


@dataclass(frozen=True, slots=True)
class PatientPair:
    """A patient and the pseudonym that was chosen; `line` is where the pair stands.

    `shift_days` is by how many days the dates move, never 0; None leaves it to the project's keys. `key` is who that
    is, where whoever made the pair has found it out by the project's rules.
    """

    line: int
    issuer: str
    patient_id: str
    pseudonym: str
    shift_days: int | None = None
    key: PatientKey | None = field(default=None, compare=False)


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
    with database.read() as connection:
        work = _checked(connection, scope, pairs, file)
    try:
        with database.write(durable=True) as connection:
            done = _carried_out(connection, work, trail)
    except ProjectClosed:
        raise
    except (Collision, _Changed):
        # Others have written meanwhile what these pairs meet: once more, and now nobody else can.
        with database.write(durable=True) as connection:
            work = _checked(connection, scope, pairs, file)
            done = _carried_out(connection, work, trail)
    if work.lets_go_later:
        done = replace(done, released=done.released + let_go(database, scope.project, work.whose))
    return done


def _checked(connection: Transaction, scope: Scope, pairs: Sequence[Pair], file: str) -> _Import:
    refuse_closed(connection, scope.project)
    work = _Import(connection, scope)
    work.check(pairs, file)
    work.prepare()
    return work


def _carried_out(connection: Transaction, work: _Import, trail: Trail | None) -> Imported:
    scope = work.scope
    refuse_closed(connection, scope.project)
    work.connection = connection
    work.refuse_changed()
    done = work.write()
    if trail is not None:
        waited = done.released + (work.waiting if work.lets_go_later else 0)
        text = f"{done.new} pairs imported, {done.known} known; {waited} instances that waited go on"
        trail.append(connection, kinds.crosswalk_changed(trail.source, trail.by, scope.project, text))
    return done


def check_pairs(database: Database, scope: Scope, pairs: Sequence[Pair], file: str = "pairs") -> Imported:
    """Return what `import_pairs` would do, as far as can be seen now; write nothing. Raises PairsRefused."""
    with database.read() as connection:
        work = _checked(connection, scope, pairs, file)
        return Imported(work.new, len(pairs) - work.new)


class _Changed(Exception):
    """What was found out about pairs does not hold any more."""


_Problem = tuple[str, str] | None
_Given = tuple[str, int]


@dataclass
class _Import:
    """One import under way: checked in one transaction, and written in the same or a later one (`connection`).

    `waiting` is how many instances wait for its pairs, `lets_go_later` that they are too many for one commit.
    """

    connection: Transaction
    scope: Scope
    waiting: int = 0
    lets_go_later: bool = False
    _aliases: Aliases = field(init=False)
    _generation: int = field(init=False)
    _known_patients: dict[PersonPlace, tuple[str, int, str]] = field(default_factory=dict)
    _taken: set[str] = field(default_factory=set)
    _computed: dict[PatientKey, str] = field(default_factory=dict)
    _studies: set[str] = field(default_factory=set)
    _had_studies: bool = False
    _known_uids: dict[str, str] = field(default_factory=dict)
    _taken_uids: set[str] = field(default_factory=set)
    _patients: dict[PersonPlace, tuple[int, _Given]] = field(default_factory=dict)
    _pseudonyms: dict[str, int] = field(default_factory=dict)
    _uids: dict[str, tuple[int, str]] = field(default_factory=dict)
    _replacements: dict[str, int] = field(default_factory=dict)
    _persons: list[PatientKey] = field(default_factory=list)
    _confirmed: list[PersonPlace] = field(default_factory=list)
    _joined: list[tuple[PatientKey, PatientKey]] = field(default_factory=list)
    _delivered: list[tuple[int, str]] = field(default_factory=list)
    _patient_rows: list[many.Values] = field(default_factory=list)
    _uid_rows: list[many.Values] = field(default_factory=list)
    _known: int = 0

    def __post_init__(self) -> None:
        self._aliases, self._generation = read_aliases(self.connection), generation(self.connection)

    @property
    def new(self) -> int:
        return len(self._patients) + len(self._uids) + len(self._joined)

    def check(self, pairs: Sequence[Pair], file: str) -> None:
        """Find out what is new. Raises PairsRefused with everything that is wrong."""
        found: list[tuple[int, tuple[str, str]]] = []
        persons = [self._person(pair) for pair in pairs]
        self._look_up(pairs, persons)
        for pair, person in zip(pairs, persons, strict=True):
            problem = self._check(pair, person)
            if problem is not None:
                found.append((pair.line, problem))
        if found:
            raise PairsRefused(self._faults(found, file))

    def prepare(self) -> None:
        """Make the rows, and find out how many instances wait for the pairs."""
        project, epoch = self.scope.project, self.scope.keys.epoch
        given = {place: pair for place, (_, pair) in self._patients.items()}
        self._patient_rows = many.patient_rows(self.connection, given)
        self._uid_rows = many.uid_rows(
            self.connection, project, epoch, {uid: to for uid, (_, to) in self._uids.items()}
        )
        places = len(self._persons)
        if places and anybody_waits(self.connection, project):
            self.waiting = count_waiting(self.connection, project, self.whose)
            self.lets_go_later = places > _FEW or self.waiting > _FEW

    @cached_property
    def whose(self) -> set[str]:
        """The keyed numbers of the patients whose pairs these are (`ProjectKeys.whose_patient`)."""
        return set(map(self.scope.keys.whose_patient, self._persons))

    def refuse_changed(self) -> None:
        """Raise _Changed where ids were made one since the check, or instances went out that these pairs contradict."""
        if generation(self.connection) != self._generation:
            raise _Changed
        if many.has_studies(self.connection, self.scope.project) != self._had_studies:
            raise _Changed
        if many.with_studies(self.connection, self.scope.project, self._computed.values()) != self._studies:
            raise _Changed

    def write(self) -> Imported:
        """Write what `check` found to be new; let those go who waited for it, or note that they are to be.

        Raises _Changed, or breaks a constraint, where the maps are others than they were.
        """
        released = 0
        for old, new in self._joined:
            released += join(self.connection, self.scope, old, new).released
        many.new_patients(self.connection, self._patient_rows)
        if not all(mark_imported(self.connection, place) for place in self._confirmed):
            raise _Changed
        many.new_uids(self.connection, self._uid_rows)
        return Imported(self.new, self._known, released + self._release())

    def _release(self) -> int:
        project, places = self.scope.project, len(self._persons)
        if not places or not anybody_waits(self.connection, project):
            return 0
        if not self.lets_go_later and places <= _FEW:
            return release_of(self.connection, project, self.whose)
        self.lets_go_later = True
        begin_to_let_go(self.connection, project)
        return 0

    def _person(self, pair: Pair) -> PatientKey | None:
        """Return whose pair it is; None for an id of no one, and for another kind of pair."""
        if not isinstance(pair, PatientPair):
            return None
        key = pair.key or self.scope.patients.key(pair.issuer, pair.patient_id)
        return None if key is None else person_of(self._aliases, self.scope, key)

    def _place(self, person: PatientKey) -> PersonPlace:
        return self.scope.project, self.scope.keys.epoch, person.issuer, person.patient_id

    def _look_up(self, pairs: Sequence[Pair], persons: Sequence[PatientKey | None]) -> None:
        """Read what the maps have of all pairs."""
        connection, project, keys = self.connection, self.scope.project, self.scope.keys
        places = {one: self._place(one) for one in persons if one is not None}
        self._known_patients = many.rows_of(connection, places.values())
        asked = {pair.pseudonym for pair in pairs if isinstance(pair, PatientPair)}
        self._taken = many.taken_pseudonyms(connection, project, asked)
        self._had_studies = many.has_studies(connection, project)
        if self._had_studies:
            fresh = (one for one, place in places.items() if place not in self._known_patients)
            self._computed = {one: keys.pseudonym(one) for one in fresh}
            self._studies = many.with_studies(connection, project, self._computed.values())
        uids = [pair for pair in pairs if isinstance(pair, UidPair)]
        originals = {pair.original.strip("\0 ") for pair in uids}
        self._known_uids = many.replacements_of(connection, project, keys.epoch, originals)
        self._taken_uids = many.taken_replacements(connection, project, {pair.replacement for pair in uids})

    def _check(self, pair: Pair, person: PatientKey | None) -> _Problem:
        match pair:
            case PatientPair():
                return self._patient(pair, person)
            case UidPair():
                return self._uid(pair)
        return self._same(pair)

    def _patient(self, pair: PatientPair, person: PatientKey | None) -> _Problem:
        wrong = next(_wrong_patient(pair, person), None)
        if wrong is not None or person is None:
            return wrong
        shift = self.scope.keys.shift_days(person) if pair.shift_days is None else pair.shift_days
        place = self._place(person)
        earlier = self._patients.get(place)
        if earlier is not None:
            if (pair.pseudonym, shift) == earlier[1]:
                self._known += 1
                return None
            return f"line {earlier[0]} gives the patient another pseudonym or shift.", "Keep one of the two."
        row = self._known_patients.get(place)
        if row is None:
            return self._new_patient(pair, person, place, (pair.pseudonym, shift))
        if row[:2] != (pair.pseudonym, row[1] if pair.shift_days is None else shift):
            self._delivered.append((pair.line, row[0]))
            return "the patient has another pseudonym or shift already.", _NEW_EPOCH
        self._known += 1
        self._persons.append(person)
        if row[2] != "imported":
            self._confirmed.append(place)
        return None

    def _new_patient(self, pair: PatientPair, person: PatientKey, place: PersonPlace, given: _Given) -> _Problem:
        sent = self._sent_as(person, given)
        if sent is not None:
            self._delivered.append((pair.line, sent))
            return "instances of the patient went out under another pseudonym or shift already.", _NEW_EPOCH
        if pair.pseudonym in self._pseudonyms:
            problem = f"another patient has this pseudonym, in line {self._pseudonyms[pair.pseudonym]}."
            return problem, "Choose another: two patients would become one."
        if pair.pseudonym in self._taken:
            return "another patient has this pseudonym.", "Choose another: two patients would become one."
        self._patients[place] = (pair.line, given)
        self._persons.append(person)
        self._pseudonyms[pair.pseudonym] = pair.line
        return None

    def _sent_as(self, person: PatientKey, given: _Given) -> str | None:
        """The keys' pseudonym, where studies went out under it by a recipe that asked for no pseudonym."""
        computed = self._computed.get(person, "")
        sent = computed in self._studies and given != (computed, self.scope.keys.shift_days(person))
        return computed if sent else None

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
        original, replacement = pair.original.strip("\0 "), pair.replacement
        if not original or not is_uid(replacement):
            return "not two UIDs.", "Write the original and its replacement."
        if any(f"{one}.".startswith(f"{_STANDARD}.") for one in (original, replacement)):
            return "UIDs under 1.2.840.10008 are the standard's own, and stay.", "Remove the line."
        line, known = self._uids.get(original, (0, None))
        known = known or self._known_uids.get(original)
        if known is not None:
            if known == replacement:
                self._known += 1
                return None
            where = f", in line {line}" if line else " already"
            return f"the UID has another replacement{where}.", _NEW_EPOCH
        other = self._replacements.get(replacement)
        if other is not None or replacement in self._taken_uids:
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
