"""A node without processes, as `tests.copies` has it, whose commands are run against it, by the command line."""

from __future__ import annotations

import json
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import pydicom

from node.cli import run
from node.ledger.database import Database
from node.ledger.sending import Due
from tests.copies.support import RECIPE, SECRET, Desk, instance

MODEL = "Scanwell 9000"
KEYED = RECIPE + "REPLACE SeriesInstanceUID func:generate_uid\n"


def image(patient: str = "MRN-1", *, study: str = "1.2.7", model: str = MODEL, **values: str) -> pydicom.Dataset:
    """A synthetic CT of a device that says what it is."""
    ds = instance(patient=patient, study=study)
    ds.Manufacturer, ds.ManufacturerModelName = "Scanwell Ltd", model
    for name, value in values.items():
        setattr(ds, name, value)
    return ds


@cache
def _new_ledger() -> bytes:
    """A ledger without a row, made once."""
    with tempfile.TemporaryDirectory() as folder:
        database = Database(f"sqlite:///{folder}/ledger.db")
        database.migrate()
        database.close()
        return database.path.read_bytes()


class Site(Desk):
    """A desk with a secret, so that the commands can work on it."""

    def __init__(self, folder: Path, recipe: str = KEYED) -> None:
        (folder / "var").mkdir()
        (folder / "var/ledger.db").write_bytes(_new_ledger())
        super().__init__(folder, recipe)
        path = self.config.node.secret_file
        path.touch(mode=0o600)
        path.write_text(SECRET.hex())
        self.said = ""

    def mends(self, recipe: str) -> None:
        """Give all routes another recipe, as an edit and a reload do."""
        (self.folder / "r.dicom").write_text(recipe)
        self.configure()

    def cli(self, capsys: Any, *arguments: str) -> int:
        """Run a command in this process; what it prints is in `said`."""
        code = run([*arguments, "--config", str(self.folder / "config.yaml")])
        out, err = capsys.readouterr()
        self.said = out + err
        return code

    def asked(self, capsys: Any, *arguments: str) -> Any:
        """Run a command that has to succeed, and return its JSON."""
        assert self.cli(capsys, *arguments, "--json") == 0, self.said
        return json.loads(self.said)

    def sent(self, dues: list[Due]) -> list[str]:
        return [due.sop_instance_uid for due in dues]

    def delivery(self, name: str, destination: str = "a") -> tuple[Any, ...]:
        """State, reason, status and last lease of a delivery."""
        query = (
            "SELECT d.state, d.reason, d.status, d.lease_owner FROM deliveries d JOIN instances i ON i.seq = d.instance"
        )
        return self.sql(query + " WHERE i.id = ? AND d.destination = ?", name, destination)[0]

    def said_in_audit(self) -> str:
        return " ".join(row[0] for row in self.sql("SELECT message FROM audit ORDER BY seq"))
