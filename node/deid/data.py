"""The public test images of the package `deid-data`, which is installed by `pip install 'deid-node[data]'`."""

from __future__ import annotations

from importlib import import_module

from node.errors import FileError, NotInstalled
from node.recipe.dictionary import nearest

DATASETS = ("animals", "dicom-cookies", "humans", "ultrasounds")


def get_dataset(dataset: str) -> str:
    """Return the folder of a data set of `deid-data`: `dicom-cookies`, `humans`, `animals` or `ultrasounds`.

    Raises
    ------
    NotInstalled
        The package is not installed.
    FileError
        It has no such data set.
    """
    try:
        data = import_module("deid_data.data")
    except ImportError:
        raise NotInstalled(
            "The test images are in a package of their own. Install it: pip install 'deid-node[data]' (deid-data)"
        ) from None
    if dataset not in DATASETS:
        raise FileError(f"There is no data set of this name. {nearest(dataset, DATASETS)}", dataset)
    return str(data.get_dataset(dataset))
