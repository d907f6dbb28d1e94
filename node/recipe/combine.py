"""Several recipe texts, to one recipe.

Guarantees that everything of every text is kept: lines in the order of the texts, sections of one name joined. Refuses
(RecipeError, with every fault of every text) lines that refer to a list that no text has, or to one without lines.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from node.errors import Fault, RecipeError
from node.recipe.dictionary import nearest
from node.recipe.filters import FilterSection, Label
from node.recipe.header import Action, Rule, check
from node.recipe.language import LabelLine, Parsed, RecipeText
from node.recipe.lists import ListLine, ListSection, bound
from node.recipe.method import method_rules
from node.recipe.profile import Profile, as_fault, combined, contradictions
from node.recipe.selectors import Problem


@dataclass(frozen=True, slots=True)
class Combined:
    """What all texts of a recipe say together; `used_lists` are those that a line refers to."""

    rules: tuple[Rule, ...]
    lists: tuple[ListSection, ...]
    used_lists: tuple[ListSection, ...]
    filters: tuple[FilterSection, ...]
    labels: tuple[LabelLine, ...]
    warnings: tuple[Fault, ...]
    profile: Profile | None = None


def combine(parsed: Sequence[tuple[RecipeText, Parsed]]) -> Combined:
    """Return one recipe of several texts. Raises RecipeError."""
    faults = [fault for _, one in parsed for fault in one.faults]
    sections, found = _sections(parsed)
    profiles = [section for _, one in parsed for section in one.profiles]
    faults += [as_fault(section, problem) for section, problem in contradictions(profiles)]
    profile = combined(profiles)
    rules = method_rules(profile) if profile is not None else []
    for text, one in parsed:
        for rule in one.rules:
            try:
                rules += _resolved(rule, sections)
            except Problem as problem:
                faults.append(_fault(text, rule, problem))
    if faults:
        raise RecipeError(sorted(faults, key=lambda fault: _place(fault, parsed)))
    numbered = tuple(replace(rule, number=number) for number, rule in enumerate(rules))
    used = {(rule.selector.form, rule.selector.group) for rule in numbered if rule.selector.guarded}
    return Combined(
        numbered,
        tuple(sections.values()),
        tuple(section for key, section in sections.items() if key in used),
        found,
        tuple(line for _, one in parsed for line in one.labels),
        tuple(warning for _, one in parsed for warning in one.warnings),
        profile,
    )


def _sections(
    parsed: Sequence[tuple[RecipeText, Parsed]],
) -> tuple[dict[tuple[str, str], ListSection], tuple[FilterSection, ...]]:
    """Return lists and filters, sections of one name joined."""
    lists: dict[tuple[str, str], list[ListLine]] = {}
    filters: dict[str, list[Label]] = {}
    for _, one in parsed:
        for key, lines in one.lists.items():
            lists.setdefault(key, []).extend(lines)
        for name, labels in one.filters.items():
            filters.setdefault(name, []).extend(labels)
    return (
        {key: ListSection(*key, tuple(lines)) for key, lines in lists.items()},
        tuple(FilterSection(name, tuple(labels)) for name, labels in filters.items()),
    )


def _resolved(rule: Rule, sections: dict[tuple[str, str], ListSection]) -> Iterator[Rule]:
    """Give the rules that a line stands for: itself, or with its list. Raises Problem."""
    selector = rule.selector
    if not selector.group:
        yield rule
        return
    names = [name for kind, name in sections if kind == selector.form]
    section = sections.get((selector.form, selector.group))
    if section is None:
        hint = nearest(selector.group, names) if names else f"Write a section %{selector.form} {selector.group}."
        raise Problem(f"There is no list %{selector.form} {selector.group}.", hint)
    if not section.lines:
        raise Problem(f"The list %{selector.form} {selector.group} has no line.", "Write what belongs to it.")
    if section.kind == "fields":
        for line in section.lines:
            check(rule.action, line.selector, rule.value)
    if rule.action is Action.KEEP:
        # Each field as if it had a line of its own: a list does not keep more than it names.
        yield from (replace(rule, selector=line.selector) for line in section.lines)
        return
    yield replace(rule, selector=bound(selector, section))


def _fault(text: RecipeText, rule: Rule, problem: Problem) -> Fault:
    number = int(rule.where.rpartition(":")[2])
    line = text.text.removeprefix("\ufeff").splitlines()[number - 1].strip()
    return Fault(text.name, number, problem.problem, problem.hint, line)


def _place(fault: Fault, parsed: Sequence[tuple[RecipeText, Parsed]]) -> tuple[int, int]:
    order = [text.name for text, _ in parsed]
    return order.index(fault.file), fault.line or 0
