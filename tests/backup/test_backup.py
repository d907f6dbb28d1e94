"""A backup of a site: encrypted to public keys, whole, for its owner alone, with all that a new node needs."""

from __future__ import annotations

import hashlib
import os
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from node import age
from node.audit.actor import this_person
from node.backups import back_up
from node.cli import run
from node.errors import FileError, NodeError
from node.ledger.audit import entries
from node.ledger.copying import nameless_copy
from node.ledger.schema import VERSION
from tests.backup.support import Site, decrypted, files_below, manifest, members
from tests.config.support import GOOD
from tests.ledger.support import receive, sql

OWN_RECIPE = "FORMAT dicom\n%header\nREPLACE PatientID func:pseudonym\n"


def make(site: Site, name: str = "backup.age", *more: str) -> Path:
    target = site.folder.parent / name
    back_up(site.config, target, [site.public, *more], this_person("backup"))
    return target


def test_a_backup_holds_ledger_secret_configuration_and_what_it_names_and_says_what_it_lacks(site: Site) -> None:
    (site.folder / "own.dicom").write_text(OWN_RECIPE)
    (site.folder / "words.txt").write_text("thorax\n")
    project_key = site.folder / "keys" / "research.key"
    project_key.parent.mkdir()
    project_key.touch(mode=0o600)
    project_key.write_text("ab" * 32)
    text = GOOD.replace("own/careful.dicom", "./own.dicom")
    site.configure(
        f"{text}\nvocabulary: [words.txt]\nprojects: {{ research: {{ key_file: keys/research.key }} }}\n"
        "audit: { syslog: { address: 'localhost:6514', tls: { ca: gone.pem, certificate: c.pem, key: k.pem } } }\n"
    )
    (site.folder / "c.pem").write_text("certificate")
    (site.folder / "k.pem").write_text("private")
    path = make(site)
    assert path.stat().st_mode & 0o777 == 0o600
    said, found = manifest(path, site.key), members(path, site.key)
    by_path = {Path(one["path"]).name: found[one["name"]] for one in said["members"]}
    assert by_path["secret.key"] == site.config.node.secret_file.read_bytes()
    assert by_path["own.dicom"] == OWN_RECIPE.encode()
    assert by_path["config.yaml"] == site.config.file.read_bytes()
    assert {"id", "words.txt", "c.pem", "research.key", "ledger.db"} <= by_path.keys()
    assert "k.pem" not in by_path
    assert {Path(one["path"]).name for one in said["left_out"]} == {"gone.pem", "k.pem"}
    assert said["ledger_version"] == VERSION
    assert said["instances"] == 1
    copy = site.folder.parent / "copy.db"
    copy.write_bytes(by_path["ledger.db"])
    with sqlite3.connect(copy) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert connection.execute("SELECT patient_id, pseudonym FROM patient_map").fetchall() == [
            ("MRN-4711", site.pseudonym)
        ]
    connection.close()


def test_a_backup_of_many_pieces_opens_by_the_specification_of_age_alone(tmp_path: Path) -> None:
    key, target = tmp_path / "a.key", tmp_path / "file.age"
    public = age.create_identity(key)
    assert key.stat().st_mode & 0o777 == 0o600
    pieces = [bytes([number]) * 70_001 for number in range(9)]
    with target.open("wb") as file:
        age.encrypt(iter(pieces), file, [age.create_identity(tmp_path / "b.key"), public])
    for name in ("a.key", "b.key"):
        assert decrypted(target.read_bytes(), tmp_path / name) == b"".join(pieces)
    got: list[bytes] = []
    with target.open("rb") as file:
        age.decrypt(file, age.load_identities(key), got.append)
    assert b"".join(got) == b"".join(pieces)
    whole = target.read_bytes()
    changed = whole[:-9] + bytes([whole[-9] ^ 1]) + whole[-8:]
    for bad in (whole[:-1], whole[: len(whole) // 2], changed, b"no" + whole):
        (tmp_path / "bad.age").write_bytes(bad)
        with (tmp_path / "bad.age").open("rb") as file, pytest.raises(FileError, match="cannot be decrypted"):
            age.decrypt(file, age.load_identities(key), lambda _: None)
    age.create_identity(tmp_path / "other.key")
    with target.open("rb") as file, pytest.raises(FileError, match="encrypted to others"):
        age.decrypt(file, age.load_identities(tmp_path / "other.key"), lambda _: None)


def test_errors_of_both_ends_come_out_as_they_were_the_last_piece_too(tmp_path: Path) -> None:
    public = age.create_identity(tmp_path / "a.key")

    def broken() -> Iterator[bytes]:
        yield b"some"
        raise FileError("gone")

    with (tmp_path / "f").open("wb") as file, pytest.raises(FileError, match="gone"):
        age.encrypt(broken(), file, [public])
    with Path("/dev/full").open("wb", buffering=0) as full, pytest.raises(OSError, match="No space"):
        age.encrypt([b"little"], full, [public])


def test_a_copy_made_while_others_write_is_one_moment_and_leaves_nothing_on_the_disk(site: Site) -> None:
    ending = threading.Event()

    def write() -> None:
        number = 0
        while not ending.is_set():
            number += 1
            receive(site.database, route="research", uid=f"1.2.{number}")

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for number in range(2):
            path = make(site, f"{number}.age")
            (site.folder.parent / "copy.db").write_bytes(members(path, site.key)["ledger.db"])
            with sqlite3.connect(site.folder.parent / "copy.db") as connection:
                assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
                # Rows and what triggers count of them were one commit.
                rows = connection.execute("SELECT count(*) FROM instances").fetchone()
                assert connection.execute("SELECT sum(n) FROM tallies").fetchone() == rows
            connection.close()
    finally:
        ending.set()
        writer.join()
    assert not [name for name in files_below(site.folder) if "copy" in name or "part" in name]


def test_the_copy_in_plain_has_no_name_and_is_overwritten(site: Site) -> None:
    with nameless_copy(site.database) as copy:
        assert not [path for path in site.config.node.data.iterdir() if ".copy" in path.name]
        assert b"MRN-4711" in os.pread(copy, 1 << 24, 0)
        mine = os.dup(copy)
    assert os.pread(mine, 1 << 20, 0).strip(b"\0") == b""
    os.close(mine)


def test_a_backup_is_in_the_audit_trail_before_it_is_begun_and_with_its_hash_when_it_is_complete(site: Site) -> None:
    path = make(site)
    told = [entry.message for entry in entries(site.database)]
    assert sum("a backup of ledger and secret is made" in text and site.public in text for text in told) == 1
    assert hashlib.sha256(path.read_bytes()).hexdigest() in told[-1]
    (inside,) = [content for name, content in members(path, site.key).items() if name == "ledger.db"]
    assert b"a backup of ledger and secret is made" in inside


@pytest.mark.parametrize("wrong", ["", "age1nonsense", "ssh-ed25519 AAAA"])
def test_without_a_key_that_could_open_it_nothing_is_written(site: Site, wrong: str, tmp_path: Path) -> None:
    with pytest.raises(NodeError, match="public key"):
        back_up(site.config, tmp_path / "b.age", [wrong] if wrong else [], this_person())
    assert not (tmp_path / "b.age").exists()


def test_no_file_is_overwritten_and_none_is_left_half_written(site: Site, tmp_path: Path) -> None:
    path = make(site)
    before = path.read_bytes()
    with pytest.raises(FileError, match="never overwritten"):
        make(site)
    assert path.read_bytes() == before
    with pytest.raises(FileError, match="cannot be written"):
        back_up(site.config, tmp_path / "nowhere" / "b.age", [site.public], this_person())
    site.config.node.secret_file.unlink()
    with pytest.raises(NodeError, match="secret"):
        make(site, "other.age")
    assert not [name for name in files_below(tmp_path) if "other.age" in name or ".part" in name]


def test_the_command_says_what_is_not_in_it_and_takes_keys_from_the_configuration(
    site: Site, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SITE", "127.0.0.1")
    site.configure(GOOD.replace("127.0.0.1:11113", "${SITE}:11113") + f"\nbackup: {{ to: [{site.public}] }}\n")
    config = ["--config", str(site.config.file)]
    assert run(["backup", str(tmp_path / "b.age"), *config]) == 0
    assert "SITE" in capsys.readouterr().out
    assert run(["backup", str(tmp_path / "b.age"), *config]) == 1
    assert run(["backup", *config]) == 2
    assert run(["backup-key", str(tmp_path / "new.key"), *config]) == 0
    public = capsys.readouterr().out.splitlines()[-1]
    assert public.startswith("age1")
    assert run(["backup-key", str(tmp_path / "new.key"), *config]) == 1
    assert sql(site.database, "SELECT count(*) FROM audit WHERE message LIKE '%the backup is complete%'") == [(1,)]
