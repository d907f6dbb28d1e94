"""`clean` and `preview` use the gate as a route does."""

from __future__ import annotations

import json

import pydicom
import pytest

from node.config import load_config
from tests.cli.files import ON_PURPOSE, PLAIN, recipe, small, tree
from tests.cli.support import configure


@pytest.fixture
def scan(tmp_path):
    return small(tmp_path / "scan.dcm", StudyDescription="from PLANTED HOSPITAL")


def test_a_file_that_leaks_is_held_and_not_written(deid, tmp_path, scan):
    strict = recipe(tmp_path, PLAIN + ON_PURPOSE)
    done = deid("clean", "--recipe", strict, scan, "--out", "out", "--json", gate=None)
    assert done.code == 1
    (held,) = json.loads(done.out)["held"]
    assert (held["reason"], held["detail"]) == (
        "leak",
        "Institution Name in (0008,1030); Patient's Name in (0008,1030)",
    )
    assert not any(name.endswith(".dcm") for name in tree(tmp_path / "out"))
    assert "PLANTED" not in done.out + done.err


def test_reported_it_is_written_and_named(deid, tmp_path, scan):
    strict = recipe(tmp_path, PLAIN + ON_PURPOSE)
    done = deid("clean", "--recipe", strict, scan, "--out", "out", gate="report")
    assert (done.code, done.out) == (0, "1 written, 0 held, 0 failed\n")
    assert done.err.startswith(f"written: {scan}: leak: Institution Name in (0008,1030)")
    assert list(tree(tmp_path / "out")) == ["1.2.3/1.2.3.0/1.2.3.1.dcm"]


@pytest.mark.parametrize(("gate", "code"), [(None, 1), ("report", 0)])
def test_a_preview_tells_the_leak(deid, tmp_path, scan, gate, code):
    strict = recipe(tmp_path, PLAIN + ON_PURPOSE)
    done = deid("preview", "--recipe", strict, scan, "--mask", gate=gate)
    assert done.code == code
    assert done.out.splitlines()[-1] == "leak: Institution Name in (0008,1030); Patient's Name in (0008,1030)"
    assert "PLANTED" not in done.out
    shown = json.loads(deid("preview", "--recipe", strict, scan, "--json", gate=gate).out)
    assert shown["leaks"] == ["Institution Name in (0008,1030)", "Patient's Name in (0008,1030)"]
    assert shown["held"] is None


def test_a_preview_without_a_leak_says_nothing_of_it(deid, tmp_path):
    scan = small(tmp_path / "scan.dcm")
    done = deid("preview", "--recipe", recipe(tmp_path, PLAIN + ON_PURPOSE), scan, gate=None)
    assert (done.code, "leak: " in done.out) == (0, False)


def test_a_route_says_what_its_files_get(deid, tmp_path, scan):
    config = configure(tmp_path)
    (tmp_path / "careful.dicom").write_text(PLAIN + ON_PURPOSE)
    assert load_config(config).routes[0].gate == "hold"
    common = ("clean", "--config", config, "--route", "research", scan, "--out")
    assert deid(*common, "held", gate=None).code == 1
    config.write_text(config.read_text().replace("    to: [archive]", "    to: [archive]\n    gate: report"))
    assert deid(*common, "out", gate=None).code == 0
    assert deid(*common, "other", gate="hold").code == 1


def test_scrubbed_it_is_written_without_what_was_found(deid, tmp_path, scan):
    strict = recipe(tmp_path, PLAIN + ON_PURPOSE)
    done = deid("clean", "--recipe", strict, scan, "--out", "out", gate="scrub")
    assert (done.code, done.out) == (0, "1 written, 0 held, 0 failed\n")
    assert done.err.startswith(f"written: {scan}: leak: scrubbed: Institution Name in (0008,1030)")
    (written,) = (tmp_path / "out").rglob("*.dcm")
    assert pydicom.dcmread(written).StudyDescription == "from"
    assert b"PLANTED" not in written.read_bytes()
    shown = json.loads(deid("preview", "--recipe", strict, scan, "--json", gate="scrub").out)
    (row,) = (row for row in shown["elements"] if row["path"] == "(0008,1030)")
    assert (row["what"], row["after"], row["lines"][-1]) == ("changed", "from", {"where": "gate", "text": "scrub"})
    assert shown["leaks"] == []


def test_what_cannot_be_scrubbed_is_held(deid, tmp_path):
    scan = small(tmp_path / "scan.dcm", StationName="PLANTED")
    done = deid("clean", "--recipe", recipe(tmp_path, PLAIN + ON_PURPOSE), scan, "--out", "out", "--json", gate="scrub")
    assert done.code == 1
    assert json.loads(done.out)["held"][0]["detail"] == "Station Name in (0008,1010)"
