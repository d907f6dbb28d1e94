"""The transfer syntaxes whose encoding of a data set is known (PS3.5 Annex A), as a table.

Guarantees that a syntax of the table tells how its data set is encoded: VRs, byte order, deflation, and whether Pixel
Data is encapsulated. Refuses to guess: `lookup` gives None for any other UID, and such an instance is held.
Left out on purpose: the retired RFC 2557 MIME and XML encodings, which are no DICOM data set at all.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Syntax:
    """How a data set is encoded.

    Parameters
    ----------
    uid
        Transfer Syntax UID.
    implicit_vr
        No VR stands in the element header (PS3.5 7.1.3).
    little_endian
        Byte order of the data set. (Of Pixel Data too, but for GE's private syntax.)
    deflated
        The data set is a raw RFC 1951 stream (PS3.5 A.5).
    encapsulated
        Pixel Data is a sequence of fragments (PS3.5 A.4).
    lossy
        Pixel Data may have lost information on its way into this syntax.
    """

    uid: str
    implicit_vr: bool = False
    little_endian: bool = True
    deflated: bool = False
    encapsulated: bool = False
    lossy: bool = False


_ROOT = "1.2.840.10008.1.2"

IMPLICIT_LE = Syntax(_ROOT, implicit_vr=True)
EXPLICIT_LE = Syntax(f"{_ROOT}.1")
EXPLICIT_BE = Syntax(f"{_ROOT}.2", little_endian=False)
DEFLATED_LE = Syntax(f"{_ROOT}.1.99", deflated=True)
PAPYRUS_3 = Syntax("1.2.840.10008.1.20", implicit_vr=True)
# Implicit VR Little Endian, only the pixel samples are big endian: what is walked and cleaned is Implicit VR LE.
GE_PRIVATE = Syntax("1.2.840.113619.5.2", implicit_vr=True)

# JPIP: Pixel Data is a URL; nothing is encapsulated (PS3.5 A.6, A.7). SMPTE ST 2110: the metadata (PS3.22).
_EXPLICIT = (".4.94", ".4.204", ".7.1", ".7.2", ".7.3")
_EXPLICIT_DEFLATED = (".4.95", ".4.205")
_LOSSLESS = (
    ".1.98",  # Encapsulated Uncompressed
    ".4.57",
    ".4.58",
    ".4.65",
    ".4.66",
    ".4.70",
    ".4.80",
    ".4.90",
    ".4.92",
    ".4.110",  # JPEG XL Lossless
    ".4.201",
    ".4.202",
    ".5",  # RLE
    ".8.1",  # Deflated Image Frame Compression
)
_LOSSY = (
    *(f".4.{n}" for n in (50, 51, 52, 53, 54, 55, 56, 59, 60, 61, 62, 63, 64)),
    ".4.81",
    ".4.91",
    ".4.93",
    *(f".4.{n}{part}" for n in range(100, 107) for part in ("", ".1")),  # MPEG2, MPEG-4
    ".4.107",  # HEVC
    ".4.108",
    ".4.111",  # JPEG XL JPEG Recompression
    ".4.112",  # JPEG XL
    ".4.203",
)

KNOWN: dict[str, Syntax] = {
    syntax.uid: syntax
    for syntax in (
        IMPLICIT_LE,
        EXPLICIT_LE,
        EXPLICIT_BE,
        DEFLATED_LE,
        PAPYRUS_3,
        GE_PRIVATE,
        *(Syntax(_ROOT + tail) for tail in _EXPLICIT),
        *(Syntax(_ROOT + tail, deflated=True) for tail in _EXPLICIT_DEFLATED),
        *(Syntax(_ROOT + tail, encapsulated=True) for tail in _LOSSLESS),
        *(Syntax(_ROOT + tail, encapsulated=True, lossy=True) for tail in _LOSSY),
    )
}

UNCOMPRESSED: frozenset[str] = frozenset({IMPLICIT_LE.uid, EXPLICIT_LE.uid, EXPLICIT_BE.uid})
"""The native syntaxes, which can be converted into one another without touching a sample's value."""


def lookup(uid: str) -> Syntax | None:
    """Return the syntax of `uid`, or None where its encoding is not known."""
    return KNOWN.get(uid)
