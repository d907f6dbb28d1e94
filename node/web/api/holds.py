"""What is held, and what may be done with it."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

from fastapi import Path, Query
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException

from node.errors import HoldReason
from node.overview import with_age
from node.web.acting import clean_again, take_way
from node.web.api.models import Asked, problems, subject
from node.web.holds import MOST, NAMES, ways
from node.web.pages.holds import reason_of
from node.web.site import Acting, Desk, Looking

router = subject("held")

InstanceId = Annotated[str, Path(pattern=r"^[0-9a-f]{1,64}$", description="The node's id of an instance")]
Ids = Annotated[list[Annotated[str, Field(pattern=r"^[0-9a-f]{1,64}$")]], Field(min_length=1, max_length=MOST)]
Way = StrEnum("Way", {name.replace("-", "_").upper(): name for name in NAMES})  # type: ignore[misc]


class Held(BaseModel):
    """One thing that is held; `destination` where a delivery is, `overdue` where it is held for too long."""

    id: str
    since: str
    route: str
    destination: str | None
    reason: str
    detail: str
    overdue: bool


class Instance(BaseModel):
    """All that the ledger tells of an instance, as `deid-node held show --json`; `ways` are those out of a hold."""

    model_config = ConfigDict(extra="allow")

    id: str
    state: str
    outcome: str
    route: str
    project: str
    received: str
    reason: str | None
    detail: str | None
    deliveries: list[dict[str, Any]]
    events: list[dict[str, Any]]
    ways: list[str]


class Release(Asked):
    """Which instances are let go, and how; `release` runs the step again that held them."""

    ids: Ids
    way: Annotated[Way, Field(strict=False)] = Way("release")


class Clean(Asked):
    """Which instances are cleaned again, by which recipe: `route:NAME`, or `recipe:NAME` for a shipped one."""

    ids: Ids
    recipe: Annotated[str, Field(max_length=200)]


class Discard(Asked):
    """Which instances are discarded; `sure` since that cannot be undone."""

    ids: Ids
    sure: bool


class Done(BaseModel):
    """Which instances it was done to, and to which it does not apply."""

    done: list[str]
    not_done: list[str]


@router.get("/held")
def listed(
    desk: Looking,
    limit: Annotated[int, Query(ge=1, le=MOST)] = MOST,
    reason: Annotated[HoldReason | None, Query(description="Only what is held for it")] = None,
) -> list[Held]:
    """List what is held, oldest first."""
    ledger = desk.ledger("held list")
    entries = with_age(ledger.held(limit, None if reason is None else str(reason)), desk.config.retention.held)
    return [Held.model_validate(entry) for entry in entries]


@router.get("/held/reasons")
def reasons(desk: Looking) -> dict[str, int]:
    """Count what is held by its reason, however much it is."""
    return desk.ledger("held list").held_by_reason()


@router.get("/instances/{instance}", responses=problems(404))
def shown(desk: Looking, instance: InstanceId) -> Instance:
    """Tell all that the ledger knows of an instance; the audit trail has who asked."""
    ledger = desk.ledger("held show")
    detail = ledger.held_detail(instance)
    if detail is None:
        raise HTTPException(404, "there is no such instance")
    ledger.looked_at(detail["id"])
    return Instance.model_validate(detail | {"ways": [one.name for one in ways(reason_of(detail))]})


@router.post("/held/release")
def released(desk: Acting, asked: Release) -> Done:
    """Let instances go."""
    return _done(desk, asked.way.value, asked.ids)


@router.post("/held/clean")
def cleaned(desk: Acting, asked: Clean) -> Done:
    """Clean held instances again by another recipe, which counts for them alone."""
    problem = clean_again(desk, asked.ids, asked.recipe)
    if problem:
        raise HTTPException(409, problem)
    return Done(done=asked.ids, not_done=[])


@router.post("/held/discard")
def discarded(desk: Acting, asked: Discard) -> Done:
    """Delete the files of instances, for good."""
    if not asked.sure:
        raise HTTPException(422, "discarding cannot be undone: say sure")
    return _done(desk, "discard", asked.ids)


def _done(desk: Desk, way: str, ids: list[str]) -> Done:
    went, stayed = take_way(desk, way, list(dict.fromkeys(ids)))
    return Done(done=went, not_done=stayed)
