"""A desk whose first route demands a mapping, and what people do with its crosswalk."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pydicom
import pytest

from node.audit.actor import this_person
from node.cleaner.cleaning import Cleaning
from node.cleaner.worker import Cleaner
from node.crosswalk import import_file
from node.errors import Fault, PairsRefused
from node.ledger import Database, Ledger
from node.ledger.audit import open_trail
from tests.copies.support import SECRET, Desk, instance

HEADING = "Patient ID;Pseudonym;Date Shift Days\r\n"


class Counter(Desk):
    """Route `r` of project p demands a mapping, `r2` of the same project does not; `other` is of project q."""

    def __init__(self, folder: Path, template: Path) -> None:
        (folder / "var").mkdir(parents=True)
        shutil.copy(template, folder / "var/ledger.db")
        super().__init__(folder)
        self.settings["routes"][0]["mapping"] = "required"
        self.secret(SECRET)
        self.configure()
        self.ledger = Ledger(self.database, open_trail(self.config, this_person("test")))

    def secret(self, secret: bytes) -> None:
        """The node's secret from now on."""
        key = self.folder / "var/secret.key"
        key.touch(mode=0o600)
        key.write_text(secret.hex() + "\n", encoding="ascii")

    def make_cleaner(self, owner: str) -> Cleaner:
        """One whose results are all files, to be looked into."""
        made = super().make_cleaner(owner)
        made.cleaning = Cleaning(self.spool, made.ledger, made.cleaning._plans, "DEIDNODE", derives=False)
        return made

    def bring(self, text: str | bytes, project: str = "p", **options: Any) -> dict[str, Any]:
        data = text.encode() if isinstance(text, str) else text
        return import_file(self.config, self.ledger, data, file="c.csv", project=project, **options)

    def refused(self, text: str | bytes, project: str = "p", **options: Any) -> list[Fault]:
        """What is wrong with a file; nothing of it is written."""
        tables = ("patient_map", "uid_map", "patient_aliases", "audit")
        before = [self.sql(f"SELECT * FROM {table}") for table in tables]
        with pytest.raises(PairsRefused) as error:
            self.bring(text, project, **options)
        assert [self.sql(f"SELECT * FROM {table}") for table in tables] == before
        assert all(fault.file == "c.csv" for fault in error.value.faults)
        return error.value.faults

    def told(self) -> list[str]:
        """What the audit trail says, newest last."""
        return [row[0] for row in self.sql("SELECT message FROM audit ORDER BY seq")]

    def sent(self) -> list[pydicom.FileDataset]:
        """Let the destination `a` take what is due; return it."""
        found = [pydicom.dcmread(self.spool.cleaned_file(due.id)) for due in self.due()]
        self.sql("UPDATE deliveries SET lease_owner = NULL, lease_until = NULL")
        self.deliver()
        return found


def new_ledger(folder: Path) -> Path:
    """Make a ledger without log or anything beside it; return its path."""
    database = Database(f"sqlite:///{folder / 'ledger.db'}")
    database.migrate()
    database.compact()
    database.close()
    return database.path


def ct(patient: str | None, study: str = "1.2.7", **values: str) -> pydicom.Dataset:
    ds = instance(patient=patient or "", study=study)
    for keyword, value in values.items():
        setattr(ds, keyword, value)
    return ds
