"""Rows of a file as pairs: what is missing, written twice, or no longer what somebody wrote."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

from node.crosswalk.headings import Column
from node.crosswalk.reading import Row, Table
from node.crosswalk.spoiled import HINT, Written, is_number, without_zeros
from node.errors import Fault
from node.identity import PatientKey
from node.ledger.crosswalk import Pair, PatientPair, SamePerson, UidPair

_DAYS = re.compile(r"[+-]?\d{1,6}", re.ASCII)
_OF_PATIENTS = frozenset(
    (Column.ISSUER, Column.PATIENT_ID, Column.PSEUDONYM, Column.SHIFT, Column.SAME_ID, Column.SAME_ISSUER)
)

KeyOf = Callable[[str, str], PatientKey | None]


@dataclass
class Pairs:
    """The pairs of a file, what is wrong with its lines, and how many lines were left open.

    Parameters
    ----------
    key_of
        Who the patient of an issuer and id is.
    issuer_needed
        Whether a line has to name its issuer.
    as_written
        Whether ids are taken as they stand, whatever a spreadsheet may have made of them.
    """

    file: str
    key_of: KeyOf
    issuer_needed: bool = False
    as_written: bool = False
    found: list[Pair] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    open: int = 0
    _patients: dict[PatientKey, int] = field(default_factory=dict)
    _numbers: list[Written] = field(default_factory=list)
    _uids: dict[str, int] = field(default_factory=dict)

    def read(self, table: Table) -> None:
        """Make pairs of the rows of a table."""
        self.as_written = self.as_written or table.untouched
        for row in table.rows:
            if not _OF_PATIENTS.isdisjoint(row.cells):
                self._patient(row, table)
            if row[Column.ORIGINAL_UID] or row[Column.REPLACEMENT_UID]:
                self._uid(row)

    def check_zeros(self, known: Iterable[tuple[str, str]], waits: Callable[[str, str], bool] | None) -> None:
        """Find ids that lost leading zeros; `known` and `waits` as for `without_zeros`."""
        for line, problem in without_zeros(self._numbers, known, waits):
            self._fault(line, problem, HINT)

    @property
    def numbers(self) -> int:
        """How many ids may have lost zeros: they are of digits only, and nobody takes them as they stand."""
        return len(self._numbers)

    def _fault(self, line: int, problem: str, hint: str) -> None:
        self.faults.append(Fault(self.file, line, problem, hint))

    def _patient(self, row: Row, table: Table) -> None:
        issuer, patient_id, pseudonym = row[Column.ISSUER], row[Column.PATIENT_ID], row[Column.PSEUDONYM]
        if table.is_list_of_waiting and not pseudonym and not row[Column.SHIFT]:
            self.open += 1
            return
        wrong = self._wrong(row) or self._spoiled(("Patient ID", patient_id), ("pseudonym", pseudonym))
        if wrong is not None:
            self._fault(row.line, *wrong)
            return
        key = self.key_of(issuer, patient_id)
        if row[Column.SAME_ID]:
            same = SamePerson(row.line, issuer, patient_id, row[Column.SAME_ISSUER], row[Column.SAME_ID])
            self._add(row.line, key, same)
            return
        days = row[Column.SHIFT]
        shift = None if not days or (table.zero_is_none and int(days) == 0) else int(days)
        pair = PatientPair(row.line, issuer, patient_id, pseudonym, shift, key)
        self._add(row.line, key, pair, table.is_of_studies)

    def _wrong(self, row: Row) -> tuple[str, str] | None:
        """Return what is wrong with the cells of a patient, and what to do."""
        if not row[Column.PATIENT_ID]:
            return "no Patient ID.", "Write it, or remove the line."
        if self.issuer_needed and not row[Column.ISSUER]:
            return "no issuer.", "The project's routes have different ones: write it, or name one with --issuer."
        if not row[Column.PSEUDONYM] and not row[Column.SAME_ID]:
            return "no pseudonym.", "Write it, or remove the line."
        if row[Column.SHIFT] and not _DAYS.fullmatch(row[Column.SHIFT]):
            return "not a shift.", "Write a whole number of days, negative into the past, or nothing."
        return None

    def _spoiled(self, *cells: tuple[str, str]) -> tuple[str, str] | None:
        for name, text in cells:
            how = "" if self.as_written else is_number(text)
            if how:
                return f"the {name} is {how}: it is not what somebody wrote.", HINT
        return None

    def _add(self, line: int, key: PatientKey | None, pair: PatientPair | SamePerson, again: bool = False) -> None:
        """Take a pair; a patient has one line, or, where `again` is allowed, several that do not contradict."""
        place = None if key is None else self._patients.get(key)
        if place is None:
            if key is not None:
                self._patients[key] = len(self.found)
                if key.patient_id.isdecimal() and not self.as_written:
                    self._numbers.append(Written(line, key.issuer, key.patient_id))
            self.found.append(pair)
            return
        first = self.found[place]
        if not again or not isinstance(first, PatientPair) or not isinstance(pair, PatientPair):
            self._fault(line, f"the Patient ID stands in line {first.line} too.", "Keep one of the two.")
        elif first.pseudonym != pair.pseudonym or len({first.shift_days, pair.shift_days} - {None}) > 1:
            problem = f"line {first.line} gives the patient another pseudonym or shift."
            self._fault(line, problem, "Keep one of the two.")
        elif first.shift_days is None:
            self.found[place] = replace(pair, line=first.line)

    def _uid(self, row: Row) -> None:
        original = row[Column.ORIGINAL_UID]
        if original and original in self._uids:
            self._fault(row.line, f"the UID stands in line {self._uids[original]} too.", "Keep one of the two.")
            return
        self._uids[original] = row.line
        self.found.append(UidPair(row.line, original, row[Column.REPLACEMENT_UID]))
