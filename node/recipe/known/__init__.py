"""The identifying values of an original: which they are, how they are written, and where they stand in a text.

Guarantees that what is searched in texts that are kept and what the leak gate searches in a result is one and the same.
"""
