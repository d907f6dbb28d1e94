"""Whether anything of an original's identity can stand in a result: the step that every instance takes.

Guarantees that a result of which this says no has no finding; a yes is only a suspicion. Memory is constant: large
ranges of the source are looked at piece by piece. Native pixels are left out. Long numbers as text are looked at apart.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from node.gate.markers import texts
from node.gate.numbers import SHORTEST, apart, are_decimals, are_numbers, leads, marks_of, may_identify, pieces_of
from node.recipe import Cleaned
from node.recipe.dictionary import PIXEL_DATA
from node.recipe.encoded import UNDEFINED, Element
from node.recipe.known.gather import Gathered
from node.recipe.known.needles import DATE_AFTER, DATE_BEFORE, encoded_writings
from node.recipe.output import Segment

BULK = (0x7FE00008, 0x7FE00009, PIXEL_DATA)  # Float, Double Float, and Pixel Data
_PIECE = 1 << 20  # bytes
_OVERLAP = 512  # bytes; more than the longest needle that is probed and could lie across two pieces
RUN = re.compile(rb"[0-9.]+")
_EXTENDED = 16  # characters, from which a UID with more components behind it still is a finding


def suspicious(gathered: Gathered, cleaned: Cleaned, *, pixels: bool) -> bool:
    """Tell whether a name, id, UID or date of the original can stand in the result.

    `pixels` is whether compressed Pixel Data goes out as it is.
    """
    sought = _Sought(gathered, cleaned)
    rest, numbers = apart(cleaned, gathered.numbers)
    return any(sought.stands_in(piece) for piece in _pieces(cleaned, rest, pixels=pixels)) or any(
        sought.stands_in_numbers(piece) for piece in pieces_of(cleaned, numbers)
    )


class _Sought:
    """What is looked for, sorted by what tells soonest that it is not there.

    Most of a large header is numbers as text. Without digits, signs and blanks little is left of it: what stands in a
    piece also stands so shortened in the shortened piece, which is where it is looked for first.
    """

    def __init__(self, gathered: Gathered, cleaned: Cleaned) -> None:
        self._uids = gathered.uids
        self._words: dict[bytes, list[bytes]] = {}
        self._numbers: list[bytes] = []
        for probe in gathered.probes(cleaned.codec):
            short = _shortened(probe)
            if short:
                self._words.setdefault(short, []).append(probe)
            else:
                self._numbers.append(probe)
        self._like_numbers = [
            probe for probes in self._words.values() for probe in probes if not _not_of_numbers(probe)
        ]
        self._no_plain_number = (
            not self._like_numbers
            and all(len(number) >= SHORTEST for number in self._numbers)
            and all(uid.count(b".") > 1 for uid in self._uids)
        )
        self._roots = [(_shortened(root), root) for root in gathered.roots()]
        self._years: dict[bytes, list[bytes]] = {}
        for date in gathered.dates:
            self._years.setdefault(date[:4].encode(), []).extend(encoded_writings(date))

    def stands_in(self, piece: bytes) -> bool:
        """Tell whether anything of it stands in a piece."""
        short = _shortened(piece)
        likely = [probe for word, probes in self._words.items() if word in short for probe in probes]
        if likely:
            lowered = piece.lower()
            if any(probe in lowered for probe in likely):
                return True
        return any(number in piece for number in self._numbers) or self._in_digits(piece, short)

    def stands_in_numbers(self, piece: bytes) -> bool:
        """Tell whether anything of it stands in numbers as text (`pieces_of`), where whole values alone count."""
        marks = marks_of(piece)
        if self._no_plain_number and are_decimals(marks):
            return False
        if not are_numbers(marks):
            return self.stands_in(piece)
        if self._no_plain_number and not may_identify(piece, marks):
            return False
        lowered = piece.lower() if self._like_numbers else piece
        before = leads(marks)
        return any(
            lead + number in lowered for number in (*self._numbers, *self._like_numbers) for lead in before
        ) or self._in_digits(piece, marks)

    def _in_digits(self, piece: bytes, short: bytes) -> bool:
        """Tell whether a UID or a date stands in a piece."""
        return any(
            word in short and root in piece and _has_uid(piece, root, self._uids) for word, root in self._roots
        ) or any(year in piece and _has_date(piece, year, written) for year, written in self._years.items())


def _shortened(text: bytes) -> bytes:
    """Return a text lowered, without digits, signs and blanks."""
    return text.translate(_LOWERED, _OF_NUMBERS)


def _not_of_numbers(probe: bytes) -> bytes:
    """Return what of a lowered probe cannot stand in numbers as text."""
    return probe.translate(None, b"0123456789+-e.\\ \0")


_OF_NUMBERS = b"0123456789+- "
_LOWERED = bytes(range(256)).lower()


def uids_of(run: bytes, known: dict[bytes, int]) -> bytes | None:
    """Return the known UID that a run of digits and dots is, or that a long run begins with, or None."""
    run = run.strip(b".")
    while run:
        if run in known:
            return run
        run = run.rpartition(b".")[0]
        if len(run) < _EXTENDED:
            return None
    return None


def bulk(cleaned: Cleaned) -> list[Element]:
    """Return the elements of the original that hold its pixels."""
    dataset = cleaned.dataset
    if dataset.ordered and dataset.elements[-1][0] >> 16 == PIXEL_DATA:
        return [element for element in dataset.elements[-3:] if element[0] >> 16 in BULK]
    found = (dataset.find(tag) for tag in BULK)
    return [element for element in found if element is not None]


def pixel_texts(cleaned: Cleaned) -> Iterator[bytes]:
    """Give the marker segments and boxes of compressed Pixel Data."""
    for element in bulk(cleaned):
        if element[3] == UNDEFINED:
            yield from texts(cleaned.dataset, element)


def _has_date(piece: bytes, year: bytes, written: list[bytes]) -> bool:
    at = piece.find(year)
    while at >= 0:
        window = piece[max(0, at - DATE_BEFORE) : at + DATE_AFTER].lower()
        if any(one in window for one in written):
            return True
        at = piece.find(year, at + 1)
    return False


def _has_uid(piece: bytes, root: bytes, known: dict[bytes, int]) -> bool:
    at = piece.find(root)
    while at >= 0:
        run = RUN.match(piece, at)
        if run is not None and uids_of(run.group(), known) is not None:
            return True
        at = piece.find(root, at + 1)
    return False


def _pieces(cleaned: Cleaned, segments: list[Segment], *, pixels: bool) -> Iterator[bytes]:
    """Give segments of the result without its pixels, in pieces that overlap."""
    held: list[bytes] = []
    size = 0
    for part in _parts(cleaned, segments):
        held.append(part)
        size += len(part)
        if size >= _PIECE:
            piece = b"".join(held)
            yield piece
            held, size = [piece[-_OVERLAP:]], _OVERLAP
    yield b"".join(held)
    if pixels:
        yield from pixel_texts(cleaned)


def _parts(cleaned: Cleaned, segments: list[Segment]) -> Iterator[bytes]:
    buffer, holes = cleaned.dataset.buffer, [(element[2], element[4]) for element in bulk(cleaned)]
    first = min((start for start, _ in holes), default=cleaned.dataset.end)
    for segment in segments:
        if isinstance(segment, bytes):
            yield segment
            continue
        offset, end = segment[0], segment[0] + segment[1]
        if end <= first and segment[1] <= _PIECE:
            yield bytes(buffer[offset:end])
            continue
        for start, after in [*holes, (end, end)]:
            while offset < min(start, end):
                until = min(offset + _PIECE, start, end)
                yield bytes(buffer[offset:until])
                offset = until
            if after <= end:
                offset = max(offset, after)
