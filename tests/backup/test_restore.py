"""A backup is put back: only whole, never over something else, and with what is lost said."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from node import age
from node.audit.actor import this_person
from node.backups import back_up
from node.backups.archive import Member, packed
from node.closing import close_project
from node.errors import FileError, NodeError, StartError
from node.ledger.closed import is_closed
from node.ledger.database import Database
from node.opening import make_spool, open_node
from node.restore import restore
from tests.backup.support import Site, files_below, manifest, members
from tests.config.support import GOOD
from tests.ledger.support import receive, sql

ME = this_person("restore")


def backed_up(site: Site) -> Path:
    target = site.folder.parent / "backup.age"
    back_up(site.config, target, [site.public], this_person("backup"))
    site.database.close()
    return target


def lose_ledger(site: Site) -> None:
    site.database.close()
    for path in site.config.node.data.glob("ledger.db*"):
        path.unlink()


def put_back(site: Site, file: Path, into: Path | None = None) -> dict[str, object]:
    return restore(file, site.key, ME, site.config.file, into)


def test_a_lost_data_folder_comes_back_with_the_same_secret_and_the_same_maps(site: Site) -> None:
    kept = site.config.node.data / "recipes" / "research"
    kept.mkdir(parents=True)
    (kept / f"{'a' * 64}.json").write_text('{"texts": []}')
    (site.config.node.data / "web-users.json").write_text("those who may use the page")
    file, secret = backed_up(site), site.config.node.secret_file.read_bytes()
    shutil.rmtree(site.config.node.data)
    done = put_back(site, file)
    assert site.config.node.secret_file.read_bytes() == secret
    assert (kept / f"{'a' * 64}.json").exists()
    assert (site.config.node.data / "web-users.json").read_text() == "those who may use the page"
    for name in ("secret.key", "ledger.db", "spool/id", "web-users.json"):
        assert (site.config.node.data / name).stat().st_mode & 0o777 == 0o600
    open_node(site.config, make_spool(site.config))
    assert site.hand_out("MRN-4711") == site.pseudonym
    assert sql(site.database, "SELECT count(*) FROM patient_map") == [(1,)]
    assert done["missing"] == 1, "what was received had no file"
    assert any("file-missing" in step for step in done["to_do"])  # type: ignore[attr-defined]
    (told,) = sql(site.database, "SELECT count(*) FROM audit WHERE message LIKE '%restored from a backup%'")
    assert told == (1,)
    assert not [name for name in files_below(site.folder) if "restoring" in name]


def test_everything_goes_into_a_folder_of_its_own_where_one_is_named(site: Site, tmp_path: Path) -> None:
    file = backed_up(site)
    before = {path: path.read_bytes() for path in site.folder.rglob("*") if path.is_file()}
    done = put_back(site, file, tmp_path / "look" / "here")
    assert {"config.yaml", "own/careful.dicom", "var/ledger.db", "var/secret.key", "var/spool/id"} <= files_below(
        tmp_path / "look" / "here"
    )
    assert {path: path.read_bytes() for path in site.folder.rglob("*") if path.is_file()} == before
    assert done["to_do"] == []
    with pytest.raises(FileError, match="missing or empty"):
        put_back(site, file, tmp_path / "look" / "here")
    # What lay elsewhere lies under a name that says where, never there.
    site.configure(GOOD.replace("DEIDNODE\n", f"DEIDNODE\n  secret_file: {tmp_path}/elsewhere.key\n"))
    shutil.copy(tmp_path / "look/here/var/secret.key", tmp_path / "elsewhere.key")
    file.unlink()
    file = backed_up(site)
    (tmp_path / "elsewhere.key").unlink()
    put_back(site, file, tmp_path / "again")
    assert not (tmp_path / "elsewhere.key").exists()
    assert (tmp_path / "again" / "outside" / str(tmp_path).lstrip("/") / "elsewhere.key").exists()


def test_without_a_configuration_everything_goes_where_it_was(site: Site) -> None:
    file = backed_up(site)
    names = {name for name in files_below(site.folder) if not name.endswith((".turn", "-shm", "-wal", "/lock"))}
    shutil.rmtree(site.folder)
    put_back(site, file)
    assert names - files_below(site.folder) <= {"var/spool/ledger.json"}
    open_node(site.config, make_spool(site.config))


def test_nothing_is_overwritten_and_a_log_that_lies_about_is_not_taken_for_the_ledgers(site: Site) -> None:
    file, ledger = backed_up(site), site.database.path
    with pytest.raises(NodeError, match=r"nothing is overwritten.*ledger\.db"):
        put_back(site, file)
    lose_ledger(site)
    wal = Path(f"{ledger}-wal")
    wal.write_bytes(b"of another ledger")
    with pytest.raises(NodeError, match=r"ledger\.db-wal"):
        put_back(site, file)
    wal.unlink()
    secret = site.config.node.secret_file
    kept = secret.read_bytes()
    secret.write_text("cd" * 32)
    with pytest.raises(NodeError, match=r"secret\.key"):
        put_back(site, file)
    assert not ledger.exists()
    secret.write_bytes(kept)
    put_back(site, file)
    assert secret.read_bytes() == kept


def test_a_running_node_is_not_put_under_another_ledger(site: Site) -> None:
    from node.opening import lock_spool

    file = backed_up(site)
    lose_ledger(site)
    lock_spool(make_spool(site.config))
    with pytest.raises(StartError, match="another node"):
        put_back(site, file)
    assert not site.database.path.exists()


def altered(site: Site, file: Path, **changes: bytes) -> Path:
    """The backup with other contents under the same manifest, by roles; None of `manifest` leaves it."""
    said, found = manifest(file, site.key), members(file, site.key)
    for one in said["members"]:
        if one["role"] in changes:
            found[one["name"]] = changes[one["role"]]
    if "manifest" in changes:
        found["manifest.json"] = changes["manifest"]
    target = file.with_name("altered.age")
    with target.open("wb") as out:
        age.encrypt(packed((Member(n, len(c), [c]) for n, c in found.items()), 0.0), out, [site.public])
    return target


def test_what_does_not_fit_its_manifest_is_refused_before_anything_is_in_place(site: Site) -> None:
    file = backed_up(site)
    said, found = manifest(file, site.key), members(file, site.key)
    shutil.rmtree(site.config.node.data)
    damaged = bytearray(found["ledger.db"])
    damaged[5000:5008] = b"overhaul"
    for changes, problem in (
        ({"ledger": bytes(damaged)}, "manifest"),
        ({"secret": b"cd" * 32 + b"\n"}, "manifest"),
        ({"manifest": json.dumps(said | {"format": 2}).encode()}, "newer deid-node"),
        ({"manifest": json.dumps(said | {"ledger_version": "9999"}).encode()}, "newer deid-node"),
        ({"manifest": b"[]"}, "no backup"),
        ({"manifest": b"{}"}, "no backup"),
    ):
        with pytest.raises(NodeError, match=problem):
            put_back(site, altered(site, file, **changes))
    cut = file.with_name("cut.age")
    cut.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(FileError, match="decrypted"):
        put_back(site, cut)
    assert not files_below(site.config.node.data) - {"spool/lock"}
    put_back(site, file)


def test_a_ledger_that_belongs_to_another_secret_or_is_damaged_is_refused(site: Site) -> None:
    import hashlib

    file = backed_up(site)
    said, found = manifest(file, site.key), members(file, site.key)
    shutil.rmtree(site.config.node.data)

    def consistent(role: str, content: bytes) -> Path:
        sums = {"sha256": hashlib.sha256(content).hexdigest(), "size": len(content)}
        parts = [one | sums if one["role"] == role else one for one in said["members"]]
        return altered(site, file, manifest=json.dumps(said | {"members": parts}).encode(), **{role: content})

    with pytest.raises(FileError, match="another secret"):
        put_back(site, consistent("secret", b"cd" * 32 + b"\n"))
    broken = bytearray(found["ledger.db"])
    for place in range(4096, len(broken) - 4096, 4096):
        broken[place : place + 200] = bytes(200)
    with pytest.raises(FileError, match=r"damaged|cannot be used"):
        put_back(site, consistent("ledger", bytes(broken)))
    assert not site.database.path.exists()


def test_a_project_that_was_closed_since_stays_closed_and_nothing_of_it_comes_back(site: Site) -> None:
    sql(site.database, "UPDATE instances SET state = 'discarded', outcome = 'discarded'")
    file = backed_up(site)
    site.configure(GOOD.replace("name: research", "name: research\n    project: other"))
    close_project(site.config, site.database, "research")
    lose_ledger(site)
    done = put_back(site, file)
    assert done["closed_again"] == ["research"]
    database = Database(site.config.node.ledger)
    assert is_closed(database, "research")
    assert sql(database, "SELECT count(*) FROM patient_map") == [(0,)]
    assert b"MRN-4711" not in database.path.read_bytes()
    database.close()


def test_a_sealed_ledger_stays_sealed_and_its_key_is_not_in_the_backup(tmp_path: Path) -> None:
    key = tmp_path / "encryption.key"
    key.touch(mode=0o600)
    key.write_text("5ea1" * 16)
    sealed = GOOD.replace("DEIDNODE\n", f"DEIDNODE\n  encryption: {{ key_file: {key} }}\n")
    site = Site(tmp_path / "site", sealed)
    file = backed_up(site)
    said, found = manifest(file, site.key), members(file, site.key)
    assert said["sealed"] is True
    assert [one["path"] for one in said["left_out"]] == [str(key)]
    assert not any(b"MRN-4711" in content or b"5ea15ea1" in content for content in found.values())
    shutil.rmtree(site.config.node.data)
    done = put_back(site, file)
    assert f"put back {key}" in done["to_do"][0]  # type: ignore[index]
    open_node(site.config, make_spool(site.config))
    assert site.hand_out("MRN-4711") == site.pseudonym
    assert sql(site.database, "SELECT count(*) FROM patient_map") == [(1,)]
    site.database.close()


def test_what_the_old_ledger_knew_beyond_the_backup_is_told(site: Site) -> None:
    file = backed_up(site)
    for number in range(3):
        receive(site.database, route="research", uid=f"1.2.{number}")
    site.database.close()
    open_node(site.config, make_spool(site.config))
    lose_ledger(site)
    assert put_back(site, file)["newer"] == 3


def test_the_command_tells_what_it_wrote_and_what_to_do(
    site: Site, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from node.cli import run

    file = backed_up(site)
    lose_ledger(site)
    config = ["--config", str(site.config.file)]
    assert run(["restore", str(file), "--identity", str(tmp_path / "none.key"), *config]) == 1
    assert run(["restore", str(file), "--identity", str(site.key), *config]) == 0
    out = capsys.readouterr().out
    assert f"written: {site.database.path}" in out
    assert f"left as it is: {site.config.node.secret_file}" in out
    assert "- start the node" in out
