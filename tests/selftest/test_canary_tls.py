"""The canary of a node that listens with TLS alone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from node.ledger.canary import results
from tests.dicomnet.tls import Authority
from tests.support import RunningNode, free_port, wait_for


@pytest.mark.slow
def test_the_canary_goes_through_a_listener_with_tls_alone_and_its_certificate_is_compared(tmp_path: Path) -> None:
    authority = Authority(tmp_path / "ca")
    own, itself = authority.issue("node"), authority.issue("canary")
    tls = {"certificate": str(own.certificate), "key": str(own.key), "ca": str(authority.ca)}
    through = {"ca": str(authority.ca), "certificate": str(itself.certificate), "key": str(itself.key)}
    node = RunningNode(tmp_path, {"archive": free_port()}, canary={"every": "1h", "within": "60s", "tls": through})
    listen = node.config["node"].pop("listen")
    node.config["node"]["listeners"] = [{"listen": listen, "tls": tls}]
    node.write_config()
    try:
        node.start()
        with node.ledger() as ledger:
            found = wait_for(lambda: results(ledger.database), "the canary came back")
        report = found["routes"]["research"]
        assert report["verdict"] == "passed", report
        assert report["arrived"] == 8
        certificates = json.loads(node.cli("status", "--json", check=True).stdout)["certificates"]
        assert {(one["used_by"], Path(one["file"]).name) for one in certificates} >= {
            ("canary", "canary.crt"),
            ("canary", "ca.crt"),
            (f"listener {listen}", "node.crt"),
        }
        assert all(one["days_left"] > 80 for one in certificates)
        # A renewed certificate under the same name is told before a reload, and by it.
        authority.issue("canary", days=200)
        planned = json.loads(node.cli("plan", "--json", check=True).stdout)
        assert planned["certificates"] == [{"used_by": "canary", "file": str(itself.certificate)}]
        node.cli("reload", check=True)
        told = [json.loads(line) for line in node.log().splitlines() if '"certificate-changed"' in line]
        assert [(one["used_by"], one["file"]) for one in told] == [("canary", "canary.crt")]
        assert json.loads(node.cli("plan", "--json", check=True).stdout)["certificates"] == []
    finally:
        node.close()
