"""The names of `deid.dicom`."""

from node.deid.files import get_files
from node.deid.identifiers import get_identifiers
from node.deid.replacing import remove_private_identifiers, replace_identifiers

__all__ = ["get_files", "get_identifiers", "remove_private_identifiers", "replace_identifiers"]
