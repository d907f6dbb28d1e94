"""What changed in an instance, by which line: made again from its original, or as it was noted when it was cleaned.

Guarantees that no value is told, that what is told says where it is from, and that what is not known is told as that,
with the reason.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from node.effects import changed
from node.errors import FaultsError, HoldInstance, NodeError
from node.ledger.database import Database
from node.ledger.releases import PIXEL_RISK_RELEASED, answered_for
from node.ledger.traces import trace_of
from node.ledger.transactions import Row
from node.story.past import Past
from node.story.views import View, look

_AS_ANOTHER = "noted when another instance was cleaned: of its series, with the same elements, by the same recipe"
_NOT_NOTED = (
    "nothing was noted when it was cleaned: an earlier version of the program did it, the ledger was made anew since,"
    " or it could not be followed"
)


def what_changed(database: Database, past: Past, row: Row) -> dict[str, Any]:
    """Return what changed in an instance, `row` of the ledger, as a part of its story.

    `changes`, without values, and `pixels` that were masked; both None where they are not known, for the reason in
    `changes_unknown`. `changes_from` says where they are from: `source` is `original`, `trace`, or `trace-of-another`
    (`instance` is its id), `because` why not from the original. Raises LedgerError.
    """
    found = _made_again(past, row)
    if isinstance(found, View):
        source = {"source": "original", "said": "the recipe of then, applied to the original once more"}
        return _known([*changed(found.rows)], found.pixels, source)
    told = trace_of(database, row.id) if row.state == "cleaned" else None
    if told is None:
        unknown = found if row.state != "cleaned" else f"{found}; {_NOT_NOTED}"
        return {"changes": None, "pixels": None, "changes_unknown": unknown, "changes_from": None}
    source = {"source": "trace", "said": "noted when it was cleaned"}
    if told.alike is not None:
        source = {"source": "trace-of-another", "said": _AS_ANOTHER, "instance": told.alike}
    if told.more:
        source["not_noted"] = f"of {told.more} more elements that changed"
    return _known(told.changes, told.pixels, source | {"because": found})


def _known(changes: list[dict[str, Any]], pixels: list[str], source: Mapping[str, Any]) -> dict[str, Any]:
    return {"changes": changes, "pixels": pixels, "changes_unknown": None, "changes_from": dict(source)}


def _made_again(past: Past, row: Row) -> View | str:
    """Look once more at what its recipe does to its original; or say why that cannot be."""
    note = _why_unknown(past, row)
    if note is not None:
        return note
    try:
        view = _view(past, row)
    except HoldInstance as hold:
        return hold.detail
    except FaultsError:
        return "the recipes of the configuration cannot be loaded (deid-node check)"
    except NodeError as error:
        return str(error)
    return _why_not(view) or view


def _why_unknown(past: Past, row: Row) -> str | None:
    if row.state == "held":
        return f"it is held; deid-node held preview {row.id} shows what a recipe does to it"
    if row.state != "cleaned":
        return "it was not cleaned"
    if not row.recipe_hash or past.route(row.route) is None:
        return "its route or its recipe is not known any more"
    if past.original(row.id) is None:
        return "its original is gone (retention.originals says how long it stays once it is delivered)"
    return None


def _view(past: Past, row: Row) -> View:
    plan = past.plan_of_then(row.route, row.recipe_hash)
    original = past.original(row.id)
    if plan is None or original is None:
        raise NodeError("its original is gone")  # a moment ago it was there
    accepted = answered_for(row.detail, row.recipe_hash, row.recipe_hash).get(PIXEL_RISK_RELEASED)
    return look(past.settings(plan), original, lambda: past.config.node.sealing, accepted)


def _why_not(view: View) -> str:
    """Why a view does not tell what was done; empty where it does."""
    if view.held is not None:
        return f"with the configuration of now it would be held: {view.held['reason']}"
    if view.excluded is not None:
        return f"with the configuration of now it would be excluded: {view.excluded}"
    return ""
