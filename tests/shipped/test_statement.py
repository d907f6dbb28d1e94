"""A statement tells what the engine does, and nothing that the recipe does not hold."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import pytest

from node.recipe import Recipe, load_recipe, shipped_recipe
from node.standard import required
from node.statement import Doings, ProjectSettings, facts, page
from scripts.shipped import RECIPES
from tests.cli.support import configure, deid_node
from tests.profile.support import cleaned, element, iods, of_all, rows, shown, sop_class, token
from tests.recipe.support import Keys, text

SOP_CLASSES = {
    "ct-image": "1.2.840.10008.5.1.4.1.1.2",
    "rt-structure-set": "1.2.840.10008.5.1.4.1.1.481.3",
    "positron-emission-tomography-image": "1.2.840.10008.5.1.4.1.1.128",
}
NAMES = [*RECIPES, "ps3.15-basic"]


@cache
def loaded(name: str) -> Recipe:
    found = shipped_recipe(name)
    assert found is not None
    return load_recipe([found])


@cache
def told(name: str) -> dict[str, Any]:
    return facts(loaded(name), [name])


def words(doing: str, row: dict[str, str]) -> set[str]:
    """What may be seen of a value, by what is told."""
    if "(moved" in doing:
        return {"shifted"}
    if "keyed UID" in doing:
        return {"uid", "kept"} if row["vr"] != "SQ" else {"walked"}
    return {
        "keep": {"kept", "walked"},
        "remove": {"removed"},
        "empty": {"empty"},
        "dummy": {"dummy", "uid"},
        # In a text that no vocabulary knows nothing may be left.
        "clean": {"kept", "dummy", "changed", "empty", "removed", "walked"},
        "replace": {"dummy", "changed"},
    }[doing.partition(" ")[0]]


@pytest.mark.parametrize("iod", SOP_CLASSES)
@pytest.mark.parametrize("name", NAMES)
def test_each_row_is_what_the_engine_does_with_an_object_that_has_it(name, iod):
    uid = SOP_CLASSES[iod]
    assert iods()[uid] == iod
    values = {row["number"]: (row, token(row["number"], row["vr"])) for row in rows()}
    encoded = {tag: element(tag, row["vr"], value) for tag, (row, value) in values.items()}
    encoded |= {0x00080016: sop_class(uid), 0x0020000D: element(0x0020000D, "UI", b"1.2.3.99")}
    after = cleaned(loaded(name), of_all(encoded)).after
    doings, wrong = Doings(loaded(name)), []
    for tag, (row, value) in values.items():
        if tag == 0x0020000D:
            continue
        doing = str(doings.of(tag, row["vr"], kind=required(iod).get((0, tag), 3)))
        now = shown(after, row, value)
        if now not in words(doing, row):
            wrong.append((row["tag"], row["name"], doing, now))
    assert wrong == []


@pytest.mark.parametrize("name", NAMES)
def test_the_table_has_each_row_once_and_the_private_elements_that_stay(name):
    found = told(name)
    assert [row["tag"] for row in found["rows"]] == [row["tag"] for row in rows()]
    profile = loaded(name).profile
    assert profile is not None
    kept = {key[1:] for key, line in profile.lines.items() if len(key) == 4 and line.code in ("K", "U")}
    said = {(int(one["group"], 16), one["creator"], int(one["element"], 16)) for one in found["private"]}
    assert kept <= said
    assert found["unlisted_private"] == "remove"


def test_no_two_recipes_have_the_same_statement():
    pages = [page(told(name)) for name in NAMES]
    assert len(set(pages)) == len(NAMES)


def does(name: str, tag: str) -> str:
    return next(str(row["does"]) for row in told(name)["rows"] if row["tag"] == tag)


def test_what_differs_between_recipes_is_told():
    assert does("research", "(0018,1000)") == "remove", "Device Serial Number"
    assert does("tcia", "(0018,1000)") == "keep"
    assert does("research", "(0008,0020)").startswith("clean (moved")
    assert does("ps3.15-basic", "(0008,0020)") == "empty"
    assert does("research", "(0008,0050)").startswith("replace (by a keyed text")
    assert does("ps3.15-basic", "(0010,1010)") == "remove"
    assert does("research", "(0010,1010)").startswith("clean (computed where there is none")
    codes = {name: [one["code"] for one in told(name)["profile"]["codes"]] for name in NAMES}
    assert "113109" in codes["tcia"]
    assert "113109" not in codes["research"]
    assert codes["ps3.15-basic"] == ["113100"]


def test_a_line_of_ones_own_changes_what_is_told():
    own = text("%profile basic", "X (0010,4000)", "%header", "KEEP PatientComments", "ADD StudyID PILOT", name="own")
    found = facts(load_recipe([own]), ["own"])
    rows_told = {row["tag"]: row["does"] for row in found["rows"]}
    assert rows_told["(0010,4000)"] == "keep"
    assert rows_told["(0020,0010)"] == "replace (by PILOT)"
    assert rows_told["(0010,1040)"] == "keep", "nothing says that an address goes"
    assert {one["value"] for one in found["written"]} >= {"YES", "REMOVED", "PILOT"}


def test_what_only_holds_outside_of_sequences_is_told_as_such():
    row = next(row for row in told("research")["rows"] if row["tag"] == "(0010,0020)")
    assert row["does"] == "replace (by the patient's pseudonym)"
    assert row["inside"] == "empty"


def test_a_recipe_without_a_profile_claims_no_method():
    recipe = load_recipe([text("%header", "REMOVE PatientName", "REMOVE values:it", "%values it", "FIELD PatientID")])
    found = facts(recipe, ["own"])
    assert found["profile"] is None
    assert "no code of a method" in page(found)
    assert "or as its value says" in page(found), "what a list decides"


def test_the_project_s_settings_are_told_where_they_are_known():
    project = ProjectSettings("trial-7", 2, 14, 400, True, "empty", "1.2.3", 12)
    told_page = page(facts(loaded("research"), ["research"], project))
    assert "14 to 400 days into the past, in whole weeks" in told_page
    assert "A date that is none becomes empty." in told_page
    assert "days into the past" not in page(told("research"))


def test_the_command_tells_it_with_hash_version_and_edition(tmp_path):
    config = configure(tmp_path)
    done = deid_node("recipe", "statement", "--recipe", "research", "--project", "trial-7", cwd=tmp_path, config=config)
    assert done.returncode == 0, done.stderr
    for words_told in (loaded("research").hash, "deid-node 0.", "PS3.15 2026d", "30 to 730 days", "| 113100 |"):
        assert words_told in done.stdout
    asked = ("recipe", "statement", "--route", "research", "--json")
    found = json.loads(deid_node(*asked, cwd=tmp_path, config=config).stdout)
    assert found["recipes"] == ["careful.dicom"] or found["recipes"][0].endswith("careful.dicom")
    assert found["project"]["name"] == "research"
    assert deid_node("recipe", "statement", cwd=tmp_path).returncode == 2
    assert Keys().pseudonym() not in done.stdout
