"""A node without processes, whose studies are followed in this process: time passes when a test says so."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from node.completeness.worker import look
from node.identity import receipt_key
from node.ledger.completeness import Book
from node.ledger.following import follow
from node.ledger.receipts import Writer
from node.receipt import Signer
from tests.copies.support import CT, KEY_OBJECTS, SECRET
from tests.drills.support import KEYED, Site, image

HOUR = 3600.0


class FollowedSite(Site):
    """A site with `completeness`; destinations are asked where a test says so."""

    def __init__(self, folder: Path, recipe: str = KEYED, **changes: Any) -> None:
        super().__init__(folder, recipe)
        self.settings["completeness"] = {"quiet": "1h", **changes}
        self.configure()
        self.books: dict[frozenset[str], Book] = {}
        self.follow()

    def book(self, *asked: str) -> Book:
        key = frozenset(asked)
        wanted = self.config.completeness
        writer = Writer(Signer(receipt_key(SECRET)), "DEIDNODE") if wanted is not None and wanted.receipts else None
        return self.books.setdefault(key, Book(self.database, key, writer))

    def follow(self) -> None:
        while follow(self.database, HOUR):
            pass

    def pass_time(self, *asked: str) -> None:
        """Let an hour pass, and let the node look at what has become quiet."""
        self.follow()
        self.sql(f"UPDATE studies SET due_at = due_at - {2 * HOUR}")
        while look(self.book(*asked), HOUR):
            pass

    def asks(self, **ports: int) -> None:
        """Have destinations that are asked, at these ports of this machine, from now on."""
        for name, port in ports.items():
            one = {**self.settings["destinations"][name], "timeout": {"connect": "2s", "associate": "5s"}}
            self.settings["destinations"][name] = one | {
                "query": {"ae_title": "ARCHIVE", "address": f"127.0.0.1:{port}"}
            }
        self.configure()

    def shown(self, capsys: Any, study: str, code: int = 0) -> dict[str, Any]:
        """What `completeness show` says of a study."""
        assert self.cli(capsys, "completeness", "show", study, "--json") == code, self.said
        return dict(json.loads(self.said))

    def listed(self, capsys: Any, *options: str, code: int = 0) -> list[dict[str, Any]]:
        assert self.cli(capsys, "completeness", "list", "--json", *options) == code, self.said
        return list(json.loads(self.said))

    def state(self) -> str:
        """The state of the only study, as the last look left it."""
        ((state,),) = self.sql("SELECT state FROM studies")
        return str(state)

    def alerts(self) -> list[str]:
        from node.ledger.alerts import alerts

        return [one["kind"] for one in alerts(self.database, self.config)]

    def new_uid(self, name: str) -> str:
        return str(self.sql("SELECT clean_sop_instance_uid FROM instances WHERE id = ?", name)[0][0])


def burned_in(**values: Any) -> pydicom.Dataset:
    """An image that says itself that it shows who the patient is: it is held as `pixel-risk`."""
    ds = image(**values)
    ds.BurnedInAnnotation, ds.BitsAllocated = "YES", 8
    ds.add_new(0x7FE00010, "OB", bytes(16))
    return ds


def refers_to(*uids: str, sop_class: str = CT) -> pydicom.Dataset:
    """A Key Object Selection that refers to instances, inside items of items."""
    ds = image()
    ds.SOPClassUID, ds.Modality, ds.SeriesInstanceUID = KEY_OBJECTS, "KO", "1.2.7.9"
    series, study, performed = Dataset(), Dataset(), Dataset()
    series.SeriesInstanceUID = "1.2.7.1"
    series.ReferencedSOPSequence = Sequence(list(_items(uids, sop_class)))
    study.StudyInstanceUID, study.ReferencedSeriesSequence = "1.2.7", Sequence([series])
    ds.CurrentRequestedProcedureEvidenceSequence = Sequence([study])
    # No instance, but a step of the procedure.
    performed.ReferencedSOPClassUID, performed.ReferencedSOPInstanceUID = "1.2.840.10008.3.1.2.3.3", "1.2.99"
    ds.ReferencedPerformedProcedureStepSequence = Sequence([performed])
    return ds


def _items(uids: tuple[str, ...], sop_class: str) -> Iterator[Dataset]:
    for uid in uids:
        item = Dataset()
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = sop_class, uid
        yield item


@pytest.fixture
def site(tmp_path: Path) -> Iterator[FollowedSite]:
    made = FollowedSite(tmp_path)
    yield made
    made.database.close()
