"""The section `projects`."""

from __future__ import annotations

from pathlib import Path

import pytest

from node.identity.patients import PLACEHOLDERS
from tests.config.support import GOOD, faults, load


def with_project(text: str, name: str = "research") -> str:
    return f"{GOOD}projects:\n  {name}: {text}\n"


def test_a_project_without_rules_has_every_default(tmp_path: Path) -> None:
    for text in (GOOD, with_project("{}"), with_project("")):
        project = load(tmp_path, text).project("research")
        assert project.epoch == 1
        assert (project.dates.shift_min, project.dates.shift_max, project.dates.invalid) == (30, 730, "hold")
        assert (project.uid_root, project.issuers, project.placeholder_ids) == ("2.25", {}, PLACEHOLDERS)
        assert project.pseudonym.form().bits == 65


def test_every_rule_can_be_set(tmp_path: Path) -> None:
    text = GOOD + (
        "projects:\n"
        "  research:\n"
        "    epoch: 3\n"
        "    pseudonym: {prefix: T7-, length: 16, check_digit: true}\n"
        "    uid_root: 1.2.826.0.1\n"
        "    dates: {shift_min: 60 d, shift_max: 8760h, whole_weeks: true, invalid: empty}\n"
        "    issuers: {HOSPITAL: [HOSP, 'OLD ']}\n"
        "    placeholder_ids: [UNBEKANNT, 0000000]\n"
    )
    project = load(tmp_path, text).project("research")
    assert project.aliases() == {"HOSP": "HOSPITAL", "OLD": "HOSPITAL"}
    assert project.placeholder_ids == ("UNBEKANNT", "0000000")
    assert (project.epoch, project.dates.shift_max, project.dates.invalid) == (3, 365, "empty")
    assert project.forms().fixed == {
        "pseudonym.prefix": "T7-",
        "pseudonym.length": 16,
        "pseudonym.alphabet": "0123456789ABCDEFGHJKMNPQRSTVWXYZ",
        "pseudonym.check_digit": True,
        "uid_root": "1.2.826.0.1",
        "dates.shift_min": 60,
        "dates.shift_max": 365,
        "dates.whole_weeks": True,
    }


def test_the_project_of_two_routes_has_one_set_of_rules(tmp_path: Path) -> None:
    text = with_project("{epoch: 2}", "trial").replace("    recipe:", "    project: trial\n    recipe:")
    config = load(tmp_path, text)
    assert config.project(config.routes[0].project).epoch == 2
    assert config.project("other").epoch == 1


@pytest.mark.parametrize(
    ("rules", "key", "problem"),
    [
        (
            "{pseudonym: {length: 11}}",
            "pseudonym",
            "at least 60 bits: with this prefix and alphabet the length is at least 12",
        ),
        ("{pseudonym: {length: 17}}", "pseudonym.length", "less than or equal to 16"),
        ("{pseudonym: {alphabet: '0123456789', length: 16}}", "pseudonym", "a larger alphabet is needed"),
        ("{pseudonym: {alphabet: AbcdB}}", "pseudonym", "stands twice"),
        ("{dates: {shift_min: 0d}}", "dates", "at least one day"),
        ("{dates: {shift_min: 2d, shift_max: 1d}}", "dates", "shorter than the shortest"),
        ("{dates: {shift_min: 30d, shift_max: 40d}}", "dates", "fewer than 30"),
        ("{dates: {shift_min: 36h}}", "dates.shift_min", "whole days"),
        ("{dates: {shift_min: 30}}", "dates.shift_min", "expected a duration"),
        ("{dates: {invalid: keep}}", "dates.invalid", "expected hold or empty"),
        ("{uid_root: 2.25}", "uid_root", "in quotes"),
        ("{uid_root: 1.2.840.10008.1}", "uid_root", "the standard's own"),
        ("{uid_root: 1.2." + "9" * 41 + "}", "uid_root", "at most 44 characters"),
        ("{uid_root: 1.02}", "uid_root", "expected a root"),
        ("{epoch: 0}", "epoch", "greater than or equal to 1"),
        ("{issuers: {A: [B, B]}}", "", "stands twice"),
        ("{issuers: {A: [C], B: [C]}}", "", "stands twice"),
        ("{issuers: {A: [B], B: [C]}}", "", "another name itself"),
        ("{issuers: {A: ['']}}", "issuers.A.0", "not empty"),
        ("{placeholder_ids: [0]}", "placeholder_ids.0", "a number stands in quotes"),
        ("{pseudonim: {}}", "pseudonim", "Did you mean 'pseudonym'?"),
    ],
)
def test_a_rule_that_cannot_be_is_refused_where_it_stands(tmp_path: Path, rules: str, key: str, problem: str) -> None:
    (fault,) = faults(tmp_path, with_project(rules))
    assert fault.key == f"projects.research.{key}".rstrip(".")
    assert problem in str(fault)
    assert fault.line == GOOD.count("\n") + 2


def test_a_project_that_no_route_belongs_to_is_refused_with_the_nearest_name(tmp_path: Path) -> None:
    (fault,) = faults(tmp_path, with_project("{epoch: 2}", "reserch"))
    assert fault.key == "projects.reserch"
    assert "Did you mean 'research'?" in str(fault)


def test_a_broken_section_of_projects_is_named_and_hides_nothing_else(tmp_path: Path) -> None:
    found = faults(tmp_path, GOOD.replace("[archive]", "[archiv]") + "projects: [a]\n")
    assert {fault.key for fault in found} == {"routes.0.to.0", "projects"}
