"""The option `--vocabulary` of the commands for files."""

from __future__ import annotations

import json

from tests.cli.files import recipe, secret, small
from tests.cli.support import deid_node

RECIPE = "FORMAT dicom\n%header\nREPLACE SeriesDescription func:clean_text\nREMOVE PatientName\n"


def test_a_run_can_have_words_of_its_own(tmp_path):
    scan = small(tmp_path / "in.dcm", SeriesDescription="T1 xyzzy sag")
    (tmp_path / "words.txt").write_text("xyzzy\n")
    common = ("preview", scan, "--recipe", recipe(tmp_path, RECIPE), "--secret", secret(tmp_path), "--project", "p")
    common += ("--gate", "report", "--all", "--json")

    def after(*options: object) -> str:
        done = deid_node(*common, *options, cwd=tmp_path)
        elements = {one["name"]: one["after"] for one in json.loads(done.stdout)["elements"]}
        return elements["SeriesDescription"]

    assert after() == "T1 sag"
    assert after("--vocabulary", tmp_path / "words.txt") == "T1 xyzzy sag"
    refused = deid_node(*common, "--vocabulary", tmp_path / "none.txt", cwd=tmp_path)
    assert refused.returncode == 1
    assert "none.txt" in refused.stderr
