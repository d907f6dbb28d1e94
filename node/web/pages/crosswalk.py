"""Crosswalks: who waits for a mapping, importing pairs with every conflict by line, exporting them."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.responses import Response

from node.errors import CommandFailed
from node.web.acting import on_behalf
from node.web.crosswalks import export, import_file, list_waiting, projects, waiting
from node.web.forms import Form, text, uploaded
from node.web.rendering import page
from node.web.site import Desk, Identifying, Looking

router = APIRouter(include_in_schema=False)


@router.get("/crosswalk")
def shown(request: Request, desk: Looking) -> Response:
    """Show who waits, and what a re-identifier may do about it."""
    return page(request, desk, "crosswalk.html", **_shown(desk))


def _shown(desk: Desk, **more: Any) -> dict[str, Any]:
    values: dict[str, Any] = {"projects": projects(desk.config), "imported": None, "dry_run": False, "project": ""}
    try:
        values |= {"waiting": waiting(desk.site.commands), "problem": ""}
    except CommandFailed as error:
        values |= {"waiting": [], "problem": str(error)}
    return values | more


def need_project(desk: Desk, name: str) -> str:
    """Return the name of a project. Raises HTTPException 404 where no route belongs to one of it."""
    if name not in projects(desk.config):
        raise HTTPException(404, "no route belongs to such a project")
    return name


@router.post("/crosswalk/import")
async def imported(request: Request, desk: Identifying, form: Form) -> Response:
    """Import a file, or say every line that is wrong with it."""
    project, content = need_project(desk, text(form, "project", 64)), await uploaded(form, "file")
    dry_run, as_written = bool(text(form, "dry_run")), bool(text(form, "as_written"))
    chosen = {"project": project, "dry_run": dry_run}
    if not content:
        return page(request, desk, "crosswalk.html", 422, **_shown(desk, problem="Choose a file.", **chosen))

    def work() -> Any:
        return import_file(
            desk.site.commands, project, content, on_behalf(desk), dry_run=dry_run, as_written=as_written
        )

    try:
        found = await run_in_threadpool(work)
    except CommandFailed as error:
        return page(request, desk, "crosswalk.html", 409, **_shown(desk, problem=str(error), **chosen))
    status = 409 if found.faults else 200
    return page(request, desk, "crosswalk.html", status, **_shown(desk, imported=found, **chosen))


@router.post("/crosswalk/export")
def exported(desk: Identifying, form: Form) -> Response:
    """Give all pairs of a project as a file."""
    project = need_project(desk, text(form, "project", 64))
    return as_file(export(desk.site.commands, project, on_behalf(desk)), project)


@router.post("/crosswalk/waiting")
def who_waits(desk: Identifying, form: Form) -> Response:
    """Give who waits for a pair as a file to be filled in and imported."""
    project = need_project(desk, text(form, "project", 64))
    return as_file(list_waiting(desk.site.commands, project, on_behalf(desk)), project, "waiting")


def as_file(content: bytes, project: str, name: str = "crosswalk") -> Response:
    """Return a file to be kept, by a name that is safe in a header: a project's name is."""
    headers = {"Content-Disposition": f'attachment; filename="{name}-{project}.csv"'}
    return Response(content, media_type="text/csv; charset=utf-8", headers=headers)
