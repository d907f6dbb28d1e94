"""Values of the ledger that name a person or an object of the original, sealed so that they can still be looked up.

AES-256-SIV (RFC 5297) gives the same text for the same value in the same column of the same project, and another one
anywhere else: so equality is all that the ledger shows. Guarantees that a sealed value that was changed, or moved to
another column or project, is an error (LedgerError) and never another value. An empty value names nobody and stays.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from functools import cached_property

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV

from node.errors import LedgerError

PREFIX = "siv1:"


class Columns:
    """Seals values of columns; without a key (`PLAIN`) they stay as they are."""

    def __init__(self, key: Callable[[], bytes] | None = None) -> None:
        self._key = key
        self.active = key is not None

    @cached_property
    def _cipher(self) -> AESSIV:
        assert self._key is not None
        return AESSIV(self._key())

    def seal(self, column: str, project: str, value: str) -> str:
        """Return a value as it stands in a column (`table.column`) of a project's row."""
        if not self.active or not value:
            return value
        sealed = self._cipher.encrypt(value.encode("utf-8", "surrogatepass"), [column.encode(), project.encode()])
        return PREFIX + base64.urlsafe_b64encode(sealed).decode("ascii")

    def open(self, column: str, project: str, text: str) -> str:
        """Return the value that stands in a column. Raises LedgerError where it was not sealed there with this key."""
        if not self.active or not text:
            return text
        try:
            if not text.startswith(PREFIX):
                raise InvalidTag
            sealed = base64.urlsafe_b64decode(text[len(PREFIX) :])
            return self._cipher.decrypt(sealed, [column.encode(), project.encode()]).decode("utf-8", "surrogatepass")
        except (InvalidTag, ValueError):
            raise LedgerError(f"a value of {column} was not sealed here with this key") from None


PLAIN = Columns()
"""Columns as they are without encryption."""
