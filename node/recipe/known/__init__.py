"""The identifying values of an original: which they are, how they are written, and where they stand in a text.

Guarantees that what is searched in texts that are kept and what the leak gate searches in a result is one and the same.

attributes  which attributes identify
needles     what is searched for a value: parts of names, writings of dates, character sets
gather      the identifying values of an original
steps       which nested headers need no look
texts       where they stand in one text that may stay
words       words that are too common to identify anybody
"""
