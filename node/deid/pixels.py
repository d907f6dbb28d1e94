"""Burned-in text: which images may show who the patient is, and the same images with their pixels masked.

Guarantees that pixels are masked by the same code as in the node (`node.pixels`), and that regions taken from an image
count for that image alone. Refuses (HoldInstance) images that cannot be masked right; nothing is saved of them.

Different from pydicom/deid on purpose: masked pixels are black, whatever the photometric interpretation, not 0; the SOP
Instance UID stays; pixels are compressed again only without loss, and only if they come back the same. A recipe has to
be named: no filters come with this program. Figures and animations are left to other tools.
"""

from __future__ import annotations

import os
import re
import tempfile
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydicom import dcmread
from pydicom.dataset import Dataset

from node.deid.config import DeidRecipe, Recipes
from node.deid.identifiers import DicomFile, key_of
from node.deid.masking import Copy, Masking, masked_file, opened_file
from node.deid.saving import Folder
from node.errors import DatasetError, FilesError, NodeError

if TYPE_CHECKING:
    from numpy.typing import NDArray

_PIXEL_ATTRIBUTES = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")
_SUFFIX = re.compile(r"[.]dicom|[.]dcm")


def has_burned_pixels(
    dicom_files: DicomFile | Sequence[DicomFile], force: bool = True, deid: Recipes | None = None
) -> dict[Any, Any]:
    """Judge images by the filters of a recipe, from their headers alone.

    Parameters
    ----------
    dicom_files
        A path or data set, or a list of them.
    force
        Take files without the prefix DICM too.
    deid
        The recipe, as `DeidRecipe` takes it.

    Returns
    -------
    dict
        For one file `{"flagged": bool, "results": [{"reason", "group", "coordinates"}]}`, `coordinates` being `[[0 to
        mask or 1 to keep, "xmin,ymin,xmax,ymax", "all" or a list of such texts], …]`. For a list `{"clean": [files],
        "flagged": {file: what it is for one file}}`; a data set in memory has the path it was read from.

    Raises
    ------
    RecipeError
        No recipe, or one that does not load.
    FilesError
        Some of a list could not be judged; `done` holds the dictionary for the others.
    NodeError
        The one file could not be judged.
    """
    recipe = deid if isinstance(deid, DeidRecipe) else DeidRecipe(deid)
    if not isinstance(dicom_files, list | tuple):
        return _judged(dicom_files, force, recipe)  # type: ignore[arg-type]
    decision: dict[Any, Any] = {"clean": [], "flagged": {}}
    failed: dict[str, NodeError] = {}
    for number, one in enumerate(dicom_files):
        key = one if not isinstance(one, Dataset) else key_of(one) or str(number)
        try:
            result = _judged(one, force, recipe)
        except NodeError as error:
            failed[str(key)] = error
            continue
        if result["flagged"]:
            decision["flagged"][key] = result
        else:
            decision["clean"].append(key)
    if failed:
        raise FilesError([decision], failed)
    return decision


def clean_pixel_data(
    dicom_file: DicomFile,
    results: Mapping[str, Any],
    fix_interpretation: bool = True,  # noqa: ARG001 -- pydicom/deid's; here the interpretation is always right
    pixel_data_attribute: str = "PixelData",
) -> NDArray[Any]:
    """Return the pixels of an image, as pydicom's `pixel_array` has them, with what `has_burned_pixels` found masked.

    Raises
    ------
    HoldInstance
        The image cannot be masked right.
    DatasetError
        It has no such pixels, or cannot be parsed.
    """
    with masked_file(dicom_file, results, Masking()) as file:
        dataset = dcmread(file, force=True)
        if pixel_data_attribute not in dataset or pixel_data_attribute not in _PIXEL_ATTRIBUTES:
            raise DatasetError("the image has no pixels in the element that was asked for")
        pixels: NDArray[Any] = dataset.pixel_array
        return pixels


class DicomCleaner:
    """Masks the burned-in text of one image after another: `detect`, `clean`, `save_dicom`.

    Parameters
    ----------
    output_folder
        Where `save_dicom` saves; a new temporary folder where it is None.
    add_padding, margin, font
        As pydicom/deid has them, without a meaning here as there.
    deid
        The recipe, as `DeidRecipe` takes it.
    force
        Take files without the prefix DICM too.

    Attributes
    ----------
    recipe, results, dicom_file, cleaned
        The recipe; of the last image what `detect` found, what it was called with, and the array of `clean`.
    """

    def __init__(
        self,
        output_folder: str | os.PathLike[str] | None = None,
        add_padding: bool = False,  # noqa: ARG002
        margin: int = 3,  # noqa: ARG002
        deid: Recipes | None = None,
        font: Mapping[str, Any] | None = None,
        force: bool = True,
    ) -> None:
        self.font = font
        self.recipe = deid if isinstance(deid, DeidRecipe) else DeidRecipe(deid)
        self.output_folder = output_folder if output_folder is not None else tempfile.mkdtemp(prefix="clean-")
        self.force = force
        self.results: dict[str, Any] | None = None
        self.dicom_file: DicomFile | None = None
        self.cleaned: NDArray[Any] | None = None

    def detect(self, dicom_file: DicomFile) -> dict[str, Any]:
        """Judge an image; return what `has_burned_pixels` returns for one file. Raises NodeError."""
        self.cleaned = self.results = None
        self.results = _judged(dicom_file, self.force, self.recipe)
        self.dicom_file = dicom_file
        return self.results

    def clean(self, fix_interpretation: bool = True, pixel_data_attribute: str = "PixelData") -> NDArray[Any] | None:
        """Return the masked pixels of the image that `detect` judged; None, with a warning, before that.

        Raises what `clean_pixel_data` raises.
        """
        if self.results is None or self.dicom_file is None:
            warnings.warn("Call detect with a DICOM file first: it finds the regions.", stacklevel=2)
            return None
        self.cleaned = clean_pixel_data(self.dicom_file, self.results, fix_interpretation, pixel_data_attribute)
        return self.cleaned

    def save_dicom(
        self,
        output_folder: str | os.PathLike[str] | None = None,
        image_type: str = "cleaned",
        preserve_compression: bool = False,
        compression: str | None = None,
        mode: int = 0o700,
    ) -> str | None:
        """Save the masked image as `cleaned-NAME.dcm`, in place of another file of this name; return its path.

        Parameters
        ----------
        output_folder
            In place of that of the cleaner; made with `mode` where it does not exist.
        image_type
            Only `cleaned`: what was not masked is not saved under such a name.
        preserve_compression, compression
            Compress again: by the image's own transfer syntax, or by this one. RLE Lossless, JPEG-LS Lossless and JPEG
            2000 Lossless can be; with any other it is saved uncompressed, with a warning.

        Returns
        -------
        str or None
            None, with a warning, where `clean` has not been called.
        """
        if self.cleaned is None or self.results is None or self.dicom_file is None or image_type != "cleaned":
            warnings.warn("Call detect and clean first; only the cleaned image can be saved.", stacklevel=2)
            return None
        folder = Path(output_folder if output_folder is not None else self.output_folder)
        folder.mkdir(mode=mode, parents=True, exist_ok=True)
        name = _SUFFIX.sub("", os.path.basename(key_of(self.dicom_file) or "dataset"))
        how = Masking(self.force, compression, preserve_compression)
        with masked_file(self.dicom_file, self.results, how) as file:
            return Folder(folder, overwrite=True).save(Copy(file), f"cleaned-{name}.dcm")


def _judged(dicom_file: DicomFile, force: bool, recipe: DeidRecipe) -> dict[str, Any]:
    with opened_file(dicom_file, force) as source:
        return recipe.compiled.detect(source.dataset).as_dict()
