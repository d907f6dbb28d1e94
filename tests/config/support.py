"""Configurations for tests, written as text, so that lines can be checked."""

from __future__ import annotations

from pathlib import Path

from node.config import Config, load_config
from node.errors import ConfigError, Fault

GOOD = """\
node:
  ae_title: DEIDNODE
  listen: 127.0.0.1:11112
routes:
  - name: research
    recipe: [own/careful.dicom]
    to: [archive]
destinations:
  archive:
    ae_title: ARCHIVE
    address: 127.0.0.1:11113
"""


def write(folder: Path, text: str) -> Path:
    (folder / "own").mkdir(exist_ok=True)
    (folder / "own" / "careful.dicom").write_text("FORMAT dicom\n%header\nREMOVE PatientName\n")
    path = folder / "config.yaml"
    path.write_text(text)
    return path


def load(folder: Path, text: str) -> Config:
    return load_config(write(folder, text))


def faults(folder: Path, text: str) -> list[Fault]:
    try:
        load(folder, text)
    except ConfigError as error:
        return error.faults
    return []


def keys(folder: Path, text: str) -> list[tuple[int | None, str]]:
    return [(fault.line, fault.key) for fault in faults(folder, text)]


def routes(*senders: str, listen: str = "127.0.0.1:11112") -> str:
    """A configuration with a route for each `from`."""
    entries = "".join(
        f"  - {{name: r{number}, recipe: [own/careful.dicom], to: [archive]{', from: ' + sender if sender else ''}}}\n"
        for number, sender in enumerate(senders)
    )
    head, _, tail = GOOD.partition("routes:\n")
    return head.replace("127.0.0.1:11112", f"'{listen}'") + "routes:\n" + entries + tail[tail.index("destinations:") :]
