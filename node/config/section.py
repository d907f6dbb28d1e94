"""What every section of the configuration is."""

from __future__ import annotations

from typing import Any, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict

Collection = TypeVar("Collection", tuple[Any, ...], dict[Any, Any])


class Section(BaseModel):
    """One section: frozen, strict, without unknown keys, and with errors that do not repeat a value."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", hide_input_in_errors=True)


def _filled(value: Collection) -> Collection:
    """Refuse an empty list or section; not by a length, which pydantic counts without the members that are wrong."""
    if not value:
        raise ValueError("must not be empty.")
    return value


Filled = AfterValidator(_filled)
