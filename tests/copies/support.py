"""The cleaner's own code in this process, over a spool and a ledger of its own; destinations answer as a test says."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pydicom
import yaml
from pydicom.uid import generate_uid

from node.cleaner.cleaning import Cleaning
from node.cleaner.plan import make_plans
from node.cleaner.worker import Cleaner
from node.config import load_config
from node.digest import new_digest
from node.ledger import Database, Ledger
from node.ledger.cleaning import CleaningLedger
from node.ledger.reception import GroupCommit, Received
from node.ledger.sending import Due, SendingLedger, Settlement, Verdict
from node.part10 import FileMeta, encode_file_meta
from node.routing import compile_routes
from node.shared import Bell, Company, Numbers, Stop
from node.spool import Spool, new_id
from tests.forwarding.support import encoded

CT, KEY_OBJECTS = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.88.59"
EXPLICIT, IMPLICIT = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2"
SECRET = bytes(range(32))
RECIPE = """\
FORMAT dicom
%header
REPLACE PatientName ANONYMOUS
REPLACE PatientID func:pseudonym
REPLACE StudyInstanceUID func:generate_uid
REPLACE SOPInstanceUID func:generate_uid
REMOVE AccessionNumber
"""
WITHOUT_KEYS = "FORMAT dicom\n%header\nREPLACE PatientName ANONYMOUS\nREPLACE PatientID REMOVED\n"


def instance(uid: str = "", *, patient: str = "MRN-1", study: str = "1.2.7", said: str = "") -> pydicom.Dataset:
    """A synthetic CT; `said` is a part of its header that may change."""
    ds = pydicom.Dataset()
    ds.SOPClassUID, ds.SOPInstanceUID = CT, uid or generate_uid()
    ds.AccessionNumber, ds.Modality = said, "CT"
    ds.PatientName, ds.PatientID = "PLANTED^NAME", patient
    ds.StudyInstanceUID, ds.SeriesInstanceUID = study, study + ".1"
    return ds


class Desk:
    """A node without processes: what it receives is cleaned when `clean` is called, and sent when `deliver` is."""

    def __init__(self, folder: Path, recipe: str = RECIPE, **duplicates: str) -> None:
        self.folder = folder
        (folder / "r.dicom").write_text(recipe)
        address = {"ae_title": "DEST", "address": "127.0.0.1:19"}
        self.settings: dict[str, Any] = {
            "node": {"ae_title": "DEIDNODE", "listen": "127.0.0.1:9", "min_free_disk": "1 MiB"},
            "routes": [
                {"name": name, "project": project, "recipe": ["./r.dicom"], "to": to, "gate": "report"}
                | {"from": {"calling_ae": [name]}}
                for name, project, to in (("r", "p", ["a"]), ("r2", "p", ["a", "b"]), ("other", "q", ["a"]))
            ],
            "destinations": {"a": address, "b": address},
            "duplicates": duplicates,
        }
        self.spool = Spool(folder / "var/spool")
        self.spool.prepare()
        self.database = Database(f"sqlite:///{folder / 'var/ledger.db'}")
        self.database.migrate()
        self.ledger = Ledger(self.database)
        self.configure()

    def configure(self, **duplicates: str) -> None:
        """Take the settings, as a start or a reload does."""
        self.settings["duplicates"] |= duplicates
        path = self.folder / "config.yaml"
        path.write_text(yaml.safe_dump(self.settings))
        self.config = load_config(path)
        self.cleaner = self.make_cleaner("cleaner0")

    def make_cleaner(self, owner: str) -> Cleaner:
        ledger = CleaningLedger(self.database, owner)
        plans = make_plans(self.config, compile_routes(self.config), SECRET)
        cleaning = Cleaning(self.spool, ledger, plans, "DEIDNODE", derives=True)
        return Cleaner(cleaning, ledger, self.spool, Bell(), Company(), Bell(), Numbers(1), 0, Stop())

    def receive(self, ds: pydicom.Dataset, route: str = "r", syntax: str = EXPLICIT) -> str:
        """Put an instance in place as a receiver does; return its id."""
        name, data = new_id(), encoded(ds, syntax)
        project = next(one.project for one in self.config.routes if one.name == route)
        uids = str(ds.SOPClassUID), str(ds.SOPInstanceUID), syntax
        file = self.spool.create(name, "part")
        os.write(file, encode_file_meta(FileMeta(*uids)) + data)
        self.spool.publish_original(file, name)
        os.close(file)
        digest = new_digest(data).digest()
        row = Received(name, time.time(), project, route, "SCU", "DEIDNODE", "127.0.0.1", *uids, len(data), digest)
        GroupCommit(self.database).add(row)
        return name

    def clean(self) -> None:
        """Clean until nothing is left to be done, copies that wait for others too."""
        for _ in range(20):
            self.sql("UPDATE instances SET due_at = 0 WHERE state = 'received'")
            claimed = self.cleaner.ledger.claim(16)
            if not claimed:
                return
            self.cleaner._clean_all(claimed)
        raise AssertionError("there is always something to clean")

    def come(self, ds: pydicom.Dataset, route: str = "r", syntax: str = EXPLICIT) -> str:
        """Receive and clean an instance; return its id."""
        name = self.receive(ds, route, syntax)
        self.clean()
        return name

    def due(self, destination: str = "a", owner: str = "lane/0") -> list[Due]:
        """Claim what is due, as a lane does."""
        return SendingLedger(self.database, destination).claim(owner, 100)

    def deliver(self, destination: str = "a", owner: str = "lane/0") -> list[Due]:
        """Let the destination answer 0000H to all that is due; return it, in the order of sending."""
        dues = self.due(destination, owner)
        ledger = SendingLedger(self.database, destination)
        for due in ledger.settle(owner, [Settlement(one, Verdict.DELIVERED, status=0) for one in dues]):
            (self.spool.cleaned_file if due.derived is None else self.spool.original)(due.id).unlink()
        return dues

    def sql(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        """One statement past all of the node's code."""
        with self.database.write(durable=False) as connection:
            return connection.driver.execute(statement, values).fetchall()

    def row(self, name: str) -> tuple[Any, ...]:
        """State, outcome and reason of an instance."""
        return self.sql("SELECT state, outcome, reason FROM instances WHERE id = ?", name)[0]

    def detail(self, name: str) -> str:
        return str(self.sql("SELECT detail FROM instances WHERE id = ?", name)[0][0])

    def status(self) -> dict[str, Any]:
        found = self.ledger.status()
        parts = ("in_flight", "delivered", "held", "excluded", "discarded")
        assert found["received"] == sum(found[part] for part in parts), "the equation holds"
        return found

    def files(self) -> set[str]:
        """The ids of which the spool has a file, once everything that may go has gone."""
        self.spool.finish_removals()
        return {name for name, _ in self.spool.list_originals()} | {name for name, _ in self.spool.list_cleaned()}
