"""How the ledger says that a person let an instance go although the leak gate held it.

Guarantees that a release holds for what the person saw: the same findings under the same recipe. Whatever else the
instance is cleaned to later meets the gate anew.
"""

from __future__ import annotations

RELEASED = "released despite leak: "
"""In front of the findings, in the detail of an instance that was released."""


def accepted(detail: str | None, held_under: str | None, recipe_hash: str) -> str | None:
    """Return the findings that a person accepted; None where nobody did, or under another recipe.

    Parameters
    ----------
    detail, held_under
        Of the instance's row: its detail, and the hash of the recipe that it was held under.
    recipe_hash
        The recipe of now.
    """
    if detail is None or not detail.startswith(RELEASED) or held_under != recipe_hash:
        return None
    return detail.removeprefix(RELEASED)
