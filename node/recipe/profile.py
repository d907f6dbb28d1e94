"""The section `%profile NAME`: its lines, and what several profiles say together.

A line is an action code of PS3.15 Table E.1-1a and what it is for: `X (0010,1040)`. Guarantees that a later line
overrides an earlier one of the same attribute, and that a combination which contradicts itself does not load. Refuses
(Problem) codes that are none, attributes that no line may name, and codes that the attribute's VR cannot take.

An attribute is a tag, a tag of a repeating group (`(60xx,3000)`, `(60xx,xxxx)` for the whole group), a private
attribute by its creator, or one of the selectors `select:VR:UI`, `select:group:0004`, `select:private`, `select:all`,
which yield to whatever names the attribute more closely; `select:all` yields to all others.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from node.errors import Fault
from node.recipe.dictionary import PROTECTED, entry, nearest, show
from node.recipe.selectors import Problem, Selector, parse_selector

CODES = ("C", "D", "K", "U", "X", "Z", "X/D", "X/Z", "Z/D", "X/Z/D", "X/Z/U*")
BASIC = "basic"
OPTIONS = (
    "clean-pixel-data",
    "clean-graphics",
    "clean-structured-content",
    "clean-descriptors",
    "retain-full-dates",
    "retain-modified-dates",
    "retain-patient-characteristics",
    "retain-device-identity",
    "retain-uids",
    "retain-safe-private",
    "retain-institution-identity",
)
_CONTRADICTIONS = (
    ("retain-full-dates", "retain-modified-dates", "dates either stay or move"),
    ("retain-uids", "retain-modified-dates", "vendors write dates and times into UIDs, which would tell the shift"),
)
_CLOSE = 0.8  # a name this near to one of the standard's is a slip of the pen

Key: TypeAlias = tuple[str, int] | tuple[str, int, str, int] | tuple[str, str]
"""What a line is for: ("tag", tag), ("repeating", pattern), ("private", group, creator, low), ("select", text)."""

WHOLE = 0xFFFF_0000  # of a repeating group: every element
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}\Z")
_REPEATING = re.compile(r"\((50|60)xx,(xxxx|[0-9A-F]{4})\)\Z", re.IGNORECASE)
_PRIVATE = re.compile(r'\(?([0-9A-Fa-f]{4}),"([^"]*)",([0-9A-Fa-f]{2})\)?\Z')


@dataclass(frozen=True, slots=True)
class ProfileLine:
    """One line: `under` is the code that C falls back on where nothing cleans, that of the profile below it."""

    code: str
    key: Key
    selector: Selector
    where: str
    under: str = ""


@dataclass(frozen=True, slots=True)
class ProfileSection:
    """One section `%profile NAME`; `where` is the line that opens it."""

    name: str
    where: str
    lines: tuple[ProfileLine, ...] = ()


@dataclass(frozen=True, slots=True)
class Profile:
    """What all sections say together: their names in the order of CID 7050, and one line for each attribute.

    `own` are names that the standard does not know; `where` is the line that opens the first section.
    """

    names: tuple[str, ...]
    own: tuple[str, ...]
    where: str
    lines: dict[Key, ProfileLine]

    @property
    def basic(self) -> bool:
        """Whether the Basic Profile is among them: only then the instance is said to be de-identified."""
        return BASIC in self.names


def profile_name(text: str) -> str:
    """Return the name that opens a section. Raises Problem for none, and for a slip of the pen."""
    name = text.lower()
    if not _NAME.match(text):
        raise Problem(
            "The name of %profile is one word of letters, digits, dots and dashes.", f"Write %profile {BASIC}."
        )
    if name in (BASIC, *OPTIONS):
        return name
    near = nearest(name, (BASIC, *OPTIONS), cutoff=_CLOSE)
    if near.startswith("Did"):
        raise Problem(f"{text} is no profile or option of PS3.15.", near)
    return text


def parse_profile_line(word: str, name: str, rest: str, where: str) -> ProfileLine:
    """Return a line of `%profile`. Raises Problem."""
    code = word.upper()
    if code not in CODES:
        raise Problem(f"{word} is no action code.", nearest(word, CODES))
    if not name:
        raise Problem(f"{code} names no attribute.", f"Write {code} (0010,1040), for example.")
    if rest:
        raise Problem(
            f"{code} takes one attribute.", "Write a comment behind a blank and #, another attribute in a line."
        )
    key, selector = _attribute(name)
    _check(code, selector)
    return ProfileLine(code, key, selector, where)


def _attribute(text: str) -> tuple[Key, Selector]:
    repeating = _REPEATING.match(text)
    if repeating:
        element = WHOLE if repeating[2].lower() == "xxxx" else int(repeating[2], 16)
        selector = Selector(text, lambda _: False, True, None, None, "repeating")
        return ("repeating", int(repeating[1], 16) << 32 | element), selector
    if text.lower() == "select:all":
        return ("select", "all"), Selector(text, lambda _: True, False, None, None, "expander")
    selector = parse_selector(text)
    if selector.form in ("tag", "digits") and selector.tag is not None:
        return ("tag", selector.tag), selector
    private = _PRIVATE.match(text)
    if selector.form == "private" and private:
        return ("private", int(private[1], 16), private[2].strip().casefold(), int(private[3], 16)), selector
    if text.lower().startswith(("select:vr:", "select:group:", "select:private")):
        return ("select", _normal(text)), selector
    raise Problem(
        f"{text} is no attribute of %profile.",
        'Write (gggg,eeee), (60xx,eeee), (gggg,"CREATOR",ee), or select:VR:XX, select:group:gggg, select:private, '
        "select:all.",
    )


def _normal(text: str) -> str:
    _, attribute, *value = text.lower().split(":")
    if attribute == "group":
        return f"group:{int(value[0], 16):04x}"
    return f"vr:{value[0][:2]}" if attribute == "vr" else attribute


def _check(code: str, selector: Selector) -> None:
    if selector.tag in PROTECTED:
        raise Problem(f"{show(selector.tag)} is protected: no line can change it.", "Remove the line.")
    vr = selector.vr or (found.vr if selector.tag is not None and (found := entry(selector.tag)) else None)
    if code == "U" and vr not in (None, "UI", "SQ", "UN"):
        raise Problem(f"{selector.text} has VR {vr}: U is for UIDs.", "Write D, Z or X.")
    if code == "X/Z/U*" and vr not in (None, "SQ"):
        raise Problem(f"{selector.text} has VR {vr}: X/Z/U* is for sequences.", "Write X/Z.")


def combined(sections: Sequence[ProfileSection]) -> Profile | None:
    """Return what the sections say together, the later ones overriding the earlier; None where there are none."""
    if not sections:
        return None
    lines: dict[Key, ProfileLine] = {}
    for section in sections:
        for line in section.lines:
            lines[line.key] = replace(line, under=_under(lines.get(line.key)))
    given = {section.name for section in sections}
    known = (BASIC, *OPTIONS)
    own = dict.fromkeys(section.name for section in sections if section.name not in known)
    return Profile(tuple(name for name in known if name in given), tuple(own), sections[0].where, lines)


def _under(before: ProfileLine | None) -> str:
    if before is None:
        return ""
    return before.under if before.code in ("K", "C") else before.code


def contradictions(sections: Sequence[ProfileSection]) -> Iterable[tuple[ProfileSection, Problem]]:
    """Give what cannot be meant together: an option without the profile in front of it, options that exclude others."""
    before: set[str] = set()
    for section in sections:
        if section.name in OPTIONS and BASIC not in before:
            yield section, Problem(f"{section.name} is an option of a profile.", "Name ps3.15-basic in front of it.")
        for one, other, why in _CONTRADICTIONS:
            if section.name in (one, other) and ({one, other} - {section.name}) <= before:
                yield section, Problem(f"{one} and {other} contradict each other: {why}.", "Name one of them.")
        before.add(section.name)


def as_fault(section: ProfileSection, problem: Problem) -> Fault:
    """Return what is wrong with a whole section, as a fault of its file."""
    file, _, number = section.where.rpartition(":")
    return Fault(file, int(number), problem.problem, problem.hint, f"%profile {section.name}")
