"""AE titles with `*` for any characters, compared as the node compares them: trimmed, with their case."""

from __future__ import annotations


def matches(pattern: str, title: str) -> bool:
    """Say whether an AE title fits a pattern, as `fits` does, without its padding."""
    return fits(pattern, title.strip(" \0"))


def fits(pattern: str, text: str) -> bool:
    """Say whether a text fits a pattern; linear in time, and nothing but `*` has a meaning.

    A `*` in the text is an ordinary character, that only a `*` of the pattern matches. So a pattern given as text
    asks whether everything that fits it fits the other pattern as well.
    """
    first, *rest = pattern.split("*")
    if not rest:
        return text == pattern
    if not text.startswith(first):
        return False
    position = len(first)
    for part in rest[:-1]:
        found = text.find(part, position)
        if found < 0:
            return False
        position = found + len(part)
    return len(text) - position >= len(rest[-1]) and text.endswith(rest[-1])


def covers(patterns: tuple[str, ...] | None, others: tuple[str, ...] | None) -> bool:
    """Say whether every title that fits one of the others fits one of the patterns; None is any title."""
    if patterns is None:
        return True
    return all(any(matches(pattern, other) for pattern in patterns) for other in others or ("*",))


def overlap(patterns: tuple[str, ...] | None, others: tuple[str, ...] | None) -> bool:
    """Say whether a title can fit one of each; None is any title. Of two patterns with `*` this is assumed."""
    if patterns is None or others is None:
        return True
    return any(
        fits(one, other) or fits(other, one) or ("*" in one and "*" in other) for one in patterns for other in others
    )
