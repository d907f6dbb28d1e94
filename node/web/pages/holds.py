"""What is held: the list, one instance with what a recipe would do to it, and the ways out, for one or many."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path, Request
from starlette.exceptions import HTTPException
from starlette.responses import Response

from node.audit import kinds
from node.errors import CommandFailed
from node.overview import with_age
from node.web import samples
from node.web.acting import clean_again, need_way, take_way
from node.web.forms import Form, text, texts
from node.web.holds import CLEAN, DISCARD, MOST, cleans, ways
from node.web.rendering import go, is_live, page
from node.web.samples import Beside
from node.web.site import Acting, Desk, Identifying, Looking

router = APIRouter(include_in_schema=False)

InstanceId = Annotated[str, Path(pattern=r"^[0-9a-f]{1,64}$")]


@router.get("/held")
def listed(request: Request, desk: Looking, reason: str = "") -> Response:
    """List what is held, oldest first."""
    return page(request, desk, "held.html", **_list(desk, reason), told="", failed=[], problem="")


@router.get("/live/held")
def live(request: Request, desk: Looking, reason: str = "") -> Response:
    """List it again, in place."""
    return page(request, desk, "held_list.html", **_list(desk, reason), told="", failed=[], problem="")


def _list(desk: Desk, reason: str) -> dict[str, Any]:
    ledger = desk.ledger("held list")
    reasons = ledger.held_by_reason()
    chosen = reason if reason in reasons else ""
    entries = with_age(ledger.held(MOST, chosen or None), desk.config.retention.held)
    return {
        "entries": entries,
        "reasons": reasons,
        "count": reasons[chosen] if chosen else sum(reasons.values()),
        "reason": chosen,
        "many": [one for one in (ways(chosen) if chosen else ()) if not one.each],
        "choices": samples.choices(desk.config) if cleans(chosen) else {},
    }


@router.post("/held")
def several(request: Request, desk: Acting, form: Form) -> Response:
    """Take a way out for several instances of one reason."""
    # All are those that were shown: what came since, nobody has seen.
    shown = list(dict.fromkeys(text(form, "shown", 100 * MOST).split())) if text(form, "all") else texts(form, "id")
    reason, ids = text(form, "reason"), shown[:MOST]
    way = _need_way_for_many(form, reason)
    known = {entry["id"] for entry in desk.ledger("held list").held(MOST, reason)}
    chosen = [one for one in ids if one in known]
    told, failed, problem = "Nothing was chosen.", [one for one in ids if one not in known], ""
    if chosen and way == CLEAN:
        problem = clean_again(desk, chosen, text(form, "recipe"))
        told = "" if problem else f"{len(chosen)} are cleaned again"
    elif chosen:
        went, stayed = take_way(desk, way, chosen)
        told, failed = f"{len(went)} done: {way}", failed + stayed
    template = "held_list.html" if is_live(request) else "held.html"
    values = _list(desk, reason) | {"told": told, "failed": failed, "problem": problem}
    return page(request, desk, template, 409 if problem else 200, **values)


def _need_way_for_many(form: Form, reason: str) -> str:
    """Return the way out that a form names, if it is one for many at once. Raises HTTPException 422."""
    way = text(form, "way")
    if way == CLEAN and cleans(reason):
        return way
    if need_way(way) not in {one.name for one in ways(reason) if not one.each}:
        raise HTTPException(422, "this way out is not for many at once")
    if way == DISCARD and not text(form, "sure"):
        raise HTTPException(422, "discarding cannot be undone: mark that you are sure")
    return way


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
        "cleans": detail["state"] == "held" and cleans(held or ""),
        "has_original": desk.site.spool.original(detail["id"]).exists(),
        "look": None,
        "beside": None,
        "against": "",
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
    return _shown(request, desk, instance, form, values=False)


@router.post("/instances/{instance}/identity")
def identified(request: Request, desk: Identifying, instance: InstanceId, form: Form) -> Response:
    """Show it with all values, before and after; the audit trail has it first."""
    return _shown(request, desk, instance, form, values=True)


def _shown(request: Request, desk: Desk, instance: str, form: Form, *, values: bool) -> Response:
    """Show it under one recipe, or under two; of these, where one would hold it, the other one."""
    choice, against = text(form, "recipe"), text(form, "against")
    found, problem = look_at(desk, instance, choice, against, values=values)
    shown: dict[str, Any] = {"problem": problem, "choice": choice, "against": against}
    if not isinstance(found, Beside):
        return _instance(request, desk, instance, look=found, **shown)
    if found.pairs is None:
        sides = ((choice, found.left), (against, found.right))
        goes = [one for one, side in sides if not (side.held or side.excluded)]
        if goes:
            shown["look"], shown["problem"] = look_at(desk, instance, goes[0], values=values)
    return _instance(request, desk, instance, beside=found, **shown)


def look_at(desk: Desk, instance: str, choice: str, against: str = "", *, values: bool) -> tuple[Any, str]:
    """Return what a recipe (a Look), or two (Beside), do to the original of an instance, or why that cannot be told.

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
    asked = desk.site.commands, desk.config, detail, str(path), choice
    try:
        if against:
            return samples.look_beside(*asked, against, values=values), ""
        return samples.look_at_held(*asked, values=values), ""
    except CommandFailed as error:
        return None, str(error)


@router.post("/instances/{instance}/act")
def acted(request: Request, desk: Acting, instance: InstanceId, form: Form) -> Response:
    """Take a way out for one instance."""
    way = need_way(text(form, "way"))
    if way == DISCARD and not text(form, "sure"):
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
