"""The tables of the DICOM standard that de-identification goes by (PS3.15 2026d, Annex E), as data.

Guarantees that each table is what the standard prints, read once and only where it is asked for. Where the files come
from, and whose they are, says docs/ps3.15.md. Refuses nothing: the files belong to the package.
"""

from node.standard.concepts import Concept, concepts, is_standard, writings
from node.standard.tables import (
    EDITION,
    Attribute,
    BurnedIn,
    SafePrivate,
    TciaPrivate,
    attributes,
    burned_in_regions,
    iod_of,
    method_codes,
    read_required,
    required,
    safe_private,
    tcia_private,
)

__all__ = [
    "EDITION",
    "Attribute",
    "BurnedIn",
    "Concept",
    "SafePrivate",
    "TciaPrivate",
    "attributes",
    "burned_in_regions",
    "concepts",
    "iod_of",
    "is_standard",
    "method_codes",
    "read_required",
    "required",
    "safe_private",
    "tcia_private",
    "writings",
]
