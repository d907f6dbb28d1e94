"""Crosswalks."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Path, Query, Request
from pydantic import BaseModel
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response

from node.web.acting import on_behalf
from node.web.api.models import problems, subject
from node.web.crosswalks import Imported, export, import_file, list_waiting, waiting
from node.web.pages.crosswalk import as_file, need_project
from node.web.site import Identifying, Looking

router = subject("crosswalk")

Project = Annotated[str, Path(max_length=64, description="A project that a route belongs to")]
_FILE = {"requestBody": {"required": True, "content": {"text/csv": {"schema": {"type": "string"}}}}}


class Import(BaseModel):
    """What was imported (or would be, in a dry run), in numbers."""

    dry_run: bool
    counts: dict[str, Any]


class Refused(BaseModel):
    """Why a file was refused as a whole: every line that is wrong. Nothing was imported."""

    error: str
    faults: list[str]


@router.get("/crosswalk/waiting")
def waits(desk: Looking) -> Any:
    """Tell who waits for a mapping, in numbers, by project."""
    return waiting(desk.site.commands)


@router.post(
    "/crosswalk/{project}/import",
    response_model=Import,
    openapi_extra=_FILE,
    responses=problems(404) | {409: {"model": Refused, "description": "The file is refused, with every line."}},
)
async def imported(
    request: Request,
    desk: Identifying,
    project: Project,
    dry_run: Annotated[bool, Query()] = False,
    as_written: Annotated[bool, Query(description="Take ids of digits as they are written")] = False,
) -> Any:
    """Import the CSV file that is the body; one line that cannot be refuses it as a whole."""
    need_project(desk, project)
    content = await request.body()
    if not content:
        raise HTTPException(422, "the body is to be a CSV file")

    def work() -> Imported:
        by = on_behalf(desk)
        return import_file(desk.site.commands, project, content, by, dry_run=dry_run, as_written=as_written)

    found = await run_in_threadpool(work)
    if found.faults:
        refused = Refused(error="the file is refused as a whole; nothing was imported", faults=found.faults)
        return JSONResponse(refused.model_dump(), 409)
    return Import(dry_run=dry_run, counts=found.counts)


@router.post(
    "/crosswalk/{project}/waiting",
    responses=problems(404) | {200: {"content": {"text/csv": {}}, "description": "Who waits, to be filled in"}},
    response_class=Response,
)
def listed(desk: Identifying, project: Project) -> Response:
    """Give who waits in a project as a file to be filled in and imported; the audit trail has it first."""
    name = need_project(desk, project)
    return as_file(list_waiting(desk.site.commands, name, on_behalf(desk)), name, "waiting")


@router.post(
    "/crosswalk/{project}/export",
    responses=problems(404) | {200: {"content": {"text/csv": {}}, "description": "All pairs"}},
    response_class=Response,
)
def exported(desk: Identifying, project: Project) -> Response:
    """Give all pairs of a project; the audit trail has it first."""
    return as_file(export(desk.site.commands, need_project(desk, project), on_behalf(desk)), project)
