"""What went out: deliveries found by recipe, route, device, time, destination and study.

Guarantees
    Whatever a destination has, or may have, is found: also what went out completely and was never answered
    (`perhaps`). All UIDs are replaced ones; nothing of an original is told. The ledger is read in short transactions,
    in the order of the deliveries. Instances that an earlier version of the program cleaned have no series and no
    device: a question for these does not find them, and `unknown` counts them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, or_, select

from node.ledger.canary import not_the_canarys
from node.ledger.database import Database
from node.ledger.names import MANUFACTURER, MODALITY, MODEL
from node.ledger.schema import deliveries, devices, instances, sent_series
from node.ledger.times import iso
from node.ledger.transactions import Row, Transaction

DELIVERED, PERHAPS, WAITING = "delivered", "perhaps", "waiting"
_PAGE = 5000


@dataclass(frozen=True, slots=True)
class Filters:
    """What to look for; what is None is not asked. Times in seconds, UTC.

    `recipe` is the beginning of a hash, `study` a replaced UID. `model` and `modality` are compared without regard to
    case and padding; `model` with Manufacturer's Model Name. `since` and `until` are about the delivery, of what
    waits about the cleaning.
    """

    recipe: str | None = None
    project: str | None = None
    route: str | None = None
    model: str | None = None
    modality: str | None = None
    since: float | None = None
    until: float | None = None
    destination: str | None = None
    study: str | None = None

    def told(self) -> dict[str, Any]:
        """What was asked, as records keep it."""
        return {key: value for key, value in asdict(self).items() if value is not None}


@dataclass(frozen=True, slots=True)
class Item:
    """One delivery: `state` is delivered, perhaps or waiting; `at` when, in seconds, UTC; UIDs as they were sent."""

    instance: int
    id: str
    destination: str
    state: str
    at: float
    study_instance_uid: str
    series_instance_uid: str
    sop_instance_uid: str
    sop_class_uid: str
    recipe: str
    engine: str
    project: str
    route: str
    delivery: int
    series: int | None
    waits: bool

    def told(self) -> dict[str, Any]:
        """As `impact --json` and `--csv` print it."""
        return {key: iso(self.at) if key == "at" else getattr(self, key) for key in COLUMNS}


COLUMNS = (
    "destination",
    "state",
    "at",
    "study_instance_uid",
    "series_instance_uid",
    "sop_instance_uid",
    "sop_class_uid",
    "recipe",
    "engine",
    "project",
    "route",
    "id",
)


def find(database: Database, filters: Filters, *, waiting: bool = False) -> Iterator[Item]:
    """Give what was delivered, in the order in which it was cleaned; with `waiting`, what waits for it too."""
    with database.read() as connection:
        made_by = _devices(connection, filters)
    query = _query(filters, made_by, waiting=waiting)
    yield from _pages(database, query)


def of_instances(database: Database, seqs: Iterable[int], *, waiting: bool = False) -> Iterator[Item]:
    """Give what was delivered of instances, by their numbers."""
    wanted = sorted(set(seqs))
    for start in range(0, len(wanted), 500):
        chosen = instances.c.seq.in_(wanted[start : start + 500])
        yield from _pages(database, _query(Filters(), None, waiting=waiting).where(chosen))


def of_pairs(database: Database, pairs: Sequence[tuple[str, str]], *, waiting: bool = False) -> Iterator[Item]:
    """Give what was delivered of instances, by id and destination."""
    wanted = set(pairs)
    ids = sorted({name for name, _ in wanted})
    for start in range(0, len(ids), 500):
        query = _query(Filters(), None, waiting=waiting).where(instances.c.id.in_(ids[start : start + 500]))
        yield from (item for item in _pages(database, query) if (item.id, item.destination) in wanted)


def unknown(database: Database, filters: Filters) -> int:
    """Return how many deliveries fit but for the device, which is not known of them."""
    if filters.model is None and filters.modality is None:
        return 0
    others = {one.name: getattr(filters, one.name) for one in fields(filters)} | {"model": None, "modality": None}
    query = _query(Filters(**others), None, waiting=False).where(sent_series.c.device.is_(None))
    return sum(1 for _ in _pages(database, query))


def summed(items: Iterable[Item]) -> list[dict[str, Any]]:
    """Count deliveries by destination, study and recipe: instances, series, the first and the last time."""
    found: dict[tuple[str, str, str, str], list[Item]] = {}
    for item in items:
        found.setdefault((item.destination, item.study_instance_uid, item.recipe, item.state), []).append(item)
    return [
        {
            "destination": destination,
            "study_instance_uid": study,
            "recipe": recipe,
            "state": state,
            "series": len({item.series_instance_uid for item in some}),
            "instances": len(some),
            "first": iso(min(item.at for item in some)),
            "last": iso(max(item.at for item in some)),
        }
        for (destination, study, recipe, state), some in sorted(found.items())
    ]


def _devices(connection: Transaction, filters: Filters) -> set[int] | None:
    """The numbers of devices that are asked for; None where none is asked. There are few: all are looked at."""
    if filters.model is None and filters.modality is None:
        return None
    return {row.seq for row in connection.execute(select(devices)) if _is_of(connection, row, filters)}


def _is_of(connection: Transaction, row: Row, filters: Filters) -> bool:
    def opened(column: str, text: str) -> str:
        return _plain(connection.columns.open(column, row.project, text))

    model = filters.model is None or opened(MODEL, row.model) == _plain(filters.model)
    return model and (filters.modality is None or opened(MODALITY, row.modality) == _plain(filters.modality))


def _plain(text: str) -> str:
    return " ".join(text.split()).casefold()


def known_devices(database: Database) -> list[dict[str, Any]]:
    """Return what devices images came from, by project: what `--model` and `--modality` may ask for."""
    with database.read() as connection:
        open_ = connection.columns.open
        found = [
            {
                "project": row.project,
                "modality": open_(MODALITY, row.project, row.modality),
                "manufacturer": open_(MANUFACTURER, row.project, row.manufacturer),
                "model": open_(MODEL, row.project, row.model),
            }
            for row in connection.execute(select(devices))
        ]
    return sorted(found, key=lambda one: tuple(one.values()))


def _query(filters: Filters, made_by: set[int] | None, *, waiting: bool) -> Select[Any]:
    query = (
        select(*_COLUMNS)
        .join(instances, instances.c.seq == deliveries.c.instance)
        .join(sent_series, sent_series.c.seq == instances.c.sent_series, isouter=True)
    )
    states: list[tuple[ColumnElement[bool], Any]] = [(_HAS, deliveries.c.changed_at)]
    if waiting:
        states.append((_WAITS, deliveries.c.created_at))
    chosen = []
    for state, at in states:
        chosen.append(
            and_(
                state,
                *([] if filters.since is None else [at >= filters.since]),
                *([] if filters.until is None else [at < filters.until]),
            )
        )
    query = query.where(or_(*chosen), *not_the_canarys(instances.c.route))
    for column, value in (
        (instances.c.project, filters.project),
        (instances.c.route, filters.route),
        (deliveries.c.destination, filters.destination),
    ):
        if value is not None:
            query = query.where(column == value)
    if filters.recipe is not None:
        query = query.where(instances.c.recipe_hash.startswith(filters.recipe.lower(), autoescape=True))
    if filters.study is not None:
        query = query.where(or_(sent_series.c.study == filters.study, instances.c.study == filters.study))
    if made_by is not None:
        query = query.where(sent_series.c.device.in_(sorted(made_by)))
    return query


def _pages(database: Database, query: Select[Any]) -> Iterator[Item]:
    query = query.order_by(deliveries.c.seq).limit(_PAGE)
    last, more = 0, True
    while more:
        with database.read() as connection:
            rows = connection.execute(query.where(deliveries.c.seq > last)).all()
        yield from map(_item, rows)
        more = len(rows) == _PAGE
        last = rows[-1].delivery if rows else last


def _item(row: Row) -> Item:
    state = row.state if row.state == DELIVERED else PERHAPS if row.maybe else WAITING
    return Item(
        instance=row.instance,
        id=row.id,
        destination=row.destination,
        state=state,
        at=row.created_at if state == WAITING else row.changed_at,
        study_instance_uid=row.sent_study or row.study or "",
        series_instance_uid=row.sent_series or "",
        sop_instance_uid=row.clean_sop_instance_uid or "",
        sop_class_uid=row.clean_sop_class_uid or "",
        recipe=row.recipe_hash or "",
        engine=row.engine_version or "",
        project=row.project,
        route=row.route,
        delivery=row.delivery,
        series=row.sent_in,
        waits=row.state in ("due", "held"),
    )


# Its whole data set went out, and no answer came.
_MAYBE = and_(deliveries.c.offered == 1, deliveries.c.status.is_(None), deliveries.c.state != DELIVERED)
_HAS = or_(deliveries.c.state == DELIVERED, _MAYBE)
_WAITS = or_(deliveries.c.state == "due", deliveries.c.state == "held")
_COLUMNS = (
    deliveries.c.seq.label("delivery"),
    deliveries.c.instance,
    deliveries.c.destination,
    deliveries.c.state,
    deliveries.c.changed_at,
    deliveries.c.created_at,
    _MAYBE.label("maybe"),
    instances.c.id,
    instances.c.project,
    instances.c.route,
    instances.c.study,
    instances.c.sent_series.label("sent_in"),
    instances.c.recipe_hash,
    instances.c.engine_version,
    instances.c.clean_sop_instance_uid,
    instances.c.clean_sop_class_uid,
    sent_series.c.study.label("sent_study"),
    sent_series.c.series.label("sent_series"),
)
