"""Destinations."""

from __future__ import annotations

from typing import Annotated

from fastapi import Path
from pydantic import BaseModel

from node.reaching import unanswered
from node.web.api.models import problems, subject
from node.web.pages.destinations import known, table
from node.web.site import Acting, Looking

router = subject("destinations")

Name = Annotated[str, Path(max_length=64, description="As the configuration calls it")]


class Destination(BaseModel):
    """One destination: where it is, and what became of what is for it; `lag` is how long the oldest waits (seconds).

    `state` is idle, sending, unreachable, paused (by a person), or gone: the configuration has it no more.
    """

    name: str
    state: str
    ae_title: str
    address: str
    tls: bool
    waiting: int
    delivered: int
    held: int
    paused: bool
    lag: float | None
    next_try: str | None
    last_error: str | None
    last_success: str | None


class Answer(BaseModel):
    """Whether a destination answers C-ECHO, and why not."""

    answers: bool
    problem: str


class Paused(BaseModel):
    """Whether the node sends to a destination."""

    name: str
    paused: bool


@router.get("/destinations")
def listed(desk: Looking) -> list[Destination]:
    """List the destinations."""
    rows = table(desk)["destinations"]
    return [_destination(name, one) for name, one in rows.items()]


def _destination(name: str, one: dict[str, object]) -> Destination:
    state = one["state"]
    assert isinstance(state, dict)
    found = {key: state.get(key) for key in ("waiting", "delivered", "held", "next_try", "last_error", "last_success")}
    here = {key: one[key] for key in ("ae_title", "address", "tls", "lag")}
    how = {"state": state["state"], "paused": bool(state.get("paused"))}
    return Destination.model_validate({"name": name, **how, **here, **found})


@router.post("/destinations/{name}/echo", responses=problems(404))
def asked(desk: Acting, name: Name) -> Answer:
    """Ask a destination whether it answers (C-ECHO)."""
    problem = unanswered(name, desk.config.destinations[known(desk, name)])
    return Answer(answers=not problem, problem=problem)


@router.post("/destinations/{name}/pause", responses=problems(404))
def paused(desk: Acting, name: Name) -> Paused:
    """Stop sending to a destination; what is for it waits."""
    desk.ledger("pause").pause(known(desk, name))
    return Paused(name=name, paused=True)


@router.post("/destinations/{name}/resume", responses=problems(404))
def resumed(desk: Acting, name: Name) -> Paused:
    """Send to a destination again, at once."""
    desk.ledger("resume").resume(known(desk, name))
    return Paused(name=name, paused=False)
