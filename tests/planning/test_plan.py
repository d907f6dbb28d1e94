"""What a plan says of a changed configuration or recipe, and that it changes nothing and tells no value."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from node import in_use
from node.cleaner.plan import make_plans
from node.cli import run
from node.config import Config, load_config
from node.identity import load_secret
from node.ledger.database import Database
from node.opening import make_spool, open_node
from node.planning.senders import transitions
from node.routing import compile_routes
from tests.config.support import GOOD, write
from tests.dicomnet.tls import Authority
from tests.ledger.support import receive
from tests.support import make_ct

RECIPE = "FORMAT dicom\n%header\nREMOVE PatientName\nREPLACE PatientID NOBODY\n"
REPORTING = GOOD.replace("to: [archive]", "to: [archive]\n    gate: report")


class Site:
    """A node that has run with a configuration, and has three originals of route `research`, one of nobody."""

    def __init__(self, folder: Path, copy_of: Site | None = None) -> None:
        self.folder = folder
        if copy_of is not None:
            shutil.copytree(copy_of.folder, folder, dirs_exist_ok=True, ignore=_without_empty_folders)
        self.path = write(folder, REPORTING)
        self.recipe(RECIPE)
        config = self.load()
        if copy_of is None:
            self._begin(config)
        self.runs_with(config)

    def _begin(self, config: Config) -> None:
        folder = self.folder
        open_node(config, make_spool(config))
        database = Database(config.node.ledger)
        files = [*make_ct(folder / "in", 2), *make_ct(folder / "nobody", 1, patient="UNKNOWN")]
        for number, file in enumerate(files):
            name = receive(database, route="research", uid=f"1.2.{number}")
            target = make_spool(config).original(name)
            shutil.copy(file, target)
        database.close()

    def recipe(self, text: str, name: str = "own/careful.dicom") -> None:
        (self.folder / name).write_text(text)

    def load(self) -> Config:
        return load_config(self.path)

    @staticmethod
    def runs_with(config: Config) -> None:
        recipes = compile_routes(config)
        make_plans(config, recipes, load_secret(config.node.secret_file))
        in_use.note(config, recipes)

    def plan(self, capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> dict[str, Any]:
        before = {path: path.read_bytes() for path in self.folder.rglob("*.d*") if path.is_file()}
        assert run(["plan", "--json", *arguments, "--config", str(self.path)]) == code
        text = capsys.readouterr().out
        assert {path: path.read_bytes() for path in self.folder.rglob("*.d*") if path.is_file()} == before
        assert "PLANTED" not in text
        assert "MRN-0001" not in text
        return dict(json.loads(text))


def _without_empty_folders(folder: str, names: list[str]) -> list[str]:
    """Of a spool, the hundreds that a start makes."""
    found = [Path(folder, name) for name in names if len(name) == 2]
    return [path.name for path in found if path.is_dir() and not any(path.iterdir())]


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return Site(tmp_path_factory.mktemp("original"))


@pytest.fixture
def site(tmp_path: Path, original: Site) -> Site:
    return Site(tmp_path, copy_of=original)


def elements(found: dict[str, Any]) -> dict[str, tuple[object, ...]]:
    (one,) = found["recipes"]
    keys = ("before", "after", "line_before", "line_after", "instances")
    return {row["path"]: tuple(row[key] for key in keys) for row in one["samples"]["elements"]}


def test_where_nothing_was_changed_it_says_so(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    found = site.plan(capsys)
    assert found["changes"] is False
    assert found["against"] == "running"
    assert run(["plan", "--config", str(site.path)]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "no change"


def test_an_edited_recipe_is_told_by_its_lines_and_by_what_it_does_to_stored_originals(
    site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    site.recipe(RECIPE.replace("PatientName\n", "PatientName\nREPLACE InstitutionName NOWHERE\n"))
    found = site.plan(capsys)
    (one,) = found["recipes"]
    assert one["route"] == "research"
    assert one["lines"] == [
        {"name": "careful.dicom", "added": [{"line": 4, "text": "REPLACE InstitutionName NOWHERE"}], "gone": []}
    ]
    recipe = site.folder / "own" / "careful.dicom"
    assert elements(found) == {"(0008,0080)": ("kept", "changed", "", f"{recipe}:4", 3)}
    assert {key: one["samples"][key] for key in ("samples", "changed", "new_holds", "ended_holds")} == {
        "samples": 3,
        "changed": 3,
        "new_holds": {},
        "ended_holds": {},
    }
    assert site.plan(capsys, "--samples", "1")["recipes"][0]["samples"]["samples"] == 1
    assert run(["plan", "--config", str(site.path)]) == 0
    out = capsys.readouterr().out
    assert "+ careful.dicom:4: REPLACE InstitutionName NOWHERE" in out
    assert "(0008,0080) InstitutionName: kept (no line) -> changed" in out


def test_another_recipe_in_the_place_of_one_shows_new_holds_and_those_that_end(
    site: Site, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(site.folder)
    keyed = RECIPE.replace("NOBODY", "func:pseudonym")
    site.recipe(keyed, "own/keyed.dicom")
    change = ("--recipe", "own/careful.dicom=own/keyed.dicom")
    (one,) = site.plan(capsys, *change)["recipes"]
    assert one["samples"]["new_holds"] == {"no-patient-id": 1}
    assert one["samples"]["changed"] == 3
    site.recipe(keyed)
    site.runs_with(site.load())
    site.recipe(RECIPE, "own/keyed.dicom")
    (one,) = site.plan(capsys, *change)["recipes"]
    assert one["samples"]["ended_holds"] == {"no-patient-id": 1}
    assert run(["plan", "--recipe", "none=tcia", "--config", str(site.path)]) == 1
    assert "no route has the recipe 'none'" in capsys.readouterr().err


def test_a_key_of_a_route_that_cleaning_goes_by_is_tried_on_stored_originals(
    site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    site.path.write_text(REPORTING.replace("gate: report", "gate: hold"))
    found = site.plan(capsys)
    assert found["routes"]["changed"] == [{"route": "research", "keys": ["gate"]}]
    assert found["recipes"][0]["samples"]["new_holds"] == {"leak": 3}
    assert found["recipes"][0]["lines"] == []


def test_routes_that_come_go_move_and_take_senders_from_others_are_told(
    site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    first = "routes:\n  - { name: mr, recipe: [research], to: [archive], from: { calling_ae: [MR1, SCU] } }\n"
    new = site.folder / "elsewhere" / "new.yaml"
    new.parent.mkdir()
    new.write_text(REPORTING.replace("routes:\n", first))
    found = site.plan(capsys, "--new", str(new))
    assert found["routes"] == {"new": ["mr"], "gone": [], "changed": [], "moved": []}
    assert found["keys"] == []
    assert found["senders"] == [
        {
            "before": "research",
            "after": "mr",
            "who": [
                {"called_ae": ["DEIDNODE"], "calling_ae": ["MR1", "SCU"], "address": ["any"], "certificate": ["any"]}
            ],
        }
    ]
    (recent,) = found["recent_senders"]
    assert (recent["calling_ae"], recent["before"], recent["after"], recent["instances"]) == (
        "SCU",
        "research",
        "mr",
        3,
    )
    assert run(["plan", "--new", str(new), "--config", str(site.path)]) == 0
    assert "research -> mr: called_ae DEIDNODE; calling_ae MR1, SCU" in capsys.readouterr().out


def test_what_a_reload_would_refuse_and_what_needs_a_restart_is_told(
    site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    site.path.write_text(
        REPORTING.replace("DEIDNODE\n", "DEIDNODE\n  workers: 7\n  drain: 31s\n").replace(":11112", ":11119")
    )
    found = site.plan(capsys)
    assert {"node.workers", "node.drain", "node.listen"} == set(found["keys"])
    assert [text.split(" ")[0] for text in found["restart"]] == ["node.listen", "node.workers"]
    site.path.write_text(REPORTING + "drian: 5s\n")
    assert "drian" in site.plan(capsys, code=1)["faults"][0]
    (site.folder / "own/careful.dicom").write_text("FORMAT dicom\n%header\nREMOOVE PatientName\n")
    site.path.write_text(REPORTING)
    assert "careful.dicom:3" in site.plan(capsys, code=1)["faults"][0]


def routed(tmp_path: Path, *senders: str) -> Config:
    entries = "".join(
        f"  - {{name: r{n}, recipe: [research], to: [archive], from: {who}}}\n" for n, who in enumerate(senders)
    )
    head, _, tail = GOOD.partition("routes:\n")
    return load_config(write(tmp_path, head + "routes:\n" + entries + tail[tail.index("destinations:") :]))


def test_senders_are_told_apart_by_every_part_of_both_configurations(tmp_path: Path) -> None:
    def changes(old: Config, new: Config) -> list[tuple[object, ...]]:
        found, complete = transitions(old, new)
        assert complete
        return [(one["before"], one["after"], *one["who"][0].values()) for one in found]  # type: ignore[index]

    wide = routed(tmp_path, "{address: [10.0.0.0/8]}")
    narrow = routed(tmp_path, "{address: [10.1.0.0/16]}")
    assert changes(wide, wide) == []
    title = ["DEIDNODE"]
    assert changes(wide, narrow) == [("r0", None, title, ["any"], ["10.0.0.0/8"], ["any"])]
    two = routed(tmp_path, "{address: [10.1.0.0/16], calling_ae: ['CT*']}", "{address: [10.0.0.0/8]}")
    found, _ = transitions(wide, two)
    (one,) = found
    assert (one["before"], one["after"]) == ("r0", "r1")
    told = [(who["calling_ae"], who["address"]) for who in one["who"]]  # type: ignore[attr-defined]
    assert sorted(told) == [
        (["CT*"], ["10.0.0.0/8"]),
        (["any other"], ["10.0.0.0/8"]),
        (["any other"], ["10.1.0.0/16"]),
    ]


def test_a_certificate_with_another_content_under_the_same_name_is_told(
    site: Site, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one, other = Authority(tmp_path / "one"), Authority(tmp_path / "other")
    write(site.folder, REPORTING + f"    tls: {{ ca: {one.ca} }}\n")
    site.runs_with(site.load())
    assert site.plan(capsys)["certificates"] == []
    shutil.copy(other.ca, one.ca)
    found = site.plan(capsys)
    assert found["certificates"] == [{"used_by": "destination archive", "file": str(one.ca)}]
    assert found["changes"]
    assert not found["keys"]
    noted = (site.folder / "var/in-use.json").read_text()
    assert "BEGIN" not in noted
