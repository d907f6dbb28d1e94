"""In which series an instance went out, and what device made it: written down once for each series.

Guarantees that a series is in the ledger with the commit that makes its first instance sendable, and that what a device
calls itself is sealed where names are (`node.ledger.names`).
"""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy import bindparam, insert, select
from sqlalchemy.dialects.sqlite import insert as upsert

from node.ledger.names import MANUFACTURER, MODALITY, MODEL
from node.ledger.schema import devices, sent_series
from node.ledger.transactions import Transaction

_LONGEST = 64  # characters of what a device calls itself (PS3.5 6.2, LO)


class SentSeries(NamedTuple):
    """Study and Series Instance UID as they are sent; Modality, Manufacturer, Manufacturer's Model Name as received."""

    study: str
    series: str
    modality: str
    manufacturer: str
    model: str


def series_sent(study: str | None, uid: str | None, *device: str | None) -> SentSeries:
    """Return a series; of texts that are longer than any device's, or absent, as much as there may be."""
    modality, manufacturer, model = ((text or "")[:_LONGEST] for text in device)
    return SentSeries((study or "")[:_LONGEST], (uid or "")[:_LONGEST], modality, manufacturer, model)


def number_of_sent_series(connection: Transaction, project: str, one: SentSeries) -> int:
    """Return the number of a series, which is written where the ledger does not have it."""
    seal = connection.columns.seal
    device = {
        "project": project,
        "modality": seal(MODALITY, project, one.modality),
        "manufacturer": seal(MANUFACTURER, project, one.manufacturer),
        "model": seal(MODEL, project, one.model),
    }
    connection.execute(_NEW_DEVICE, device)
    number = connection.execute(_DEVICE, {f"the_{key}": value for key, value in device.items()}).scalar()
    place = {"the_project": project, "the_study": one.study, "the_series": one.series, "the_device": number}
    known = connection.execute(_SERIES, place).scalar()
    if known is None:
        row = {"project": project, "study": one.study, "series": one.series, "device": number}
        known = connection.execute(_NEW_SERIES, row).scalar()
    return int(known)


_NEW_DEVICE = upsert(devices).on_conflict_do_nothing()
_DEVICE = select(devices.c.seq).where(
    devices.c.project == bindparam("the_project"),
    devices.c.modality == bindparam("the_modality"),
    devices.c.manufacturer == bindparam("the_manufacturer"),
    devices.c.model == bindparam("the_model"),
)
_SERIES = select(sent_series.c.seq).where(
    sent_series.c.project == bindparam("the_project"),
    sent_series.c.study == bindparam("the_study"),
    sent_series.c.series == bindparam("the_series"),
    sent_series.c.device == bindparam("the_device"),
)
_NEW_SERIES = insert(sent_series).returning(sent_series.c.seq)
