"""The names of `deid.dicom`."""

from node.deid.files import get_files
from node.deid.identifiers import get_identifiers
from node.deid.pixels import DicomCleaner, clean_pixel_data, has_burned_pixels
from node.deid.replacing import remove_private_identifiers, replace_identifiers

__all__ = [
    "DicomCleaner",
    "clean_pixel_data",
    "get_files",
    "get_identifiers",
    "has_burned_pixels",
    "remove_private_identifiers",
    "replace_identifiers",
]
