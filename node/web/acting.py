"""What operators do to what is held, from pages and the API alike."""

from __future__ import annotations

from collections.abc import Sequence

from starlette.exceptions import HTTPException

from node.errors import CommandFailed
from node.web.holds import DISCARD, NAMES, take
from node.web.samples import choices
from node.web.site import Desk


def need_way(name: str) -> str:
    """Return the name of a way out. Raises HTTPException 422 for any other text."""
    if name not in (*NAMES, DISCARD):
        raise HTTPException(422, f"way: expected one of {', '.join((*NAMES, DISCARD))}")
    return name


def take_way(desk: Desk, way: str, ids: Sequence[str]) -> tuple[list[str], list[str]]:
    """Take a way out for some instances; return those that went, and those that it does not apply to."""
    doing = "held discard" if way == DISCARD else "held release" if way == "release" else f"held release {way}"
    return take(desk.ledger(doing), desk.site.spool, way, ids)


def clean_again(desk: Desk, ids: Sequence[str], choice: str) -> str:
    """Clean held instances again by another recipe; return why that cannot be, or an empty text.

    The command checks the recipe as one of a route is, and writes down who decided it.
    """
    if choice not in choices(desk.config):
        return "There is no such recipe here."
    kind, _, name = choice.partition(":")
    entries = (name,) if kind == "recipe" else next(one.recipe for one in desk.config.routes if one.name == name)
    recipes = [argument for entry in entries for argument in ("--recipe", entry)]
    try:
        ended = desk.site.commands.run(["held", "release", *recipes, *ids], on_behalf=on_behalf(desk))
    except CommandFailed as error:
        return str(error)
    return "" if ended.code == 0 else ended.messages or "It could not be released."


def on_behalf(desk: Desk) -> str:
    """How the audit trail names the person whom a command is run for."""
    return f"{desk.person.user.name} at {desk.person.address}"
