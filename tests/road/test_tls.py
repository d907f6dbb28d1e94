"""The whole road with TLS on both sides, and listeners of several kinds."""

from __future__ import annotations

import json
import signal
import subprocess
from pathlib import Path

import pytest

from tests.dicomnet.tls import Authority, Pair, speak_tls
from tests.road.conftest import Road
from tests.road.support import CT, SUCCESS, RawSender, data_set_of, differences, shipped_file
from tests.support import RunningNode, free_port, make_ct, storescu, wait_for

BY_THE_RECIPE = {0x00080018, 0x00100010, 0x00100020, 0x00101002, 0x0020000D}  # one of them inside of a sequence


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture(scope="module")
def own(authority: Authority) -> Pair:
    return authority.issue("node", days=20)


@pytest.fixture(scope="module")
def scanner(authority: Authority) -> Pair:
    return authority.issue("scanner", alternatives="DNS:archive.example")


def tls(authority: Authority, pair: Pair) -> dict[str, str]:
    return {"certificate": str(pair.certificate), "key": str(pair.key), "ca": str(authority.ca)}


def options(authority: Authority, pair: Pair) -> tuple[str, ...]:
    return ("+tls", str(pair.key), str(pair.certificate), "+cf", str(authority.ca))


def echo(port: int, *more: str) -> bool:
    command = ["echoscu", "-aec", "DEIDNODE", *more, "127.0.0.1", str(port)]
    return subprocess.run(command, capture_output=True, timeout=30, check=False).returncode == 0


def closed_to_plain(node: RunningNode, authority: Authority, own: Pair) -> None:
    """Let the node listen with TLS only."""
    address = node.config["node"].pop("listen")
    node.config["node"]["listeners"] = [{"listen": address, "tls": tls(authority, own)}]
    node.write_config()


def test_from_tls_to_tls_every_byte_that_no_rule_touches_is_the_same(
    road: Road, authority: Authority, own: Pair, scanner: Pair
) -> None:
    archive = road.archive(options=options(authority, scanner))
    node = road.node(archive)
    closed_to_plain(node, authority, own)
    node.config["destinations"]["dest"]["tls"] = tls(authority, own) | {"name": "archive.example"}
    node.write_config()
    node.start()

    sent = shipped_file("CT_small.dcm")
    with RawSender(node.port) as raw:
        speak_tls(raw, authority, scanner)
        raw.open()
        uid = "1.3.6.1.4.1.5962.1.1.1.1.1.20040119072730.12322"
        assert raw.store(data_set_of(sent), uid, CT) == SUCCESS
    node.wait_delivered(1)
    (arrived,) = archive.files()
    assert differences(sent, arrived) == BY_THE_RECIPE

    series = make_ct(road.folder / "series", 3)
    done = storescu(node.port, *series, options=options(authority, scanner))
    assert done.returncode == 0, done.stdout
    node.wait_delivered(4)
    assert '"certificate": "scanner"' in node.log()
    with node.ledger() as ledger, ledger.database.read() as connection:
        shown = connection.driver.execute("SELECT DISTINCT certificate FROM instances").fetchall()
    assert shown == [("scanner, archive.example",)], "an instance's story says whose certificate its sender showed"

    # Without TLS, and without a certificate, nothing gets in; and it is told who tried.
    assert not echo(node.port)
    assert not echo(node.port, "+tla", "+cf", str(authority.ca))
    assert storescu(node.port, *series, options=("+tla", "+cf", str(authority.ca))).returncode != 0
    assert node.status()["received"] == 4
    assert '"event": "tls-refused"' in node.log()

    status = json.loads(node.cli("status", "--json").stdout)
    assert {(one["used_by"], one["days_left"]) for one in status["certificates"] if "node.crt" in one["file"]} <= {
        (used_by, days) for used_by in (f"listener 127.0.0.1:{node.port}", "destination dest") for days in (19, 20)
    }
    shown = node.cli("status").stdout
    assert "(renew it)" in shown
    checked = json.loads(node.cli("check", "--json").stdout)
    assert checked["ok"], checked
    said = {(one["kind"], one["about"].split(" of ")[0]) for one in checked["findings"]}
    assert ("warning", "certificate") in said  # the node's
    assert ("note", "certificate") in said  # the authority's
    assert any("answers." in one["text"] for one in checked["findings"]), "its C-ECHO goes over TLS"
    assert node.stop() == 0


def test_a_wrong_destination_gets_nothing_until_the_configuration_is_right(
    road: Road, authority: Authority, own: Pair, scanner: Pair, tmp_path: Path
) -> None:
    archive = road.archive(options=options(authority, scanner))
    node = road.node(archive)
    strange = Authority(tmp_path / "strange", "Another CA")
    destination = node.config["destinations"]["dest"]
    for wrong, said in (
        ({"ca": str(strange.ca), "name": "archive.example"}, "tls.ca"),
        ({}, "tls.name"),
    ):
        destination["tls"] = tls(authority, own) | wrong
        node.write_config()
        if node.process is None:
            node.start()
            assert storescu(node.port, *make_ct(road.folder / "series", 1)).returncode == 0
        else:
            assert node.cli("reload").returncode == 0
        node.wait_status(lambda status, said=said: said in str(status["destinations"].get("dest")), said)
    status = node.status()["destinations"]["dest"]
    assert (status["waiting"], status["delivered"], status["held"]) == (1, 0, 0)
    assert archive.files() == []
    destination["tls"] |= {"name": "archive.example"}
    node.write_config()
    assert node.cli("reload").returncode == 0
    node.wait_delivered(1)
    assert node.stop() == 0


def test_each_listener_has_its_own_titles_and_a_silent_one_holds_up_none(
    road: Road, authority: Authority, own: Pair, scanner: Pair
) -> None:
    archive = road.archive()
    node = road.node(archive)
    secure = free_port()
    node.config["node"]["listeners"] = [
        {"listen": f"127.0.0.1:{secure}", "called_ae": ["SEC*"], "tls": tls(authority, own)}
    ]
    node.config["routes"][0]["from"] = {"called_ae": ["DEIDNODE", "SECURE"]}
    node.write_config()
    node.start()
    path, other = make_ct(road.folder / "series", 2)
    with RawSender(secure) as silent, RawSender(node.port) as silent_too:
        assert silent.socket.fileno() != silent_too.socket.fileno()
        encrypted = options(authority, scanner)
        assert storescu(node.port, path).returncode == 0
        assert storescu(secure, other, options=(*encrypted, "-aec", "SECURE")).returncode == 0
        # A title that only the plain listener has; C-ECHO asks for no title.
        wrong = storescu(secure, path, options=encrypted)
        assert "Called AE Title Not Recognized" in wrong.stdout + wrong.stderr
        assert echo(secure, *encrypted)
    node.wait_delivered(2)
    assert node.stop() == 0


@pytest.mark.slow
def test_a_reload_takes_other_titles_and_files_but_no_other_place(
    road: Road, authority: Authority, own: Pair, scanner: Pair
) -> None:
    node = road.node(road.archive())
    closed_to_plain(node, authority, own)
    node.start()
    (listener,) = node.config["node"]["listeners"]
    listener["called_ae"] = ["OTHER"]
    node.write_config()
    assert node.cli("reload").returncode == 0
    (path,) = make_ct(road.folder / "series", 1)
    refused = wait_for(
        lambda: storescu(node.port, path, options=options(authority, scanner)).returncode, "it is refused"
    )
    assert refused != 0
    listener["listen"] = f"127.0.0.1:{free_port()}"
    node.write_config()
    moved = node.cli("reload")
    assert moved.returncode == 1
    assert "restart it" in moved.stderr
    listener |= {"listen": f"127.0.0.1:{node.port}", "tls": tls(authority, authority.issue("over", days=-1))}
    node.write_config()
    expired = node.cli("reload")
    assert expired.returncode == 1
    assert "[node.listeners.0.tls.certificate]" in expired.stderr
    assert "has expired" in expired.stderr
    assert node.process is not None
    node.process.send_signal(signal.SIGHUP)  # without the command, which looks beforehand
    wait_for(lambda: '"event": "reload-fault"' in node.log() and "has expired" in node.log(), "the node refuses it too")
    assert echo(node.port, *options(authority, scanner))
    assert node.stop() == 0
    # At the start it is a fault too, and other commands go on.
    started = node.cli("serve")
    assert (started.returncode, "has expired" in started.stderr) == (3, True)
    assert node.cli("status").returncode == 0
    assert "(expired)" in node.cli("status").stdout
