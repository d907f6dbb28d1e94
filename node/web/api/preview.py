"""What a recipe does to a file."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Body, Query, Request
from pydantic import BaseModel, Field
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException

from node.web.api.holds import InstanceId
from node.web.api.models import Asked, problems, subject
from node.web.pages.holds import look_at
from node.web.samples import Look, choices, look_at_sample
from node.web.site import Acting, Desk, Identifying, Looking

router = subject("preview")

Recipe = Annotated[str, Query(max_length=200, description="One of those that `/recipes` lists")]
_FILE = {"requestBody": {"required": True, "content": {"application/dicom": {"schema": {"type": "string"}}}}}


class Line(BaseModel):
    """A line of a recipe: where it stands, and its text."""

    where: str
    text: str


class Element(BaseModel):
    """What became of an element; `before` and `after` are None where it is absent, `***` where values are not shown."""

    path: str
    name: str
    vr: str
    what: str
    before: str | None
    after: str | None
    lines: list[Line]


class Preview(BaseModel):
    """What a recipe does to a file: its elements; or why it is held, or not wanted."""

    elements: list[Element]
    held: dict[str, str] | None
    excluded: str | None
    pixels: list[str]
    leaks: list[str]
    note: str


class Choice(Asked):
    """By which recipe: one of those that `/recipes` lists; empty is that of the instance's own route."""

    recipe: str = ""


class Two(Asked):
    """By which two recipes, as in a preview by one; an empty `recipe` is that of the instance's own route."""

    recipe: str = ""
    against: Annotated[str, Field(min_length=1, max_length=200)]


class Difference(BaseModel):
    """One element that comes out otherwise; None where a recipe leaves no trace of it."""

    recipe: Element | None
    against: Element | None


class Compared(BaseModel):
    """What two recipes do to one file, without the elements that come out alike.

    `differences` is None where one of the two would hold it, or not want it.
    """

    recipe: Preview
    against: Preview
    differences: list[Difference] | None


@router.get("/recipes")
def listed(desk: Looking) -> dict[str, str]:
    """List the recipes that can be asked for, with what they are."""
    return choices(desk.config)


@router.post("/preview", openapi_extra=_FILE)
async def sample(request: Request, desk: Acting, recipe: Recipe) -> Preview:
    """Tell what a recipe does to the DICOM file that is the body; nothing of it is kept.

    Pseudonyms, UIDs and dates are examples: the node's own key is not used.
    """
    content = await request.body()
    if not content:
        raise HTTPException(422, "the body is to be a DICOM file")
    found = await run_in_threadpool(look_at_sample, desk.site.commands, desk.config, content, recipe)
    return _preview(found)


@router.post("/instances/{instance}/preview", responses=problems(404))
def held(desk: Looking, instance: InstanceId, choice: Annotated[Choice, Body()]) -> Preview:
    """Tell what a recipe does to an original that is still there; no value is shown."""
    return _of_instance(desk, instance, choice.recipe, values=False)


@router.post("/instances/{instance}/preview/beside", responses=problems(404))
def beside(desk: Looking, instance: InstanceId, two: Annotated[Two, Body()]) -> Compared:
    """Tell what two recipes do otherwise to an original that is still there; no value is shown."""
    found, problem = look_at(desk, instance, two.recipe, two.against, values=False)
    if found is None:
        raise HTTPException(409, problem)
    pairs = None if found.pairs is None else [{"recipe": one.left, "against": one.right} for one in found.pairs]
    sides = {"recipe": _preview(found.left), "against": _preview(found.right)}
    return Compared.model_validate({**sides, "differences": pairs})


@router.post("/instances/{instance}/identity", responses=problems(404))
def identified(desk: Identifying, instance: InstanceId, choice: Annotated[Choice, Body()]) -> Preview:
    """Tell it with all values; the audit trail has it first."""
    return _of_instance(desk, instance, choice.recipe, values=True)


def _of_instance(desk: Desk, instance: str, recipe: str, *, values: bool) -> Preview:
    look, problem = look_at(desk, instance, recipe, values=values)
    if look is None:
        raise HTTPException(409, problem)
    return _preview(look)


def _preview(look: Look) -> Preview:
    found: dict[str, Any] = {name: getattr(look, name) for name in Preview.model_fields}
    return Preview.model_validate(found)
