"""A node that runs measures itself, says how it is, and tells people; a restart neither forgets nor repeats."""

from __future__ import annotations

import json
import os
import re
import signal
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pydicom
import pytest
from prometheus_client.parser import text_string_to_metric_families
from pynetdicom import AE

from node.cli import run
from node.config import Config, load_config
from node.health import ready
from node.metrics import render
from tests.crash.support import Deadly
from tests.dicomnet.tls import Authority
from tests.support import StoreSCP, free_port, make_ct, storescu, wait_for
from tests.watching.peers import Hook, MailServer

COMMITMENT, CT = "1.2.840.10008.1.20.1", "1.2.840.10008.5.1.4.1.1.2"


class Numbers:
    """What the node's metrics say now."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._found = {
            (sample.name.removeprefix("deid_node_"), tuple(sorted(sample.labels.items()))): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }

    def of(self, name: str, **labels: str) -> float | None:
        return self._found.get((name, tuple(sorted(labels.items()))))


def send(node: Deadly, folder: Path) -> list[str]:
    """Send two slices that are delivered and one that is held, and ask for what the node does not offer."""
    files = make_ct(folder, 3)
    risky = pydicom.dcmread(files[2])
    risky.BurnedInAnnotation = "YES"
    risky.save_as(files[2])
    assert storescu(node.port, *files, options=("-aet", "CT1")).returncode == 0
    for title in ("CT1", "PLANTED^NAME"):
        sender = AE(ae_title=title)
        for sop_class in (COMMITMENT, CT):
            sender.add_requested_context(sop_class)
        association = sender.associate("127.0.0.1", node.port, ae_title="DEIDNODE")
        assert association.is_established
        association.release()
    stranger = AE(ae_title="CT1")
    stranger.add_requested_context(CT)
    assert stranger.associate("127.0.0.1", node.port, ae_title="PLANTED").is_rejected
    return [str(pydicom.dcmread(path).SOPInstanceUID) for path in files]


def measures(config: Config) -> Numbers:
    """Wait until all that was sent is in the numbers, and compare it with what was done."""

    def complete() -> Numbers | None:
        found = Numbers(render(config).decode())
        done = found.of("delivered_total", destination="dest"), found.of("refused_total", kind="presentation-context")
        return found if done == (2, 2) and found.of("reception_seconds_count") == 3 else None

    found: Numbers = wait_for(complete, "everything is counted")
    route, dest, away = {"route": "research"}, {"destination": "dest"}, {"destination": "away"}
    assert found.of("up") == found.of("ledger_up") == 1
    assert found.of("received_total", **route) == 3
    assert found.of("cleaned_total", **route) == 2
    assert found.of("holds_total", **route) == 1
    assert found.of("held", reason="pixel-risk", **route) == 1
    assert found.of("instances", outcome="held", **route) == 1
    assert found.of("instances", outcome="in_flight", **route) == 2
    assert (found.of("received_bytes_total", **route) or 0) > 3 * 64 * 64 * 2
    assert (found.of("delivered_bytes_total", **dest) or 0) > 2 * 64 * 64 * 2
    assert found.of("deliveries", state="due", **away) == 2
    assert (found.of("destination_failures", **away) or 0) > 0
    assert (found.of("destination_lag_seconds", **away) or 0) > 0
    assert found.of("destination_lag_seconds", **dest) == found.of("destination_failures", **dest) == 0
    assert found.of("cleaning_seconds_count", **route) == 2
    assert found.of("whole_seconds_bucket", le="+Inf", **dest) == 2
    assert found.of("refused_total", kind="association") == 1
    assert found.of("refused_contexts", calling_ae_title="CT1") == 1
    assert found.of("refused_contexts", calling_ae_title="other") == 1
    assert found.of("processes", role="cleaner") == 2
    assert found.of("disk_state", state="ok") == 1
    return found


def is_well(config: Config) -> bool:
    health = ready(config)
    assert {check.name for check in health.checks} == {
        *("process", "supervisor", "roles", "recipes", "listeners", "reload", "ledger", "disk"),
    }
    return health.ok


def loses_a_cleaner(node: Deadly, config: Config) -> None:
    """One that dies is counted, told, and started again; the node stays ready."""
    roles = json.loads((node.spool / "roster.json").read_text())["roles"]
    os.kill(roles["cleaner0"], signal.SIGKILL)

    def counted() -> bool:
        return Numbers(render(config).decode()).of("process_deaths_total", role="cleaner") == 1

    wait_for(counted, "the death is counted")
    wait_for(lambda: Numbers(render(config).decode()).of("processes", role="cleaner") == 2, "it is there again")
    assert is_well(config)


def tells_by_command(node: Deadly, config: Config, capsys: pytest.CaptureFixture[str]) -> None:
    """The commands say the same as the functions, and say by their exit codes how it is."""
    given = ["--config", str(node.config_path)]
    target = node.folder / "deid-node.prom"
    assert run(["metrics", "--output", str(target), *given]) == 0
    assert Numbers(target.read_text()).of("received_total", route="research") == 3
    assert stat.S_IMODE(target.stat().st_mode) == 0o644
    assert run(["health", *given]) == 0
    assert run(["health", "--live", "--json", *given]) == 0
    assert run(["notify", *given]) == run(["notify", "--test", *given]) == 0
    capsys.readouterr()
    assert run(["refused", "--json", *given]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    senders = {sender["calling_ae_title"]: sender for sender in found["senders"]}
    assert set(senders) == {"CT1", "PLANTED^NAME"}
    (context,) = senders["CT1"]["contexts"]
    assert context["name"] == "Storage Commitment Push Model SOP Class"
    assert "Explicit VR Little Endian" in context["transfer_syntaxes"]
    assert not context["images_lost"]
    (other,) = senders["CT1"]["others"]
    assert "routes.0.from.called_ae" in other["change"]
    assert run(["refused", *given]) == 0
    assert "switch storage commitment off" in " ".join(capsys.readouterr().out.split())


def test_a_node_measures_itself_says_how_it_is_and_tells_people(
    make_node: Callable[..., Deadly],
    scp: StoreSCP,
    tmp_path: Path,
    authority: Authority,
    capsys: pytest.CaptureFixture[str],
) -> None:
    server = MailServer(free_port(), authority, authority.issue("mail", alternatives="IP:127.0.0.1"))
    hook, away = Hook(free_port()), StoreSCP(tmp_path / "away", aet="AWAY")
    node = make_node({"dest": scp.port, "away": away.port})
    node.config["routes"][0]["from"] = {"called_ae": ["DEIDNODE"], "calling_ae": ["CT1", "*"]}
    node.write_config()
    assert not ready(load_config(node.config_path)).ok
    node.start()
    uids = send(node, tmp_path / "in")
    node.config["notify"] = {
        "mail": {
            "to": ["team@hospital.example"],
            "from": "node@hospital.example",
            "server": f"127.0.0.1:{server.port}",
            "ca": str(authority.ca),
        },
        "webhook": {"url": f"http://127.0.0.1:{hook.port}/", "header": {"X-Key": "secret-of-the-hook"}},
        "on": {"destination_down": "1s"},
    }
    node.write_config()
    node.cli("reload", check=True)
    config = load_config(node.config_path)
    with server.running(), hook.running():
        wait_for(lambda: is_well(config), "the node is ready")
        found = measures(config)
        expected = {("held", ""), ("destination-down", "away"), ("refused-contexts", "CT1")}
        wait_for(lambda: expected <= {one for kinds in hook.kinds("began") for one in kinds}, "it is told")
        wait_for(lambda: "destination-down away" in "".join(server.texts()), "by mail too")
        assert hook.headers[0]["X-Key"] == "secret-of-the-hook"
        loses_a_cleaner(node, config)
        tells_by_command(node, config, capsys)

        told, mails = len(hook.came), len(server.came)
        assert node.stop() == 0
        assert run(["health", "--config", str(node.config_path)]) == 4
        node.start()
        away.start()
        wait_for(lambda: ("destination-down", "away") in hook.kinds("over")[-1], "its end is told")
        wait_for(lambda: "over" in server.texts()[-1], "by mail too")
        assert hook.kinds("began")[told:] == [[]], "a restart repeats nothing"
        assert (len(hook.came), len(server.came)) == (told + 1, mails + 1)
    away.stop()
    assert Numbers(render(config).decode()).of("received_total", route="research") == 3, "counters go on"
    said = "\n".join([found.text, str(hook.came), *server.texts(), *(str(mail) for mail in server.came)])
    identity = ("PLANTED", "MRN-0001", "secret-of-the-hook", *uids)
    assert not [word for word in identity if word in said]
    assert not re.search(r"(?<![\d.])19600314(?!\d)", said), "the date of birth; not some digits of a longer number"
