"""The functions that `func:NAME` calls, and what any function is given.

Guarantees that each built-in function gives a text for the element it is asked for, the same one for the same original
and keys. Refuses with HoldInstance what it cannot replace: the original never takes the place of a result.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, NamedTuple, Protocol

from node.errors import HoldInstance, HoldReason
from node.recipe.values import parse_date, split_datetime

if TYPE_CHECKING:
    from node.recipe.instance import Instance

STANDARD_ROOT = "1.2.840.10008"


class Identities(Protocol):
    """What replaces the identity of one instance: given by the cleaner, asked by functions."""

    def uid(self, original: str) -> str:
        """Return the keyed replacement of a UID; an empty one stays empty."""
        ...

    def pseudonym(self) -> str:
        """Return the pseudonym of the instance's patient. May raise HoldInstance."""
        ...

    def shift_days(self) -> int:
        """Return by how many days the dates of the instance's patient move. May raise HoldInstance."""
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
    """

    read: Callable[[], str]
    vr: str
    path: str
    where: str
    exists: bool
    changed: bool
    instance: Instance

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


def shift_date(call: Call) -> str:
    """Move each date of a DA or DT value by the patient's days; time and zone stay, empty stays empty."""
    value = call.value
    return shifted(value, call.vr, call.identities.shift_days(), call.where) if value.strip("\0 ") else ""


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


BUILT_IN: dict[str, Function] = {"generate_uid": generate_uid, "pseudonym": pseudonym, "shift_date": shift_date}
