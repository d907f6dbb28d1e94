"""Storage Commitment Push Model (PS3.4 Annex J): its data sets, and both of its exchanges as a requestor.

Guarantees that nothing of a data set is logged or stands in an error, and that no wait and no answer is unbounded.

datasets   what a request and a report hold, encoded and decoded
exchange   asking a peer to commit; reporting to a peer that has asked
"""

from node.commitment.datasets import (
    ALL_COMMITTED,
    MOST_REFERENCES,
    REQUEST,
    SOME_FAILED,
    WELL_KNOWN_INSTANCE,
    Information,
    Reference,
    decode,
    encode,
)
from node.commitment.exchange import ask, report

__all__ = [
    "ALL_COMMITTED",
    "MOST_REFERENCES",
    "REQUEST",
    "SOME_FAILED",
    "WELL_KNOWN_INSTANCE",
    "Information",
    "Reference",
    "ask",
    "decode",
    "encode",
    "report",
]
