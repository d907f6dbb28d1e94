"""What becomes of pixels, reports, drawings, documents and unknown objects, as data that `json` can write.

Guarantees that each fact is computed from the loaded recipe, the tables of the standard, and what a route wants; the
defaults of the configuration where no route is told of. Never refuses.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from node.objects import Policy
from node.objects.risk import DECLARED, RISKS
from node.recipe import Recipe
from node.recipe.content import CLOSED, CONTENT_SEQUENCE, DUMMY, GONE, GRAPHIC_ANNOTATION, KEPT, Content
from node.recipe.content_items import Facts
from node.recipe.filters import FilterSection
from node.recipe.profile import Profile
from node.standard import concepts
from node.statement.doings import Doings

_GOES = {KEPT: "keep", DUMMY: "dummy", CLOSED: "dummy", GONE: "remove"}
_BY_TYPE = {"TEXT": "clean", "PNAME": "dummy", "DATE": "as dates", "DATETIME": "as dates", "TIME": "as times"}


@dataclass(frozen=True, slots=True)
class Handling:
    """What a route wants with objects that a recipe does not look into, and with what the leak gate finds."""

    policy: Policy = field(default_factory=Policy)
    gate: str = "hold"


def pixels(recipe: Recipe, handling: Handling) -> dict[str, Any]:
    """Return which images are masked, held and not wanted, and what the result says of its pixels."""
    asked, basic = handling.policy.pixel_risk, recipe.profile is not None and recipe.profile.basic
    hold = asked or "hold"
    risks = [DECLARED] if asked is None and recipe.profile is None else list(RISKS)
    return {
        "filters": [_filter(section) for section in recipe.filters],
        "clean_pixel_data": recipe.profile is not None and "clean-pixel-data" in recipe.profile.names,
        "risk": hold,
        "risks": [] if hold == "pass" else risks,
        "said": basic,
    }


def _filter(section: FilterSection) -> dict[str, Any]:
    return {
        "name": section.name,
        "labels": len(section.labels),
        "masks": sum(1 for label in section.labels if label.regions),
        "passes": section.is_whitelist,
        "excludes": section.is_exclusion,
    }


def content(doings: Doings, profile: Profile | None) -> dict[str, Any]:
    """Return what becomes of reports and drawings; of the concepts of Table E.3.4-1, of how many what."""
    reports, drawings = (doings.of(tag, "SQ").what for tag in (CONTENT_SEQUENCE, GRAPHIC_ANNOTATION))
    found: dict[str, Any] = {"reports": reports, "drawings": drawings, "concepts": {}}
    if profile is not None and reports == "clean":
        kinds, counted = Content(profile), Counter[str]()
        for row in concepts():
            kind = kinds.kind(Facts(True, row.value_type, (row.value, row.scheme)))
            counted[_GOES.get(kind, _BY_TYPE.get(row.value_type, "keep"))] += 1
        found["concepts"] = dict(counted.most_common())
    return found


def handled(handling: Handling) -> dict[str, str]:
    """Return what a route wants, in the words of the configuration."""
    return {
        "documents": handling.policy.documents,
        "unknown_sop_class": handling.policy.unknown_sop_class,
        "gate": handling.gate,
    }
