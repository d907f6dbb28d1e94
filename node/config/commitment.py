"""The section `commitment` of a route, and `peers`: who is told that the destinations have what it sent, and how.

Refuses a route whose senders could not be answered, and one whose destinations could not be asked as it says.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args

from pydantic import BeforeValidator, Field, PlainValidator, model_validator

from node.config.section import Section
from node.config.titles import matches
from node.config.tls import DestinationTLS
from node.config.units import Endpoint, parse_duration, parse_endpoint, parse_positive_duration

if TYPE_CHECKING:
    from node.config.model import Config, Route
    from node.config.yaml12 import KeyPath

Way = Literal["commitment", "find", "status"]
COMMITMENT, FIND, STATUS = WAYS = get_args(Way)
"""How a destination is asked whether it has an instance: its own storage commitment, C-FIND, or not at all, where its
answer to C-STORE counts."""

Duration = Annotated[float, BeforeValidator(parse_duration)]
PositiveDuration = Annotated[float, BeforeValidator(parse_positive_duration)]


def _ways(value: object) -> tuple[str, ...]:
    ways = (value,) if isinstance(value, str) else value
    if not isinstance(ways, tuple) or not ways or any(way not in WAYS for way in ways) or len({*ways}) < len(ways):
        raise ValueError("expected commitment, find or status, or a list of them in the order in which they are tried.")
    if STATUS in ways[:-1]:
        raise ValueError("nothing that stands behind status is ever tried: put it last.")
    return ways


class Answering(Section):
    """When a report is tried again that its sender did not take: as `retry` of a destination, `within` so many
    seconds.
    """

    first: PositiveDuration = 5.0
    """An answer that the sender does not take is tried again after so long."""
    factor: Annotated[float, Field(ge=1, le=100, allow_inf_nan=False)] = 2.0
    """Each further delay is so many times the one before."""
    cap: PositiveDuration = 900.0
    """The longest delay."""
    within: PositiveDuration = 7 * 86400.0
    """For how long it is tried."""


class Commitment(Section):
    """Storage commitment for the senders of a route (PS3.4 Annex J).

    Destinations are asked by the first way of `confirm` that they offer. What is not delivered and confirmed `within`
    so many seconds counts as failed; what a destination does not list counts as failed `patience` seconds after it was
    delivered there.
    """

    confirm: Annotated[tuple[str, ...], PlainValidator(_ways)] = (COMMITMENT, FIND)
    """How destinations are asked: `commitment`, `find`, `status`, or a list of them, of which the first counts that a
    destination offers (docs/commitment.md). Default: `[commitment, find]`.
    """
    within: PositiveDuration = 86400.0
    """What is not delivered and confirmed so long after it was asked about counts as failed."""
    patience: Duration = 600.0
    """What a destination does not list counts as failed so long after it was delivered there."""
    answer: Answering = Answering()
    """When an answer is tried again that the sender does not take."""


class ReportPeer(Section):
    """Where a sender takes N-EVENT-REPORT, which may be given as `host:port` alone."""

    address: Annotated[Endpoint, PlainValidator(parse_endpoint)]
    """Its `host:port`, which may stand alone in place of the section."""
    tls: DestinationTLS | None = None
    """TLS, by which alone it is reached then."""

    @model_validator(mode="before")
    @classmethod
    def _address_alone(cls, section: Any) -> Any:
        return section if isinstance(section, dict) else {"address": section}


def is_wanted(config: Config) -> bool:
    """Say whether any route has storage commitment."""
    return any(route.commitment is not None for route in config.routes)


def reporters(config: Config) -> dict[tuple[str, str], str]:
    """Return the destinations that may bring reports: their AE title and the one that they call the node by → name."""
    found = {}
    for route in config.routes:
        if route.commitment is not None and COMMITMENT in route.commitment.confirm:
            for name in route.to:
                destination = config.destinations.get(name)
                if destination is not None and destination.query is not None:
                    title = destination.query.ae_title or destination.ae_title
                    found[title, destination.calling_ae] = name
    return found


def faults(config: Config) -> Iterator[tuple[KeyPath, str, str]]:
    """Find routes whose senders cannot be answered, and destinations that cannot be asked."""
    for index, route in enumerate(config.routes):
        if route.commitment is not None:
            yield from _unanswerable(config, route, ("routes", index, "commitment"))
            yield from _unasked(config, route, ("routes", index, "commitment", "confirm"))


def _unanswerable(config: Config, route: Route, path: KeyPath) -> Iterator[tuple[KeyPath, str, str]]:
    titles = route.from_.calling_ae
    hint = "Add `peers: {AE title: host:port}`, where the sender takes N-EVENT-REPORT."
    for title in titles or ():
        if "*" not in title and title not in config.peers:
            yield path, f"'{title}' may ask, and there is no address for the answer.", hint
    if not any(matches(pattern, peer) for pattern in titles or ("*",) for peer in config.peers):
        yield path, "there is no address for the answer to any sender of this route.", hint


def _unasked(config: Config, route: Route, path: KeyPath) -> Iterator[tuple[KeyPath, str, str]]:
    assert route.commitment is not None
    for name in route.to:
        destination = config.destinations.get(name)
        if destination is not None and destination.query is None and STATUS not in route.commitment.confirm:
            problem = f"the destination '{name}' cannot be asked whether it has an instance."
            hint = f"Add destinations.{name}.query, or `status` to `confirm`, which trusts its answer to C-STORE."
            yield path, problem, hint


def warnings(config: Config) -> Iterator[str]:
    """Say what storage commitment means, for each route that has it."""
    for route in config.routes:
        if route.commitment is None:
            continue
        yield (
            f"route '{route.name}': storage commitment is on. A sender that gets a positive answer may delete its "
            f"images, and what the destinations have is a copy without identity, which is no archive copy: senders "
            f"must keep waiting for the commitment of the clinical archive as well."
        )
        trusted = [name for name in route.to if _is_trusted(config, name, route.commitment)]
        if trusted:
            yield (
                f"route '{route.name}': nothing but an answer to C-STORE stands for {', '.join(trusted)} "
                f"(commitment.confirm: status): it shows that an instance was taken once, not that it is still there."
            )


def _is_trusted(config: Config, name: str, commitment: Commitment) -> bool:
    return commitment.confirm[0] == STATUS or config.destinations[name].query is None
