"""Who the patient is: issuer and Patient ID, made comparable.

Guarantees that one id in several writings (padding, composed and decomposed characters, an alias of its issuer) is one
patient, and that an id which stands for no one in particular is none: else all unnamed patients would become one.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

PADDING = "\0 "
_NO_MARKS = {number: None for number in range(128) if not chr(number).isalnum()}
_MOST_KNOWN = 1024  # ids; those of a series come back with every instance

# A character alone, or one that is repeated, stands for any repetition of it that is at least as long.
PLACEHOLDERS = (
    "0",
    "9999",
    "XX",
    "ANON",
    "ANONYM",
    "ANONYMIZED",
    "ANONYMOUS",
    "DEIDENTIFIED",
    "DUMMY",
    "EMPTY",
    "JANE DOE",
    "JOHN DOE",
    "MISSING",
    "N/A",
    "NAN",
    "NIL",
    "NO ID",
    "NO PATIENT ID",
    "NONE",
    "NOT AVAILABLE",
    "NULL",
    "PATIENT",
    "PATIENT ID",
    "TBD",
    "TEMP",
    "TEST",
    "TEST PATIENT",
    "UNBEKANNT",
    "UNDEFINED",
    "UNIDENTIFIED",
    "UNK",
    "UNKNOWN",
)


def cleaned(text: str) -> str:
    """Return a text without padding (NUL and blanks at its ends), in Unicode's normal form NFC."""
    text = text.strip(PADDING)
    return text if text.isascii() else unicodedata.normalize("NFC", text)


@dataclass(frozen=True, slots=True)
class PatientKey:
    """Who a patient is within a project: the issuer of the Patient ID, and the Patient ID.

    Both are trimmed of NUL and blanks and normalized (NFC) when the key is made.
    """

    issuer: str
    patient_id: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "issuer", cleaned(self.issuer))
        object.__setattr__(self, "patient_id", cleaned(self.patient_id))


class Patients:
    """Finds out who a patient is, by the rules of a project and route.

    Parameters
    ----------
    issuer
        The issuer where an instance names none.
    aliases
        Other names of issuers, each with the name that stands for both.
    placeholders
        Ids that are none. They are compared by their letters and digits alone, without regard to case and width; one
        character repeated means every repetition that is at least as long.
    """

    __slots__ = ("_aliases", "_issuer", "_known", "_runs", "_words")

    def __init__(
        self,
        issuer: str = "",
        aliases: Mapping[str, str] | None = None,
        placeholders: Iterable[str] = PLACEHOLDERS,
    ) -> None:
        self._issuer = cleaned(issuer)
        self._aliases = {cleaned(alias): cleaned(name) for alias, name in (aliases or {}).items()}
        self._words = {comparable(one) for one in placeholders}
        self._runs: dict[str, int] = {}
        self._known: dict[tuple[str | None, str | None], PatientKey | None] = {}
        for word in self._words:
            if len(set(word)) == 1:
                self._runs[word[0]] = min(len(word), self._runs.get(word[0], len(word)))

    def key(self, issuer: str | None, patient_id: str | None) -> PatientKey | None:
        """Return the patient of an issuer and id as they stand in a data set; None where the id is no one's."""
        asked = issuer, patient_id
        if asked in (known := self._known):
            return known[asked]
        if len(known) >= _MOST_KNOWN:
            self._known = known = {}
        found = known[asked] = self._key(issuer, patient_id)
        return found

    def _key(self, issuer: str | None, patient_id: str | None) -> PatientKey | None:
        patient = cleaned(patient_id or "")
        if not patient or self.is_placeholder(patient):
            return None
        name = cleaned(issuer or "") or self._issuer
        return PatientKey(self._aliases.get(name, name), patient)

    def is_placeholder(self, patient_id: str) -> bool:
        """Whether an id stands for no one in particular; one without a letter or digit does."""
        word = comparable(patient_id)
        if not word or word in self._words:
            return True
        return len(set(word)) == 1 and len(word) >= self._runs.get(word[0], len(word) + 1)


def comparable(text: str) -> str:
    """Return the letters and digits of a text, without regard to case and width."""
    if text.isascii():
        return text.lower().translate(_NO_MARKS)
    folded = unicodedata.normalize("NFKC", text).casefold()
    return "".join(character for character in folded if character.isalnum())
