"""Series that a study works with, before and after cleaning."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import pydicom
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

from tests.deidset.cleaning import clean, settings
from tests.deidset.expected import RESEARCH

ROOT = "1.2.826.0.1.3680043.78"
RECIPES = {"research": ("research",), "options": ("ps3.15-basic", *RESEARCH)}


def routes() -> list[Any]:
    """The recipes to test with."""
    return [pytest.param(names, id=name) for name, names in RECIPES.items()]


def instance(sop_class: str, number: int, series: int = 1, **values: Any) -> Dataset:
    """An instance of one study of one patient."""
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = sop_class
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = f"{ROOT}.3.{series}.{number}"
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = f"{ROOT}.1", f"{ROOT}.2.{series}"
    dataset.FrameOfReferenceUID = f"{ROOT}.4"
    dataset.PatientName, dataset.PatientID, dataset.PatientBirthDate = "PLANTED^NAME", "MRN-4711", "19510623"
    dataset.PatientSex, dataset.PatientWeight, dataset.PatientSize = "F", "68.5", "1.7"
    dataset.StudyDate, dataset.StudyTime, dataset.StudyID = "20240229", "233000", "1"
    dataset.AccessionNumber, dataset.ReferringPhysicianName, dataset.Manufacturer = "", "", "ACME"
    dataset.SeriesNumber, dataset.InstanceNumber = series, number
    for keyword, value in values.items():
        setattr(dataset, keyword, value)
    return dataset


def item(**values: Any) -> Dataset:
    dataset = Dataset()
    for keyword, value in values.items():
        setattr(dataset, keyword, value)
    return dataset


def written(folder: Path, datasets: list[Dataset]) -> Path:
    """A folder with the data sets in files of their own, in their order."""
    folder.mkdir(parents=True)
    for number, dataset in enumerate(datasets):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            dataset.save_as(folder / f"{number:03d}.dcm", enforce_file_format=True)
    return folder


def cleaned(names: tuple[str, ...], source: Path, out: Path) -> Path:
    """What recipes make of a folder; fails where a file is held."""
    done = clean(settings(names), source, out)
    assert not [one.reason for one in done.values() if one.reason]
    assert b"MRN-4711" not in b"".join(path.read_bytes() for path in out.iterdir())
    return out


def read(folder: Path) -> list[Dataset]:
    return [pydicom.dcmread(path) for path in sorted(folder.iterdir())]
