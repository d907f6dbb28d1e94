"""A node writes down what is done with it, by whom, and sends it; also what it missed while the receiver was away."""

from __future__ import annotations

import json
import os
import pwd
from pathlib import Path
from typing import Any

from node.ledger.audit import backlog, entries
from tests.audit.support import SyslogReceiver, event_of
from tests.crash.support import Deadly, Sender, tiny_cts
from tests.dicomnet.tls import Authority
from tests.road.support import SUCCESS, send, use_recipe
from tests.support import RunningNode, StoreSCP, wait_for


def listed(node: RunningNode) -> list[dict[str, Any]]:
    return list(json.loads(node.cli("audit", "list", "--json", check=True).stdout))


def kinds_of(found: list[dict[str, Any]]) -> list[str]:
    return [one["type"] or one["event"] for one in found]


def requestor(one: dict[str, Any]) -> tuple[str, str]:
    """The account and what it called."""
    (who,) = [who for who in one["who"] if who["requestor"]]
    return who["user"].partition("@")[0], who["name"]


def sends_to_receiver(node: Deadly, folder: Path) -> SyslogReceiver:
    """Let the node send its trail to a receiver, which does not run yet."""
    authority = Authority(folder / "ca")
    syslog, ours = SyslogReceiver(authority, authority.issue("receiver")), authority.issue("node")
    tls = {"ca": str(authority.ca), "certificate": str(ours.certificate), "key": str(ours.key)}
    node.config["audit"] = {"site": "HOSPITAL", "syslog": {"address": f"127.0.0.1:{syslog.port}", "tls": tls}}
    return syslog


def test_what_is_done_with_a_node_is_written_down_by_whom_and_arrives_at_the_syslog_receiver(
    node: Deadly, scp: StoreSCP, tmp_path: Path
) -> None:
    syslog = sends_to_receiver(node, tmp_path)
    me = pwd.getpwuid(os.getuid()).pw_name
    use_recipe(node)
    (route,) = node.config["routes"]
    (node.folder / "broken.dicom").write_text("FORMAT dicom\n%header\nREPLACE StudyDate func:shift_date\n")
    node.config["routes"].append(
        route | {"name": "strict", "recipe": ["./broken.dicom"], "from": {"called_ae": ["STRICT"]}, "project": "other"}
    )
    route["from"] = {"called_ae": ["DEIDNODE"]}
    node.write_config()
    node.start()
    # Killed, it cannot say that it ends; the next start does.
    node.kill()
    node.start()
    files = tiny_cts(tmp_path / "in", 3)
    Sender(node.port).send(files)
    node.wait_delivered(3)

    # While the receiver is away everything waits, and `status` says so.
    with node.ledger() as ledger:
        wait_for(lambda: backlog(ledger.database).error, "it is tried")
    status = json.loads(node.cli("status", "--json").stdout)["audit"]
    assert status["waiting"] == status["entries"] > 0
    assert "127.0.0.1" in status["last_error"]

    with syslog.running():
        wait_for(lambda: syslog.came, "what waited arrives")
        decide(node, me)
        assert node.stop() == 0
        # The end is told while the receiver can still hear it.
        wait_for(lambda: event_of(syslog.came[-1][1])[1] == "Application Stop", "the end arrives")
    numbers = sorted({number for number, _ in syslog.came})
    assert numbers == list(range(1, len(numbers) + 1)), "nothing is left out"
    whole_until_changed(node)
    rebuilt(node)


def at_the_start(found: list[dict[str, Any]]) -> None:
    """Look at what was written before anybody asked for anything."""
    configured, start, unclean = "Security Configuration", "Application Start", "Application Stop"
    assert kinds_of(found)[:5] == [start, configured, unclean, start, configured]
    assert found[2]["outcome"] == "serious failure"
    taken = found[1]["what"][0]["details"]
    assert set(taken) == {"Alert Description", "configuration sha256", "recipe of research", "recipe of strict"}
    sent = [one for one in found if one["event"] == "DICOM Instances Transferred" and one["who"][0]["requestor"]]
    sent = [one for one in sent if one["who"][1]["user"] == "DEST"]
    assert sum(one["what"][0]["instances"] for one in sent) == 3


def decide(node: Deadly, me: str) -> None:
    """Do what a person does with a node, and look whether it is written down."""
    data = tiny_cts(node.folder / "held", 1, start=100)[0]
    content = data.read_bytes().replace(b"DA\x08\x0020040119", b"DA\x08\x00NODATE  ")
    data.write_bytes(content)
    assert send(node.port, data, called="STRICT") == [SUCCESS]
    node.wait_status(lambda status: status["held"] == 1, "it is held")
    held = node.held()[0]["id"]
    node.cli("held", "show", held, check=True)
    node.cli("held", "discard", held, "--yes", check=True)
    node.cli("pause", "dest", check=True)
    node.cli("resume", "dest", check=True)
    node.cli("reload", check=True)
    node.config["node"]["max_associations"] = 7
    node.write_config()
    assert node.cli("reload").returncode == 1
    node.config["node"]["max_associations"] = 50
    node.write_config()
    found = listed(node)
    at_the_start(found)
    shown, discarded = [one for one in found if one["event"] == "DICOM Instances Accessed"]
    assert (shown["action"], discarded["action"]) == ("R", "D")
    assert [one["what"][0]["id"] for one in (shown, discarded)] == [held, held]
    assert (requestor(shown), requestor(discarded)) == ((me, "held show"), (me, "held discard"))
    stopped, resumed = [one for one in found if one["type"] == "Network Configuration"]
    assert (requestor(stopped), requestor(resumed)) == ((me, "pause"), (me, "resume"))
    reloads = [one for one in found if one["type"] == "Security Configuration"][2:]
    assert [(one["outcome"], *requestor(one)) for one in reloads] == [
        ("success", me, "reload"),
        ("serious failure", me, "reload"),
    ]
    with node.ledger() as ledger:
        assert "Audit Log Used" in entries(ledger.database)[-1].message


def whole_until_changed(node: RunningNode) -> None:
    whole = json.loads(node.cli("audit", "verify", "--json", check=True).stdout)
    assert whole["problems"] == []
    assert node.cli("audit", "verify", "--expect", f"{whole['entries']}:{'0' * 64}").returncode == 1
    with node.ledger() as ledger, ledger.database.write(durable=True) as connection:
        connection.driver.execute("UPDATE audit SET message = replace(message, 'research', 'reserach') WHERE seq = 2")
    done = node.cli("audit", "verify", "--expect", whole["end"])
    assert done.returncode == 1
    assert "entry 2 " in done.stderr
    assert "noted" not in done.stderr, "the end is still the one that was noted"


def rebuilt(node: RunningNode) -> None:
    """A new ledger has a trail of its own, which begins with the rebuild."""
    for path in node.data.glob("ledger.db*"):
        path.unlink()
    node.cli("rebuild", check=True)
    first = listed(node)[0]
    assert first["type"] == "Use of Restricted Function"
    assert requestor(first)[1] == "rebuild"
