"""What recipes did to instances, found out once for those of a series that are alike: it costs several cleanings.

Guarantees that instances share a note (`node.effects`) only where route, recipe and series are the same, and the
top-level elements that they have, the regions that are masked, and what the node and the gate did to them; and that
nothing of it changes, or holds, an instance: where it cannot be found out, there is no note. For one thread.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import TypeAlias

from node.cleaner.plan import Plan
from node.effects import Done, Noted, noted
from node.instances import InstanceIdentities, Place
from node.ledger.results import Claimed, Effects
from node.log import event
from node.recipe import EncodedDataset

LOGGER = logging.getLogger("node.cleaner")

_MOST = 512  # series, each as often as its instances are unlike

_Key: TypeAlias = tuple[Hashable, ...]


@dataclass(slots=True)
class Tracing:
    """The notes of the series that came last."""

    _known: OrderedDict[_Key, Effects | None] = field(default_factory=OrderedDict)

    def effects(
        self, claimed: Claimed, plan: Plan, place: Place | None, identities: InstanceIdentities, done: Done
    ) -> Effects | None:
        """Return what was done to an instance, or to another one that is like it; None where that is not known.

        One without a `place` is like no other, and nothing is noted of it.
        """
        if place is None:
            return None
        verdict, recipe = done.verdict, plan.recipe
        said = bool(verdict.accepted), verdict.stubbed, done.cleaned.regions, *done.texts
        key = claimed.route, recipe.hash, place, _elements(verdict.dataset), said
        there = self._known.get(key)
        if there is not None or key in self._known:
            return there
        found = _found(claimed, lambda: noted(recipe, identities, plan.variables, done))
        effects = self._known[key] = None if found is None else Effects(found, claimed.seq)
        if len(self._known) > _MOST:
            self._known.popitem(last=False)
        return effects


def _found(claimed: Claimed, find: Callable[[], Noted | None]) -> Noted | None:
    try:
        return find()
    except Exception:  # noqa: BLE001 -- the boundary around one note: what is only told must not hold what is clean
        event(LOGGER, "trace-failed", level=logging.ERROR, instance=claimed.id, exc_info=True)
        return None


def _elements(dataset: EncodedDataset) -> tuple[int, ...]:
    """Return the keys of the top level's elements; of a header that was recognized they are there already."""
    if dataset.learnt is not None:
        return dataset.learnt.pattern.shape
    return tuple([element[0] for element in dataset.elements])
