"""Texts that stay as far as their words are those of a vocabulary (PS3.15 E.3.6, Clean Descriptors Option).

Guarantees that whatever is no word of the vocabulary, no number of at most four digits, or reads as a date, an id, a
telephone number or an address is taken out; that a text of which nothing is taken out is the same text; and that no
result is longer than its original. Never refuses.

dates   what reads as a date, a UID, a telephone number or an address
pieces  the words and numbers of a line, and which of them may stay
lines   what is left of a text, put together neatly
"""

from node.recipe.wording.lines import Spans, cleaned_text, nothing
from node.recipe.wording.pieces import Piece

__all__ = ["Piece", "Spans", "cleaned_text", "nothing"]
