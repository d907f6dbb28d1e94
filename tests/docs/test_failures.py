"""The table of failures has a row for whatever the node can say."""

from __future__ import annotations

import ast
import importlib
import re
from collections.abc import Iterator

import click
import yaml

from node.cli import common
from node.disk import _TEXTS as DISK_STATES
from node.errors import HoldReason
from node.ledger.alerts import _MEANING, _STUDIES, NOTIFY_FAILING
from scripts.reference.conformance import rejections
from tests.docs.pages import DOCS, rows, text_of
from tests.zygote import REPOSITORY

PACKAGE = REPOSITORY / "node"
PAGE = text_of(DOCS / "failures.md")
SECTIONS = {
    title: set(re.findall(r"`([^`]+)`", " ".join(row[0] for row in rows(text))))
    for title, _, text in (part.partition("\n") for part in PAGE.split("\n## ")[1:])
    for title in [title.strip()]
}
_MAY_REFUSE = re.compile("StartError|Fault\\(")
# Kinds that a call of Alert does not spell out, by the function that makes it.
COMPUTED = {
    "_disk": {f"disk-{state}" for state in DISK_STATES},
    "of_instances": set(_MEANING),
    "_notify": {NOTIFY_FAILING},
    "_studies": {kind for kind, _ in _STUDIES.values()},
    "_backups": {"backup-failed", "backup-overdue"},  # of node.ledger.last_backup.trouble
}


def calls(name: str) -> Iterator[tuple[str, ast.Call]]:
    """Each call of `name` in the package, with its module."""
    for path in sorted(PACKAGE.rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        if not re.search(rf"\b{name}\(", text):
            continue
        module = ".".join(path.relative_to(REPOSITORY).with_suffix("").parts).removesuffix(".__init__")
        for found in ast.walk(ast.parse(text)):
            if isinstance(found, ast.Call) and isinstance(found.func, ast.Name) and found.func.id == name:
                yield module, found


def function_of(module: str, call: ast.Call) -> str:
    """The function that a call stands in."""
    source = (REPOSITORY / module.replace(".", "/")).with_suffix(".py").read_text(encoding="utf-8")
    functions = [one for one in ast.parse(source).body if isinstance(one, ast.FunctionDef)]
    return next((one.name for one in functions if one.lineno <= call.lineno <= (one.end_lineno or 0)), "")


def test_every_reason_for_holding_has_a_row() -> None:
    assert SECTIONS["Held"] >= {str(reason) for reason in HoldReason}
    first = {row[0].strip("` ") for row in rows(PAGE.split("\n## Held\n")[1].split("\n## ")[0])}
    named = {one for cell in first for one in cell.replace("`", "").split(", ")} - {"reason"}
    assert named == {str(reason) for reason in HoldReason}


def test_every_alert_has_a_row() -> None:
    kinds: set[str] = set()
    for module, call in calls("Alert"):
        kind = call.args[0]
        if isinstance(kind, ast.Constant):
            kinds.add(str(kind.value))
        else:
            place = function_of(module, call)
            assert place in COMPUTED, f"{module}: say in COMPUTED which kinds {place} has"
            kinds |= COMPUTED[place]
    text = (PACKAGE / "ledger/last_backup.py").read_text(encoding="utf-8")
    assert {f'"{kind}"' for kind in COMPUTED["_backups"]} == set(re.findall(r'yield ("[a-z-]+")', text))
    assert kinds == SECTIONS["Alerts"]


def test_every_kind_of_message_has_a_row() -> None:
    kinds = {
        str(call.args[0].value)
        for module, call in calls("Matter")
        if call.args and isinstance(call.args[0], ast.Constant)
    }
    assert {"held", "destination-down"} <= kinds
    assert kinds == SECTIONS["Messages"]


def test_every_alert_of_prometheus_and_every_check_of_health_has_a_row() -> None:
    rules = yaml.safe_load((REPOSITORY / "docker/prometheus/alerts.yaml").read_text(encoding="utf-8"))
    assert {rule["alert"] for group in rules["groups"] for rule in group["rules"]} == SECTIONS["Alerts of Prometheus"]
    checks = {
        str(call.args[0].value)
        for module, call in calls("Check")
        if module == "node.health" and isinstance(call.args[0], ast.Constant)
    }
    assert {"roles", "disk"} <= checks
    assert checks == SECTIONS["Health"]


def test_every_exit_code_has_a_row() -> None:
    codes = {0, common.WRONG, common.CANNOT_START, common.NOT_REACHABLE, common.INTERRUPTED, click.UsageError.exit_code}
    told = rows(PAGE.split("\n## Exit codes\n")[1].split("\n## ")[0])[1:]
    assert {int(row[0]) for row in told} == codes


def test_every_status_and_every_rejection_that_a_sender_can_see_has_a_row() -> None:
    told = " ".join(row[0] for row in rows(PAGE.split("\n## At the sender\n")[1].split("\n## ")[0]))
    statuses = {status for module, call in calls("StoreAnswer") for status in _statuses(module, call)}
    assert {0xA700, 0xC000, 0x0122, 0x0211} <= statuses
    assert [status for status in statuses if f"{status:04X}H" not in told] == []
    for result, source, reason, _ in rejections():
        assert f"{result}/{source}/{reason}" in told
    conformance = text_of(DOCS / "reference/conformance.md").split("##### 4.2.1.5 ")[1].split("#### 4.2.4 ")[0]
    assert [status for status in statuses if f"{status:04X}H" not in conformance] == []


def _statuses(module: str, call: ast.Call) -> Iterator[int]:
    """The statuses that a call of StoreAnswer can have: a constant, or one of two."""
    given = call.args[0]
    for one in (given.body, given.orelse) if isinstance(given, ast.IfExp) else (given,):
        place = importlib.import_module(module)
        if isinstance(one, ast.Attribute):
            yield getattr(getattr(place, ast.unparse(one.value)), one.attr)
        else:
            assert isinstance(one, ast.Name), f"{module}: {ast.unparse(call)}"
            yield getattr(place, one.id)


def test_every_row_says_what_it_means_and_what_to_do() -> None:
    told = [row for part in PAGE.split("\n## ")[1:] for row in rows(part)]
    assert len(told) > 100
    assert [row for row in told if len(row) != 3 or not row[1]] == []
    assert [row for row in told if not row[2] and row[0] not in ("0", "130")] == []


def test_each_sentence_of_a_refused_start_is_one_that_the_node_says() -> None:
    sources = (path.read_text(encoding="utf-8") for path in PACKAGE.rglob("*.py"))
    said = {text for source in sources if _MAY_REFUSE.search(source) for text in _texts(source)}
    told = rows(PAGE.split("\n## The start is refused\n")[1].split("\n## ")[0])
    phrases = [piece for row in told for one in re.findall(r"\*([^*]+)\*", row[0]) for piece in one.split(" … ")]
    assert len(phrases) > 12
    assert [phrase for phrase in phrases if not any(phrase in text for text in said)] == []


def _texts(source: str) -> Iterator[str]:
    for found in ast.walk(ast.parse(source)):
        if isinstance(found, ast.Constant) and isinstance(found.value, str):
            yield found.value
        elif isinstance(found, ast.JoinedStr):
            yield "".join(str(part.value) if isinstance(part, ast.Constant) else "…" for part in found.values)
