"""Orthanc, run for a while."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

from tests.support import can_connect, free_port, wait_for


@contextlib.contextmanager
def orthanc(folder: Path, port: int | None = None, **settings: object) -> Iterator[tuple[int, int]]:
    """Run Orthanc with all that it has in `folder`; give its ports for DICOM and HTTP. `settings` are its own."""
    folder.mkdir()
    port, web = port or free_port(), free_port()
    chosen = {
        "StorageDirectory": str(folder / "db"),
        "IndexDirectory": str(folder / "db"),
        "HttpPort": web,
        "AuthenticationEnabled": False,
        "RemoteAccessAllowed": False,
        "DicomPort": port,
        "DicomAet": "ORTHANC",
        **settings,
    }
    file = folder / "orthanc.json"
    file.write_text(json.dumps(chosen))
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            ["Orthanc", str(file)], stdout=log, stderr=log, env={**os.environ, "TCP_NODELAY": "1"}
        )
    try:
        wait_for(lambda: can_connect(port) and can_connect(web), "Orthanc listens", 60)
        yield port, web
    finally:
        process.terminate()
        process.wait(30)
