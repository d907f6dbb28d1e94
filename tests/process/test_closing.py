"""A project that is closed: its maps and its key are gone, its name is never used again, and a record says so."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from node.cli import run
from node.closing import close_project, list_projects, make_key, read_records
from node.config import Config, load_config
from node.errors import ConfigError, HoldReason, ProjectClosed, ProjectError, StartError
from node.identity import fingerprint, load_secret
from node.instances import make_scope
from node.ledger.cleaning import CleaningLedger
from node.ledger.closed import begin, is_closed
from node.ledger.crosswalk import UidPair, import_pairs
from node.ledger.database import Database
from node.ledger.maps import KEY, Handed, new_uid
from node.ledger.projects import refuse_changed
from node.ledger.results import Held
from node.ledger.sending import SendingLedger, Settlement, Verdict
from node.opening import make_spool, open_node
from tests.config.support import GOOD, write
from tests.ledger.support import clean, receive, sql

OTHER = GOOD.replace("name: research", "name: research\n    project: other")
WITH_KEY = (
    GOOD
    + """
projects:
  research:
    key_file: keys/research.key
"""
)


class Site:
    """A node that does not run: its configuration, its ledger, its spool."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.configure(GOOD)
        self.database = Database(self.config.node.ledger)

    def configure(self, text: str) -> Config:
        self.config = load_config(write(self.folder, text))
        return self.config

    def open(self) -> None:
        open_node(self.config, make_spool(self.config))

    def work(self, uid: str = "1.2.3.4711", **forms: Any) -> Handed:
        """Receive and clean an instance of project `research`; return what was handed out."""
        scope = make_scope(self.config, "research", None, load_secret(self.config.node.secret_file))
        patient = scope.patients.key("", "MRN-4711")
        assert patient is not None
        given = (patient.issuer, patient.patient_id, scope.keys.pseudonym(patient), scope.keys.shift_days(patient))
        bound = {**scope.keys.forms.fixed, **({KEY: scope.key} if scope.key else {})}
        handed = Handed(1, bound, ((uid, scope.keys.uid(uid)),), (given,), (scope.keys.uid("1.2.3"), given[2]))
        receive(self.database, route="research", uid=uid)
        sql(self.database, "UPDATE instances SET project = 'research'")
        ledger = CleaningLedger(self.database, "c")
        (claimed,) = ledger.claim(1)
        (result,) = ledger.settle([replace(clean(claimed, ("archive",)), handed=handed)])
        if isinstance(result, Held):
            assert result.reason == HoldReason.PROJECT_CLOSED
        return handed

    def deliver(self) -> None:
        sending = SendingLedger(self.database, "archive")
        sending.settle("f", [Settlement(due, Verdict.DELIVERED, status=0) for due in sending.claim("f", 9)])


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    one = Site(tmp_path)
    one.open()
    yield one
    one.database.close()


def test_a_project_with_a_route_or_with_open_instances_is_not_closed_and_nothing_changes(site: Site) -> None:
    site.work()
    with pytest.raises(ProjectError, match="route research belongs to project research"):
        close_project(site.config, site.database, "research")
    site.configure(OTHER)
    with pytest.raises(ProjectError, match="1 in flight"):
        close_project(site.config, site.database, "research")
    sql(site.database, "UPDATE deliveries SET state = 'held', reason = 'refused'")
    with pytest.raises(ProjectError, match="1 held"):
        close_project(site.config, site.database, "research")
    with pytest.raises(ProjectError, match="knows no project nowhere"):
        close_project(site.config, site.database, "nowhere")
    assert not is_closed(site.database, "research")
    assert sql(site.database, "SELECT count(*) FROM uid_map") == [(1,)]


def test_closing_destroys_the_maps_forbids_the_name_and_says_honestly_what_remains(
    site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    site.work()
    site.deliver()
    with site.database.write(durable=True) as connection:
        new_uid(connection, ("research", 1, "1.2.3.imported"), "2.25.5", "imported")
        new_uid(connection, ("other", 1, "1.2.3.other"), "2.25.6", "imported")
    spool = make_spool(site.config)
    (name,) = (str(row[0]) for row in sql(site.database, "SELECT id FROM instances"))
    spool.original(name).write_bytes(b"identified")
    spool.retain(name)
    site.configure(OTHER)
    assert run(["project", "close", "research", "--config", str(site.config.file)]) == 2, "it needs --yes"
    assert run(["project", "close", "research", "--yes", "--json", "--config", str(site.config.file)]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["destroyed"] == {
        "uids": 2, "patients": 1, "studies": 1, "imported": 1, "instances": 1, "originals": 1,
    }  # fmt: skip
    assert told["key_fingerprint"] == fingerprint(load_secret(site.config.node.secret_file))
    assert "can still compute" in told["remains"]
    assert told["by"]
    assert told["closed"]
    assert not spool.retained_file(name).exists()
    assert sql(site.database, "SELECT project FROM uid_map") == [("other",)]
    for table in ("patient_map", "study_map", "projects"):
        assert sql(site.database, f"SELECT count(*) FROM {table}") == [(0,)]
    assert sql(site.database, "SELECT sop_instance_uid, outcome FROM instances") == [("", "delivered")]
    site.database.close()
    for part in site.config.node.data.glob("ledger.db*"):
        assert b"1.2.3.4711" not in part.read_bytes(), "overwritten, not only forgotten"
        assert b"MRN-4711" not in part.read_bytes()
    # The name is never used again, by a start, a check, a reload; nor closed twice.
    site.configure(GOOD)
    with pytest.raises(ConfigError, match="'research' is closed"):
        site.open()
    with pytest.raises(ConfigError, match="'research' is closed"):
        refuse_changed(site.database, site.config)
    with pytest.raises(ProjectError, match="closed already"):
        close_project(site.config, site.database, "research")
    assert read_records(site.config)["research"]["record"]["destroyed"]["uids"] == 2
    (listed,) = (one for one in list_projects(site.config, site.database) if one["project"] == "research")
    assert listed["closed"] == told["closed"]
    assert listed["delivered"] == 1


def test_what_a_node_still_receives_for_a_closed_project_is_held(site: Site) -> None:
    site.work()
    site.deliver()
    config = site.config
    site.configure(OTHER)
    close_project(site.config, site.database, "research")
    site.config = config  # of a node that was not told
    site.work("1.2.3.9")
    assert sql(site.database, "SELECT reason FROM instances WHERE state = 'held'") == [("project-closed",)]
    assert sql(site.database, "SELECT count(*) FROM uid_map") == [(0,)]
    scope = make_scope(site.config, "research", None, load_secret(site.config.node.secret_file))
    with pytest.raises(ProjectClosed, match="project research is closed"):
        import_pairs(site.database, scope, [UidPair(1, "1.2.3", "2.25.9")])


def test_a_closing_that_was_interrupted_is_ended_by_the_same_command_and_counts_all(site: Site) -> None:
    site.work()
    site.deliver()
    site.configure(OTHER)
    record = {"by": "x", "key": "secret", "key_fingerprint": "f", "key_file": None, "remains": "y"}
    assert begin(site.database, "research", record) == {}
    assert is_closed(site.database, "research")
    assert close_project(site.config, site.database, "research")["destroyed"]["uids"] == 1
    assert sql(site.database, "SELECT count(*) FROM closed_projects WHERE closed_at IS NOT NULL") == [(1,)]


def test_a_key_of_its_own_is_needed_to_compute_what_the_project_hands_out_and_goes_with_it(tmp_path: Path) -> None:
    site = Site(tmp_path)
    plain = GOOD
    site.configure(WITH_KEY)
    with pytest.raises(ConfigError, match="deid-node project key research"):
        site.open()
    (tmp_path / "keys").mkdir()
    path = make_key(site.config, site.database, "research")
    assert path.stat().st_mode & 0o777 == 0o600
    kept = path.read_bytes()
    site.open()
    with pytest.raises(StartError, match="cannot be made"):
        make_key(site.config, site.database, "research")
    before = site.work()
    site.deliver()
    # Another node with secret and key agrees; without the key, or with another, it does not, and says so.
    secret = load_secret(site.config.node.secret_file)
    assert make_scope(site.config, "research", None, secret).keys.uid("1.2.3.4711") == before.uids[0][1]
    site.configure(plain)
    assert make_scope(site.config, "research", None, secret).keys.uid("1.2.3.4711") != before.uids[0][1]
    with pytest.raises(ConfigError, match="key of the project is not the one"):
        site.open()
    site.configure(WITH_KEY)
    path.write_text("ab" * 32)
    with pytest.raises(ConfigError, match="key of the project is not the one"):
        site.open()
    path.unlink()
    with pytest.raises(ProjectError, match="put its key back"):
        make_key(site.config, site.database, "research")
    path.touch(mode=0o600)
    path.write_bytes(kept)
    site.configure(OTHER)
    with pytest.raises(ProjectError, match="--key-file"):
        close_project(site.config, site.database, "research")
    other = os.open(path, os.O_RDONLY)  # what a copy of the file's bytes on the disk would show
    told = close_project(site.config, site.database, "research", path)
    assert not path.exists()
    assert os.pread(other, 100, 0) == b"0" * len(kept)
    os.close(other)
    assert told["key"] == "own"
    assert "Nobody can compute" in told["remains"]
    site.database.close()


def test_a_project_that_has_handed_something_out_gets_no_key_but_with_a_new_epoch(site: Site) -> None:
    site.work()
    site.configure(WITH_KEY)
    (site.folder / "keys").mkdir()
    with pytest.raises(ProjectError, match="new epoch"):
        make_key(site.config, site.database, "research")
    site.configure(WITH_KEY + "    epoch: 2\n")
    make_key(site.config, site.database, "research")
    site.open()
