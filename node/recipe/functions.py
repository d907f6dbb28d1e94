"""The functions that `func:NAME` calls, and what any function is given.

Guarantees that each built-in function gives a text for the element it is asked for, the same one for the same original
and keys. Refuses with HoldInstance what it cannot replace: the original never takes the place of a result.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date, timedelta
from typing import TYPE_CHECKING, NamedTuple, Protocol

from node.errors import DatasetError, HoldInstance, HoldReason
from node.recipe import csa
from node.recipe.ages import age_on, capped
from node.recipe.descriptors import CLEAN_TEXT, clean_text
from node.recipe.texts import BYTES
from node.recipe.values import SINGLE, is_age, parse_date, split_datetime

if TYPE_CHECKING:
    from node.recipe.instance import Instance
    from node.recipe.known.decided import Decided

STANDARD_ROOT = "1.2.840.10008"
# What programs write where they have no date: far outside of the time of imaging, or a clock that was never set.
FIRST_YEAR, LAST_YEAR = 1901, 9899
CLOCKS_ZERO = frozenset(("19010101", "19700101", "19800101"))

_STUDY_INSTANCE_UID = 0x0020000D
_SESSION = 8  # characters: 40 bits tell the studies of one patient apart
_MIDDLE = {4: "0702", 6: "15"}  # of a year, of a month
_ISSUER_OF_PATIENT_ID = 0x00100021
_BIRTH_DATE = 0x00100030
# Study, Acquisition, Series, Content Date; Acquisition DateTime: the first that is a date is the day of the age.
_DAYS_OF_AGE = (0x00080020, 0x00080022, 0x00080021, 0x00080023, 0x0008002A)
_DOTTED = re.compile(r"[0-9]{4}\.[0-9]{2}\.[0-9]{2}")


class Identities(Protocol):
    """What replaces the identity of one instance: given by the cleaner, asked by functions."""

    def uid(self, original: str) -> str:
        """Return the keyed replacement of a UID; an empty one stays empty."""
        ...

    def project(self) -> str:
        """Return the name of the project that the instance goes to."""
        ...

    def text(self, original: str) -> str:
        """Return the keyed replacement of any text, at most 16 characters; an empty one stays empty."""
        ...

    def pseudonym(self) -> str:
        """Return the pseudonym of the instance's patient. May raise HoldInstance."""
        ...

    def pseudonym_of(self, patient_id: str, issuer: str | None = None) -> str:
        """Return the pseudonym of another id of the patient; empty for one that is no one's own.

        Without an issuer of its own it is of the patient's.
        """
        ...

    def shift_days(self) -> int:
        """Return by how many days the dates of the instance's patient move. May raise HoldInstance."""
        ...

    def empties_invalid_dates(self) -> bool:
        """Return whether a date that is none becomes empty; else it holds the instance."""
        ...

    def decided(self) -> Decided | None:
        """Return what was said of the texts of the instance's project; None where nothing was."""
        ...


class Call(NamedTuple):
    """What a function may know.

    Parameters
    ----------
    read
        Gives the element's current value as text, values separated by backslashes; "" where it is absent or empty.
        Raises HoldInstance where it has no text.
    vr
        Its VR.
    path
        Its tag path, `(0040,0275)__0__(0010,0020)`.
    where
        Tag path and recipe line, for the detail of a hold.
    exists
        False for an element that `ADD` is about to make.
    changed
        A line before has given it another value, or made it.
    instance
        The instance: its data set, identities and variables.
    sibling
        Gives the original value, as text, of an element that stands in front of this one in the same item; "" where
        there is none, and at the top level.
    writes
        Tells whether a text can be written in the element's character set.
    original
        Gives the element's original value as `read` does; None for an element that was not there.
    """

    read: Callable[[], str]
    vr: str
    path: str
    where: str
    exists: bool
    changed: bool
    instance: Instance
    sibling: Callable[[int], str] = lambda _tag: ""
    writes: Callable[[str], bool] = str.isascii
    original: Callable[[], str] | None = None

    @property
    def value(self) -> str:
        """The element's current value as text."""
        return self.read()

    @property
    def identities(self) -> Identities:
        """What replaces the identity of the instance. No function that asks for it is called where there is nothing."""
        assert self.instance.identities is not None
        return self.instance.identities

    @property
    def seed(self) -> str:
        """A text that belongs to this element of this instance alone, where there is no value to start from."""
        return self.instance.seed(self.path)


Function = Callable[[Call], str]


def generate_uid(call: Call) -> str:
    """Return the keyed replacement of each UID.

    Well-known UIDs (1.2.840.10008…) and empty values stay. An element that `ADD` makes gets a UID of its own.
    """
    value = call.value
    if not value and not call.exists:
        return call.identities.uid(call.seed)
    return "\\".join(replaced(part.strip("\0 "), call.identities) for part in value.split("\\"))


def replaced(uid: str, identities: Identities) -> str:
    """Return the keyed replacement of one UID; a well-known or empty one stays."""
    if uid == STANDARD_ROOT or uid.startswith(f"{STANDARD_ROOT}."):
        return uid
    return identities.uid(uid) if uid else ""


def pseudonym(call: Call) -> str:
    """Return the pseudonym of the instance's patient."""
    return call.identities.pseudonym()


def other_patient_id(call: Call) -> str:
    """Return the pseudonym of each other id of the patient, as if it were a Patient ID; empty for a placeholder.

    In an item (Other Patient IDs Sequence) it is that of the original id, by the issuer that the item names.
    """
    if "__" not in call.path or call.original is None:
        return _each(call, call.identities.pseudonym_of)
    sequence, _, item = call.path.rpartition("__")[0].rpartition("__")
    named = call.instance.items(sequence, (_ISSUER_OF_PATIENT_ID,))[int(item)]
    issuer = named.get(_ISSUER_OF_PATIENT_ID, "").strip("\0 ") or None
    original = call._replace(read=call.original)
    return _each(original, lambda value: call.identities.pseudonym_of(value, issuer))


def keyed_text(call: Call) -> str:
    """Return the keyed replacement of each text, 13 characters: of an accession number, an admission, an order."""
    return _each(call, call.identities.text)


def _each(call: Call, function: Callable[[str], str]) -> str:
    """Return what a function makes of each value that is not empty."""
    values = [call.value] if call.vr in SINGLE else call.value.split("\\")
    return "\\".join(function(value) if value.strip("\0 ") else "" for value in values)


def cap_age(call: Call) -> str:
    """Return each age, those over 89 years as 090Y, so that the very old are not to be told apart."""
    _only_ages(call)
    return _each(call, lambda age: _capped(age.strip("\0 "), call.where))


def age(call: Call) -> str:
    """Return the age, made of birth date and study date where there is none; over 89 years it is 090Y.

    Dates are those of the original. Empty where the original has no age and not both dates, and for a day before birth.
    Nothing is held: what is no age is as good as none.
    """
    _only_ages(call)
    try:
        found = call.value.strip("\0 ")
    except HoldInstance:  # bytes that are no text
        found = ""
    if is_age(found):
        return capped(found)
    born = _original_date(call, _BIRTH_DATE)
    days = (_original_date(call, tag) for tag in _DAYS_OF_AGE)
    day = next((day for day in days if day is not None), None)
    return "" if born is None or day is None else age_on(day, born)


def _only_ages(call: Call) -> None:
    if call.vr != "AS":
        raise HoldInstance(HoldReason.ACTION_FAILED, f"{call.where}: only AS is an age, this is {call.vr}")


def _capped(text: str, where: str) -> str:
    if not is_age(text):
        raise HoldInstance(HoldReason.ACTION_FAILED, f"{where}: not an age such as 042Y")
    return capped(text)


def _original_date(call: Call, tag: int) -> date | None:
    """Return the first date of a top-level element of the original; None for an absent, invalid or partial one."""
    try:
        text = (call.instance.dataset.text(tag) or "").partition("\\")[0].strip("\0 ")
        day = _plain(text if _DOTTED.fullmatch(text) else split_datetime(text)[0])
        return None if is_placeholder(day) else parse_date(day)
    except (ValueError, DatasetError):
        return None


def shift_date(call: Call) -> str:
    """Move each date of a DA or DT value by the patient's days; time and zone stay.

    An empty value stays empty, a placeholder becomes empty: moved, it would tell by how much all others did. A DT of a
    month or a year stays one. What is no date holds the instance, or becomes empty where the project says so.
    """
    if call.vr not in ("DA", "DT"):
        raise HoldInstance(HoldReason.ACTION_FAILED, f"{call.where}: only DA and DT have a date to move")
    return _each(call, lambda value: _shifted(value.strip("\0 "), call))


def _shifted(value: str, call: Call) -> str:
    try:
        day, rest = (_plain(value), "") if call.vr == "DA" else split_datetime(value)
        return "" if is_placeholder(day) else moved_date(day, call.identities.shift_days()) + rest
    except (ValueError, OverflowError):
        if call.identities.empties_invalid_dates():
            return ""
        raise HoldInstance(HoldReason.ACTION_FAILED, f"{call.where}: not a date") from None


def _plain(day: str) -> str:
    """Return a DA value without the dots that it had before DICOM (PS3.5 6.2). Raises ValueError for a part of one."""
    plain = day.replace(".", "") if _DOTTED.fullmatch(day) else day
    if len(plain) != 8:
        raise ValueError("not a date")
    return plain


def _whole(day: str) -> date:
    """Return the date of YYYYMMDD, or the middle of YYYYMM or YYYY. Raises ValueError."""
    return parse_date(day + _MIDDLE.get(len(day), ""))


def is_birth_date(call: Call) -> bool:
    """Tell whether one of the dates of a value is the patient's birth date; a date that cannot be read is none."""
    born = _original_date(call, _BIRTH_DATE)
    try:
        days = [part.strip("\0 ").replace(".", "")[:8] for part in call.value.split("\\")]
    except HoldInstance:
        return False
    return born is not None and f"{born.year:04d}{born.month:02d}{born.day:02d}" in days


def is_placeholder(day: str) -> bool:
    """Whether YYYYMMDD, YYYYMM or YYYY stands for no date. Raises ValueError for what is no date at all."""
    return not FIRST_YEAR <= _whole(day).year <= LAST_YEAR or day in CLOCKS_ZERO


def moved_date(day: str, days: int) -> str:
    """Return YYYYMMDD, YYYYMM or YYYY moved by days, in the same precision. Raises ValueError, OverflowError."""
    moved = _whole(day) + timedelta(days=days)
    return f"{moved.year:04d}{moved.month:02d}{moved.day:02d}"[: len(day)]


def shifted(value: str, vr: str, days: int, where: str) -> str:
    """Return DA or DT values moved by whole days.

    Raises HoldInstance for another VR, and for what is no full date (YYYYMMDD at least).
    """
    if vr not in ("DA", "DT"):
        raise HoldInstance(HoldReason.ACTION_FAILED, f"{where}: only DA and DT have a date to move, this is {vr}")
    try:
        return "\\".join(_moved(part.strip("\0 "), vr, days) for part in value.split("\\"))
    except (ValueError, OverflowError):
        raise HoldInstance(HoldReason.ACTION_FAILED, f"{where}: not a full date") from None


def _moved(part: str, vr: str, days: int) -> str:
    if not part:
        return ""
    day, rest = (part, "") if vr == "DA" else split_datetime(part)
    moved = parse_date(day) + timedelta(days=days)
    return f"{moved.year:04d}{moved.month:02d}{moved.day:02d}{rest}"


def csa_allowed(call: Call) -> str:
    """Return a private header of Siemens MR with nothing but known numbers and terms; empty where none can stay."""
    if call.vr not in BYTES:
        return ""
    try:
        value = call.value
    except HoldInstance:  # far too long for a header
        return ""
    return csa.allowed(value.encode("latin-1", "replace")).decode("latin-1")


def xnat_session(call: Call) -> str:
    """Return by what XNAT files an image: project, subject (the pseudonym), and a session unique to the study.

    The session is the pseudonym, an underscore, and the first 8 characters of the keyed text of the Study Instance UID.
    """
    study = call.instance.dataset.text(_STUDY_INSTANCE_UID) or ""
    if not study:
        raise HoldInstance(HoldReason.ACTION_FAILED, f"{call.where}: no session without a Study Instance UID")
    subject = call.identities.pseudonym()
    session = f"{subject}_{call.identities.text(study)[:_SESSION]}"
    return f"Project:{call.identities.project()} Subject:{subject} Session:{session}"


BUILT_IN: dict[str, Function] = {
    "age": age,
    "cap_age": cap_age,
    CLEAN_TEXT: clean_text,
    "csa_allowed": csa_allowed,
    "generate_uid": generate_uid,
    "keyed_text": keyed_text,
    "other_patient_id": other_patient_id,
    "pseudonym": pseudonym,
    "shift_date": shift_date,
    "xnat_session": xnat_session,
}
UNKEYED = frozenset(("age", "cap_age", "csa_allowed"))
"""Built-in functions that need neither secret nor patient."""
