"""Orthanc as a destination that commits: it reports on an association of its own."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.commitment.peers import Scanner, refs
from tests.orthanc import orthanc
from tests.support import RunningNode, free_port, make_ct

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("Orthanc") is None, reason="Orthanc is not installed"),
]


@pytest.mark.parametrize("way", ["commitment", "find"])
def test_orthanc_commits_what_it_has(tmp_path: Path, way: str) -> None:
    port = free_port()
    node = RunningNode(tmp_path, {"orthanc": port})
    scanner = Scanner(node.port)
    node.config["destinations"]["orthanc"]["query"] = {}
    node.config["routes"][0] |= {
        "from": {"calling_ae": ["CT1"]},
        "commitment": {"confirm": way, "patience": "0s"},
    }
    node.config["peers"] = {"CT1": f"127.0.0.1:{scanner.port}"}
    node.write_config()
    with orthanc(tmp_path / "orthanc", port, DicomModalities={"node": ["DEIDNODE", "127.0.0.1", node.port]}):
        try:
            node.start()
            scanner.listen()
            files = make_ct(tmp_path / "ct", 3, rows=8)
            scanner.send(files)
            assert scanner.ask([*refs(files), ("1.2.840.10008.5.1.4.1.1.2", "1.2.3.4")]) == 0x0000
            told = scanner.report()
            assert told.committed == {uid for _, uid in refs(files)}
            assert told.failed == {"1.2.3.4": 0x0112}
        finally:
            scanner.close()
            node.close()
