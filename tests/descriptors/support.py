"""Phrases of protocols, patients whose identity stands in them, and what is left of a text."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

from pydicom.dataset import Dataset

from node.recipe import EncodedDataset
from node.recipe.known.gather import gather
from node.recipe.known.texts import Known
from node.recipe.wording import Spans, cleaned_text, nothing
from node.syntaxes import EXPLICIT_LE
from node.vocabulary import shipped_vocabulary
from tests.recipe.support import dataset, encode

_FOLDER = Path(__file__).parent
_SPLIT = re.compile(r"[^0-9A-Za-zÀ-ÿ]+")
_CASE = re.compile(r"(?<=[a-z])(?=[A-Z])")


@cache
def phrases(name: str) -> tuple[str, ...]:
    """The phrases of `before` or `after`."""
    lines = (_FOLDER / f"{name}.txt").read_text(encoding="utf-8").splitlines()
    return tuple(line for line in lines if line and not line.startswith("#"))


def words(text: str) -> list[str]:
    """The words of a text, cut at marks and where small letters become capitals."""
    return [word for word in _SPLIT.split(_CASE.sub(" ", text)) if word]


def stayed(original: str, result: str) -> int:
    """How many words of the original stand in the result, each as often as it does there."""
    left = words(result)
    count = 0
    for word in words(original):
        if word in left:
            left.remove(word)
            count += 1
    return count


def known(**values: object) -> Known:
    """What identifies a data set."""
    return Known(gather(EncodedDataset.scan(encode(dataset(**values)), 0, EXPLICIT_LE)))


def cleaned(text: str, of: Known | None = None) -> str:
    """What is left of a text."""
    spans: Spans = of.within(text) if of is not None else nothing
    return cleaned_text(text, shipped_vocabulary(), spans)


def series(**values: object) -> Dataset:
    """A CT image with somebody's identity."""
    return dataset(**{
        "SOPClassUID": "1.2.840.10008.5.1.4.1.1.2",
        "SOPInstanceUID": "1.2.826.0.1.3680043.9.7433.1",
        "StudyDate": "20240301",
        "PatientName": "KOWALSKA^ZOFIA^MARIA",
        "PatientID": "PID-77313",
        "PatientBirthDate": "19530311",
        "AccessionNumber": "88441199",
        "ReferringPhysicianName": "BRACHVOGEL^EMIL",
        **values,
    })  # fmt: skip
