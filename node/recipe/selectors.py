"""Which elements a line of a recipe means.

Guarantees that a selector's answer depends only on an element's path, VR and private creator, never on a value, so
that it can be remembered. Refuses (Problem) what can never match or would match something else than it says: unknown
keywords and expanders, tags written in a form that is none, group 0002, group lengths.

Two selectors are this project's own: `select:private`, all elements of odd groups with their creators, and
`select:standard:XX`, all elements of even groups with a VR. The second is needed beside the first because REMOVE
yields to REPLACE: with `REPLACE select:VR:UI …` a private UID would be replaced instead of removed.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

from node.recipe.dictionary import VRS, Target, entry, is_private, nearest, private_entry, show, target

EXPANDERS = ("contains", "endswith", "except", "select", "startswith")
LISTS = ("fields", "values")
NO_INDEX = -1  # the item number of a path where no rule asks for it


class Problem(Exception):
    """What is wrong with a word of a recipe, and what would be right."""

    def __init__(self, problem: str, hint: str = "") -> None:
        super().__init__(problem)
        self.problem = problem
        self.hint = hint


@dataclass(frozen=True, slots=True)
class Step:
    """One sequence on the way to an element, and the item in it (from 0, or NO_INDEX)."""

    tag: int
    item: int


@dataclass(frozen=True)
class Field:
    """What is known of an element without its value.

    Parameters
    ----------
    parents
        The sequences around it, outermost first.
    tag, creator, vr
        The element; `creator` is None where it is not private or nobody reserved its block.
    """

    parents: tuple[Step, ...]
    tag: int
    creator: str | None
    vr: str

    @cached_property
    def keyword(self) -> str:
        """The keyword, empty for private and unknown elements."""
        found = entry(self.tag)
        return found.keyword if found else ""

    @cached_property
    def searched(self) -> tuple[str, ...]:
        """All texts that `contains:` and its kin search."""
        names = [_keyword(step.tag) for step in self.parents]
        found = entry(self.tag)
        digits = f"{self.tag:08X}"
        texts = ["__".join([*names, self.keyword]), show(self.tag), digits]
        if found is not None:
            texts += [found.name, found.keyword]
        if is_private(self.tag):
            texts += self._private_texts(digits)
        return tuple(texts)

    def _private_texts(self, digits: str) -> list[str]:
        if self.creator is None:
            return ["Private Creator" if 0x10 <= self.tag & 0xFFFF <= 0xFF else "Private tag data"]
        known = private_entry(self.tag, self.creator)
        form = f'{digits[:4]},"{self.creator}",{digits[6:]}'
        return [known.name if known else "Private tag data", form, f"({form})"]


def _keyword(tag: int) -> str:
    found = entry(tag)
    return found.keyword if found else ""


def path_name(path: str) -> str:
    """Return a tag path `(0040,0275)__0__(0010,0020)` in keywords, without item numbers; unknown ones are empty."""
    return "__".join(_keyword(_number(part)) for part in path.split("__") if part.startswith("("))


@dataclass(frozen=True, slots=True)
class Selector:
    """One parsed field of a line.

    Parameters
    ----------
    text
        As it stands in the recipe.
    matches
        Tells whether an element is meant.
    named
        It names elements one by one, rather than whatever fits a pattern.
    vr
        The VR that all its elements have by the dictionary, or None.
    tag
        The one tag that it means, at whatever level, or None.
    form
        `keyword`, `digits`, `tag`, `private`, `path`, `expander`, `fields` or `values`.
    items
        Highest item number that it asks for, or NO_INDEX.
    group
        The name of the list that it refers to.
    guarded
        Whether an element is meant shows only in the instance: its lists decide.
    """

    text: str
    matches: Callable[[Field], bool]
    named: bool
    vr: str | None
    tag: int | None
    form: str
    items: int = NO_INDEX
    group: str = ""
    guarded: bool = False


_EXPANDER = re.compile(r'([^:"]*(?:"[^"]*"[^:"]*)*):(.*)\Z', re.DOTALL)
_PRIVATE = re.compile(r'(\()?([0-9A-Fa-f]{4}),"([^"]*)",([0-9A-Fa-f]{2})(?(1)\))\Z')
_TAG = re.compile(r"\(([0-9A-Fa-f]{4}),([0-9A-Fa-f]{4})\)\Z")
_DIGITS = re.compile(r"[0-9A-Fa-f]{8}\Z")
_ALMOST_TAG = re.compile(r"(?:0x)?\(?[0-9A-Fa-f]{4},?\s*[0-9A-Fa-f]{4}\)?\Z|\([0-9A-Fa-f]{4},\Z")


def parse_selector(text: str, *, meta: bool = False) -> Selector:
    """Return the selector of a field as it is written; `meta` allows group 0002. Raises Problem."""
    selector = _parse(text, meta)
    if selector.tag is not None:
        allowed(selector.tag, meta=meta)
    return selector


def _parse(text: str, meta: bool) -> Selector:
    if text.lower() == "all":
        return Selector(text, lambda _: True, False, None, None, "expander")
    expander = _EXPANDER.match(text)
    if expander:
        return _expander(text, expander[1].lower(), expander[2], meta)
    private = _PRIVATE.match(text)
    if private:
        return _private(text, int(private[2], 16), private[3], int(private[4], 16))
    return _plain(text)


def _plain(text: str) -> Selector:
    if _TAG.match(text) or _DIGITS.match(text):
        return _tag(text)
    if "__" in text:
        return _path(text)
    if _ALMOST_TAG.match(text):
        raise Problem(f"{text} is no tag.", "Write (gggg,eeee) without blanks, or ggggeeee.")
    return _by_keyword(text)


def _by_keyword(text: str) -> Selector:
    found = _target(text)
    return Selector(
        text, lambda field: found.covers(field.tag), True, found.vr, None if found.repeats else found.tag, "keyword"
    )


def _target(keyword: str) -> Target:
    found = target(keyword)
    if found is None:
        raise Problem(f"{keyword} is no keyword of the data dictionary.", nearest(keyword))
    return found


_FORBIDDEN = frozenset((0, 1, 3, 5, 6, 7, 0xFFFE, 0xFFFF))  # PS3.5 7.1, 7.5, 7.8.1


def allowed(tag: int, *, meta: bool = False) -> None:
    """Raise Problem for a tag that no line may name; `meta` allows file meta information."""
    group = tag >> 16
    if group == 2 and not meta:
        raise Problem(f"{show(tag)} is file meta information, which the node writes itself.", "Remove the line.")
    if group in _FORBIDDEN:
        raise Problem(f"{show(tag)} cannot stand in a data set.", "Remove the line.")
    if not tag & 0xFFFF:
        raise Problem(f"{show(tag)} is a group length, which follows from its group.", "Remove the line.")


def _number(text: str) -> int:
    return int(text.strip("()").replace(",", ""), 16)


def _tag(text: str) -> Selector:
    tag = _number(text)
    found = entry(tag)
    form = "digits" if _DIGITS.match(text) else "tag"
    return Selector(text, lambda field: field.tag == tag, True, found.vr if found else None, tag, form)


def _private(text: str, group: int, creator: str, low: int) -> Selector:
    if not group & 1:
        raise Problem(f"Group {group:04X} is not private.", "Private groups are odd.")
    wanted = creator.strip().lower()

    def matches(field: Field) -> bool:
        tag = field.tag
        return (
            tag >> 16 == group and tag & 0xFF == low and field.creator is not None and field.creator.lower() == wanted
        )

    return Selector(text, matches, True, None, None, "private")


def _path(text: str) -> Selector:
    parts = text.split("__")
    if any(_TAG.match(part) for part in parts):
        return _tag_path(text, parts)
    targets = [_target(part) if part else None for part in parts]
    for found in targets[:-1]:
        if found is not None and found.vr != "SQ":
            raise Problem(f"{found.keyword} is no sequence.", "Only the last keyword of a path may be another element.")
    last = targets[-1]
    if last is None:
        raise Problem("A path ends with the keyword of an element.")

    def matches(field: Field) -> bool:
        tags = [*(step.tag for step in field.parents), field.tag]
        return len(tags) == len(targets) and all(map(_covers, targets, tags))

    return Selector(text, matches, True, last.vr, None if last.repeats else last.tag, "path")


def _covers(wanted: Target | None, tag: int) -> bool:
    """Tell whether a tag is what a keyword of a path means; an empty keyword means a private sequence."""
    return not _keyword(tag) if wanted is None else wanted.covers(tag)


def _tag_path(text: str, parts: list[str]) -> Selector:
    tags, items = parts[0::2], parts[1::2]
    if len(tags) != len(items) + 1 or not all(map(_TAG.match, tags)) or not all(i.isdecimal() for i in items):
        raise Problem(f"{text} is no path.", "Write (gggg,eeee)__0__(gggg,eeee), with the number of each item.")
    numbers = [_number(tag) for tag in tags]
    steps = tuple(Step(tag, int(item)) for tag, item in zip(numbers, items, strict=False))
    last = numbers[-1]
    found = entry(last)
    return Selector(
        text,
        lambda field: field.tag == last and field.parents == steps,
        True,
        found.vr if found else None,
        last,
        "path",
        max(step.item for step in steps),
    )


def _expander(text: str, expander: str, expression: str, meta: bool) -> Selector:
    if expander in LISTS:
        if not expression:
            raise Problem(f"{expander}: names no list.", f"Write {expander}:NAME, and a section %{expander} NAME.")
        return Selector(text, lambda _: False, True, None, None, expander, group=expression)
    if expander == "select":
        return _select(text, expression, meta)
    if expander not in EXPANDERS:
        raise Problem(f"{expander}: is no expander.", nearest(expander, (*EXPANDERS, *LISTS)))
    form = {"startswith": "^(%s)", "endswith": "(%s)$"}.get(expander, "%s")
    try:
        pattern = re.compile(form.replace("%s", expression), re.IGNORECASE)
    except re.error as error:
        raise Problem(f"{expression} is no regular expression: {error.msg}.") from None
    wanted = expander != "except"

    def matches(field: Field) -> bool:
        return any(map(pattern.search, field.searched)) is wanted

    return Selector(text, matches, False, None, None, "expander")


def _select(text: str, expression: str, meta: bool) -> Selector:
    attribute, _, value = expression.partition(":")
    attribute = attribute.lower()
    if attribute == "private" and not value:
        return Selector(text, lambda field: is_private(field.tag), False, None, None, "expander")
    if attribute in ("vr", "standard"):
        return _select_vr(text, attribute, value)
    if attribute == "group":
        try:
            group = int(value, 16)
        except ValueError:
            raise Problem(f"{value} is no group.", "Write select:group:0010, for example.") from None
        allowed(group << 16 | 1, meta=meta)
        return Selector(text, lambda field: field.tag >> 16 == group, False, None, None, "expander")
    raise Problem(f"select:{attribute} is no selector.", nearest(attribute, ("VR", "group", "private", "standard")))


def _select_vr(text: str, attribute: str, value: str) -> Selector:
    vr = value[:2].upper()
    if vr not in VRS:
        raise Problem(f"{value} is no VR.", nearest(value, VRS) if value else f"Write select:{attribute}:DA.")
    if attribute == "vr":
        return Selector(text, lambda field: field.vr == vr, False, vr, None, "expander")
    return Selector(text, lambda field: field.vr == vr and not is_private(field.tag), False, vr, None, "expander")
