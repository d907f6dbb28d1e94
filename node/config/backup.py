"""The section `backup`: to whose keys backups are encrypted, and where the node puts them by itself.

Whether there is room, and whether the folder can be written, shows when a backup is made.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator, Field, PlainValidator, model_validator

from node.age import check_recipient
from node.config.paths import FilePath
from node.config.section import Section
from node.config.units import parse_positive_duration


def _recipient(value: object) -> str:
    text = value.strip() if isinstance(value, str) else ""
    check_recipient(text)
    return text


class Backups(Section):
    """Public keys (`to`), and a backup into `folder` `every` so many seconds, of which `keep` stay; None is never."""

    to: tuple[Annotated[str, PlainValidator(_recipient)], ...] = ()
    """Public keys of age (`age1…`); with the private key of any of them a backup can be opened. With keys, the
    copy that is made before the ledger is migrated is encrypted too.
    """
    folder: FilePath | None = None
    """Where the node puts backups by itself; not in the data folder or the spool: put it on another disk."""
    every: Annotated[float, BeforeValidator(parse_positive_duration)] | None = None
    """How often it makes one; needs `to` and `folder`. Default: never."""
    keep: Annotated[int, Field(ge=1, le=10_000)] = 7
    """How many of those stay: older ones of this node go once a newer one is complete."""

    @model_validator(mode="after")
    def _possible(self) -> Backups:
        if self.every is not None and (self.folder is None or not self.to):
            raise ValueError("`every` needs `folder`, where backups go, and `to`, the keys that open them.")
        return self
