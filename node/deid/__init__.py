"""The Python API: recipes for files and folders, with the names of the public library pydicom/deid.

Guarantees that a file is cleaned by the same engine as in the node, that a file that cannot be cleaned is named in an
error and neither returned nor written, and that what a recipe does not touch stays byte for byte. `deid.dicom`,
`deid.config`, `deid.data` and `deid.utils` are here as `node.deid.dicom` and so on, so that an import line changes in
one word. `docs/python.md` is the page about it.

files         which files are DICOM
identifiers   what stands in their headers
config        recipes: `DeidRecipe`
replacing     cleaning
source        reading files and data sets, saving others; `lines`: recipes as dictionaries
"""

from node.deid.config import DeidRecipe
from node.deid.data import get_dataset
from node.deid.files import get_files
from node.deid.identifiers import Field, Identifiers, get_identifiers
from node.deid.replacing import remove_private_identifiers, replace_identifiers
from node.deid.utils import get_installdir
from node.identity import ProjectKeys

# What looks at pixels (has_burned_pixels, DicomCleaner) is imported and named here, and in node.deid.dicom.

__all__ = [
    "DeidRecipe",
    "Field",
    "Identifiers",
    "ProjectKeys",
    "get_dataset",
    "get_files",
    "get_identifiers",
    "get_installdir",
    "remove_private_identifiers",
    "replace_identifiers",
]
