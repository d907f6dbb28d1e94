"""The state of the node as a whole."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict

from node.overview import overview
from node.refused import refused
from node.web.api.models import subject
from node.web.history import Moment
from node.web.site import Looking
from node.web.users import Role

router = subject("status")


class Me(BaseModel):
    """Who asks, and what they may."""

    name: str
    roles: list[Role]


class Status(BaseModel):
    """What `deid-node status --json` prints (docs/operation.md)."""

    model_config = ConfigDict(extra="allow")

    received: int
    in_flight: int
    delivered: int
    held: int
    excluded: int
    discarded: int
    duplicates: int
    alerts: list[dict[str, Any]]
    routes: dict[str, dict[str, Any]]
    destinations: dict[str, dict[str, Any]]
    refused: list[dict[str, Any]]


class Refused(BaseModel):
    """What `deid-node refused --json` prints (docs/monitoring.md): by sender, and by destination."""

    senders: list[dict[str, Any]]
    destinations: list[dict[str, Any]]


class Point(BaseModel):
    """How things were at a time (seconds since 1970, UTC); `lag` in seconds, that of cleaning under an empty name.

    `cleaning_lag` is the latter by route, `routes` what was received by each.
    """

    at: float
    counts: dict[str, int]
    waiting: dict[str, int]
    delivered: dict[str, int]
    routes: dict[str, int]
    lag: dict[str, float]
    cleaning_lag: dict[str, float]


@router.get("/me")
def me(desk: Looking) -> Me:
    """Say who asks."""
    user = desk.person.user
    return Me(name=user.name, roles=sorted(user.roles))


@router.get("/status")
def status(desk: Looking) -> Status:
    """Count what was received and what became of it."""
    return Status.model_validate(overview(desk.ledger("status"), desk.config))


@router.get("/refused")
def refusals(desk: Looking) -> Refused:
    """List what senders and the node itself asked for and did not get, and what to change."""
    return Refused.model_validate(refused(desk.site.database, desk.config))


@router.get("/history")
def history(desk: Looking) -> list[Point]:
    """Tell how it was in the last hour, every ten seconds; since the page began at the most."""
    return [_point(one) for one in desk.site.history.moments()]


def _point(one: Moment) -> Point:
    return Point(
        at=one.at,
        counts=dict(one.counts),
        waiting=dict(one.waiting),
        delivered=dict(one.delivered),
        routes=dict(one.routes),
        lag=dict(one.lag),
        cleaning_lag=dict(one.cleaning_lag),
    )
