"""What of a configuration, of a sentence and of a line of the log comes through into a bundle."""

from __future__ import annotations

import json
import os
import sys
import zipfile
from pathlib import Path

from node.config import load_config
from node.support.log import tail
from node.support.settings import plain
from node.support.tokens import Tokens, tags_in
from tests.support import REPOSITORY
from tests.zygote import run


def test_of_the_configuration_stay_numbers_switches_and_words_of_closed_lists(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    (tmp_path / "meier.dicom").write_text("FORMAT dicom\n%header\nREMOVE PatientID\n", encoding="utf-8")
    path.write_text(
        """\
node: {ae_title: DRMEIER, listen: 10.1.2.3:11112, log: {level: debug}, min_free_disk: 2 GiB}
routes:
  - {name: meier, from: {calling_ae: [CTMEIER]}, recipe: [research, ./meier.dicom], to: [north], gate: scrub}
destinations: {north: {ae_title: MEIERPACS, address: pacs.meier.example:104, associations: 3}}
projects: {meier: {placeholder_ids: [MEIER1]}}
""",
        encoding="utf-8",
    )
    tokens = Tokens()
    told = plain(load_config(path), tokens)
    assert "meier" not in str(told).lower()
    assert "10.1.2.3" not in str(told)
    (route,) = told["routes"]
    assert (route["gate"], route["recipe"][0], route["to"]) == ("scrub", "research", [*told["destinations"]])
    assert (told["node"]["log"]["level"], told["node"]["min_free_disk"]) == ("debug", "2 GiB")
    assert told["node"]["listen"].endswith(":11112")
    assert told["destinations"][route["to"][0]]["associations"] == 3
    assert [*told["projects"]] == [route["project"]]


def test_of_a_sentence_stay_the_nodes_own_words() -> None:
    tokens = Tokens()
    north = tokens.of("destination", "north")
    said = "destination 'north' at pacs.example:104 (north, 10.0.0.1) has no 'KOWALSKA^ANNA' in /data/meier/x.dicom"
    assert tokens.sentence(said) == f"destination '{north}' at … ({north}, …) has no … in …"
    assert tokens.of("destination", "north") == north
    assert tags_in("Patient Name in (0040,0275)__0__(0040,0007); (0008,0080)") == [
        "(0040,0275)__0__(0040,0007)",
        "(0008,0080)",
    ]


def test_of_the_log_stay_events_ids_and_numbers(tmp_path: Path) -> None:
    path = tmp_path / "node.log"
    name = "0123456789abcdef0123456789abcdef"
    path.write_text(
        f'{{"time": "t", "level": "info", "process": "cleaner0", "event": "held", "instance": "{name}", '
        f'"route": "meier", "reason": "leak", "detail": "Patient Name MEIER in (0010,0010)", "other": "MEIER"}}\n'
        f"2026-01-01T00:00:00.000Z WARNING receiver0: refused calling_ae_title=MEIER times=3\n"
        f"Traceback: MEIER\n",
        encoding="utf-8",
    )
    one, two = tail(path, 10, Tokens())
    assert one == {
        "time": "t",
        "level": "info",
        "process": "cleaner0",
        "event": "held",
        "instance": name,
        "route": "<route 1>",
        "reason": "leak",
        "tags": ["(0010,0010)"],
    }
    assert (two["event"], two["calling_ae_title"], two["times"]) == ("refused", "<ae 1>", 3)


def test_of_a_node_whose_configuration_is_broken_there_is_a_bundle_too(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("node: {ae_title: DRMEIER}\nroutes: meier\n", encoding="utf-8")
    done = run(
        [sys.executable, "-m", "node", "support-bundle", "b.zip", "--config", "config.yaml"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    with zipfile.ZipFile(tmp_path / "b.zip") as archive:
        texts = {name: archive.read(name).decode() for name in archive.namelist()}
    assert "MEIER" not in "".join(texts.values()).upper()
    assert [one["kind"] for one in json.loads(texts["check.json"])].count("fault") >= 1
    assert "cannot be loaded" in texts["problems.json"]
