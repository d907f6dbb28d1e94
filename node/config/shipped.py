"""Where the recipes lie that come with the program: beside the package in a checkout, inside it once installed."""

from __future__ import annotations

from pathlib import Path

SUFFIX = ".dicom"


def shipped_folder() -> Path:
    """Return the folder of the shipped recipes."""
    package = Path(__file__).resolve().parent.parent
    installed = package / "_recipes"
    return installed if installed.is_dir() else package.parent / "recipes"


def shipped_recipe_names() -> list[str]:
    """Return the names by which a configuration can refer to shipped recipes."""
    return sorted(path.stem for path in shipped_folder().glob(f"*{SUFFIX}"))
