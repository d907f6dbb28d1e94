"""Encryption at rest: files and columns of the ledger that name a person, sealed with a key that lies elsewhere.

Guarantees that what is read is what was sealed, whole and under its own id, or an error: never a part, never another's.
Refuses (StartError) a key that is missing, malformed, or readable by others; (SealError) whatever was damaged, cut,
reordered, put in another's place, or sealed with another key.
"""

from node.sealing.columns import PLAIN, Columns
from node.sealing.key import Key, Sealing
from node.sealing.memory import check_memory, new_memory
from node.sealing.original import Original, SealedOriginal, is_sealed, open_original
from node.sealing.stream import CHUNK, Sealer

__all__ = [
    "CHUNK",
    "PLAIN",
    "Columns",
    "Key",
    "Original",
    "SealedOriginal",
    "Sealer",
    "Sealing",
    "check_memory",
    "is_sealed",
    "new_memory",
    "open_original",
]
