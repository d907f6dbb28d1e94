"""The words that a text may keep: those of radiology and radiotherapy, by field, and the site's own.

Guarantees that a word is looked up without its case and its accents, and that the digest changes with every word.
Refuses (RecipeError, naming file and line) a file that cannot be read, is not UTF-8, or has a line without a word.
"""

from node.vocabulary.loading import Vocabulary, load_vocabulary, shipped_vocabulary
from node.vocabulary.splitting import folded, words_of

__all__ = ["Vocabulary", "folded", "load_vocabulary", "shipped_vocabulary", "words_of"]
