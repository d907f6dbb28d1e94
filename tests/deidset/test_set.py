"""The node's recipes over the set: nothing is left, nothing is lost, and what refers to one another still does."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.deidset.build import build, synthetic
from tests.deidset.check import COLUMNS, Check, Report
from tests.deidset.cleaning import EVERYTHING, clean, settings
from tests.deidset.encoding import part10
from tests.deidset.expected import RESEARCH, Expectation

# By name: the recipes of a route, and the options that they stand for.
ROUTES = {
    "ps3.15-basic": (("ps3.15-basic",), ()),
    "options": (("ps3.15-basic", *RESEARCH), RESEARCH),
    "research": (("research",), RESEARCH),
}


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> SimpleNamespace:
    folder = tmp_path_factory.mktemp("set")
    return SimpleNamespace(folder=folder, held=build(folder / "in", whole=False), reports={})


def report(made: SimpleNamespace, route: str) -> Report:
    if route not in made.reports:
        recipes, options = ROUTES[route]
        done = clean(settings(recipes, policy=EVERYTHING), made.folder / "in", made.folder / route)
        check = Check(Expectation(options, measures_alone=route == "research"))
        for name, held in made.held.items():
            check.file(name, made.folder / "in" / name, made.folder / route / name, done[name].reason, may_be_held=held)
        made.reports[route] = check.finish()
    return made.reports[route]


@pytest.mark.parametrize(
    "route", ["research", *(pytest.param(one, marks=pytest.mark.slow) for one in ("ps3.15-basic", "options"))]
)
def test_nothing_is_counted_and_most_files_come_out(made, route):
    found = report(made, route)
    assert {COLUMNS[column]: found.places[column][:20] for column in COLUMNS if found.counts[column]} == {}
    assert found.files == len(made.held) > 300
    assert found.out > found.files * 0.8


@pytest.mark.slow
def test_by_default_only_what_may_show_somebody_is_held(made):
    done = clean(settings(("research",)), made.folder / "in", made.folder / "by-default")
    held = {name: one.reason for name, one in done.items() if one.reason}
    assert not [f"{name}: {reason}" for name, reason in held.items() if not made.held[name]]
    reasons = {reason.partition(":")[0] for reason in held.values()}
    assert reasons >= {"document", "pixel-risk", "unknown-sop-class", "no-patient-id"}


def test_every_kind_of_thing_is_planted():
    names = {file.name.split("-")[0] for file in synthetic(whole=False)}
    assert names == {"iod", "rows", "dictionary", "private", "places", "texts", "charset", "linked"}


def test_the_same_seed_makes_the_same_set_and_another_one_another():
    one, again, other = (
        [
            part10(file.tree, file.syntax, meta=file.meta, preamble=file.preamble)
            for file in synthetic(seed, whole=False)
        ]
        for seed in (1, 1, 2)
    )
    assert one == again
    assert not set(one) & set(other)


def test_what_is_not_cleaned_is_counted_in_every_column_that_it_belongs_to(made, tmp_path):
    check = Check(Expectation(RESEARCH))
    for name, held in made.held.items():
        if name.startswith(("linked", "rows-ct", "places")):
            check.file(name, made.folder / "in" / name, made.folder / "in" / name, "", may_be_held=held)
    found = check.finish()
    assert found.counts["tokens"] > 500
    assert found.counts["unmapped"] > 200
    assert found.counts["marks"] == found.files
    assert found.counts["intervals"] > 100  # nothing moved
    assert not found.counts["harmless"] + found.counts["required"] + found.counts["pixels"]


def test_what_is_lost_or_broken_is_counted(made, tmp_path):
    name = "linked-1-0-ct-0.dcm"
    (file,) = (file for file in synthetic(whole=False) if f"{file.name}.dcm" == name)
    spoilt = dict(file.tree)
    spoilt[0x7FE00010] = ("OW", b"\1" * 32)
    del spoilt[0x00180050]  # Slice Thickness: Type 2, harmless
    spoilt[0x00080020] = ("DA", "20161231")
    spoilt[0x00080021] = ("DA", "20170102")
    (tmp_path / name).write_bytes(part10(spoilt))
    check = Check(Expectation(RESEARCH))
    check.file(name, made.folder / "in" / name, tmp_path / name, "", may_be_held=False)
    check.file("gone.dcm", made.folder / "in" / name, tmp_path / "none", "", may_be_held=False)
    check.file("held.dcm", made.folder / "in" / name, tmp_path / "none", "leak", may_be_held=False)
    counts = check.finish().counts
    assert {column for column in COLUMNS if counts[column]} >= {
        "lost", "held", "tokens", "unmapped", "intervals", "harmless", "required", "pixels", "marks"
    }  # fmt: skip
    assert (counts["lost"], counts["held"], counts["pixels"], counts["required"]) == (1, 1, 1, 1)


def test_two_nodes_with_one_secret_agree_to_the_byte_and_two_projects_share_nothing(made, tmp_path):
    some = tmp_path / "in"
    some.mkdir()
    for path in sorted((made.folder / "in").glob("linked-*.dcm")):
        shutil.copyfile(path, some / path.name)
    how = settings(("ps3.15-basic", "retain-modified-dates"))
    one, other = (clean(dataclasses.replace(how), some, tmp_path / name) for name in ("one", "other"))
    clean(settings(("ps3.15-basic", "retain-modified-dates"), project="second"), some, tmp_path / "second")
    assert {name: done.reason for name, done in one.items()} == {name: done.reason for name, done in other.items()}
    for path in some.iterdir():
        assert (tmp_path / "one" / path.name).read_bytes() == (tmp_path / "other" / path.name).read_bytes()
    mine, theirs = (replaced(tmp_path / name) for name in ("one", "second"))
    assert len(mine) > 30
    assert not mine & theirs


def replaced(folder: Path) -> set[str]:
    import pydicom

    found: set[str] = set()
    for path in folder.iterdir():
        dataset = pydicom.dcmread(path)
        found.add(str(dataset.PatientID))
        found |= {str(e.value) for e in dataset.iterall() if e.VR == "UI" and str(e.value).startswith("2.25.")}
    return found
