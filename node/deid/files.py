"""Which files are DICOM.

Guarantees that folders are walked to their last file, in the order of the names, and that a file that is left out is
named in a warning. Refuses (FileError) what does not exist: a misspelled folder is not an empty one.
"""

from __future__ import annotations

import fnmatch
import os
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TypeAlias

from node.deid.source import opened
from node.errors import DatasetError, FileError, HoldInstance

PathLike: TypeAlias = str | os.PathLike[str]


def get_files(
    contenders: PathLike | Iterable[PathLike], check: bool = True, pattern: str | None = None, force: bool = False
) -> Iterator[str]:
    """Give the DICOM files among files and folders, as they are asked for.

    Parameters
    ----------
    contenders
        A file, a folder, or several of them.
    check
        Leave out, with a warning, what is no DICOM file. Of a file only the header is read.
    pattern
        For files in folders: a pattern of their names, `*.dcm` for example.
    force
        Take files without the prefix DICM for DICOM too, if they can be parsed.

    Raises
    ------
    FileError
        A contender does not exist.
    """
    named = [contenders] if isinstance(contenders, str | os.PathLike) else contenders
    for contender in named:
        path = os.fspath(contender)
        if not Path(path).exists():
            raise FileError("There is no such file or folder", path)
        for found in _walk(path, pattern or "*") if Path(path).is_dir() else [path]:
            if not check or _is_dicom(found, force):
                yield found


def _walk(folder: str, pattern: str) -> Iterator[str]:
    for root, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted(fnmatch.filter(names, pattern)):
            yield str(Path(root, name))


def _is_dicom(path: str, force: bool) -> bool:
    try:
        with opened(path, force=force):
            return True
    except HoldInstance:  # it is DICOM; that it cannot be cleaned is said when it is asked for
        return True
    except (DatasetError, FileError) as error:
        warnings.warn(f"left out, {error}: {path}", stacklevel=3)
        return False
