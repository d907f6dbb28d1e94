"""Cleaning files and data sets by a recipe.

Guarantees that each file goes through the engine of the node, that what comes out was cleaned as a whole, and that a
file that fails neither keeps the others from being cleaned nor comes out itself, in whatever form. Refuses
(RecipeError) to begin without a recipe that loads, and (FilesError, after all others) files that cannot be cleaned.

What is written is a DICOM file with an empty preamble; a Media Storage SOP Class or Instance UID that no line means
follows the UID of the data set.
"""

from __future__ import annotations

import logging
import os
import warnings
from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

from pydicom.dataset import Dataset, FileDataset

from node.deid.config import DeidRecipe, Recipes
from node.deid.identifiers import DicomFile, key_of, several
from node.deid.saving import Folder, Result, as_dataset, encoded_meta
from node.deid.source import Source, changed, opened
from node.deid.stripping import without_private, without_sequences
from node.errors import FileError, FilesError, NodeError
from node.identity import ProjectKeys
from node.instances import InstanceIdentities, NoMaps, Scope
from node.log import describe_exception, event, trace_of
from node.recipe import Recipe

LOGGER = logging.getLogger("node.deid")
_REMOVE_PRIVATE = {"format": "dicom", "header": [{"action": "REMOVE", "field": "select:private"}]}


def replace_identifiers(  # noqa: PLR0913, PLR0917 -- the parameters of pydicom/deid, by which recipes are used in the field
    dicom_files: DicomFile | Iterable[DicomFile],
    ids: Mapping[Any, Mapping[str, Any]] | None = None,
    deid: Recipes | None = None,
    save: bool = True,
    overwrite: bool = False,
    output_folder: str | os.PathLike[str] | None = None,
    force: bool = True,
    *,
    strip_sequences: bool = False,
    remove_private: bool = False,
    keys: ProjectKeys | None = None,
) -> list[Any]:
    """Clean files by a recipe, and return the paths of the cleaned ones in their order.

    Parameters
    ----------
    dicom_files
        A path, a data set of pydicom, or several of them. A data set itself is never changed.
    ids
        By path (or None, for a data set without one): what `var:` and `func:` find by name, as `get_identifiers`
        returns it. A function is called with `item, value, field, dicom`.
    deid
        The recipe, in any form that `DeidRecipe` takes. There is none by default.
    save
        False returns data sets of pydicom instead, and writes nothing.
    overwrite
        Replace what is there: in `output_folder`, and without one the files themselves.
    output_folder
        Where the cleaned files go, under their own names; made where it does not exist. By default a new temporary
        folder, in which files of the same name go into folders of their own.
    force
        Take files without prefix, file meta information or transfer syntax.
    strip_sequences
        Remove all sequences first, whatever the recipe says.
    remove_private
        Remove all private elements first, at every level, whatever the recipe says.
    keys
        Secret and project; with them `func:` knows `generate_uid`, `pseudonym` and `shift_date` as in the node.

    Raises
    ------
    RecipeError
        The recipe does not load; nothing was done.
    FilesError
        Files that failed: why, by path, in `failed`; what came of the others in `done`.
    """
    recipe = deid if isinstance(deid, DeidRecipe) else DeidRecipe(deid)
    lookups = {None if key is None else key_of(key): items for key, items in (ids or {}).items()}
    cleaning = _Cleaning(recipe.compiled, lookups, keys, force, strip_sequences, remove_private)
    return cleaning.run(several(dicom_files), Folder(output_folder, overwrite) if save else None)


def remove_private_identifiers(
    dicom_files: DicomFile | Iterable[DicomFile],
    save: bool = True,
    overwrite: bool = False,
    output_folder: str | os.PathLike[str] | None = None,
    force: bool = True,
) -> list[Any]:
    """Remove the private elements of files, at every level; parameters and results as for `replace_identifiers`."""
    return replace_identifiers(dicom_files, None, _REMOVE_PRIVATE, save, overwrite, output_folder, force)


@dataclass(frozen=True, slots=True)
class _Cleaning:
    """One call: what is done with every file."""

    recipe: Recipe
    lookups: Mapping[str | None, Mapping[str, Any]]
    keys: ProjectKeys | None
    force: bool
    strip_sequences: bool
    remove_private: bool
    said: Counter[str] = field(default_factory=Counter)

    def run(self, sources: list[DicomFile], folder: Folder | None) -> list[Any]:
        """Return paths, or data sets without a folder. Raises FilesError."""
        done: list[Any] = []
        failed: dict[str, NodeError] = {}
        for number, source in enumerate(sources):
            key = key_of(source)
            name = key or f"data set {number}"
            try:
                done.append(self._one(source, key, folder))
            except NodeError as error:
                failed[name] = error
            except Exception as error:  # noqa: BLE001 -- the boundary of one file: the others go on
                said, trace = describe_exception(error), trace_of(error)
                event(LOGGER, "internal", logging.ERROR, error=said, trace=trace)
                failed[name] = NodeError(f"a fault of the program ({said} at {trace.rpartition(' > ')[2]})")
        for line, count in self.said.items():
            warnings.warn(f"written as it is, {count} times: {line}", stacklevel=3)
        if failed:
            raise FilesError(done, failed)
        return done

    def _one(self, source: DicomFile, key: str | None, folder: Folder | None) -> str | FileDataset:
        if folder is not None and key is None:
            raise FileError("a data set that was not read from a file has no name to be saved under: save=False")
        with ExitStack() as stack:
            given = source if isinstance(source, Dataset) else key
            assert given is not None
            result = self._clean(stack.enter_context(opened(given, force=self.force)), key, stack)
            if folder is None:
                return as_dataset(result, key)
            assert key is not None
            return folder.save(result, key)

    def _clean(self, source: Source, key: str | None, stack: ExitStack) -> Result:
        original = source
        if self.strip_sequences:
            source = changed(source, without_sequences(source.dataset), stack)
        if self.remove_private:
            source = changed(source, without_private(source.dataset), stack)
        identities = InstanceIdentities(Scope("", self.keys), NoMaps(), original.dataset) if self.keys else None
        cleaned = self.recipe.apply(source.dataset, identities, self.lookups.get(key, {}), source.meta)
        assert cleaned.meta is not None
        meta = encoded_meta(original, cleaned)
        # Once for a line of the recipe, not for each of its elements.
        self.said.update(text.partition(": ")[2] for text in (*cleaned.warnings, *cleaned.meta.warnings))
        return Result(source, cleaned, meta)
