"""Receipts in the ledger: written once for what a destination has of a study, in a chain, and never changed.

Guarantees that numbers leave nothing out, that each receipt names the hash of the one before, and that one is written
only where it is about something else than the last of its study and destination, which it then replaces. A receipt
holds replaced UIDs, digests, counts, and names of the configuration: nothing of an original.
"""

from __future__ import annotations

import hashlib
import json
import time
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import bindparam, func, insert, select

from node import __version__
from node.ledger.accounts import Account
from node.ledger.database import Database
from node.ledger.schema_studies import receipts
from node.ledger.times import iso
from node.ledger.transactions import Transaction
from node.receipt import FORMAT, KIND, Signer, hash_of


@dataclass(frozen=True, slots=True)
class Writer:
    """Writes receipts with a key, in the name of a node. One process alone writes, and one thread of it at a time."""

    signer: Signer
    node: str

    def rows(
        self, connection: Transaction, account: Account, confirmed: dict[str, float | None]
    ) -> list[dict[str, Any]]:
        """Return the rows of the receipts that are due: of each destination, with when it confirmed (seconds, UTC).

        Those of which the last receipt says the same are left out.
        """
        last = connection.execute(_LAST).first()
        number, previous = (0, "") if last is None else (int(last.number), str(last.hash))
        rows = []
        for destination, at in confirmed.items():
            covers = _covers(account, destination)
            place = {"the_project": account.project, "the_study": account.study, "the_destination": destination}
            before = connection.execute(_OF_PLACE, place).first()
            if before is not None and before.covers == covers:
                continue
            number += 1
            replaces = None if before is None else before.number
            receipt = self._receipt(account, destination, at, {"number": number, "previous": previous})
            receipt["replaces"] = replaces
            previous = hash_of(receipt)
            text = json.dumps(self.signer.envelope(receipt), ensure_ascii=False)
            rows.append(
                {
                    "number": number,
                    "at": time.time(),
                    "project": account.project,
                    "study": account.study,
                    "destination": destination,
                    "replaces": replaces,
                    "covers": covers,
                    "hash": previous,
                    "content": zlib.compress(text.encode(), 6),
                }
            )
        return rows

    def _receipt(
        self, account: Account, destination: str, confirmed: float | None, place: dict[str, Any]
    ) -> dict[str, Any]:
        parts = list(account.parts(destination))
        sent = [one for _, part in parts for one in part.sent.values()]
        every = account.series.values()
        return {
            "kind": KIND,
            "format": FORMAT,
            **place,
            "at": iso(time.time()),
            "node": self.node,
            "software": f"deid-node {__version__}",
            "project": account.project,
            "destination": destination,
            "study_instance_uids": sorted({series.study_uid for series, part in parts if part.sent}),
            "counts": {
                "received": sum(one.received for one in every),
                "expected": account.expected,
                "excluded": sum(one.excluded for one in every),
                "discarded": sum(one.discarded for one in every) + sum(part.discarded for _, part in parts),
                "delivered": len(sent),
            },
            "confirmed": None if confirmed is None else {"by": "C-FIND", "at": iso(confirmed), "instances": len(sent)},
            "recipes": sorted({one.recipe for one in sent if one.recipe}),
            "cleaned_by": sorted({f"deid-node {one.engine}" for one in sent if one.engine}),
            "series": [
                {
                    "series_instance_uid": series.uid,
                    "instances": [
                        {
                            "sop_instance_uid": one.sop_instance_uid,
                            "sop_class_uid": one.sop_class_uid,
                            "transfer_syntax_uid": one.transfer_syntax_uid,
                            "recipe": one.recipe,
                            "sha256": None if one.digest is None else one.digest.hex(),
                        }
                        for _, one in sorted(part.sent.items())
                    ],
                }
                for series, part in sorted(parts, key=lambda pair: pair[0].uid)
                if part.sent
            ],
        }


def write_rows(connection: Transaction, rows: list[dict[str, Any]]) -> None:
    """Write what `Writer.rows` gave, in the caller's durable transaction."""
    if rows:
        connection.execute(insert(receipts), rows)


def receipts_of(database: Database, project: str, study: str) -> list[dict[str, Any]]:
    """Return the receipts of a study, oldest first: number, when, destination, which it replaces."""
    mine = receipts.c.project == project, receipts.c.study == study
    query = select(receipts.c.number, receipts.c.at, receipts.c.destination, receipts.c.replaces).where(*mine)
    with database.read() as connection:
        rows = connection.execute(query.order_by(receipts.c.number)).all()
    return [
        {"number": row.number, "at": iso(row.at), "destination": row.destination, "replaces": row.replaces}
        for row in rows
    ]


def receipt(database: Database, number: int) -> dict[str, Any] | None:
    """Return a receipt with its signature, as it was written; None where there is none of that number."""
    with database.read() as connection:
        content = connection.execute(_CONTENT, {"the_number": number}).scalar()
    return None if content is None else dict(json.loads(zlib.decompress(content)))


def every_receipt(database: Database, since: int = 1) -> Iterator[dict[str, Any]]:
    """Give all receipts from a number on."""
    number = since - 1
    while (following := _next(database, number)) is not None:
        number = following
        found = receipt(database, number)
        if found is not None:
            yield found


def count_receipts(connection: Transaction) -> int:
    """Return how many there are."""
    return int(connection.execute(select(func.count()).select_from(receipts)).scalar() or 0)


def _next(database: Database, number: int) -> int | None:
    with database.read() as connection:
        found: int | None = connection.execute(_AFTER, {"the_number": number}).scalar()
    return found


def _covers(account: Account, destination: str) -> bytes:
    """Return a digest of what a receipt would say of the instances at a destination."""
    digest = hashlib.sha256()
    for series, part in sorted(account.parts(destination), key=lambda pair: pair[0].uid):
        for _, one in sorted(part.sent.items()):
            digest.update(repr((series.study_uid, series.uid, tuple(one))).encode())
    return digest.digest()


_LAST = select(receipts.c.number, receipts.c.hash).order_by(receipts.c.number.desc()).limit(1)
_OF_PLACE = (
    select(receipts.c.number, receipts.c.covers)
    .where(receipts.c.project == bindparam("the_project"), receipts.c.study == bindparam("the_study"))
    .where(receipts.c.destination == bindparam("the_destination"))
    .order_by(receipts.c.number.desc())
    .limit(1)
)
_CONTENT = select(receipts.c.content).where(receipts.c.number == bindparam("the_number"))
_AFTER = select(func.min(receipts.c.number)).where(receipts.c.number > bindparam("the_number"))
