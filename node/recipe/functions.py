"""The functions that `func:NAME` calls.

Guarantees that each gives a text for the element it is asked for, the same one for the same original and keys. Refuses
with HoldInstance what it cannot replace: the original never takes the place of a result.

A function gets a `Call`; more can be added to it (the lookup of variables, the data set) without changing a function.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

from node.errors import HoldInstance, HoldReason
from node.recipe.values import parse_date, split_datetime

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


@dataclass(frozen=True, slots=True)
class Call:
    """What a function may know.

    Parameters
    ----------
    value
        The element's current value as text, values separated by backslashes; "" where it is absent or empty.
    vr
        Its VR.
    seed
        A text that belongs to this element of this instance alone, for an element that `ADD` makes and that has no
        value to start from; None where the element exists.
    where
        Tag path and recipe line, for the detail of a hold.
    identities
        The instance's identities.
    """

    value: str
    vr: str
    seed: str | None
    where: str
    identities: Identities


def generate_uid(call: Call) -> str:
    """Return the keyed replacement of each UID.

    Well-known UIDs (1.2.840.10008…) and empty values stay. An element that `ADD` makes gets a UID of its own.
    """
    if not call.value and call.seed is not None:
        return call.identities.uid(call.seed)
    return "\\".join(_replaced(part.strip("\0 "), call.identities) for part in call.value.split("\\"))


def _replaced(uid: str, identities: Identities) -> str:
    if uid == STANDARD_ROOT or uid.startswith(f"{STANDARD_ROOT}."):
        return uid
    return identities.uid(uid) if uid else ""


def pseudonym(call: Call) -> str:
    """Return the pseudonym of the instance's patient."""
    return call.identities.pseudonym()


def shift_date(call: Call) -> str:
    """Move each date of a DA or DT value by the patient's days; time and zone stay, empty stays empty."""
    if not call.value.strip("\0 "):
        return ""
    return shifted(call.value, call.vr, call.identities.shift_days(), call.where)


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


Function = Callable[[Call], str]

BUILT_IN: dict[str, Function] = {"generate_uid": generate_uid, "pseudonym": pseudonym, "shift_date": shift_date}
