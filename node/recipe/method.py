"""What a de-identified instance says of how it was done (PS3.15 E.1.1, E.2, E.3; PS3.3 C.12.1.1.1.3).

Guarantees that what is said follows from the profiles that were combined: (0012,0062) YES, (0012,0063) their names,
(0012,0064) their codes of CID 7050, and (0028,0303) what became of the dates. Codes are added to those that a sequence
in the instance already has; the other three take the place of what was there. Nothing is said without the Basic
Profile.
"""

from __future__ import annotations

from collections.abc import Sequence

from node.recipe.coding import Coding
from node.recipe.header import Action, Rule, Source, Value
from node.recipe.profile import BASIC, Profile
from node.recipe.selectors import parse_selector
from node.standard import method_codes

METHOD = 0x00120063  # De-identification Method
CODE_SEQUENCE = 0x00120064  # De-identification Method Code Sequence
_ITEM = 0xFFFEE000
_SCHEME = "DCM"
_CODES = {
    BASIC: "113100",
    "clean-pixel-data": "113101",
    "clean-graphics": "113103",
    "clean-structured-content": "113104",
    "clean-descriptors": "113105",
    "retain-full-dates": "113106",
    "retain-modified-dates": "113107",
    "retain-patient-characteristics": "113108",
    "retain-device-identity": "113109",
    "retain-uids": "113110",
    "retain-safe-private": "113111",
    "retain-institution-identity": "113112",
}
_PIXELS = "clean-pixel-data"
_MODES = {"retain-full-dates": "kept", "retain-modified-dates": "moved"}
_DATES = {"retain-full-dates": "UNMODIFIED", "retain-modified-dates": "MODIFIED"}


def date_mode(profile: Profile | None) -> str:
    """Return `moved` or `kept`, by the option for dates; empty where the profile removes them, or lines decide."""
    names = profile.names if profile is not None and profile.basic else ()
    return next((mode for name, mode in _MODES.items() if name in names), "")


def method_rules(profile: Profile) -> list[Rule]:
    """Return the lines that say it, as far as a line can."""
    if not profile.basic:
        return []
    names = [method_codes()[_CODES[name]] for name in profile.names if name != _PIXELS]
    dates = next((said for name, said in _DATES.items() if name in profile.names), "REMOVED")
    said = {
        "PatientIdentityRemoved": "YES",
        "DeidentificationMethod": "\\".join([*names, *profile.own]),
        "LongitudinalTemporalInformationModified": dates,
    }
    return [
        Rule(Action.ADD, parse_selector(keyword), Value(Source.LITERAL, text, text), profile.where)
        for keyword, text in said.items()
    ]


def applied_codes(profile: Profile | None, *, masked: bool) -> tuple[str, ...]:
    """Return the codes of what is applied to an instance; Clean Pixel Data only where pixels are masked."""
    if profile is None or not profile.basic:
        return ()
    return tuple(_CODES[name] for name in profile.names if name != _PIXELS or masked)


def items(codes: Sequence[str], coding: Coding) -> bytes:
    """Return the encoded items of (0012,0064), each a code of CID 7050."""
    return b"".join(_item(code, coding) for code in codes)


def _item(code: str, coding: Coding) -> bytes:
    value = b"".join(
        _element(tag, vr, text, coding)
        for tag, vr, text in (
            (0x00080100, "SH", code),
            (0x00080102, "SH", _SCHEME),
            (0x00080104, "LO", method_codes()[code]),
        )
    )
    return coding.item(_ITEM, len(value)) + value


def _element(tag: int, vr: str, text: str, coding: Coding) -> bytes:
    value = text.encode("ascii")
    value += b" " * (len(value) & 1)
    return coding.header(tag, vr, len(value)) + value
