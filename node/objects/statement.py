"""What a result says of its pixels: Burned In Annotation (0028,0301) and Recognizable Visual Features (0028,0302).

| the original says | the result says |
|---|---|
| anything | NO, where a filter for this device and size masked it, or a person looked at it and answers for it |
| YES | YES |
| NO | NO; of Secondary Capture, ultrasound and X-ray angiography nothing, or YES where the IOD requires a value |
| nothing | nothing |

A head in CT or MR has a face that can be rendered: (0028,0302) is YES unless the original says something else (PS3.3
C.7.6.1, PS3.15 E.3.2). Guarantees that both follow from the original header alone, but for the first row.
"""

from __future__ import annotations

import re

from node.objects.risk import BURNED_IN_ANNOTATION, Header, text
from node.objects.stubs import items
from node.recipe import EncodedDataset
from node.recipe.amend import Change
from node.standard import iod_of, required

RECOGNIZABLE_FEATURES = 0x00280302
_BODY_PART, _REGION, _CODE_VALUE = 0x00180015, 0x00082218, 0x00080100
_GROUPS, _LOOKED_AT = (0x52009229, 0x52009230), 1 << 22  # of an enhanced image: shared, per frame; bytes of them
_DESCRIPTIONS = (0x00081030, 0x0008103E, 0x00181030, 0x00321060)  # study, series, protocol, requested procedure
_OF_HEADS = (_BODY_PART, _REGION, *_DESCRIPTIONS, *_GROUPS)
_CROSS_SECTIONS = ("CT", "MR")
_HEADS = re.compile(
    r"(?:\b|_)(?:(?<!FEMORAL )(?<!HUMERAL )(?<!RADIAL )HEAD(?! FIRST)|BRAIN|SKULL|CRANI|CEREB|FACE\b|FACIAL|NEURO"
    r"|SINUS|ORBIT|KOPF|SCH.DEL|HIRN|CRANE|CERVEAU|CABEZA|TESTA\b|ENC[EÉ]FAL|ENCEPHAL)"
)
# Head, brain, skull, face, neck, head and neck, by SNOMED CT and by the codes that it had before (PS3.16 CID 4031).
_SNOMED = frozenset(("69536005", "12738006", "89546000", "89545001", "774007"))
_HEAD_CODES = _SNOMED | {"T-D1100", "T-A0100", "T-11100", "T-D1200", "T-D1000"}
_HEAD_CODE = re.compile(rb"(?<![0-9])(?:" + "|".join(sorted(_HEAD_CODES)).encode() + rb")(?![0-9])")


def statement(header: Header | None, dataset: EncodedDataset, *, masked: bool, approved: bool) -> dict[int, Change]:
    """Return what of the two attributes is another one than in the original.

    Parameters
    ----------
    header, dataset
        The original.
    masked
        A filter that was written for images of this device and size masks it.
    approved
        A person looked at it and let it go.
    """
    if header is None:
        return {}
    said: dict[int, Change] = {}
    if masked or approved:
        said[BURNED_IN_ANNOTATION] = ("CS", b"NO")
    elif header.burned_in == "NO" and not header.is_trusted:
        needed = required(iod_of(header.sop_class_uid)).get((0, BURNED_IN_ANNOTATION)) == 1
        said[BURNED_IN_ANNOTATION] = ("CS", b"YES") if needed else None
    if header.modality in _CROSS_SECTIONS and not text(dataset, RECOGNIZABLE_FEATURES) and _shows_head(dataset):
        said[RECOGNIZABLE_FEATURES] = ("CS", b"YES")
    return said


def _shows_head(dataset: EncodedDataset) -> bool:
    return dataset.once(_is_head, _OF_HEADS, lambda: _is_head(dataset))


def _is_head(dataset: EncodedDataset) -> bool:
    if any(_HEADS.search(text(dataset, tag)) for tag in (_BODY_PART, *_DESCRIPTIONS)):
        return True
    for _, parts in items(dataset, _REGION):
        code = parts.get(_CODE_VALUE)
        if code is not None and bytes(dataset.buffer[code[2] : code[4]]).decode("latin-1").strip("\0 ") in _HEAD_CODES:
            return True
    return _is_head_of_frames(dataset)


def _is_head_of_frames(dataset: EncodedDataset) -> bool:
    """Tell whether functional groups, shared or of a frame, hold one of the codes, in Frame Anatomy for example."""
    for tag in _GROUPS:
        groups = dataset.find(tag)
        if groups is not None and _HEAD_CODE.search(dataset.buffer, groups[2], min(groups[4], groups[2] + _LOOKED_AT)):
            return True
    return False
