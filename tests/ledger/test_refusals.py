"""Refusals are counted by who asked for what, and nobody fills the ledger with them."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import func, select

from node.ledger.database import Database
from node.ledger.reception import Refusal, count_refusals
from node.ledger.schema import refusals


def test_of_refusals_without_end_the_last_are_kept(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'ledger.db'}")
    database.migrate()
    steady = Refusal("association", "CT1", "DEIDNODE", "10.0.0.1", "ct1.example")
    try:
        for wave in range(7):
            other = {Refusal("association", f"X{wave}.{n}", "DEIDNODE", "10.0.0.2"): 1 for n in range(1000)}
            count_refusals(database, other | {steady: 2})
        with database.read() as connection:
            total = connection.execute(select(func.count()).select_from(refusals)).scalar()
            found = connection.execute(select(refusals).where(refusals.c.calling_ae_title == "CT1")).one()
            last = connection.execute(select(refusals).where(refusals.c.calling_ae_title == "X6.999")).one()
    finally:
        database.close()
    assert total <= 6001
    assert (found.n, found.uid, last.n) == (14, "ct1.example", 1)
