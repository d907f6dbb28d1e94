"""Which SOP classes the standard does not have, and which are documents or voices.

A storage class of the standard is one of pydicom's UID dictionary (PS3.6 Annex A, retired ones too) or of the table of
IODs (`node.standard`). Other standards that share the root (DICOS, DICONDE) describe no patients: theirs are unknown.
"""

from __future__ import annotations

from functools import cache

from pydicom._uid_dict import UID_dictionary

from node.standard import iod_of

PDF = "1.2.840.10008.5.1.4.1.1.104.1"
CDA = "1.2.840.10008.5.1.4.1.1.104.2"
STL = "1.2.840.10008.5.1.4.1.1.104.3"
OBJ = "1.2.840.10008.5.1.4.1.1.104.4"
MTL = "1.2.840.10008.5.1.4.1.1.104.5"
DOCUMENTS = frozenset((PDF, CDA, STL, OBJ, MTL))
"""Classes of Encapsulated Documents (PS3.3 A.45, A.85, A.104)."""

VOICES = frozenset(("1.2.840.10008.5.1.4.1.1.9.4.1", "1.2.840.10008.5.1.4.1.1.9.4.2"))
"""Basic Voice Audio and General Audio Waveform (PS3.3 A.34.2, A.34.9): what is said in them nobody reads."""

_NO_OBJECTS = ("Storage Commitment", "Media Storage Directory")


@cache
def is_known(sop_class_uid: str) -> bool:
    """Return whether a SOP class is a storage class of the standard."""
    if iod_of(sop_class_uid) is not None:
        return True
    name, kind, other_standard, *_ = UID_dictionary.get(sop_class_uid, ("", "", ""))
    return kind == "SOP Class" and " Storage" in name and not other_standard and not name.startswith(_NO_OBJECTS)
