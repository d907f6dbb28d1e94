"""SIGHUP: a configuration that loads is taken without closing an association, any other changes nothing."""

from __future__ import annotations

import contextlib
import copy
import signal
import socket
import time
from pathlib import Path

import pydicom
import pytest
from pynetdicom import AE
from pynetdicom.association import Association
from pynetdicom.presentation import build_context

from node.dicomnet.pdus import AssociateRequest, ProposedContext, encode_release_request, encode_request
from tests.crash.support import CT, EXPLICIT, Background, Deadly, Sender, audit, settled, tiny_cts
from tests.support import StoreSCP, can_connect, wait_for

RECIPE = """\
FORMAT dicom
%header
REPLACE PatientID {mark}
BLANK PatientName
REPLACE SOPInstanceUID func:generate_uid
"""


def recipe(node: Deadly, mark: str) -> None:
    """Let the node's route use a recipe that leaves a mark."""
    path = node.folder / "mark.dicom"
    path.write_text(RECIPE.format(mark=mark))
    node.config["routes"][0] |= {"recipe": ["./mark.dicom"], "gate": "report"}
    node.write_config()


def sighup(node: Deadly, answer: str) -> str:
    """Send SIGHUP, wait for the log's answer, and return what was logged meanwhile."""
    before = len(node.log())
    assert node.process is not None
    node.process.send_signal(signal.SIGHUP)
    wait_for(lambda: f'"event": "{answer}"' in node.log()[before:] or node.process.poll() is not None, answer)
    assert node.process.poll() is None, node.log()[before:]
    assert f'"event": "{answer}"' in node.log()[before:], node.log()[before:]
    return node.log()[before:]


def associate(port: int, called: str = "DEIDNODE") -> Association:
    ae = AE(ae_title="PEER")
    ae.acse_timeout = ae.dimse_timeout = ae.network_timeout = 30
    return ae.associate("127.0.0.1", port, [build_context(CT, EXPLICIT)], ae_title=called)


def not_yaml(node: Deadly) -> None:
    node.config_path.write_text("node: [")


def not_text(node: Deadly) -> None:
    node.config_path.write_bytes(b"node: \xff\xfe\x00")


def gone(node: Deadly) -> None:
    node.config_path.unlink()


def a_folder(node: Deadly) -> None:
    node.config_path.unlink()
    node.config_path.mkdir()


def deep(node: Deadly) -> None:
    node.config_path.write_text("node: " + "[" * 100_000)


def two_faults(node: Deadly) -> None:
    changed = copy.deepcopy(node.config)
    changed["routes"][0]["to"] = ["nowhere"]
    changed["node"]["drian"] = "5s"
    _write(node, changed)


def broken_recipe(node: Deadly) -> None:
    (node.folder / "mark.dicom").write_text("FORMAT dicom\n%header\nREPLCE PatientID X\n")


def no_recipe(node: Deadly) -> None:
    (node.folder / "mark.dicom").unlink()


def other_port(node: Deadly) -> None:
    changed = copy.deepcopy(node.config)
    changed["node"]["listen"] = "127.0.0.1:1"
    _write(node, changed)


def _write(node: Deadly, config: dict[str, object]) -> None:
    kept, node.config = node.config, config
    node.write_config()
    node.config = kept


BROKEN = [not_yaml, not_text, gone, a_folder, deep, two_faults, broken_recipe, no_recipe, other_port]


def test_a_broken_configuration_is_refused_and_the_old_one_stays(node: Deadly, scp: StoreSCP, tmp_path: Path) -> None:
    recipe(node, "FIRST")
    node.start()
    open_one = associate(node.port)
    files = tiny_cts(tmp_path / "in", len(BROKEN) + 1)
    for breaks, path in zip(BROKEN, files, strict=False):
        breaks(node)
        logged = sighup(node, "reload-refused")
        if breaks is two_faults:
            assert "nowhere" in logged
            assert "drian" in logged
        assert open_one.is_established, breaks.__name__
        assert open_one.send_c_store(path).Status == 0, breaks.__name__
        if node.config_path.is_dir():
            node.config_path.rmdir()
        recipe(node, "FIRST")
    open_one.release()
    Sender(node.port).send(files[-1:])
    node.wait_delivered(len(files))
    assert {str(ds.PatientID) for ds in scp.datasets()} == {"FIRST"}
    assert '"died"' not in node.log()
    assert '"reloaded"' not in node.log()


def test_a_good_configuration_is_taken_without_closing_an_association(
    node: Deadly, scp: StoreSCP, tmp_path: Path
) -> None:
    recipe(node, "FIRST")
    node.start()
    files = tiny_cts(tmp_path / "in", 4)
    open_one = associate(node.port)
    assert open_one.send_c_store(files[0]).Status == 0
    node.wait_delivered(1)
    assert not _established(node.port, "SECOND")
    recipe(node, "SECOND")
    node.config["routes"][0]["from"] = {"called_ae": ["DEIDNODE", "SECOND"]}
    node.write_config()
    sighup(node, "reloaded")
    # A new association is one of the new configuration, as soon as the new receivers have started.
    fresh = wait_for(lambda: _established(node.port, "SECOND"), "the new title is known")
    assert fresh.send_c_store(files[1]).Status == 0
    fresh.release()
    assert open_one.is_established
    assert open_one.send_c_store(files[2]).Status == 0, "an association that is open goes on"
    open_one.release()
    node.wait_delivered(3)
    settled(node)
    assert sorted(str(ds.PatientID) for ds in scp.datasets()) == ["FIRST", "SECOND", "SECOND"]
    assert '"died"' not in node.log()
    assert '"how": "stopped"' not in node.log()
    assert node.stop() == 0


def _established(port: int, called: str) -> Association | None:
    one = associate(port, called)
    return one if one.is_established else None


def test_reloads_while_instances_stream_in_lose_no_association_and_no_instance(
    node: Deadly, scp: StoreSCP, tmp_path: Path
) -> None:
    node.start()
    files = tiny_cts(tmp_path / "in", 150)
    sender = Sender(node.port)
    short, long = files[:30], files[30:]

    def one_association_each() -> None:
        for path in short:
            other.send([path])

    other = Sender(node.port, "SHORT")
    sending = [Background(lambda: sender.send(long)), Background(one_association_each)]
    for _ in range(3):
        sighup(node, "reloaded")
    for one in sending:
        one.join()
    assert set(sender.attempts.values()) | set(other.attempts.values()) == {1}, "nothing had to be sent again"
    sender.acknowledged |= other.acknowledged
    audit(node, scp, sender, files)
    assert '"died"' not in node.log()


@pytest.mark.slow
def test_a_sighup_a_second_neither_fills_up_nor_ends_the_node(node: Deadly, tmp_path: Path) -> None:
    node.start()
    held_open = []
    refused = 0
    for _ in range(6):
        one = wait_for(lambda: _established(node.port, "DEIDNODE"), "an association")
        held_open.append(one)
        before = len(node.log())
        assert node.process is not None
        node.process.send_signal(signal.SIGHUP)
        wait_for(lambda before=before: '"event": "reload' in node.log()[before:], "an answer")
        refused += '"event": "reload-refused"' in node.log()[before:]
    assert refused, "each keeps receivers of its own; there is an end to it"
    files = tiny_cts(tmp_path / "in", len(held_open))
    for one, path in zip(held_open, files, strict=True):
        assert one.send_c_store(path).Status == 0
        one.release()

    def again() -> bool:
        before = len(node.log())
        assert node.process is not None
        node.process.send_signal(signal.SIGHUP)
        wait_for(lambda: '"event": "reload' in node.log()[before:], "an answer")
        return '"event": "reloaded"' in node.log()[before:]

    wait_for(again, "once they have ended there is room again")
    assert can_connect(node.port)


def test_the_command_reload_tells_the_running_node(node: Deadly, scp: StoreSCP, tmp_path: Path) -> None:
    recipe(node, "FIRST")
    node.start()
    recipe(node, "SECOND")
    assert node.cli("reload").returncode == 0
    assert '"event": "reloaded"' in node.log()
    Sender(node.port).send(tiny_cts(tmp_path / "in", 1))
    node.wait_delivered(1)
    assert {str(ds.PatientID) for ds in scp.datasets()} == {"SECOND"}
    # What the file alone does not tell: the running node refuses it.
    kept = node.config["node"]["workers"]
    node.config["node"]["workers"] = kept + 1
    node.write_config()
    done = node.cli("reload")
    assert done.returncode == 1
    assert "node.workers cannot change" in done.stderr
    node.config["node"]["workers"] = kept
    node.write_config()
    assert node.cli("reload").returncode == 0
    not_yaml(node)
    done = node.cli("reload")
    assert done.returncode == 1
    assert "refused" in done.stderr


def test_what_was_delivered_before_a_reload_keeps_the_recipe_it_was_cleaned_with(
    node: Deadly, scp: StoreSCP, tmp_path: Path
) -> None:
    recipe(node, "FIRST")
    scp.stop()
    node.start()
    files = tiny_cts(tmp_path / "in", 2)
    Sender(node.port).send(files[:1])
    node.wait_status(lambda s: s["routes"]["research"]["cleaned"] == 1, "it is cleaned")
    recipe(node, "SECOND")
    sighup(node, "reloaded")
    Sender(node.port).send(files[1:])
    node.wait_status(lambda s: s["routes"]["research"]["cleaned"] == 2, "the other is cleaned")
    scp.start()
    node.wait_delivered(2)
    assert sorted(str(pydicom.dcmread(path).PatientID) for path in scp.files()) == ["FIRST", "SECOND"]


@pytest.mark.slow
def test_a_connection_that_was_accepted_before_a_reload_gets_its_association_and_keeps_it(node: Deadly) -> None:
    node.config["node"]["drain"] = "1s"
    node.write_config()
    node.start()
    request = encode_request(AssociateRequest("DEIDNODE", "SLOW", (ProposedContext(1, CT, (EXPLICIT,)),), 16384))
    associate(node.port).release()  # the receivers run
    with socket.create_connection(("127.0.0.1", node.port), 10) as peer:
        peer.settimeout(10)
        time.sleep(0.5)  # it is accepted, and nothing came on it yet
        sighup(node, "reloaded")
        peer.sendall(request)
        assert peer.recv(1) == b"\x02", "A-ASSOCIATE-AC"
        peer.settimeout(2.5)  # longer than it may take to drain at SIGTERM
        with contextlib.suppress(TimeoutError):
            while answer := peer.recv(4096):
                assert answer[-10:-9] != b"\x07", "A-ABORT"
            raise AssertionError("the association was closed by a reload")
        peer.settimeout(10)
        peer.sendall(encode_release_request())
        assert peer.recv(1) == b"\x06", "A-RELEASE-RP"
