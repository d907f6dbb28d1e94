"""What replacements look like: the form of pseudonyms, the root of UIDs, the range of date shifts.

Guarantees that whatever a form gives carries at least 60 bits of the key's result, and that a date shift is one of at
least 30. Refuses (ValueError, in one sentence) forms that would give less, or values that DICOM does not take.
`fixed` is what stays as it is once something was handed out in it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # no letter that reads as a digit
MIN_BITS = 60
MAX_PSEUDONYM = 16  # characters: what SH takes (PS3.5 6.2)
MIN_SHIFTS = 30
UUID_ROOT = "2.25"
MAX_UID = 64  # characters (PS3.5 9.1)
MAX_NUMBER = 39  # digits behind a root: as many as those of a UUID

_PREFIX = re.compile(r"[A-Za-z0-9._-]*\Z")
_ALPHABET = re.compile(r"[A-Za-z0-9]{2,}\Z")
_ROOT = re.compile(r"(?:[01]\.[1-3]?[0-9]|2\.(?:0|[1-9][0-9]*))(?:\.(?:0|[1-9][0-9]*))*\Z")
_STANDARD_ROOT = "1.2.840.10008"


@dataclass(frozen=True, slots=True)
class PseudonymForm:
    """The form of a project's pseudonyms.

    Parameters
    ----------
    prefix
        Stands in front of each: letters, digits, dot, dash, underscore.
    length
        Characters of the whole, at most 16.
    alphabet
        The letters and digits that the part behind the prefix is made of.
    check_digit
        The last character is then one of ISO/IEC 7064 (hybrid system, MOD n+1,n for an alphabet of n characters) over
        the part behind the prefix; it shows a wrong character, and most neighbours that changed places.
    """

    prefix: str = ""
    length: int = 13
    alphabet: str = CROCKFORD
    check_digit: bool = False

    def __post_init__(self) -> None:
        if not _PREFIX.match(self.prefix):
            raise ValueError("a pseudonym's prefix has letters, digits, dot, dash and underscore.")
        if not _ALPHABET.match(self.alphabet):
            raise ValueError("a pseudonym's alphabet is at least two letters or digits.")
        if len(set(self.alphabet.upper())) < len(self.alphabet):
            raise ValueError("a character stands twice in a pseudonym's alphabet; capital and small letters are one.")
        if self.check_digit and len(self.alphabet) % 2:
            raise ValueError("a check digit needs an alphabet with an even number of characters.")
        if not 1 <= self.length <= MAX_PSEUDONYM:
            raise ValueError(f"a pseudonym has at most {MAX_PSEUDONYM} characters.")
        self._refuse_few_bits()

    def _refuse_few_bits(self) -> None:
        if self.length > self._extra and self.bits >= MIN_BITS:
            return
        needed = self._extra + math.ceil(MIN_BITS / math.log2(len(self.alphabet)))
        remedy = (
            f"with this prefix and alphabet the length is at least {needed}."
            if needed <= MAX_PSEUDONYM
            else "a shorter prefix or a larger alphabet is needed."
        )
        raise ValueError(f"a pseudonym carries at least {MIN_BITS} bits: {remedy}")

    @property
    def _extra(self) -> int:
        return len(self.prefix) + self.check_digit

    @property
    def bits(self) -> float:
        """How many bits of the key's result a pseudonym carries."""
        return (self.length - self._extra) * math.log2(len(self.alphabet))

    def text(self, digest: bytes) -> str:
        """Return the pseudonym of a keyed result: its first bits, most significant character first."""
        base = len(self.alphabet)
        count = self.length - self._extra
        number = scaled(digest, base**count)
        places = [number // base**place % base for place in reversed(range(count))]
        if self.check_digit:
            places.append(_check_digit(places, base))
        return self.prefix + "".join(self.alphabet[place] for place in places)


def _check_digit(places: list[int], base: int) -> int:
    """Return the check character of ISO/IEC 7064, hybrid system MOD base+1,base."""
    carry = base
    for place in places:
        carry = ((carry + place) % base or base) * 2 % (base + 1)
    return (1 - carry) % base


def scaled(digest: bytes, count: int) -> int:
    """Return a number below `count`: the digest, as a fraction of all that there are, times `count`."""
    return int.from_bytes(digest, "big") * count >> 8 * len(digest)


@dataclass(frozen=True, slots=True)
class ShiftRange:
    """By how many days dates move into the past: at least `least`, at most `most`; multiples of 7 for `whole_weeks`."""

    least: int = 30
    most: int = 730
    whole_weeks: bool = False

    def __post_init__(self) -> None:
        if self.least < 1:
            raise ValueError("dates move by at least one day.")
        if self.most < self.least:
            raise ValueError("the longest shift is shorter than the shortest.")
        if self.count < MIN_SHIFTS:
            raise ValueError(f"fewer than {MIN_SHIFTS} different shifts would be too easy to guess: widen the range.")

    @property
    def _step(self) -> int:
        return 7 if self.whole_weeks else 1

    @property
    def count(self) -> int:
        """How many different shifts there are."""
        return self.most // self._step + (-self.least // self._step) + 1

    def days(self, number: int) -> int:
        """Return the shift that a number stands for, in days; always negative."""
        return (-self.least // self._step - number % self.count) * self._step


def check_root(root: str) -> str:
    """Return a root of UIDs. Raises ValueError for what is none, and where too little room is left behind it."""
    if not _ROOT.match(root):
        raise ValueError("expected a root of UIDs such as 1.2.826.0.1.3680043.8.498, in quotes where it has one dot.")
    if f"{root}.".startswith(f"{_STANDARD_ROOT}."):
        raise ValueError("UIDs under 1.2.840.10008 are the standard's own.")
    if root.startswith(f"{UUID_ROOT}."):
        raise ValueError("behind 2.25 stands one number, which the node makes.")
    if digits_behind(root) * math.log2(10) < MIN_BITS:
        raise ValueError(f"a root has at most {_LONGEST_ROOT} characters, so that {MIN_BITS} bits have room behind it.")
    return root


def digits_behind(root: str) -> int:
    """Return how many digits a UID has behind a root and a dot."""
    return min(MAX_NUMBER, MAX_UID - len(root) - 1)


_LONGEST_ROOT = MAX_UID - 1 - math.ceil(MIN_BITS / math.log2(10))


@dataclass(frozen=True, slots=True)
class Forms:
    """The forms of whatever a project hands out; `uid_root` is 2.25 (UUIDs) or the site's own."""

    pseudonym: PseudonymForm = field(default_factory=PseudonymForm)
    shift: ShiftRange = field(default_factory=ShiftRange)
    uid_root: str = UUID_ROOT

    def __post_init__(self) -> None:
        check_root(self.uid_root)

    @property
    def fixed(self) -> Mapping[str, str | int | bool]:
        """Every form by its key in the configuration; durations in days."""
        return {
            "pseudonym.prefix": self.pseudonym.prefix,
            "pseudonym.length": self.pseudonym.length,
            "pseudonym.alphabet": self.pseudonym.alphabet,
            "pseudonym.check_digit": self.pseudonym.check_digit,
            "uid_root": self.uid_root,
            "dates.shift_min": self.shift.least,
            "dates.shift_max": self.shift.most,
            "dates.whole_weeks": self.shift.whole_weeks,
        }
