"""The same recipe and file through pydicom/deid and through ours, and what the two data sets hold."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import warnings
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path

import pydicom
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filereader import dcmread, read_dataset
from pydicom.filewriter import write_dataset
from pydicom.sequence import Sequence

from node.errors import HoldInstance
from node.part10 import read_file_meta
from node.recipe import EncodedDataset, Recipe, RecipeText, load_recipe
from node.recipe.dictionary import STRUCTURAL_UIDS, show
from node.syntaxes import EXPLICIT_LE, Syntax, lookup
from tests.recipe.support import Keys

os.environ.setdefault("MESSAGELEVEL", "QUIET")
os.environ.setdefault("MPLCONFIGDIR", "/tmp/matplotlib")

Found = dict[str, tuple[str, object]]
"""By tag path: VR and value."""


class DeidFailed(Exception):
    """The other library raised, or made something that cannot be written."""


def files() -> list[Path]:
    """Small files that need no download: pydicom's own, and those of deid-data."""
    folders = [Path(pydicom.__file__).parent / "data"]
    with contextlib.suppress(ImportError):
        import deid_data

        folders.append(Path(deid_data.__file__).parent / "data")
    return sorted(path for folder in folders for path in folder.rglob("*.dcm") if path.stat().st_size < 1_000_000)


def by_deid(data: bytes, text: str, folder: Path, variables: Mapping[str, object]) -> tuple[Found, Found]:
    """Return data set and file meta information as pydicom/deid leaves them. Raises DeidFailed."""
    from deid.config import DeidRecipe
    from deid.dicom import fields
    from deid.dicom.parser import DicomParser
    from deid.logger import bot

    bot.level = -10
    path = folder / "deid.recipe"
    path.write_text(text)
    with _quiet():
        dataset = dcmread(io.BytesIO(data), force=True)
        try:
            syntax = lookup(str(dataset.file_meta.TransferSyntaxUID))
            parser = DicomParser(dataset, recipe=DeidRecipe(str(path)))
            for name, value in variables.items():
                parser.define(name, value)
            parser.parse()
            return _found_in(_written(parser.dicom, syntax), syntax), _found_in(
                _written(parser.dicom.file_meta, EXPLICIT_LE), EXPLICIT_LE
            )
        except (Exception, SystemExit) as error:
            raise DeidFailed(type(error).__name__) from error
        finally:
            fields._get_fields_inner.cache_clear()


def filtered_by_deid(data: bytes, text: str, folder: Path) -> dict[str, object]:
    """Return what pydicom/deid detects. Raises DeidFailed."""
    from deid.config import DeidRecipe
    from deid.dicom.pixels.detect import has_burned_pixels
    from deid.logger import bot

    bot.level = -10
    path = folder / "deid.recipe"
    path.write_text(text)
    with _quiet():
        try:
            return has_burned_pixels(dcmread(io.BytesIO(data), force=True), deid=DeidRecipe(str(path)))
        except (Exception, SystemExit) as error:
            raise DeidFailed(type(error).__name__) from error


def filtered_by_ours(data: bytes, text: str) -> dict[str, object]:
    """Return what ours detects."""
    meta, start = read_file_meta(data)
    with _quiet():
        return ours(text).detect(EncodedDataset.scan(data, start, lookup(meta.transfer_syntax_uid))).as_dict()


def changes(data: bytes, recipe: Recipe, variables: Mapping[str, object]) -> bool:
    """Whether ours changes anything, or holds the file."""
    meta, start = read_file_meta(data)
    dataset = EncodedDataset.scan(data, start, lookup(meta.transfer_syntax_uid))
    head = EncodedDataset.scan(data[132:start], 0, EXPLICIT_LE, meta=True)
    try:
        result = recipe.apply(dataset, Keys(), variables, meta=head)
    except HoldInstance:
        return True
    return result.tobytes() != data[start:] or result.meta.tobytes() != data[132:start]


def by_ours(data: bytes, recipe: Recipe, variables: Mapping[str, object]) -> tuple[Found, Found]:
    """Return data set and file meta information as ours leaves them."""
    meta, start = read_file_meta(data)
    syntax = lookup(meta.transfer_syntax_uid)
    dataset = EncodedDataset.scan(data, start, syntax)
    head = EncodedDataset.scan(data[132:start], 0, EXPLICIT_LE, meta=True)
    result = recipe.apply(dataset, Keys(), variables, meta=head)
    with _quiet():
        return _found_in(result.tobytes(), syntax), _found_in(result.meta.tobytes(), EXPLICIT_LE)


def ours(text: str) -> Recipe:
    return load_recipe([RecipeText("r", text)], in_node=False)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    logging.disable(logging.CRITICAL)
    with (
        warnings.catch_warnings(),
        contextlib.redirect_stdout(io.StringIO()),
        contextlib.redirect_stderr(io.StringIO()),
    ):
        warnings.simplefilter("ignore")
        try:
            yield
        finally:
            logging.disable(logging.NOTSET)


def _written(dataset: Dataset, syntax: Syntax) -> bytes:
    stream = DicomBytesIO()
    stream.is_implicit_VR, stream.is_little_endian = syntax.implicit_vr, syntax.little_endian
    write_dataset(stream, Dataset(dataset))
    return stream.getvalue()


@lru_cache(maxsize=16)
def _found_in(data: bytes, syntax: Syntax) -> Found:
    """Decode it; the same bytes are the same data set, and the two sides often have the same."""
    return found(_read(data, syntax))


def _read(data: bytes, syntax: Syntax) -> Dataset:
    return read_dataset(io.BytesIO(data), syntax.implicit_vr, syntax.little_endian)


def found(dataset: Dataset, path: str = "") -> Found:
    """Return every element by its path.

    Left out are group lengths and padding, which pydicom writes its own way.
    """
    result: Found = {}
    for tag in sorted(dataset.keys()):
        try:
            element = dataset[tag]
        except AttributeError:  # an ambiguous VR, which nothing is left to decide
            result[f"{path}{tag}"] = "", dataset.get_item(tag).value
            continue
        if not element.tag.element:
            continue
        here = f"{path}{element.tag}"
        value = element.value
        if isinstance(value, Sequence):
            result[here] = ("SQ", len(value))
            for number, item in enumerate(value):
                result |= found(item, f"{here}__{number}__")
        else:
            result[here] = element.VR, _plain(value)
    return result


def without_classes(side: Found) -> Found:
    """Leave out class UIDs, which ours changes only where a line names them."""
    return {path: value for path, value in side.items() if path[-11:] not in _CLASSES}


_CLASSES = frozenset(map(show, STRUCTURAL_UIDS))


def _plain(value: object) -> object:
    if isinstance(value, bytes):
        return value.rstrip(b"\0")
    return "" if value is None or value == "" else str(value)
