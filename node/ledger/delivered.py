"""What went out under a pseudonym: how many instances and studies, where to, since when. Counts and names, no value."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from node.ledger.times import iso
from node.ledger.transactions import Transaction


@dataclass(frozen=True, slots=True)
class Delivered:
    """What went out under one pseudonym.

    Parameters
    ----------
    instances
        That at least one destination has.
    studies
        That came under it, those included of which nothing is delivered yet.
    destinations
        How many instances each has.
    since
        When the first was delivered, in seconds since 1970, UTC; None where nothing was.
    waiting
        Instances that are cleaned, and that some destination is yet to get.
    """

    instances: int = 0
    studies: int = 0
    destinations: Mapping[str, int] = field(default_factory=dict)
    since: float | None = None
    waiting: int = 0

    def __str__(self) -> str:
        """Say it in words, for an error."""
        parts = []
        if self.instances:
            places = ", ".join(f"{name} ({count})" for name, count in sorted(self.destinations.items()))
            parts.append(
                f"{_counted(self.instances, 'instance')} of {_counted(self.studies, 'study', 'studies')} delivered to "
                f"{places} since {iso(self.since)}"
            )
        if self.waiting:
            parts.append(f"{_counted(self.waiting, 'instance')} on the way")
        return ", ".join(parts) or "nothing is delivered"


def delivered_under(connection: Transaction, project: str, pseudonyms: Iterable[str]) -> dict[str, Delivered]:
    """Return what went out under each pseudonym. Looks at all instances once, however many are asked for."""
    asked = list(dict.fromkeys(pseudonyms))
    if not asked:
        return {}
    bound = {"project": project, "pseudonyms": json.dumps(asked)}
    places: dict[str, dict[str, int]] = {}
    since: dict[str, float] = {}
    for pseudonym, destination, count, first in connection.driver.execute(_TO, bound):
        places.setdefault(pseudonym, {})[destination] = count
        since[pseudonym] = min(first, since.get(pseudonym, first))
    counts = {row[0]: row[1:] for row in connection.driver.execute(_COUNTS, bound)}
    return {
        one: Delivered(done, studies, places.get(one, {}), since.get(one), waiting)
        for one in asked
        for done, studies, waiting in [counts.get(one, (0, 0, 0))]
    }


# All instances once, and their studies by the key of the map: no index leads from a pseudonym to its instances.
_TO = """
    SELECT s.pseudonym, d.destination, count(*), min(d.changed_at)
    FROM instances i CROSS JOIN study_map s ON s.project = i.project AND s.study = i.study
        CROSS JOIN deliveries d ON d.instance = i.seq AND d.state = 'delivered'
    WHERE i.project = :project AND s.pseudonym IN (SELECT value FROM json_each(:pseudonyms))
    GROUP BY 1, 2
"""
_COUNTS = """
    SELECT s.pseudonym,
        sum(EXISTS (SELECT 1 FROM deliveries d WHERE d.instance = i.seq AND d.state = 'delivered')),
        count(DISTINCT i.study), sum(i.state = 'cleaned' AND i.outcome IN ('in_flight', 'held'))
    FROM instances i CROSS JOIN study_map s ON s.project = i.project AND s.study = i.study
    WHERE i.project = :project AND s.pseudonym IN (SELECT value FROM json_each(:pseudonyms))
    GROUP BY 1
"""


def _counted(number: int, one: str, many: str = "") -> str:
    return f"{number} {one if number == 1 else many or one + 's'}"
