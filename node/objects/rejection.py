"""Rejection notes: Key Object Selection documents by which a source says that instances are not to be used any more.

Guarantees that a note is known by its document title alone (IHE RAD TF-2 4.66, Imaging Object Change Management),
whatever a recipe does with it. Refuses with DatasetError a document whose sequences cannot be walked.
"""

from __future__ import annotations

from dataclasses import dataclass

from node.recipe import EncodedDataset
from node.recipe.siblings import innermost, items

KEY_OBJECT_SELECTION = "1.2.840.10008.5.1.4.1.1.88.59"
TITLES = {
    "113001": "rejected for quality",
    "113037": "rejected for patient safety",
    "113038": "incorrect modality worklist entry",
    "113039": "data retention policy expired",
}
"""The document titles of PS3.16 CID 7011 that reject, scheme DCM."""

_CODE_VALUE, _SCHEME = 0x00080100, 0x00080102
_TITLE = "(0040,A043)"
_EVIDENCE = (0x0040A375, 0x00081115, 0x00081199)  # of the requested procedure: its series, their instances
_REFERENCED_UID = 0x00081155


@dataclass(frozen=True, slots=True)
class Rejection:
    """What a note says: the code of its title, and the SOP Instance UIDs (originals) that it names."""

    code: str
    uids: tuple[str, ...]


def rejection(sop_class_uid: str, dataset: EncodedDataset) -> Rejection | None:
    """Return what a rejection note says; None for anything else."""
    if sop_class_uid != KEY_OBJECT_SELECTION:
        return None
    for title in items(dataset, _TITLE, (_CODE_VALUE, _SCHEME)):
        code = title.get(_CODE_VALUE, "").strip(" \0")
        if code in TITLES and title.get(_SCHEME, "").strip(" \0") == "DCM":
            found = (uid.strip(" \0") for uid in innermost(dataset, _EVIDENCE, _REFERENCED_UID))
            return Rejection(code, tuple(dict.fromkeys(filter(None, found))))
    return None
