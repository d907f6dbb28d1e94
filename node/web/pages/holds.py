"""What is held: the list, one instance with what a recipe would do to it, and the ways out, for one or many."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path, Request
from starlette.exceptions import HTTPException
from starlette.responses import Response

from node.audit import kinds
from node.errors import CommandFailed
from node.web import samples
from node.web.acting import clean_again, need_way, take_way
from node.web.forms import Form, text, texts
from node.web.holds import MOST, ways, with_age
from node.web.rendering import go, is_live, page
from node.web.samples import Look
from node.web.site import Acting, Desk, Identifying, Looking

router = APIRouter(include_in_schema=False)

InstanceId = Annotated[str, Path(pattern=r"^[0-9a-f]{1,64}$")]


@router.get("/held")
def listed(request: Request, desk: Looking, reason: str = "") -> Response:
    """List what is held, oldest first."""
    return page(request, desk, "held.html", **_list(desk, reason), told="", failed=[])


@router.get("/live/held")
def live(request: Request, desk: Looking, reason: str = "") -> Response:
    """List it again, in place."""
    return page(request, desk, "held_list.html", **_list(desk, reason), told="", failed=[])


def _list(desk: Desk, reason: str) -> dict[str, Any]:
    every = with_age(desk.ledger("held list").held(MOST), desk.config.retention.held)
    reasons: dict[str, int] = {}
    for entry in every:
        reasons[entry["reason"]] = reasons.get(entry["reason"], 0) + 1
    chosen = [entry for entry in every if entry["reason"] == reason] if reason in reasons else every
    common = ways(reason) if reason in reasons else ()
    return {
        "entries": chosen,
        "reasons": reasons,
        "reason": reason if reason in reasons else "",
        "many": [one for one in common if not one.each],
        "most": MOST,
    }


@router.post("/held")
def several(request: Request, desk: Acting, form: Form) -> Response:
    """Take a way out for several instances of one reason."""
    way, reason, ids = need_way(text(form, "way")), text(form, "reason"), texts(form, "id")[:MOST]
    known = {entry["id"] for entry in desk.ledger("held list").held(MOST) if entry["reason"] == reason}
    if way not in {one.name for one in ways(reason) if not one.each}:
        raise HTTPException(422, "this way out is not for many at once")
    if way == "discard" and not text(form, "sure"):
        raise HTTPException(422, "discarding cannot be undone: mark that you are sure")
    went, stayed = take_way(desk, way, [one for one in ids if one in known])
    told = f"{len(went)} done: {way}" if ids else "Nothing was chosen."
    template = "held_list.html" if is_live(request) else "held.html"
    return page(request, desk, template, **_list(desk, reason), told=told, failed=stayed)


@router.get("/instances/{instance}")
def shown(request: Request, desk: Looking, instance: InstanceId) -> Response:
    """Show all that the ledger knows of one instance."""
    return _instance(request, desk, instance)


def _instance(request: Request, desk: Desk, instance: str, status: int = 200, **more: Any) -> Response:
    ledger = desk.ledger("held show")
    detail = ledger.held_detail(instance)
    if detail is None:
        raise HTTPException(404, "there is no such instance")
    ledger.looked_at(detail["id"])
    held = reason_of(detail)
    values: dict[str, Any] = {
        "one": detail,
        "ways": ways(held),
        "reason": held,
        "choices": samples.choices(desk.config),
        "has_original": desk.site.spool.original(detail["id"]).exists(),
        "look": None,
        "problem": "",
        "choice": f"route:{detail['route']}",
        "told": "",
        **more,
    }
    return page(request, desk, "instance.html", status, **values)


def reason_of(detail: dict[str, Any]) -> str | None:
    """Why an instance or one of its deliveries is held; None where nothing of it is."""
    held = [detail, *detail["deliveries"]]
    return next((str(one["reason"]) for one in held if one["state"] == "held"), None)


@router.post("/instances/{instance}/preview")
def previewed(request: Request, desk: Looking, instance: InstanceId, form: Form) -> Response:
    """Show what a recipe does to a held instance; no value of it."""
    choice = text(form, "recipe")
    look, problem = look_at(desk, instance, choice, values=False)
    return _instance(request, desk, instance, look=look, problem=problem, choice=choice)


@router.post("/instances/{instance}/identity")
def identified(request: Request, desk: Identifying, instance: InstanceId, form: Form) -> Response:
    """Show it with all values, before and after; the audit trail has it first."""
    choice = text(form, "recipe")
    look, problem = look_at(desk, instance, choice, values=True)
    return _instance(request, desk, instance, look=look, problem=problem, choice=choice)


def look_at(desk: Desk, instance: str, choice: str, *, values: bool) -> tuple[Look | None, str]:
    """Return what a recipe does to the original of an instance, or why that cannot be told.

    Raises HTTPException 404 where there is no such instance, LedgerError where the look cannot be written down.
    """
    detail = desk.ledger("preview").held_detail(instance)
    if detail is None:
        raise HTTPException(404, "there is no such instance")
    path = desk.site.spool.original(detail["id"])
    if not path.exists():
        return None, "The original is no longer in the spool."
    if values:
        seen = "identity shown: the values of the original, before and after"
        desk.record("preview", lambda trail: kinds.accessed(trail.by, detail["id"], "R", seen))
    try:
        found = samples.look_at_held(desk.site.commands, desk.config, detail, str(path), choice, values=values)
    except CommandFailed as error:
        return None, str(error)
    return found, ""


@router.post("/instances/{instance}/act")
def acted(request: Request, desk: Acting, instance: InstanceId, form: Form) -> Response:
    """Take a way out for one instance."""
    way = need_way(text(form, "way"))
    if way == "discard" and not text(form, "sure"):
        return _instance(request, desk, instance, 422, problem="Discarding cannot be undone: mark that you are sure.")
    went, _ = take_way(desk, way, [instance])
    if not went:
        return _instance(request, desk, instance, 409, problem="Nothing that is held under this id allows that.")
    return go(f"/instances/{instance}")


@router.post("/instances/{instance}/clean")
def cleaned(request: Request, desk: Acting, instance: InstanceId, form: Form) -> Response:
    """Clean it again by another recipe, which counts for this instance alone."""
    problem = clean_again(desk, [instance], text(form, "recipe"))
    if problem:
        return _instance(request, desk, instance, 409, problem=problem, choice=text(form, "recipe"))
    return go(f"/instances/{instance}")
