"""The leak gate: what of an original's identity still stands in the encoded result.

Guarantees that the bytes that would leave are searched, not what a recipe says of them: every element at every depth,
private ones, UN and binary values, of compressed pixels the marker segments and boxes. A finding names where (tag
path) and what kind of value (the attribute that it is the value of), never the value. Refuses to guess what a recipe
meant: only a line that KEEPs an identifying element, or writes a text of its own, makes a value stay on purpose.

search      whether anything of them is in the result at all: the step that every instance takes
judge       where, and whether it counts: the step that only a suspicious instance takes
scrub       takes what was found out of texts
kept        which texts a result has of its original, for whoever reviews them
markers     what of compressed pixel data is text: marker segments and boxes
"""

from node.gate.judge import Finding, described, leaks
from node.gate.kept import kept_texts
from node.gate.scrub import Passed, Scrubbed, scrub, through

__all__ = ["Finding", "Passed", "Scrubbed", "described", "kept_texts", "leaks", "scrub", "through"]
