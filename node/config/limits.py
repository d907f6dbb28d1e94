"""The section `limits`: what one peer may take of the node. The first entry that fits a peer counts, and it alone.

A peer is an address: AE titles are what a sender says of itself, and could be another each time.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

from pydantic import Field, PlainValidator, model_validator

from node.config.senders import Who
from node.config.units import Size, parse_size

if TYPE_CHECKING:
    from node.config.model import Config
    from node.config.yaml12 import KeyPath

SLOWEST = 64 << 10  # bytes a second: a P-DATA-TF of 128 KiB then takes two


def _parse_amount(value: object) -> int:
    size = parse_size(value)
    if size.percent is not None:
        raise ValueError("expected a size such as 512 MiB.")
    if size.bytes < 1:
        raise ValueError("the size must be more than zero.")
    return size.bytes


def _parse_rate(value: object) -> int:
    rate = _parse_amount(value)
    if rate < SLOWEST:
        raise ValueError("expected at least 64 KiB, which are those of a second.")
    return rate


class Limit(Who):
    """What each peer that the entry is for may take: open associations of the whole node, bytes a second, bytes of
    an instance's data set. What is None is not limited.
    """

    associations: Annotated[int, Field(ge=1, le=10_000)] | None = None
    """Open associations of the peer in the whole node, C-ECHO too; one more is rejected (2/3/2). Default:
    no limit.
    """
    bytes_per_second: Annotated[int, PlainValidator(_parse_rate)] | None = None
    """What it may send of data sets in a second, all its associations together, at least 64 KiB; faster ones are read
    more slowly, never refused. Give the sender time: it waits for its answer as long as its instance takes. Default: no
    limit.
    """
    instance_size: Annotated[int, PlainValidator(_parse_amount)] | None = None
    """Bytes of a data set; a larger instance is answered C000H, and nothing of it is kept. Default: no limit."""

    @model_validator(mode="after")
    def _limits_something(self) -> Limit:
        if self.associations is None and self.bytes_per_second is None and self.instance_size is None:
            raise ValueError("add what is limited: `associations`, `bytes_per_second` or `instance_size`.")
        return self


def amount(count: int) -> str:
    """Return a number of bytes as the configuration writes it."""
    return str(Size(bytes=count))


def faults(config: Config) -> Iterator[tuple[KeyPath, str, str]]:
    """Find entries that never count."""
    for index, limit in enumerate(config.limits):
        if any(earlier.covers(limit) for earlier in config.limits[:index]):
            problem = "never counts: an entry before it is for all that this one would be for."
            yield ("limits", index), problem, "The first that fits decides; put this one before it."
