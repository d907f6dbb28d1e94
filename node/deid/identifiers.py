"""What stands in the headers of files.

Guarantees that every element of a header, file meta information included, is found under its name and under its tag
path, in the form in which pydicom gives its value. Left out, as they hold no identity or far too much, are Pixel Data,
palettes, VOI LUT Sequence and what says how the file is encoded. Refuses (FilesError, after all others) files that
cannot be read, and (DatasetError) elements that pydicom cannot decode.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import pydicom
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError
from pydicom.uid import DeflatedExplicitVRLittleEndian

from node.errors import DatasetError, FileError, FilesError, NodeError
from node.recipe.dictionary import PROTECTED, show
from node.recipe.selectors import path_name

DicomFile: TypeAlias = str | os.PathLike[str] | Dataset
_LARGE = "1 MB"  # a larger value is read when somebody asks for it


@dataclass(frozen=True, slots=True)
class Field:
    """One element of a header.

    Parameters
    ----------
    element
        The element as pydicom has it.
    name
        Its keyword, behind those of the sequences around it: `RequestAttributesSequence__PatientID`. Several items of a
        sequence share it; private and unknown elements have none.
    uid
        Its tag path, with the number of each item from 0: `(0040,0275)__0__(0010,0020)`.
    is_filemeta
        It stands in the file meta information.
    """

    element: DataElement
    name: str
    uid: str
    is_filemeta: bool = False

    @property
    def tag(self) -> str:
        """The element's own tag, `(0010,0020)`."""
        return self.uid.rpartition("__")[2]

    @property
    def stripped_tag(self) -> str:
        """The tag's digits, `00100020`."""
        return self.tag[1:5] + self.tag[6:10]


class Identifiers(dict[str, Any]):
    """The header of one file: a dictionary of values by name, in which whatever a recipe needs can be put.

    `items["PatientID"]` is the value; `items["ReferencedImageSequence__ReferencedSOPClassUID"]` that of an element in
    a sequence, of the first item that has it. `items["(0008,1140)__1__(0008,1150)"]`, a tag path, is the `Field` of
    just that element, as in pydicom/deid. Iteration, `len` and `items()` go over names, and what was put in.

    Attributes
    ----------
    fields
        All fields by tag path, in pydicom/deid's order: top level, file meta information, then level by level.
    """

    def __init__(self, fields: dict[str, Field]) -> None:
        self.fields = fields
        values: dict[str, Any] = {}
        for field in fields.values():
            if field.name and not field.name.endswith("__"):
                values.setdefault(field.name, field.element.value)
        super().__init__(values)

    def __missing__(self, key: str) -> Field:
        return self.fields[key]

    def __contains__(self, key: object) -> bool:
        return super().__contains__(key) or key in self.fields

    def get(self, key: str, default: Any = None) -> Any:
        """Return what `[key]` returns, or the default."""
        return self[key] if key in self else default  # noqa: SIM401 -- this is that get

    def copy(self) -> Identifiers:
        """Return a copy; the fields are the same."""
        other = Identifiers(self.fields)
        other.clear()
        other.update(self)
        return other


def get_identifiers(
    dicom_files: DicomFile | Iterable[DicomFile], force: bool = True, expand_sequences: bool = True
) -> dict[str | None, Identifiers]:
    """Return the headers of files, by absolute path; of a data set without a file name by None.

    Parameters
    ----------
    dicom_files
        A file, a data set, or several of them.
    force
        Read files without the prefix DICM too.
    expand_sequences
        Look into sequences; else a sequence is one element.

    Raises
    ------
    FilesError
        Files that cannot be read, and data sets that could not be told from one another; in `done` are the headers of
        the others, as pairs of path and header.
    """
    found: dict[str | None, Identifiers] = {}
    failed: dict[str, NodeError] = {}
    for number, source in enumerate(several(dicom_files)):
        key = key_of(source)
        try:
            if isinstance(source, Dataset) and key in found:
                raise FileError("another data set of this call has the same file name, or none as well")
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # pydicom's texts quote values
                found[key] = Identifiers(dict(_fields(_read(source, force), expand_sequences)))
        except NodeError as error:
            failed[key or f"data set {number}"] = error
    if failed:
        raise FilesError(list(found.items()), failed)
    return found


def several(dicom_files: DicomFile | Iterable[DicomFile]) -> list[DicomFile]:
    """Return one or many as a list."""
    # A data set is iterable too, over its elements.
    if isinstance(dicom_files, str | os.PathLike | Dataset):
        return [dicom_files]
    return list(dicom_files)


def key_of(source: DicomFile) -> str | None:
    """Return the absolute path of a file, also of the one that a data set was read from; None where there is none."""
    name = getattr(source, "filename", None) if isinstance(source, Dataset) else source
    return os.path.abspath(name) if isinstance(name, str | os.PathLike) and os.fspath(name) else None


def _read(source: DicomFile, force: bool) -> Dataset:
    if isinstance(source, Dataset):
        return source
    try:
        dataset = pydicom.dcmread(Path(source), force=force, defer_size=_LARGE)
        if dataset.file_meta.get("TransferSyntaxUID") == DeflatedExplicitVRLittleEndian:
            # What was inflated has no place in the file, from which it could be read later.
            dataset = pydicom.dcmread(Path(source), force=force)
        return dataset
    except OSError as error:
        raise FileError(f"it cannot be read ({error.strerror})") from None
    except InvalidDicomError:
        raise DatasetError("it is no DICOM file: no DICM prefix") from None
    except Exception as error:  # noqa: BLE001 -- one file: pydicom raises anything for a broken one
        raise DatasetError(f"it cannot be parsed ({type(error).__name__})") from None


def _fields(dataset: Dataset, expand: bool) -> Iterator[tuple[str, Field]]:
    waiting: list[tuple[Dataset, str]] = [(dataset, "")]
    meta = getattr(dataset, "file_meta", None)
    if meta:
        waiting.append((meta, ""))
    for current, path in waiting:
        for tag in sorted(current.keys()):
            if tag in PROTECTED:
                continue
            uid = path + show(tag)
            element = _element(current, tag, uid)
            yield uid, Field(element, path_name(uid), uid, current is meta)
            if expand and element.VR == "SQ":
                waiting += [(item, f"{uid}__{number}__") for number, item in enumerate(element.value)]


def _element(dataset: Dataset, tag: Any, uid: str) -> DataElement:
    try:
        element: DataElement = dataset[tag]
    except Exception as error:  # noqa: BLE001 -- one element: pydicom raises anything for a value that is none
        raise DatasetError(f"pydicom cannot decode an element ({type(error).__name__})", uid) from None
    return element
