"""AE titles with `*` for any characters, compared as the node compares them: trimmed, with their case."""

from __future__ import annotations


def matches(pattern: str, title: str) -> bool:
    """Say whether an AE title fits a pattern; linear in time, and nothing but `*` has a meaning.

    A `*` in the title is an ordinary character, that only a `*` of the pattern matches. So a pattern given as title
    asks whether everything that fits it fits the other pattern as well.
    """
    title = title.strip(" \0")
    first, *rest = pattern.split("*")
    if not rest:
        return title == pattern
    if not title.startswith(first):
        return False
    position = len(first)
    for part in rest[:-1]:
        found = title.find(part, position)
        if found < 0:
            return False
        position = found + len(part)
    return len(title) - position >= len(rest[-1]) and title.endswith(rest[-1])


def covers(patterns: tuple[str, ...] | None, others: tuple[str, ...] | None) -> bool:
    """Say whether every title that fits one of the others fits one of the patterns; None is any title."""
    if patterns is None:
        return True
    return all(any(matches(pattern, other) for pattern in patterns) for other in others or ("*",))
