"""Running the command line as a process, as people do."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support import free_port
from tests.zygote import run

ROOT = Path(__file__).parents[2]
RECIPE = "FORMAT dicom\n%header\nREMOVE PatientName\n"

CONFIG = """\
node:
  ae_title: DEIDNODE
  listen: 127.0.0.1:11112
routes:
  - name: research
    recipe: [careful.dicom]
    to: [archive]
destinations:
  archive:
    ae_title: ARCHIVE
    address: 127.0.0.1:{port}
    timeout: {{ connect: 1s, associate: 2s }}
"""


def deid_node(*arguments: object, cwd: Path, config: Path | None = None) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name != "DEID_NODE_CONFIG"}
    environment["PYTHONPATH"] = str(ROOT)
    if config is not None:
        environment["DEID_NODE_CONFIG"] = str(config)
    command = [sys.executable, "-m", "node", *map(str, arguments)]
    return run(command, cwd=cwd, env=environment, timeout=60)


def configure(folder: Path, port: int = 1, name: str = "config.yaml") -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "careful.dicom").write_text(RECIPE)
    path = folder / name
    path.write_text(CONFIG.format(port=port))
    return path


@contextmanager
def dcmtk_storescp(folder: Path) -> Iterator[int]:
    """Run DCMTK's storescp and yield its port."""
    port = free_port()
    command = ["storescp", "--aetitle", "ARCHIVE", "--output-directory", str(folder), str(port)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 30
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                assert time.monotonic() < deadline
                time.sleep(0.05)
        yield port
    finally:
        process.terminate()
        process.wait(10)
