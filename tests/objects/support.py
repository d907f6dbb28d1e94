"""Small instances of every kind, judged and cleaned as the node does it."""

from __future__ import annotations

import pytest
from pydicom.dataset import Dataset

from node.errors import HoldInstance, HoldReason
from node.objects import Policy, Verdict
from node.recipe import EncodedDataset, Recipe, load_recipe, shipped_recipe
from node.syntaxes import EXPLICIT_LE, Syntax
from tests.recipe.support import Keys, dataset, decode, encode, text

ROOT = "1.2.840.10008.5.1.4.1.1."
CT, MR, US, SC, XA = (ROOT + last for last in ("2", "4", "6.1", "7", "12.1"))


def shipped(*names: str) -> Recipe:
    return load_recipe([found for name in names if (found := shipped_recipe(name)) is not None])


BASIC = shipped("ps3.15-basic")
PIXELS = shipped("ps3.15-basic", "clean-pixel-data")
HEADER_ONLY = load_recipe([text("%header", "REMOVE PatientName")])


def image(sop_class: str = CT, modality: str = "CT", **values: object) -> Dataset:
    """An image of 8 by 6 pixels; a value None takes an attribute away."""
    wanted = {
        "SOPClassUID": sop_class,
        "SOPInstanceUID": "1.2.3",
        "StudyInstanceUID": "1.2.4",
        "SeriesInstanceUID": "1.2.5",
        "PatientID": "P1",
        "Modality": modality,
        "ImageType": ["ORIGINAL", "PRIMARY", "AXIAL"],
        "SamplesPerPixel": 1,
        "PhotometricInterpretation": "MONOCHROME2",
        "Rows": 6,
        "Columns": 8,
        "BitsAllocated": 8,
        "BitsStored": 8,
        "HighBit": 7,
        "PixelRepresentation": 0,
        **values,
    }
    found = dataset(**{keyword: value for keyword, value in wanted.items() if value is not None})
    if "PixelData" not in values:
        found.add_new(0x7FE00010, "OB", bytes(range(48)))
    return found


def scanned(source: Dataset, syntax: Syntax = EXPLICIT_LE) -> EncodedDataset:
    return EncodedDataset.scan(encode(source, syntax), 0, syntax)


def judge(source: Dataset, recipe: Recipe = BASIC, accepted: str | None = None, **policy: str) -> Verdict:
    return Policy(**policy).judge(recipe, scanned(source), accepted)


def held(source: Dataset, recipe: Recipe = BASIC, **policy: str) -> tuple[HoldReason, str]:
    with pytest.raises(HoldInstance) as hold:
        judge(source, recipe, **policy)
    return hold.value.reason, hold.value.detail


def cleaned(
    source: Dataset, recipe: Recipe = BASIC, accepted: str | None = None, syntax: Syntax = EXPLICIT_LE, **policy: str
) -> Dataset:
    """What goes out, but for the mask."""
    encoded = scanned(source, syntax)
    verdict = Policy(**policy).judge(recipe, encoded, accepted)
    result = recipe.apply(encoded, Keys(), {}, masks=verdict.judgement)
    return decode(verdict.finished(result).tobytes(), syntax)
