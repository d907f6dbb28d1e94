"""What people do with sealed originals: explain, preview, export, replay, recall; what they are told without a key."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pydicom
import pytest

from node.ledger import Database, Ledger
from node.ledger.sealed import seal_ledger
from node.sealing import Sealing
from node.spool import Spool
from tests.copies.support import EXPLICIT
from tests.drills.support import KEYED, Site, image
from tests.sealing.support import files_in, shown

WRONG = KEYED + "ADD StudyDescription WRONG\n"
WORDS = ("PLANTED", "MRN-1", "MRN-2")
STUDY = "1.2.7"


class SealedSite(Site):
    """A site whose spool and ledger are sealed; `unpacked` is where its commands may put what is temporary."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, WRONG)
        self.database.close()
        self.key = folder / "encryption.key"
        self.key.touch(mode=0o600)
        self.key.write_text("5e" * 32)
        self.sealing = Sealing(self.key)
        self.settings["node"]["encryption"] = {"key_file": str(self.key)}
        self.settings["retention"] = {"originals": "7d"}
        self.settings["routes"][0]["commissioning"] = 1
        self.spool = Spool(folder / "var/spool", sealing=self.sealing)
        seal_ledger(self.database, self.sealing.columns, self.sealing.key.fingerprint)
        self.database = Database(self.database.url, self.sealing.columns)
        self.ledger = Ledger(self.database)
        self.configure()

    def receive(self, ds: pydicom.Dataset, route: str = "r", syntax: str = EXPLICIT) -> str:
        """Receive an instance as a node that seals does."""
        name = super().receive(ds, route, syntax)
        sealer, path = self.spool.sealer(name), self.spool.original(name)
        assert sealer is not None
        path.write_bytes(sealer.header + b"".join(sealer.update(path.read_bytes())) + sealer.finish())
        return name

    def keep(self, name: str) -> None:
        """Put a delivered original aside, as the sweeper does."""
        source, target = self.spool.original(name), self.spool.retained_file(name)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(source.read_bytes())


@pytest.fixture
def unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only folder for what is temporary."""
    folder = tmp_path / "tmp"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr(tempfile, "tempdir", None)
    return folder


@pytest.fixture
def site(tmp_path: Path, unpacked: Path) -> Iterator[SealedSite]:
    folder = tmp_path / "node"
    folder.mkdir()
    made = SealedSite(folder)
    yield made
    made.database.close()


@pytest.fixture
def delivered(site: SealedSite) -> str:
    """An instance that both destinations have, and whose original is kept."""
    name = site.receive(image(study=STUDY), "r2")
    site.keep(name)
    site.clean()
    site.deliver("b")
    site.deliver("a")
    return name


@pytest.fixture
def held(site: SealedSite) -> str:
    """An instance that says no Patient ID."""
    name = site.come(image("", study="1.2.9"), "r2")
    assert site.row(name)[2] == "no-patient-id"
    return name


@pytest.fixture
def viewed(site: SealedSite) -> str:
    """The study, replaced, that waits for a person's look."""
    site.come(image("MRN-2", study="1.2.8"), "r")
    ((study,),) = site.sql("SELECT study FROM commissioned")
    return str(study)


def test_people_do_with_sealed_originals_what_they_do_with_others_and_nothing_plain_stays(
    site: SealedSite, delivered: str, held: str, viewed: str, unpacked: Path, tmp_path: Path, capsys: Any
) -> None:
    originals = [path for name in ("originals", "retained") for path in files_in(site.spool.root / name)]
    assert len(originals) == 3
    assert all(path.read_bytes().startswith(b"DEIDSEAL") for path in originals)

    (story,) = site.asked(capsys, "explain", delivered, "--identity")["stories"]
    assert "1.2.7" in json.dumps(story)
    assert site.asked(capsys, "explain", STUDY)["studies"], "found by what the original says"
    assert site.cli(capsys, "held", "preview", held, "--values") == 1
    assert "held: no-patient-id" in site.said, "as it is, until the recipe is another one"
    ((waiting,),) = site.sql("SELECT id FROM instances WHERE route = 'r'")
    assert site.cli(capsys, "held", "preview", waiting, "--values") == 0, site.said
    assert "PLANTED^NAME" in site.said

    looked = tmp_path / "looked"
    assert site.cli(capsys, "commissioning", "export", "--study", viewed, str(looked)) == 0, site.said
    (file,) = looked.iterdir()
    assert pydicom.dcmread(file).PatientName == "ANONYMOUS"

    (uid,) = [str(row[0]) for row in site.sql("SELECT clean_sop_instance_uid FROM instances WHERE id = ?", delivered)]
    assert site.asked(capsys, "replay", "--since", "1d", "--to", "a")["again"] == [delivered]
    assert site.sent(site.deliver("a")) == [uid]

    site.mends(KEYED)
    lists = tmp_path / "lists"
    lists.mkdir()
    told = site.asked(capsys, "recall", "--study", story_study(site), "--send-again", "--yes", "--out", str(lists))
    assert (told["sent_again"], told["gone"]) == (1, 0)
    site.clean()
    assert site.sent(site.deliver("a")) == [uid]
    assert site.sent(site.deliver("b")) == [uid]

    assert not shown(site.folder / "var", *WORDS, STUDY)
    assert not shown(lists, *WORDS)
    assert files_in(unpacked) == []


def story_study(site: SealedSite) -> str:
    """The study that was delivered, as the destinations have it."""
    ((study,),) = site.sql(
        "SELECT DISTINCT s.study FROM sent_series s JOIN instances i ON i.sent_series = s.seq WHERE i.route = 'r2'"
    )
    return str(study)


def test_without_its_key_each_command_says_what_to_do_and_does_nothing(
    site: SealedSite, delivered: str, held: str, viewed: str, unpacked: Path, tmp_path: Path, capsys: Any
) -> None:
    before = {path: path.read_bytes() for path in files_in(site.spool.root)}
    site.mends(KEYED)
    site.key.rename(site.key.with_suffix(".gone"))
    commands = (
        ("explain", delivered, "--identity"),
        ("held", "preview", held, "--values"),
        ("commissioning", "export", "--study", viewed, str(tmp_path / "looked")),
        ("replay", "--since", "1d", "--to", "a"),
        ("recall", "--route", "r2", "--send-again", "--yes", "--out", str(tmp_path)),
    )
    for command in commands:
        assert site.cli(capsys, *command) != 0, command
        assert f"{site.key} cannot be read: No such file or directory. Put its copy back there" in site.said, command
        assert "Traceback" not in site.said, command
        assert not any(word in site.said for word in WORDS), command
    assert {path: path.read_bytes() for path in files_in(site.spool.root)} == before
    assert files_in(unpacked) == []
    assert site.sql("SELECT count(*) FROM deliveries WHERE state = 'due'") == [(0,)]
