"""Text of a data set to and from bytes, by its Specific Character Set (PS3.5 6.1, PS3.3 C.12.1.1.2).

Guarantees that a text which is written reads back as the same text. Refuses what a repertoire does not hold, and
bytes that a repertoire does not know: nothing is replaced by a question mark. No message holds a value.
"""

from __future__ import annotations

import re
import warnings
from functools import lru_cache

from pydicom.charset import decode_bytes, encode_string, python_encoding

_ESCAPE = 0x1B
_TYPICAL_MISSPELLING = re.compile(r"^ISO(?:[ _-]?)(?:(2022)[ _-]?)?IR[ _-]?(\d+)$")
_DELIMITERS = {0x5C, 0x0A, 0x0C, 0x0D, 0x09, 0x5E, 0x3D}  # each ends a code extension (PS3.5 6.1.2.5.3)


class CharsetError(ValueError):
    """Text that the repertoire does not hold, or bytes that are no text in it."""


class Codec:
    """The repertoires of one Specific Character Set value.

    `terms` are the defined terms; an unknown one is an error only when text beyond ASCII is met.
    """

    __slots__ = ("_encodings", "_multibyte", "_plain", "terms")

    def __init__(self, terms: tuple[str, ...]) -> None:
        self.terms = terms
        self._plain = all(term in ("", "ISO_IR 6", "ISO 2022 IR 6") for term in terms)
        encodings = [python_encoding.get(_normal(term)) for term in terms or ("",)]
        self._encodings: list[str] | None = [e for e in encodings if e is not None] if None not in encodings else None
        self._multibyte = len(terms) > 1

    def decode(self, value: bytes) -> str:
        """Return the text of an encoded value, padding included. Raises CharsetError."""
        if value.isascii() and _ESCAPE not in value:
            return value.decode("ascii")
        if self._encodings is None:
            raise CharsetError("an unknown Specific Character Set")
        try:
            if _ESCAPE not in value:
                return value.decode(self._encodings[0])
            return _quietly_decoded(value, self._encodings)
        except (UnicodeError, LookupError, ValueError):
            raise CharsetError("bytes that are no text in the Specific Character Set") from None

    def encode(self, text: str) -> bytes:
        """Return the encoded text, without padding. Raises CharsetError where a character cannot be written."""
        if text.isascii():
            return text.encode("ascii")
        if self._encodings is None or self._plain:
            raise CharsetError("text that the Specific Character Set does not hold")
        try:
            encoded = _quietly_encoded(text, self._encodings) if self._multibyte else text.encode(self._encodings[0])
        except (UnicodeError, LookupError, ValueError):
            raise CharsetError("text that the Specific Character Set does not hold") from None
        if self.decode(encoded) != text:
            raise CharsetError("text that the Specific Character Set does not hold")
        return encoded


def _normal(term: str) -> str:
    """Return a defined term for its usual misspellings (ISO-IR 100, ISO_IR192)."""
    if term in python_encoding:
        return term
    match = _TYPICAL_MISSPELLING.match(term.upper())
    if match is None:
        return term.upper()
    return f"ISO 2022 IR {match[2]}" if match[1] else f"ISO_IR {match[2]}"


def _quietly_decoded(value: bytes, encodings: list[str]) -> str:
    # pydicom replaces what it cannot decode, and its warning shows the value: both become an error here.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        text = decode_bytes(value, encodings, _DELIMITERS)
    if "�" in text or "\x1b" in text:
        raise CharsetError("bytes that are no text in the Specific Character Set")
    return text


def _quietly_encoded(text: str, encodings: list[str]) -> bytes:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return encode_string(text, encodings)


@lru_cache(maxsize=256)
def codec(value: bytes) -> Codec:
    """Return the codec of a value of Specific Character Set (0008,0005); empty means the default repertoire."""
    terms = tuple(term.strip(" \0") for term in value.decode("latin-1").split("\\"))
    return Codec(() if terms == ("",) else terms)


DEFAULT = codec(b"")
