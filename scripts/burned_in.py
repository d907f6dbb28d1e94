"""The filters of the recipe `clean-pixel-data`, from the regions that CTP of the RSNA knows."""

from __future__ import annotations

import re
from collections.abc import Iterator

from node.standard import BurnedIn, burned_in_regions

_CRITERION = re.compile(
    r'(?:(?P<keyword>\w+)|\[(?P<tag>[0-9A-Fa-f]{4},[0-9A-Fa-f]{4})\])\.(?P<test>\w+) ?\("(?P<text>[^"]*)"\)\Z'
)
_TESTS = {"equals": "equals", "contains": "contains", "containsIgnoreCase": "contains"}
_SPECIAL = re.compile(r"([\\.^$*+?{}\[\]|()])")
# File meta information is the sender's toolkit: it does not reach the recipe.
_OTHERWISE = {"ImplementationVersionName": "Manufacturer"}

_HEAD = """
# What is masked. Judged by the original header; docs/pixels.md says what is held where nothing here matches.

%filter graylist

# Of ultrasound all that lies outside of the regions that the image names, where these are plausible.

LABEL Ultrasound regions
present SequenceOfUltrasoundRegions
coordinates all
keepcoordinates from:SequenceOfUltrasoundRegions

# What a device writes, by its signature: from CTP, the Clinical Trial Processor of the RSNA (RSNA Public License).
# They come last, so that they also hold inside of ultrasound regions.
"""


def filters() -> Iterator[str]:
    """Give the lines of the section."""
    yield from _HEAD.strip("\n").split("\n")
    for number, one in enumerate(burned_in_regions(), start=1):
        yield ""
        yield f"LABEL CTP {number:02d} {_name(one)}".rstrip()
        yield from map(_line, re.split(r"\s*\*\s*", one.signature))
        yield from (f"ctpcoordinates {x},{y},{width},{height}" for x, y, width, height in one.regions)


def _name(one: BurnedIn) -> str:
    """Return what CTP's script calls the device, up to the first remark."""
    return " ".join(re.split(r" - |\. ", title)[0] for title in one.titles)


def _line(text: str) -> str:
    """Return a factor of a signature: one criterion, or several in parentheses with + between them, which means or."""
    inner = text.strip().removeprefix("( ").removesuffix(" )")
    return " || ".join(map(_criterion, re.split(r"\s*\+\s*", inner)))


def _criterion(text: str) -> str:
    match = _CRITERION.match(text)
    if match is None:
        raise ValueError(f"a signature cannot be read: {text}")
    key = f"({match['tag']})" if match["tag"] else _OTHERWISE.get(match["keyword"], match["keyword"])
    test = _TESTS[match["test"]]
    value = _SPECIAL.sub(r"\\\1", match["text"]) if test == "contains" else match["text"]
    return f"{test} {key} {value}"
