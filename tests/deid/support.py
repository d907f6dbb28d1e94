"""Files for the tests of the Python API."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import pydicom
import pytest
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from node.deid import replace_identifiers
from node.errors import FilesError
from tests.recipe.support import dataset

PYDICOM = Path(pydicom.__file__).parent / "data/test_files"
CT = PYDICOM / "CT_small.dcm"


def patient(**values: object) -> Dataset:
    return dataset(
        **{
            "SOPClassUID": "1.2.840.10008.5.1.4.1.1.2",
            "SOPInstanceUID": "1.2.3",
            "StudyDate": "20230115",
            "Modality": "CT",
            "PatientName": "PLANTED^NAME",
            "PatientID": "PLANTED1",
            "StudyInstanceUID": "1.2.4",
        }
        | values
    )


def write(path: Path, source: Dataset, *, syntax: str = ExplicitVRLittleEndian, preamble: bytes = b"\0" * 128) -> str:
    """A Part 10 file of a data set."""
    path.write_bytes(encoded(source, syntax, preamble))
    return str(path)


def encoded(source: Dataset, syntax: str = ExplicitVRLittleEndian, preamble: bytes = b"\0" * 128) -> bytes:
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = syntax
    stream = BytesIO()
    implicit, little = syntax == ImplicitVRLittleEndian, syntax != ExplicitVRBigEndian
    whole = FileDataset(
        stream, source, file_meta=meta, preamble=preamble, is_implicit_VR=implicit, is_little_endian=little
    )
    whole.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


def recipe(*lines: str) -> dict[str, object]:
    """A recipe in pydicom/deid's form, of lines of `%header`."""
    words = [line.split(" ", 2) for line in lines]
    return {
        "format": "dicom",
        "header": [
            {"action": word[0], "field": word[1]} | ({"value": word[2]} if len(word) > 2 else {}) for word in words
        ],
    }


def one(source, *lines: str, **options):
    return replace_identifiers(source, deid=recipe(*lines), save=False, **options)[0]


def failed(*arguments, **options) -> dict[str, Exception]:
    with pytest.raises(FilesError) as raised:
        replace_identifiers(*arguments, **options)
    return raised.value.failed


NO_NAME = recipe("REMOVE PatientName")
