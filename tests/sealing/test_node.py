"""A node with encryption: it does what one without does, and nothing that it keeps shows who the patient is."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pydicom
import pytest

from node.config import load_config
from node.errors import ConfigError, Fault
from tests.crash.support import Deadly, Sender, rows, settled, uids_in_map
from tests.process.test_start import lose_ledger, one_sentence, refused
from tests.road.support import CT, DEFLATED, EXPLICIT, IMPLICIT, data_set_of, send, verbatim_archive
from tests.sealing.support import TOKENS, files_in, read_original, shown, uids_of, without_patient
from tests.support import StoreSCP, free_port, make_ct, wait_for

ROWS = 256  # pixels for more than one chunk


def flip(path: Path, place: int) -> None:
    """Damage one byte, or mend it."""
    mode = path.stat().st_mode
    path.chmod(0o600)
    content = bytearray(path.read_bytes())
    content[place] ^= 0xFF
    path.write_bytes(content)
    path.chmod(mode)


def deflated(path: Path, target: Path) -> Path:
    ds = pydicom.dcmread(path)
    ds.file_meta.TransferSyntaxUID = DEFLATED
    ds.save_as(target)
    return target


@pytest.fixture
def busy(node: Deadly, scp: StoreSCP, tmp_path: Path) -> tuple[Deadly, list[Path]]:
    """A node that seals, with two instances that wait for their destination, one derived and one a file, and one held.

    Returned with their files: derived, deflated, held.
    """
    scp.stop()
    node.seals().start()
    plain = make_ct(tmp_path / "in", 2, rows=ROWS)
    files = [plain[0], deflated(plain[1], tmp_path / "deflated.dcm"), without_patient(tmp_path / "held")]
    assert send(node.port, *files) == [0, 0, 0]
    node.wait_status(lambda s: s["routes"]["research"]["cleaned"] == 2 and s["held"] == 1, "two cleaned, one held")
    return node, files


def test_nothing_of_the_patient_shows_and_everything_arrives_as_without_encryption(
    busy: tuple[Deadly, list[Path]], scp: StoreSCP, tmp_path: Path
) -> None:
    node, files = busy
    words = {*TOKENS, *uids_of(*files)}
    assert shown(tmp_path / "in", *words), "the search finds what is there"
    wait_for(lambda: (node.data / "ledger.db-wal").stat().st_size, "rows in the log")
    assert not shown(node.data, *words), "while they are held, and wait"
    wait_for(lambda: len(files_in(node.spool / "originals")) == 2, "of the derived one, and of the one that is held")
    originals = files_in(node.spool / "originals")
    assert all(path.read_bytes().startswith(b"DEIDSEAL") for path in originals)
    by_uid = {row.uid: row for row in rows(node)}
    derived, _, held = (by_uid[str(pydicom.dcmread(path).SOPInstanceUID)] for path in files)

    # A person looks at one of them; nothing else opens it.
    code, said = read_original(node, held.id, tmp_path / "read.dcm")
    assert (code, said) == (0, "")
    assert data_set_of(tmp_path / "read.dcm") == data_set_of(files[2])
    assert (tmp_path / "read.dcm").stat().st_size > 0
    previewed = node.cli(
        "preview", "--route", "research", str(node.spool / "originals" / held.id[7:9] / f"{held.id}.dcm")
    )
    assert "no-patient-id" in previewed.stdout, previewed.stderr

    acknowledged = tmp_path / "acknowledged.txt"
    acknowledged.write_text("\n".join(str(pydicom.dcmread(path).SOPInstanceUID) for path in files))
    proof = node.cli("prove", "--content", "--acknowledged", str(acknowledged))
    assert proof.returncode == 0, proof.stdout

    # It is killed in the middle of all that, and takes up its work again.
    node.kill()
    assert not shown(node.data, *words), "after a death"
    scp.start()
    node.start()
    status = node.wait_status(lambda s: s["delivered"] == 2 and s["held"] == 1, "they are delivered")
    assert status["in_flight"] == 0
    uids = uids_in_map(node)
    arrived = {str(ds.SOPInstanceUID): ds for ds in scp.datasets()}
    for path in files[:2]:
        sent = pydicom.dcmread(path)
        assert arrived[uids[str(sent.SOPInstanceUID)]].PixelData == sent.PixelData
    wait_for(lambda: len(files_in(node.spool / "originals")) == 1, "only what is held stays")
    assert not shown(node.data, *words), "when they are delivered"
    assert derived.id != held.id


@pytest.mark.slow
def test_the_same_bytes_arrive_with_encryption_and_without(
    make_node: Callable[..., Deadly], scp: StoreSCP, tmp_path: Path
) -> None:
    one, other = make_ct(tmp_path / "in", 2, rows=ROWS)
    files = [one, deflated(other, tmp_path / "deflated.dcm")]
    found = []
    for name in ("plain", "sealed"):
        node = make_node({"dest": scp.port}, name)
        if name == "sealed":
            node.seals()
            node.data.mkdir(mode=0o700)
            shutil.copy2(tmp_path / "plain/var/secret.key", node.data / "secret.key")
        node.start()
        assert send(node.port, *files) == [0, 0]
        node.wait_delivered(2)
        assert node.stop() == 0
        found.append(sorted(data_set_of(path) for path in scp.files()))
        for path in scp.files():
            path.unlink()
    assert found[0] == found[1]
    assert len(found[0]) == 2


def test_a_damaged_original_is_held_and_goes_on_when_it_is_mended(
    busy: tuple[Deadly, list[Path]], scp: StoreSCP
) -> None:
    node, files = busy
    by_uid = {row.uid: row for row in rows(node)}
    derived, _, held = (by_uid[str(pydicom.dcmread(path).SOPInstanceUID)].id for path in files)
    paths = {name: node.spool / "originals" / name[7:9] / f"{name}.dcm" for name in (derived, held)}
    for path in paths.values():
        flip(path, -100)
    code, said = read_original(node, held, node.folder / "read.dcm")
    assert code == 1
    assert "damaged" in said
    assert (node.folder / "read.dcm").read_bytes() == b""
    assert read_original(node, "0" * 32, node.folder / "none.dcm")[0] == 1, "an id that nobody has"
    assert node.cli("held", "release", held).returncode == 0
    scp.start()

    def reasons() -> dict[str, str]:
        return {one["id"]: one["reason"] for one in node.held()}

    wait_for(lambda: reasons() == {derived: "damaged", held: "damaged"}, "both are held as damaged")
    node.wait_status(lambda s: s["delivered"] == 1, "the other one arrives")
    wait_for(lambda: len(scp.files()) == 1, "and nothing of the damaged one stays")
    for path in paths.values():
        flip(path, -100)
    assert node.cli("held", "release", derived, held).returncode == 0
    node.wait_status(lambda s: s["delivered"] == 2 and s["held"] == 1, "what is whole again is delivered")
    assert reasons() == {held: "no-patient-id"}
    assert len(scp.files()) == 2


def test_without_its_key_or_with_another_a_sealed_node_does_not_start(busy: tuple[Deadly, list[Path]]) -> None:
    node, _ = busy
    assert node.stop() == 0
    key = node.folder / "encryption.key"
    right = key.read_text()
    section = node.config["node"].pop("encryption")
    node.write_config()
    assert "name its key" in one_sentence(refused(node))
    node.config["node"]["encryption"] = section
    node.write_config()
    key.write_text("0" * 64 + "\n")
    said = one_sentence(refused(node))
    assert "not the one" in said
    assert "0000" not in said.replace(str(node.folder), "")
    key.write_text("0" * 63)
    assert "encryption key" in one_sentence(refused(node))
    key.write_text(right)
    key.chmod(0o640)
    assert "chmod 600" in one_sentence(refused(node))
    key.unlink()
    assert str(key) in one_sentence(refused(node))
    # From the environment it is as good.
    node.config["node"]["encryption"] = {"key": "${THE_KEY}"}
    node.write_config()
    node.environment["THE_KEY"] = right.strip()
    node.start()
    assert right.strip() not in node.log()
    assert node.stop() == 0


@pytest.mark.slow
def test_a_key_that_is_replaced_while_the_node_runs_is_not_taken(node: Deadly, scp: StoreSCP, tmp_path: Path) -> None:
    node.config["node"]["log"]["level"] = "debug"
    node.seals().start()
    key = node.folder / "encryption.key"
    right = key.read_text()
    key.write_text("0" * 64 + "\n")
    for child in wait_for(lambda: node.children().get("receiver"), "receivers"):
        child.kill()
    wait_for(lambda: "was sealed with" in node.log(), "it says so, and does not serve with it")
    key.write_text(right)
    Sender(node.port).send(make_ct(tmp_path / "in", 1))
    settled(node)
    assert len(rows(node)) == 1
    assert len(scp.files()) == 1


@pytest.mark.slow
def test_a_lost_ledger_is_made_again_from_a_sealed_spool_with_its_key_only(
    busy: tuple[Deadly, list[Path]], scp: StoreSCP
) -> None:
    node, files = busy
    before = uids_in_map(node)
    node.kill()
    lose_ledger(node)
    section = node.config["node"].pop("encryption")
    node.write_config()
    done = node.cli("rebuild")
    assert done.returncode == 3
    assert "node.encryption" in done.stderr
    node.config["node"]["encryption"] = section
    node.write_config()
    done = node.cli("rebuild", "--send")
    assert done.returncode == 0, done.stderr
    scp.start()
    node.start()
    node.wait_status(lambda s: s["delivered"] == 2 and s["held"] == 1, "as before")
    assert not shown(node.data, *TOKENS, *uids_of(*files))
    # The way back comes back for what is cleaned again; the other one has its cleaned file only.
    uid = str(pydicom.dcmread(files[0]).SOPInstanceUID)
    assert uids_in_map(node)[uid] == before[uid]


def test_encryption_is_turned_on_over_a_node_that_worked_without(node: Deadly, scp: StoreSCP, tmp_path: Path) -> None:
    files = make_ct(tmp_path / "in", 2, rows=ROWS)
    words = {*TOKENS, *uids_of(*files)}
    scp.stop()
    node.start()
    sender = Sender(node.port)
    sender.send([files[0]])
    node.wait_status(lambda s: s["routes"]["research"]["cleaned"] == 1, "it is cleaned")
    node.kill()
    before = uids_in_map(node)
    assert shown(node.data, *words)
    node.seals()
    assert "deid-node encrypt" in one_sentence(refused(node))
    assert uids_in_map_without_key(node) == before, "nothing was changed by it"
    done = node.cli("encrypt")
    assert (done.returncode, done.stdout) == (0, "1 originals were sealed; the ledger was sealed\n"), done.stderr
    assert not shown(node.data, *words), "nor in what the database had written before"
    assert node.cli("encrypt").stdout == "0 originals were sealed; the ledger was sealed before\n"
    assert uids_in_map(node) == before
    node.start()
    assert node.cli("encrypt").returncode == 3, "not while it runs"
    scp.start()
    sender.send(files)
    status = settled(node)
    assert (status["delivered"], status["duplicates"]) == (2, 1), "what came before is known, as is its patient"
    assert len(set(scp.uids())) == 2
    (patient,) = {str(ds.PatientID) for ds in scp.datasets()}
    assert patient in pseudonyms(node)
    assert len({str(ds.StudyDate) for ds in scp.datasets()}) == 1, "the date shift is the same"
    assert not shown(node.data, *words)


def uids_in_map_without_key(node: Deadly) -> dict[str, str]:
    with node.ledger() as ledger, ledger.database.read() as connection:
        return dict(connection.driver.execute("SELECT original, replacement FROM uid_map").fetchall())


def pseudonyms(node: Deadly) -> set[str]:
    with node.ledger() as ledger, ledger.database.read() as connection:
        found = connection.driver.execute("SELECT pseudonym, shift_days FROM patient_map").fetchall()
    assert all(str(shift).startswith("siv1:") for _, shift in found)
    return {pseudonym for pseudonym, _ in found}


@pytest.mark.slow
def test_a_destination_that_takes_another_syntax_gets_a_sealed_original_converted(
    make_node: Callable[..., Deadly], tmp_path: Path
) -> None:
    port = free_port()
    with verbatim_archive(port, (CT, IMPLICIT)) as came:
        node = make_node({"dest": port}).seals()
        node.start()
        one = make_ct(tmp_path / "in", 1, rows=ROWS)[0]
        assert send(node.port, one) == [0]
        node.wait_delivered(1)
    ((syntax, data),) = came
    assert syntax == IMPLICIT
    assert data.endswith(pydicom.dcmread(one).PixelData)
    assert pydicom.dcmread(one).file_meta.TransferSyntaxUID == EXPLICIT


def faults(node: Deadly, section: dict[str, str]) -> list[Fault]:
    node.config["node"] |= {"spool": "elsewhere/spool", "encryption": section}
    node.write_config()
    with pytest.raises(ConfigError) as refusal:
        load_config(node.config_path)
    return refusal.value.faults


@pytest.mark.parametrize("inside", ["var/keys/key", "elsewhere/spool/key"])
def test_a_key_beside_what_it_protects_is_a_fault_of_the_configuration(node: Deadly, inside: str) -> None:
    (fault,) = faults(node, {"key_file": inside})
    assert fault.key == "node.encryption.key_file"
    assert fault.line
    assert "outside" in fault.hint


@pytest.mark.parametrize("section", [{}, {"key": "abc"}, {"key": "0" * 63}, {"key": "0" * 64, "key_file": "key"}])
def test_what_is_no_key_is_a_fault_of_the_configuration_and_not_shown(node: Deadly, section: dict[str, str]) -> None:
    (fault,) = faults(node, section)
    assert fault.key.startswith("node.encryption")
    assert "000" not in str(fault).replace(str(node.folder), "")
