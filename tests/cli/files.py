"""Input files, recipes and secrets for the commands that clean files."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pydicom
from pydicom.dataset import Dataset

PUBLIC = Path(pydicom.__file__).parent / "data/test_files"
SECRET = "00112233445566778899aabbccddeeff" * 2
KEYED = "FORMAT dicom\n%header\nREPLACE PatientName func:pseudonym\nREPLACE PatientID func:pseudonym\n"
UIDS = "REPLACE StudyInstanceUID func:generate_uid\nREPLACE SOPInstanceUID func:generate_uid\n"
ON_PURPOSE = "KEEP PatientID\nKEEP StudyInstanceUID\nKEEP SeriesInstanceUID\nKEEP SOPInstanceUID\n"
PLAIN = "FORMAT dicom\n%header\nREMOVE PatientName\nREMOVE InstitutionName\nREMOVE ReferringPhysicianName\n"


def public(name: str) -> Path:
    return PUBLIC / name


def secret(folder: Path, text: str = SECRET) -> Path:
    path = folder / "secret.key"
    path.write_text(text)
    path.chmod(0o600)
    return path


def recipe(folder: Path, text: str = PLAIN, name: str = "r.dicom") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def small(path: Path, uid: str = "1.2.3.1", *, pixels: bytes = b"\1\2", **values: object) -> Path:
    """Write a tiny instance of study 1.2.3 and series 1.2.3.0 with planted identity."""
    source = pydicom.dcmread(public("CT_small.dcm"), specific_tags=["SOPClassUID"])
    dataset = Dataset()
    dataset.file_meta = source.file_meta
    dataset.SOPClassUID, dataset.SOPInstanceUID = source.file_meta.MediaStorageSOPClassUID, uid
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = "1.2.3", "1.2.3.0"
    dataset.PatientName, dataset.PatientID, dataset.InstitutionName = "PLANTED^NAME", "MRN-1", "PLANTED HOSPITAL"
    dataset.Modality, dataset.PixelData = "CT", pixels
    dataset["PixelData"].VR = "OW"
    for keyword, value in values.items():
        setattr(dataset, keyword, value)
    dataset.file_meta.MediaStorageSOPInstanceUID = uid
    path.parent.mkdir(parents=True, exist_ok=True)
    dataset.save_as(path, enforce_file_format=True)
    return path


def tree(folder: Path) -> dict[str, str]:
    """Each file below a folder by its place, with the digest of its content."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
