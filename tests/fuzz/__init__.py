"""Streams and data sets that nobody has thought of: valid ones from a grammar, then damaged.

model          what PS3.7 and PS3.8 demand of an acceptor, for any stream of bytes
conversations  the grammar of associations, and its damages
dul            the receiver against the model
header         data sets, their damages, and what the recipe engine may make of them
corpus/        small ones worth keeping, each named after what it shows; all are tried in every run of the tests

`scripts/fuzz` looks for more, for as long as it is told.
"""
