"""The alert rules and the dashboard name only what there is, and the page names all of it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from node.metrics import render
from tests.support import REPOSITORY
from tests.watching.support import ledger_of

RULES: dict[str, Any] = yaml.safe_load((REPOSITORY / "docker/prometheus/alerts.yaml").read_text(encoding="utf-8"))
BOARD: dict[str, Any] = json.loads((REPOSITORY / "docker/grafana/deid-node.json").read_text(encoding="utf-8"))
PAGE = (REPOSITORY / "docs/monitoring.md").read_text(encoding="utf-8")
METRIC = re.compile(r"\bdeid_node_[a-z0-9_]+")
SUFFIXES = {"counter": ("_total",), "gauge": ("",), "histogram": ("_bucket", "_sum", "_count")}


@pytest.fixture(scope="module")
def families(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Each metric of a node that has done nothing yet, and its type."""
    config, database = ledger_of(tmp_path_factory.mktemp("node"))
    text = render(config, database).decode()
    database.close()
    found = {one.name: one.type for one in text_string_to_metric_families(text)}
    return {name: kind for name, kind in found.items() if not name.endswith("_created")}


@pytest.fixture(scope="module")
def samples(families: dict[str, str]) -> set[str]:
    """The names that an expression may use."""
    return {name + suffix for name, kind in families.items() for suffix in SUFFIXES[kind]}


def rules() -> Iterator[dict[str, Any]]:
    for group in RULES["groups"]:
        yield from group["rules"]


def expressions() -> Iterator[tuple[str, str]]:
    for rule in rules():
        yield rule["alert"], rule["expr"]
    for panel in BOARD["panels"]:
        for target in panel.get("targets", ()):
            yield panel["title"], target["expr"]
    for variable in BOARD["templating"]["list"]:
        if variable["type"] == "query":
            yield variable["name"], variable["definition"]


def test_every_metric_that_a_rule_or_the_dashboard_names_is_rendered(samples: set[str]) -> None:
    missing = {(place, name) for place, text in expressions() for name in METRIC.findall(text) if name not in samples}
    assert not missing
    assert len(list(expressions())) > 50


def test_expressions_are_balanced_and_rules_say_what_to_do() -> None:
    for place, text in expressions():
        for opened, closed in ("()", "{}", "[]"):
            assert text.count(opened) == text.count(closed), place
        assert text.count('"') % 2 == 0, place
    for rule in rules():
        assert set(rule) <= {"alert", "expr", "for", "labels", "annotations"}, rule["alert"]
        assert rule["labels"]["severity"] in ("page", "ticket")
        assert set(rule["annotations"]) == {"summary", "description"}


def test_the_page_explains_every_metric_and_every_alert_and_nothing_else(samples: set[str]) -> None:
    table = PAGE.split("| metric (`deid_node_…`) |", 1)[1].split("\n\n", 1)[0]
    named = {name for row in table.splitlines()[2:] for name in re.findall(r"`([a-z_]+)`", row.split("|")[1])}
    plain = {re.sub(r"_(bucket|sum|count)$", "", one) for one in samples}
    assert named == {one.removeprefix("deid_node_") for one in plain}
    assert set(re.findall(r"`(DeidNode\w+)`", PAGE)) == {rule["alert"] for rule in rules()}


def test_the_dashboard_has_no_two_panels_in_one_place() -> None:
    cells: set[tuple[int, int]] = set()
    for panel in BOARD["panels"]:
        place = panel["gridPos"]
        mine = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not mine & cells, panel["title"]
        assert max(x for x, _ in mine) < 24
        cells |= mine
    assert len({panel["id"] for panel in BOARD["panels"]}) == len(BOARD["panels"])
