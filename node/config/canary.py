"""The section `canary`: by which routes the node sends itself a synthetic study, how often, and where it may go.

Refuses names that the canary has for itself, and a canary that no listener could take.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

from pydantic import BeforeValidator

from node.config.section import Section
from node.config.tls import DestinationTLS
from node.config.units import parse_positive_duration

if TYPE_CHECKING:
    from node.config.model import Config
    from node.config.yaml12 import KeyPath

PREFIX = "canary."
"""What routes, projects and destinations of the canary begin with, and no others."""
SHORTEST = 60.0  # seconds between two rounds

Duration = Annotated[float, BeforeValidator(parse_positive_duration)]


class Canary(Section):
    """How often (`every`, seconds) a study goes through each of `routes` (none: all), and `within` how long.

    It goes to a sink of the node's own, and to the destinations `to` where there are some. `tls` is how the node
    reaches itself where it listens with TLS alone.
    """

    every: Duration = 3600.0
    """From one round to the next, at least a minute; the first comes right after the start."""
    within: Duration = 120.0
    """How long a study may take by one route."""
    routes: tuple[str, ...] = ()
    """The routes that it stands for. Default: all."""
    to: tuple[str, ...] = ()
    """Destinations that get it too, besides the sink of its own. They keep it."""
    tls: DestinationTLS | None = None
    """How the node reaches itself where all its listeners speak TLS."""


def faults(config: Config) -> Iterator[tuple[KeyPath, str, str]]:
    """Find what the canary could not do, and names that are its own."""
    yield from _reserved(config)
    canary = config.canary
    if canary is None:
        return
    if canary.every < SHORTEST:
        yield ("canary", "every"), "more often than once a minute.", "Use 1h, for example."
    known = [route.name for route in config.routes]
    for index, name in enumerate(canary.routes):
        if name not in known:
            yield ("canary", "routes", index), f"there is no route '{name}'.", f"Known: {', '.join(known)}."
    for index, name in enumerate(canary.to):
        if name not in config.destinations:
            yield ("canary", "to", index), f"there is no destination '{name}'.", ""
    if canary.tls is None and all(listener.tls is not None for listener in config.node.listening):
        yield ("canary", "tls"), "the node listens with TLS alone.", "Say with which files it reaches itself."


def _reserved(config: Config) -> Iterator[tuple[KeyPath, str, str]]:
    problem, hint = f"names that begin with '{PREFIX}' are the canary's own.", "Choose another one."
    for index, route in enumerate(config.routes):
        for key in ("name", "project"):
            if str(getattr(route, key)).startswith(PREFIX):
                yield ("routes", index, key), problem, hint
    for name in config.destinations:
        if name.startswith(PREFIX):
            yield ("destinations", name), problem, hint
