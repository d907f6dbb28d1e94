"""Housekeeping: what crashes leave behind is tidied, and what the ledger does not know is adopted.

Guarantees
    Nothing acknowledged is deleted. Only `incoming/` is swept, and of the kept recipes what is half written.
    Files are listed first and the ledger is asked second,
    and nothing younger than the grace period is touched, so that a file is never judged by a ledger that is yet to hear
    of it. An original that the ledger does not know is adopted as received, a cleaned file that it does not know as
    cleaned and due. A file goes only when its row says, durably, that it is no longer needed.
"""

from __future__ import annotations

import contextlib
import json
import logging
import math
import os
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from itertools import islice

from sqlalchemy import Executable, insert, select

from node.config import Config, Route
from node.digest import new_digest
from node.errors import DatasetError, HoldReason
from node.ledger.cleaning import add_deliveries
from node.ledger.database import Database
from node.ledger.reception import Received
from node.ledger.schema import deliveries, derivations, instances
from node.log import event
from node.part10 import FileMeta, read_file_meta
from node.sealing import Original, open_original
from node.spool import Spool

LOGGER = logging.getLogger("node.sweeper")

GRACE_SECONDS = 3600.0
_ASKED_AT_ONCE = 500
_HEAD = 65536
_PIECE = 1 << 20
_CLEANED_NOT_NEEDED = frozenset({"cleaned", "excluded", "discarded"})  # where no delivery needs it
_ORIGINAL_NOT_NEEDED = frozenset({"cleaned", "excluded", "discarded"})


@dataclass(slots=True)
class Swept:
    """What one round did: how many files were removed or adopted."""

    incoming: int = 0
    adopted: int = 0
    originals: int = 0
    cleaned: int = 0
    drafts: int = 0
    retained: int = 0


@dataclass(frozen=True, slots=True)
class Sweeper:
    """Compares the spool with the ledger; `routes` say what adopted instances belong to."""

    config: Config
    spool: Spool
    database: Database

    def sweep(self, grace: float = GRACE_SECONDS) -> Swept:
        """One round over the spool; `grace` in seconds. Only a node that is not yet serving may pass 0."""
        # At the start everything is judged, also what a clock has dated that was set back since.
        before = time.time() - grace if grace else math.inf
        swept = Swept(incoming=self.spool.sweep_incoming(before), drafts=self._sweep_drafts(before))
        for names in _batches(self.spool.list_originals(), before):
            self._sweep_originals(names, swept)
        for names in _batches(self.spool.list_cleaned(), before):
            self._sweep_cleaned(names, swept)
        if swept != Swept():
            event(LOGGER, "swept", **asdict(swept))
        return swept

    def _sweep_drafts(self, before: float) -> int:
        """Remove recipes that a death left half kept; return how many."""
        removed = 0
        for draft in self.config.node.data.glob("recipes/*/*.draft"):
            with contextlib.suppress(FileNotFoundError):
                if draft.stat().st_mtime < before:
                    draft.unlink()
                    removed += 1
        return removed

    def _sweep_originals(self, names: list[str], swept: Swept) -> None:
        states, needed = self._states(names), self._derived(names)
        kept = self._delivered(names) if self.spool.retains else {}
        needed |= self._needed(names) if self.spool.retains else set()
        for name in names:
            if name not in states:
                swept.adopted += self._adopt_original(name)
            elif states[name] not in _ORIGINAL_NOT_NEEDED or name in needed:
                continue
            elif name in kept:
                swept.retained += self.spool.retain(name, kept[name])
            else:
                self.spool.original(name).unlink(missing_ok=True)
                swept.originals += 1

    def _sweep_cleaned(self, names: list[str], swept: Swept) -> None:
        states, needed = self._states(names), self._needed(names)
        for name in names:
            if name not in states:
                swept.adopted += self._adopt_cleaned(name)
            elif states[name] in _CLEANED_NOT_NEEDED and name not in needed:
                self.spool.cleaned_file(name).unlink(missing_ok=True)
                swept.cleaned += 1

    def _states(self, names: list[str]) -> dict[str, str]:
        with self.database.read() as connection:
            rows = connection.execute(select(instances.c.id, instances.c.state).where(instances.c.id.in_(names)))
            return {row.id: row.state for row in rows}

    def _needed(self, names: list[str]) -> set[str]:
        """Those whose cleaned file some delivery still needs."""
        query = (
            select(instances.c.id)
            .join(deliveries, deliveries.c.instance == instances.c.seq)
            .where(instances.c.id.in_(names), deliveries.c.state.in_(("due", "held")))
        )
        return self._ids(query)

    def _derived(self, names: list[str]) -> set[str]:
        """Those that are to be sent from their original."""
        query = (
            select(instances.c.id)
            .join(derivations, derivations.c.instance == instances.c.seq)
            .where(instances.c.id.in_(names))
        )
        return self._ids(query)

    def _delivered(self, names: list[str]) -> dict[str, float]:
        """Those that are delivered, and since when."""
        query = select(instances.c.id, instances.c.changed_at).where(
            instances.c.id.in_(names), instances.c.state == "cleaned", instances.c.outcome == "delivered"
        )
        with self.database.read() as connection:
            return {row.id: row.changed_at for row in connection.execute(query)}

    def _ids(self, query: Executable) -> set[str]:
        with self.database.read() as connection:
            return set(connection.execute(query).scalars())

    def _adopt_original(self, name: str) -> int:
        try:
            received = self.read_original(name)
        except (DatasetError, OSError) as error:
            event(LOGGER, "not-adopted", level=logging.ERROR, instance=name, error=type(error).__name__)
            return 0
        with self.database.write(durable=True) as connection:
            connection.execute(insert(instances), [received.row(connection.columns)])
        event(LOGGER, "adopted", level=logging.WARNING, instance=name, route=received.route)
        return 1

    def read_original(self, name: str) -> Received:
        """Make the row of an original from the file itself: its envelope and its bytes.

        Raises
        ------
        DatasetError, OSError
            The file has no readable envelope.
        """
        with contextlib.closing(self.spool.open_original(name)) as original:
            meta, offset, kept = _envelope(original)
            received_at, size = os.fstat(original.descriptor).st_mtime, original.size
            digest = new_digest()
            for place in range(offset, size, _PIECE):
                digest.update(original.read(place, min(_PIECE, size - place)))
        return Received(
            id=name,
            received_at=float(str(kept.get("received_at", received_at))),
            project=str(kept.get("project", "")),
            route=str(kept.get("route", "")),
            calling_ae_title=meta.source_ae_title,
            called_ae_title=meta.receiving_ae_title,
            address=meta.sending_address.removeprefix("dicom://").rpartition(":")[0].strip("[]"),
            sop_class_uid=meta.sop_class_uid,
            sop_instance_uid=meta.sop_instance_uid,
            transfer_syntax_uid=meta.transfer_syntax_uid,
            size=size - offset,
            digest=digest.digest(),
        )

    def _adopt_cleaned(self, name: str) -> int:
        try:
            row, route = self.read_cleaned(name)
        except (DatasetError, OSError) as error:
            event(LOGGER, "not-adopted", level=logging.ERROR, instance=name, error=type(error).__name__)
            return 0
        names = tuple(route.to) if route is not None else ()
        with self.database.write(durable=True) as connection:
            if not names:
                row |= {"state": "held", "outcome": "held", "reason": str(HoldReason.ROUTE_GONE)}
            seq = connection.execute(insert(instances).values(**row).returning(instances.c.seq)).scalar()
            if names:
                add_deliveries(connection, seq, names)
        event(LOGGER, "adopted", level=logging.WARNING, instance=name, route=row["route"], cleaned=True)
        return 1

    def read_cleaned(self, name: str) -> tuple[dict[str, object], Route | None]:
        """Make the row of a cleaned file whose original is gone; the sender and the original UID are lost with it.

        Raises
        ------
        DatasetError, OSError
            The file has no readable envelope.
        """
        with contextlib.closing(open_original(self.spool.cleaned_file(name), name, None)) as file:
            meta, offset, kept = _envelope(file)
            changed, size = os.fstat(file.descriptor).st_mtime, file.size
        route_name = str(kept.get("route", ""))
        route = next((route for route in self.config.routes if route.name == route_name), None)
        row: dict[str, object] = {
            "id": name,
            "received_at": changed,
            "changed_at": time.time(),
            "project": str(kept.get("project", "")),
            "route": route_name,
            "calling_ae_title": "",
            "called_ae_title": "",
            "address": "",
            "sop_class_uid": meta.sop_class_uid,
            "sop_instance_uid": "",
            "transfer_syntax_uid": meta.transfer_syntax_uid,
            "size": size - offset,
            "digest": b"",
            "state": "cleaned",
            "outcome": "in_flight",
            "due_at": changed,
            "recipe_hash": str(kept.get("recipe", "")),
            "clean_sop_class_uid": meta.sop_class_uid,
            "clean_sop_instance_uid": meta.sop_instance_uid,
            "clean_transfer_syntax_uid": meta.transfer_syntax_uid,
            "clean_size": size,
            "clean_offset": offset,
        }
        return row, route


def _envelope(file: Original) -> tuple[FileMeta, int, dict[str, object]]:
    """Return the file meta information of a file of the spool, where the data set begins, and what the node wrote."""
    meta, offset = read_file_meta(file.read(0, min(_HEAD, file.size)))
    try:
        kept = json.loads(meta.private_information.rstrip(b"\0") or b"{}")
    except ValueError:
        raise DatasetError("the envelope is damaged", "(0002,0102)") from None
    return meta, offset, kept if isinstance(kept, dict) else {}


def _batches(files: Iterable[tuple[str, float]], before: float) -> Iterator[list[str]]:
    names = (name for name, modified in files if modified <= before)
    while batch := list(islice(names, _ASKED_AT_ONCE)):
        yield batch
