"""Paths of the configuration: relative ones count from the folder of the file that names them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

from pydantic import PlainValidator, ValidationInfo


def parse_path(value: object, info: ValidationInfo) -> Path:
    """Return the path, absolute; the context of the validation has the folder as `base`."""
    if isinstance(value, Path):
        return value
    if not isinstance(value, str) or not value or "\0" in value:
        raise ValueError("expected a path.")
    if value.startswith("~"):
        raise ValueError("`~` is not expanded; write the whole path.")
    return Path(os.path.normpath(base_of(info) / value))


def base_of(info: ValidationInfo) -> Path:
    """Return the folder from which relative paths count."""
    context = info.context
    return Path(context["base"]) if isinstance(context, dict) else Path.cwd()


FilePath = Annotated[Path, PlainValidator(parse_path)]
