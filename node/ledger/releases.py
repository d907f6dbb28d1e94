"""How a row's detail says what a person decided: to let go what the gate held, or what became of it after a rebuild.

Guarantees that a release holds for what the person saw: the same findings under the same recipe. Whatever else the
instance is cleaned to later is held anew. An instance may have been released for both reasons, one after the other.
"""

from __future__ import annotations

LEAK_RELEASED = "released despite leak: "
PIXEL_RISK_RELEASED = "released despite pixel risk: "
"""In front of the findings, in the detail of an instance that was released."""

REBUILT = "rebuilt: "
REBUILT_WAITS = REBUILT + "whether it was delivered is not known"
REBUILT_DELIVERED = REBUILT + "taken as delivered"
"""The detail of an original that was cleaned before the ledger was lost."""

REPLACE = "replace"
BOTH = "both"
CORRECTION = "correction"
REJECTION = "rejection"
"""What a person decides, in the row's decision: to let a changed copy take the place of the one before, or go beside
it; to let go one of another patient or study, or a rejection note."""

_BETWEEN = " | "


def told(*parts: str | None) -> str | None:
    """Return the detail of a row that says several things; None where it says nothing."""
    return _BETWEEN.join(filter(None, parts)) or None


def rebuilt(detail: str | None) -> str | None:
    """Return what a detail says of a rebuild, which has to be known until the instance goes out; None for nothing."""
    return detail if detail in (REBUILT_WAITS, REBUILT_DELIVERED) else None


def answered_for(detail: str | None, held_under: str | None, recipe_hash: str) -> dict[str, str]:
    """Return the findings that a person accepted, by the words in front of them; none of those of another recipe.

    Parameters
    ----------
    detail, held_under
        Of the instance's row: its detail, and the hash of the recipe that it was held under.
    recipe_hash
        The recipe of now.
    """
    if detail is None or held_under != recipe_hash:
        return {}
    parts = detail.split(_BETWEEN)
    kinds = (LEAK_RELEASED, PIXEL_RISK_RELEASED)
    return {kind: part.removeprefix(kind) for part in parts for kind in kinds if part.startswith(kind)}
