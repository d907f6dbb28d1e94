"""The original data set as pydicom shows it, for the site's own functions.

Guarantees that it is read when a function first looks into it and not before, that it has everything in front of Pixel
Data, and that nobody can change it: an attempt is a TypeError, in nested items too.
"""

from __future__ import annotations

from io import BytesIO
from typing import Any, NoReturn

from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset
from pydicom.filereader import read_dataset
from pydicom.sequence import Sequence

from node.recipe.dictionary import PIXEL_DATA
from node.recipe.encoded import EncodedDataset


class _Element(DataElement):
    """An element whose value stays."""

    @property
    def value(self) -> Any:
        return DataElement.value.fget(self)  # type: ignore[attr-defined]

    @value.setter
    def value(self, _value: Any) -> NoReturn:
        raise TypeError("the original data set cannot be changed")


class _Elements(dict[Any, Any]):
    """The elements of a data set; pydicom may decode them, nobody may change them."""

    def __setitem__(self, tag: Any, element: Any) -> None:
        present = dict.get(self, tag)
        if not isinstance(present, RawDataElement):
            self._refuse()
        dict.__setitem__(self, tag, _fixed(element))

    def _refuse(self, *_args: Any, **_options: Any) -> NoReturn:
        raise TypeError("the original data set cannot be changed")

    __delitem__ = _refuse
    __ior__ = _refuse
    clear = _refuse
    pop = _refuse
    popitem = _refuse
    setdefault = _refuse
    update = _refuse


def _fixed(element: Any) -> Any:
    if not isinstance(element, DataElement):
        return element
    if element.VR == "SQ":
        # An empty one comes as a list, which pydicom would put right after this.
        element.value = element.value if isinstance(element.value, Sequence) else Sequence(element.value)
        for item in element.value:
            _fix(item)
    element.__class__ = _Element
    return element


def _fix(dataset: Dataset) -> None:
    elements = _Elements()
    for tag, element in dataset._dict.items():
        dict.__setitem__(elements, tag, _fixed(element))
    object.__setattr__(dataset, "_dict", elements)


class Original(Dataset):
    """A data set that is read when it is first looked into; `file_meta` is there where `meta` is."""

    def __init__(self, source: EncodedDataset, meta: EncodedDataset | None = None) -> None:
        object.__setattr__(self, "source", source)
        if meta is not None:
            object.__setattr__(self, "file_meta", Original(meta))

    def __getattr__(self, name: str) -> Any:
        if "_dict" in self.__dict__:
            return super().__getattr__(name)
        self.__dict__.update(_read(self.__dict__["source"]).__dict__)
        return getattr(self, name)


def _read(source: EncodedDataset) -> Dataset:
    element = source.find(PIXEL_DATA)
    end = source.end if element is None else element[1]
    stream = BytesIO(bytes(source.buffer[source.start : end]))
    dataset = read_dataset(stream, source.syntax.implicit_vr, source.syntax.little_endian)
    _fix(dataset)
    return dataset
