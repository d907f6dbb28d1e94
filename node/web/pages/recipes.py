"""What a recipe does to a file that a user brings, also beside another recipe. Nothing of it is kept."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from node.errors import CommandFailed
from node.web.forms import Form, text, uploaded
from node.web.rendering import page
from node.web.samples import Look, choices, look_at_sample, side_by_side
from node.web.site import Acting, Desk

router = APIRouter(include_in_schema=False)

MOST_DRAFT = 200_000


@router.get("/recipes")
def ask(request: Request, desk: Acting) -> Response:
    """Ask for a file and one or two recipes."""
    return page(request, desk, "recipes.html", **_asked(desk))


def _asked(desk: Desk, **more: Any) -> dict[str, Any]:
    asked: dict[str, Any] = {
        "choices": choices(desk.config),
        "recipe": "",
        "against": "",
        "draft": "",
        "left": None,
        "right": None,
        "pairs": [],
        "problem": "",
        "everything": False,
    }
    return asked | {"most": desk.config.web.upload.bytes} | more


@router.post("/recipes")
async def look(request: Request, desk: Acting, form: Form) -> Response:
    """Show what the recipes do to the file."""
    asked: dict[str, Any] = {name: text(form, name, 200) for name in ("recipe", "against")}
    draft, content = text(form, "draft", MOST_DRAFT), await uploaded(form, "sample")
    asked |= {"draft": draft, "everything": bool(text(form, "everything"))}
    if not content:
        return page(request, desk, "recipes.html", 422, **_asked(desk, problem="Choose a DICOM file.", **asked))
    if len(content) > desk.config.web.upload.bytes:
        return page(request, desk, "recipes.html", 413, **_asked(desk, problem="The file is too large.", **asked))
    try:
        left = await run_in_threadpool(_look, desk, content, asked["recipe"], draft)
        right = await run_in_threadpool(_look, desk, content, asked["against"], draft) if asked["against"] else None
    except CommandFailed as error:
        return page(request, desk, "recipes.html", 422, **_asked(desk, problem=str(error), **asked))
    pairs = side_by_side(left, right) if right is not None else []
    return page(request, desk, "recipes.html", **_asked(desk, left=left, right=right, pairs=pairs, **asked))


def _look(desk: Desk, content: bytes, choice: str, draft: str) -> Look:
    return look_at_sample(desk.site.commands, desk.config, content, choice, draft)
