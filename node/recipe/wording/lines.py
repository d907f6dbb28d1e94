"""What is left of a text, put together neatly.

Guarantees that marks between words that stay are those of the original, that where something was taken out one of the
marks around it stands, none twice and none at the ends, and that lines of a paragraph stay lines.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import TypeAlias

from node.recipe.wording.pieces import Piece, marked, pieces_of
from node.vocabulary import Vocabulary

Spans: TypeAlias = Callable[[str, Sequence[Piece]], Sequence[tuple[int, int]]]
"""Gives, for a line and its pieces that stay, where somebody's identity stands in it."""

_BREAK = re.compile(r"(\r\n|[\r\n\f\v])")
_DOUBLED = re.compile(r"([ _\-.=,;:/+*^&|])\1+")
_ENDS = " \t_-.=,;:/+*^&|#~\\'\""
_BRACKETS = {")": "(", "]": "[", "}": "{", ">": "<"}
_OPENING = frozenset(_BRACKETS.values())


def nothing(_line: str, _pieces: Sequence[Piece]) -> Sequence[tuple[int, int]]:
    """Return no place: nobody is known."""
    return ()


def cleaned_text(text: str, vocabulary: Vocabulary, spans: Spans = nothing) -> str:
    """Return what of a text may stay; the same text where all of it does.

    Parameters
    ----------
    text
        One value, decoded. Its lines are cleaned one by one, those of which nothing stays are left out.
    vocabulary
        The words that stay.
    spans
        Where identity stands in a line.
    """
    parts = _BREAK.split(text)
    if len(parts) == 1:
        return _settled(text, vocabulary, spans)
    new = [_settled(part, vocabulary, spans) for part in parts[::2]]
    if new == parts[::2]:
        return text
    kept = [
        (line, parts[2 * place + 1] if 2 * place + 1 < len(parts) else "")
        for place, line in enumerate(new)
        if line.strip() or not parts[2 * place].strip()
    ]
    return "".join(line + end for line, end in kept).strip("\r\n\f\v ")


def _settled(line: str, vocabulary: Vocabulary, spans: Spans) -> str:
    """Clean a line until nothing more goes: what moves together must not become somebody's name."""
    new = _cleaned(line, vocabulary, spans)
    while new != line:
        line, new = new, _cleaned(new, vocabulary, spans)
    return new


def _cleaned(line: str, vocabulary: Vocabulary, spans: Spans) -> str:
    pieces = pieces_of(line, vocabulary)
    kept = [piece for piece in pieces if piece.stays]
    taken = spans(line, pieces) if kept else ()
    if taken:
        gone = marked(line, taken)
        kept = [piece for piece in kept if 1 not in gone[piece.start : piece.end]]
    return line if len(kept) == len(pieces) else _joined(line, pieces, kept)


def _joined(line: str, pieces: Sequence[Piece], kept: Sequence[Piece]) -> str:
    if not kept:
        return ""
    stay = {piece.start for piece in kept}
    result = [line[: pieces[0].start]] if pieces[0].start in stay else []
    marks: list[str] = []
    written = False
    for place, piece in enumerate(pieces):
        if piece.start in stay:
            result += [_mark(marks), line[piece.start : piece.end]] if written else [line[piece.start : piece.end]]
            written, marks = True, []
        following = pieces[place + 1].start if place + 1 < len(pieces) else len(line)
        marks.append(line[piece.end : following])
    if pieces[-1].start in stay:
        result.append(marks[-1])
    return _neat("".join(result))


def _mark(marks: Sequence[str]) -> str:
    """Return what stands between two words that stay: what stood there, or the shortest of the marks between."""
    if len(marks) == 1:
        return marks[0]
    bare = ["".join(sign for sign in mark if sign not in _OPENING and sign not in _BRACKETS) for mark in marks]
    return min((mark for mark in bare if mark), key=len, default=marks[0] and " ")


def _neat(text: str) -> str:
    places: list[int] = []
    lonely: set[int] = set()
    for place, sign in enumerate(text):
        if sign in _OPENING:
            places.append(place)
        elif sign in _BRACKETS:
            if places and text[places[-1]] == _BRACKETS[sign]:
                places.pop()
            else:
                lonely.add(place)
    lonely.update(places)
    balanced = "".join(sign for place, sign in enumerate(text) if place not in lonely)
    return _DOUBLED.sub(r"\1", balanced).strip(_ENDS)
