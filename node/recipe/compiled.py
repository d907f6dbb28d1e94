"""What a recipe decides for an element, decided once and remembered.

Guarantees that the decision for an element depends only on its path, VR and private creator, and follows the order of
the lines: KEEP takes effect before all lines, REMOVE yields to any REPLACE or JITTER of the same element, ADD acts at
the top level whatever KEEP says. Never refuses: what cannot be decided was refused when the recipe was loaded.
"""

from __future__ import annotations

from collections.abc import Sequence

from node.recipe.coding import FRAGMENTS, IMPLICIT, SEQUENCE, VR_NAMES
from node.recipe.content import CLOSED, NONE
from node.recipe.dictionary import (
    PROTECTED,
    PROTECTED_IN_VOI_LUT,
    SPECIFIC_CHARACTER_SET,
    STRUCTURAL_UIDS,
    VOI_LUT_SEQUENCE,
    entry,
    is_creator,
    is_private,
    private_entry,
)
from node.recipe.header import Action, Rule, Source
from node.recipe.lists import ListSection, Wanted, wanted
from node.recipe.method import CODE_SEQUENCE
from node.recipe.outcomes import Resolved
from node.recipe.program import REMOVED, Outcome
from node.recipe.selectors import NO_INDEX, Field, Step

MAX_DECISIONS = 50_000  # a sender of ever new private creators must not fill the memory

# What is done with an element, apart from its program.
LEAF = 0  # nothing
WALK = 1  # a sequence: its items are walked
OPAQUE = 2  # UN: a sequence if it parses as one
OPAQUE_SEQUENCE = 3  # UN, and the dictionary says that it is a sequence: it must parse
GROUP_LENGTH = 4  # computed when its group changes
CHARSET = 5  # Specific Character Set
CREATOR = 6  # reserves a private block
KEPT = 7  # goes out as it came, whatever it holds


class Decision:
    """What happens to an element: its kind, effective VR and program (rules in order), and what is below it.

    `fixed` is the program's outcome where it is the same for every value, else None. `wanted` says which lists take
    something from the element; `lenient`, that a function's result is written even where the VR does not allow it;
    `dummies`, that a profile wants no own value of the items below; `codes`, that it takes the codes of the method;
    `items`, how each item below is looked at before it is walked.
    """

    __slots__ = ("_children", "codes", "dummies", "fixed", "items", "kind", "lenient", "program", "vr", "wanted")

    def __init__(
        self,
        kind: int,
        vr: str,
        program: tuple[Rule, ...],
        wanted: tuple[Wanted, ...] = (),
        *,
        lenient: bool = False,
        dummies: bool = False,
    ) -> None:
        self.kind = kind
        self.dummies = dummies
        self.codes = False
        self.items = 0
        self.lenient = lenient
        self.vr = vr
        self.program = program
        self.wanted = wanted
        self.fixed = _fixed(program)
        self._children: dict[int, Level] = {}

    def below(self, level: Level, tag: int, item: int, content: int = NONE) -> Level:
        """Return the level of an item's elements; `item` matters only where a rule names item numbers.

        `content` is the item's class (`node.recipe.content`).
        """
        index = item if item <= level.rules.items else NO_INDEX
        found = self._children.get(index << 4 | content)
        if found is None:
            parents, dummies = (*level.parents, Step(tag, index)), self.dummies or content == CLOSED
            found = Level(level.rules, parents, level.signed, dummies=dummies, content=content)
            self._children[index << 4 | content] = found
        return found


def _fixed(program: tuple[Rule, ...]) -> Outcome | None:
    if len(program) != 1:
        return None
    rule = program[0]
    if rule.selector.guarded:
        return None
    if rule.value is None:
        return REMOVED if rule.action is Action.REMOVE else ""
    return rule.value.text if rule.action in (Action.ADD, Action.REPLACE) and _is_literal(rule) else None


UNTOUCHED = Decision(LEAF, "", ())
"""The one decision of all leaves that no rule means."""


class Rules:
    """The rules of a recipe, with what is known of all of them.

    Attributes
    ----------
    all
        In order.
    sections
        The lists that lines refer to.
    guarded
        Whether any line is: what it means shows only in the instance.
    lenient
        What a function gives is written even where the VR does not allow it.
    added
        Tags that ADD names, ascending; `added_meta` those of file meta information.
    items
        Highest item number that a path names, or NO_INDEX.
    decided
        How many decisions were made; see MAX_DECISIONS.
    profile
        What the profiles do with the instances of an IOD; None where there are none.
    codes
        Whether the codes of the method are added to (0012,0064): not where a line removes or blanks it.
    """

    def __init__(
        self,
        rules: Sequence[Rule],
        sections: Sequence[ListSection] = (),
        *,
        lenient: bool = False,
        profile: Resolved | None = None,
    ) -> None:
        self.all = tuple(rules)
        self.lenient = lenient
        self.profile = profile
        self.sections = tuple(sections)
        self.guarded = any(rule.selector.guarded for rule in rules)
        added = sorted({r.selector.tag for r in rules if r.action is Action.ADD and r.selector.tag is not None})
        self.codes = profile is not None and profile.basic and not self._drops_codes()
        if self.codes:
            added = sorted({*added, CODE_SEQUENCE})
        self.added = [tag for tag in added if tag >> 16 != 2]
        self.added_meta = [tag for tag in added if tag >> 16 == 2]
        lines = [line.selector for section in sections for line in section.lines]
        self.items = max((s.items for s in [*lines, *(r.selector for r in rules)]), default=NO_INDEX)
        self.decided = 0
        self._added_programs: dict[int, tuple[tuple[Rule, ...], str]] = {}

    def program(self, field: Field, first: Rule | None = None) -> tuple[tuple[Rule, ...], bool]:
        """Return what is done with an element, and whether KEEP holds it (its items are then left alone).

        `first` is the profile's rule. The lines come after it: KEEP voids it, and it yields to a REPLACE or JITTER
        where it is a REMOVE; but it never holds a REMOVE back.
        """
        if _protected(field):
            return (), False
        only_named = _only_named(field)
        matched = [rule for rule in self.all if self._means(rule, field, only_named)]
        kept = any(rule.action is Action.KEEP for rule in matched)
        matched = [rule for rule in matched if rule.action is not Action.KEEP]
        # As in the original language, a line on a list does not hold REMOVE back.
        replaced = any(rule.action in (Action.REPLACE, Action.JITTER) and not rule.selector.group for rule in matched)
        if replaced:
            matched = [rule for rule in matched if rule.action is not Action.REMOVE]
        if kept:
            matched = _from_add(matched)
        elif first is not None and not (replaced and first.action is Action.REMOVE):
            matched.insert(0, first)
        return tuple(matched), kept and not matched

    def wanted(self, field: Field) -> tuple[Wanted, ...]:
        """Return the lines of lists that mean an element; none where it is protected or KEEP holds it."""
        if not self.sections or _protected(field):
            return ()
        only_named = _only_named(field)
        if any(rule.action is Action.KEEP and self._means(rule, field, only_named) for rule in self.all):
            return ()
        return wanted(self.sections, field, only_named=only_named)

    def added_program(self, tag: int) -> tuple[tuple[Rule, ...], str]:
        """Return what is done at a tag of the top level that the data set does not have, and the new element's VR.

        What the lines before the ADD say does not matter: there was nothing for them.
        """
        known = self._added_programs.get(tag)
        if known is not None:
            return known
        adding = next(r for r in self.all if r.action is Action.ADD and r.selector.tag == tag)
        vr = "ST" if adding.selector.form == "digits" else adding.selector.vr or "UN"
        program, _ = self.program(Field((), tag, None, vr))
        self._added_programs[tag] = found = tuple(_from_add(list(program))), vr
        return found

    def _drops_codes(self) -> bool:
        program, kept = self.program(Field((), CODE_SEQUENCE, None, "SQ"))
        return kept or any(not rule.selector.guarded for rule in program)

    def _means(self, rule: Rule, field: Field, only_named: bool) -> bool:
        if rule.action is Action.ADD:
            return not field.parents and rule.selector.tag == field.tag
        return (rule.selector.named or not only_named) and rule.selector.matches(field)


def _only_named(field: Field) -> bool:
    """Tell whether only a line that names the element reaches it."""
    return field.tag in STRUCTURAL_UIDS or field.tag == SPECIFIC_CHARACTER_SET


def _protected(field: Field) -> bool:
    if field.tag in PROTECTED:
        return True
    parent = field.parents[-1].tag if field.parents else 0
    return field.tag in PROTECTED_IN_VOI_LUT and parent == VOI_LUT_SEQUENCE


def _from_add(rules: list[Rule]) -> list[Rule]:
    place = next((n for n, rule in enumerate(rules) if rule.action is Action.ADD), len(rules))
    return rules[place:]


def _pruned(rules: tuple[Rule, ...]) -> tuple[Rule, ...]:
    """Leave out what a later line makes void, whatever the value is. Only for an element that exists."""
    if any(rule.action is Action.REMOVE for rule in rules):
        return rules
    start = 0
    for number, rule in enumerate(rules):
        if rule.action is Action.BLANK or (rule.action in (Action.ADD, Action.REPLACE) and _is_literal(rule)):
            start = number
    return rules[start:]


def calls(rules: Sequence[Rule]) -> bool:
    """Tell whether any of the lines calls a function."""
    return any(rule.value is not None and rule.value.source in _FUNCTIONS for rule in rules)


_FUNCTIONS = (Source.FUNCTION, Source.DEID_FUNCTION)


def _is_literal(rule: Rule) -> bool:
    return rule.value is not None and rule.value.source is Source.LITERAL


class Level:
    """The decisions for the elements of one place: the top level, or the items of one sequence path.

    Attributes
    ----------
    decisions
        By element key, for elements that are not private.
    blocks
        By private creator (None: nobody reserved the block), then by element key; the creator's own element too.
    dummies
        A profile wants no own value of the elements here.
    content
        The class of the content item that they belong to.
    """

    __slots__ = ("blocks", "content", "decisions", "dummies", "parents", "rules", "signed")

    def __init__(
        self, rules: Rules, parents: tuple[Step, ...], signed: bool, *, dummies: bool = False, content: int = NONE
    ) -> None:
        self.rules = rules
        self.content = content
        self.dummies = dummies
        self.parents = parents
        self.signed = signed
        self.decisions: dict[int, Decision] = {}
        self.blocks: dict[str | None, dict[int, Decision]] = {}

    def block(self, creator: str | None) -> dict[int, Decision]:
        """Return the decisions of a creator's elements."""
        return self.blocks.setdefault(creator, {})

    def creator(self, block: dict[int, Decision]) -> str | None:
        """Return whose decisions a block of `blocks` holds. Only asked for an element that is met the first time."""
        return next((name for name, decisions in self.blocks.items() if decisions is block), None)

    def decide(self, key: int, creator: str | None) -> Decision:
        """Decide for an element; the caller remembers it. `creator` is the one of its block, also for itself."""
        self.rules.decided += 1
        tag = key >> 16
        if not tag & 0xFFFF:
            gone = self.rules.profile.group_length(tag) if self.rules.profile is not None else None
            return Decision(GROUP_LENGTH, "UL", ()) if gone is None else Decision(LEAF, "UL", (gone,))
        vr, kind = effective_vr(key, creator, self.signed)
        field = Field(self.parents, tag, None if is_creator(tag) else creator, vr)
        first, dummies = self._of_profile(field, creator)
        program, kept = self.rules.program(field, first)
        if not self.rules.guarded:
            program = _pruned(program)
        takes = self.rules.wanted(field)
        if tag == SPECIFIC_CHARACTER_SET:
            kind = CHARSET
        elif kept and kind != LEAF:
            kind = KEPT
        elif is_creator(tag) and kind == LEAF:
            kind = CREATOR
        # Where lists are looked for in sequences, the VR of every element has to be known.
        if kind == LEAF and not (program or takes or self.rules.guarded):
            return UNTOUCHED
        lenient = self.rules.lenient and calls(program)
        decision = Decision(kind, vr, program, takes, lenient=lenient, dummies=dummies)
        if self.rules.profile is not None and vr == "SQ" and not dummies:
            decision.items = self.rules.profile.items(field, creator, self.content)
        decision.codes = tag == CODE_SEQUENCE and self.rules.codes and not self.parents
        return decision

    def _of_profile(self, field: Field, owner: str | None) -> tuple[Rule | None, bool]:
        if self.rules.profile is None:
            return None, False
        return self.rules.profile.decide(field, owner, self.dummies, self.content)


def effective_vr(key: int, creator: str | None, signed: bool) -> tuple[str, int]:
    """Return the VR that an element has, whatever its header says, and what kind of element it is."""
    code, tag = key & 0xFFFF, key >> 16
    vr = {SEQUENCE: "SQ", FRAGMENTS: "OB"}.get(code) or VR_NAMES.get(code, "UN")
    if vr != "UN":
        return vr, WALK if vr == "SQ" else LEAF
    vr = _known_vr(tag, creator, signed)
    if vr == "SQ" and not is_private(tag):
        return vr, WALK if code == IMPLICIT else OPAQUE_SEQUENCE
    return vr, OPAQUE if vr in ("UN", "SQ") else LEAF


def _known_vr(tag: int, creator: str | None, signed: bool) -> str:
    """Return one VR for an element whose header has none (or UN), by the dictionaries (PS3.5 Annex A)."""
    if is_creator(tag):
        return "LO"
    found = private_entry(tag, creator) if creator else entry(tag)
    if found is None or found.vr == "NONE":
        return "UN"
    first, _, others = found.vr.partition(" or ")
    if signed and "SS" in others:
        return "SS"
    return "OW" if first == "OB" and others else first
