"""The section `node.encryption`: which key seals what names a person, at rest.

Whether a file can be used as a key is not looked at here (the start does): a command that needs no key must work for a
user who may not read it.
"""

from __future__ import annotations

import re
from functools import cached_property
from typing import Annotated

from pydantic import Field, PlainValidator, model_validator

from node.config.paths import FilePath
from node.config.section import Section
from node.sealing import Sealing

_KEY = re.compile(r"[0-9a-fA-F]{64}\Z")


def _key(value: object) -> str:
    if not isinstance(value, str) or not _KEY.match(value):
        raise ValueError("expected 64 hexadecimal digits, as `openssl rand -hex 32` makes them.")
    return value


class Encryption(Section):
    """Encryption at rest, with the key in `key_file`, or with `key`, which comes from the environment."""

    key_file: FilePath | None = None
    """File with the key that seals originals and the identifying columns of the ledger: 64 hexadecimal digits, mode
    0600, outside of `data` and `spool` (docs/encryption.md).
    """
    key: Annotated[str, PlainValidator(_key)] | None = Field(default=None, repr=False)
    """The key itself, in place of a file: `${NAME}`, from the environment."""

    @model_validator(mode="after")
    def _one_key(self) -> Encryption:
        if (self.key_file is None) == (self.key is None):
            raise ValueError("expected either key_file, or key.")
        return self

    @cached_property
    def sealing(self) -> Sealing:
        """What seals with this key; one for all, so that a process reads the key once."""
        return Sealing(self.key_file, self.key or "")
