"""What several parts of the API have in common: the shape of answers, and the errors that each may give."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict


class Asked(BaseModel):
    """What a program sends: unknown keys and wrong types are refused."""

    model_config = ConfigDict(extra="forbid", strict=True, hide_input_in_errors=True)


class Problem(BaseModel):
    """Why something was not done, in one sentence, without anything of what was sent."""

    error: str


_TEXTS = {
    400: "The request cannot be read.",
    401: "Nobody is signed in, or the token is wrong.",
    403: "The role is missing; or a browser sent no CSRF token.",
    404: "There is no such thing.",
    409: "It cannot be done as things are; the text says why.",
    413: "More than the node takes.",
    422: "What was sent is not what is expected.",
    503: "The ledger cannot be read or written.",
}


def problems(*codes: int) -> dict[int | str, dict[str, Any]]:
    """Return the errors that an operation may give, beside those that each may."""
    return {code: {"model": Problem, "description": _TEXTS[code]} for code in codes}


def subject(name: str) -> APIRouter:
    """Return the router of a part of the API."""
    return APIRouter(tags=[name], responses=problems(400, 401, 403, 409, 413, 422, 503))
