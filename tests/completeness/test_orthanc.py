"""The same with Orthanc as the destination, which stores and answers."""

from __future__ import annotations

import json
import urllib.request
from pathlib import Path

import pytest

from node.ledger.completeness import listed
from tests.orthanc import orthanc
from tests.support import RunningNode, make_ct, storescu, wait_for

pytestmark = pytest.mark.slow


def ask(web: int, path: str, method: str = "GET") -> object:
    request = urllib.request.Request(f"http://127.0.0.1:{web}{path}", method=method)
    with urllib.request.urlopen(request, timeout=20) as answer:
        return json.loads(answer.read() or b"null")


def state(node: RunningNode) -> str:
    with node.ledger() as ledger:
        found = listed(ledger.database)
    return found[0]["state"] if len(found) == 1 and not found[0]["changed_since"] else ""


def test_orthanc_confirms_what_it_has_and_not_what_it_has_lost(tmp_path: Path) -> None:
    with orthanc(tmp_path / "orthanc", DicomAlwaysAllowFind=True) as (port, web):
        _confirms_and_misses(tmp_path, port, web)


def _confirms_and_misses(tmp_path: Path, port: int, web: int) -> None:
    node = RunningNode(tmp_path, {"orthanc": port}, completeness={"quiet": "1s"})
    node.config["destinations"]["orthanc"]["query"] = {}
    node.write_config()
    try:
        node.start()
        assert storescu(node.port, *make_ct(tmp_path / "in", 20, rows=16)).returncode == 0
        node.wait_delivered(20)
        wait_for(lambda: state(node) == "complete", "Orthanc confirms", 30)
        assert node.cli("completeness", "list", "--problems").returncode == 0
        lost = ask(web, "/instances")
        assert isinstance(lost, list)
        ask(web, f"/instances/{lost[0]}", "DELETE")
        with node.ledger() as ledger:
            (one,) = listed(ledger.database)
        node.cli("completeness", "check", one["study_instance_uid"], check=True)
        wait_for(lambda: state(node) == "different", "it is missing", 30)
        shown = json.loads(node.cli("completeness", "show", one["study_instance_uid"], "--json").stdout)
        assert shown["destinations"]["orthanc"]["missing"] == 1
        assert shown["differences"][0]["kind"] == "missing"
    finally:
        node.close()
