"""Prometheus' own checker likes the metrics page, and each alert rule fires when it should and only then."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from node.metrics import render
from tests.support import REPOSITORY
from tests.watching.support import ledger_of

PROMTOOL = shutil.which("promtool") or ""
RULES = REPOSITORY / "docker/prometheus/alerts.yaml"
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not PROMTOOL, reason="promtool is missing (Debian: package prometheus)"),
]


@dataclass(frozen=True)
class Case:
    """Series of a node, in promtool's notation, after how many minutes an alert is looked at, and its labels then.

    The labels of the series count where `labels` is None, but for the name; `severity` is the rule's.
    """

    series: dict[str, str]
    minutes: int = 30
    labels: dict[str, str] | None = field(default=None)


NODE = {"instance": "n"}
FIRES = {
    "DeidNodeAway": Case({}, 3, {}),
    "DeidNodeLedgerAway": Case({'ledger_up{instance="n"}': "0x60"}, 3),
    "DeidNodeProcessDies": Case({'process_deaths_total{instance="n",role="cleaner"}': "0+1x60"}, 15),
    "DeidNodeProcessMissing": Case({'processes{instance="n",role="forwarder"}': "0x60"}, 3),
    "DeidNodeDiskLow": Case(
        {'disk_free_bytes{instance="n"}': "1e9x60", 'disk_warn_bytes{instance="n"}': "5e9x60"}, 6, NODE
    ),
    "DeidNodeDiskFullSoon": Case({'disk_seconds_to_full{instance="n"}': "3600x60"}, 11),
    "DeidNodeDiskCannotBeWritten": Case({'disk_state{instance="n",state="read-only"}': "1x60"}, 2),
    "DeidNodeRefusesInstances": Case({'refused_total{instance="n",kind="out-of-resources"}': "0+1x60"}),
    "DeidNodeCleaningBehind": Case({'cleaning_lag_seconds{instance="n"}': "700x60"}, 11),
    "DeidNodeDestinationDown": Case({'destination_failing_seconds{instance="n",destination="pacs"}': "700x60"}, 1),
    "DeidNodeDestinationBehind": Case(
        {
            'destination_lag_seconds{instance="n",destination="pacs"}': "4000x60",
            'destination_paused{instance="n",destination="pacs"}': "0x60",
        },
        11,
        {**NODE, "destination": "pacs"},
    ),
    "DeidNodeDestinationPausedForLong": Case(
        {
            'destination_lag_seconds{instance="n",destination="pacs"}': "90000x60",
            'destination_paused{instance="n",destination="pacs"}': "1x60",
        },
        1,
        {**NODE, "destination": "pacs"},
    ),
    "DeidNodeHolds": Case({'holds_total{instance="n",route="r"}': "0x10 1x50"}),
    "DeidNodeHeldForLong": Case({'held_oldest_seconds{instance="n"}': "700000x60"}, 1),
    "DeidNodeLeaks": Case({'held{instance="n",route="r",reason="leak"}': "2x60"}, 1, {**NODE, "route": "r"}),
    "DeidNodeRefusedContexts": Case({'refused_total{instance="n",kind="presentation-context"}': "0x10 1x50"}),
    "DeidNodeRefusedSenders": Case({'refused_total{instance="n",kind="tls"}': "0x10 1x50"}),
    # The clock begins at midnight, on a Thursday.
    "DeidNodeNothingReceived": Case({'last_received_timestamp_seconds{instance="n",route="r"}': "0x900"}, 720),
    "DeidNodeSlowAnswers": Case(
        {
            'reception_seconds_bucket{instance="n",le="10"}': "0x60",
            'reception_seconds_bucket{instance="n",le="30"}': "0+1x60",
            'reception_seconds_bucket{instance="n",le="+Inf"}': "0+1x60",
        },
        40,
        NODE,
    ),
    "DeidNodeCertificateExpires": Case(
        {'certificate_days_left{instance="n",used_by="destination pacs",file="ca.crt"}': "5x60"}, 1
    ),
    "DeidNodeClockOff": Case({'time_seconds{instance="n"}': "1000+60x60"}, 6, NODE),
    "DeidNodeAuditBehind": Case({'audit_waiting{instance="n"}': "2000x60"}, 31),
    "DeidNodeReloadRefused": Case({'reload_faults{instance="n"}': "2x60"}, 1),
    "DeidNodeNotifiesNobody": Case({'not_notified_total{instance="n",channel="mail"}': "0+1x60"}),
    "DeidNodeLooksForSomebody": Case({'alerts{instance="n",kind="canary"}': "1x60"}, 2),
}
# A node of which nobody has to be told anything, at each full hour of a working day.
WELL = {
    'up{instance="n"}': "1x900",
    'ledger_up{instance="n"}': "1x900",
    'process_deaths_total{instance="n",role="cleaner"}': "2x900",
    'processes{instance="n",role="cleaner"}': "2x900",
    'disk_free_bytes{instance="n"}': "6e9x900",
    'disk_warn_bytes{instance="n"}': "5e9x900",
    'disk_seconds_to_full{instance="n"}': "86400x900",
    'disk_state{instance="n",state="ok"}': "1x900",
    'disk_state{instance="n",state="read-only"}': "0x900",
    'refused_total{instance="n",kind="out-of-resources"}': "3x900",
    'refused_total{instance="n",kind="presentation-context"}': "3x900",
    'refused_total{instance="n",kind="tls"}': "3x900",
    'cleaning_lag_seconds{instance="n"}': "1x900",
    'destination_failing_seconds{instance="n",destination="pacs"}': "0x900",
    'destination_lag_seconds{instance="n",destination="pacs"}': "60x900",
    'destination_paused{instance="n",destination="pacs"}': "0x900",
    # Paused by a person, for some hours.
    'destination_lag_seconds{instance="n",destination="other"}': "9000x900",
    'destination_paused{instance="n",destination="other"}': "1x900",
    'holds_total{instance="n",route="r"}': "4x900",
    'held_oldest_seconds{instance="n"}': "3600x900",
    'held{instance="n",route="r",reason="leak"}': "0x900",
    'held{instance="n",route="r",reason="no-mapping"}': "7x900",
    'last_received_timestamp_seconds{instance="n",route="r"}': "0+60x900",
    'reception_seconds_bucket{instance="n",le="10"}': "0+9x900",
    'reception_seconds_bucket{instance="n",le="+Inf"}': "0+9x900",
    'certificate_days_left{instance="n",used_by="destination pacs",file="ca.crt"}': "300x900",
    'time_seconds{instance="n"}': "0+60x900",
    'audit_waiting{instance="n"}': "10x900",
    'reload_faults{instance="n"}': "0x900",
    'not_notified_total{instance="n",channel="mail"}': "2x900",
    'alerts{instance="n",kind="canary"}': "0x900",
}


def promtool(*arguments: str | Path, given: bytes | None = None) -> subprocess.CompletedProcess[bytes]:
    command = [PROMTOOL, *map(str, arguments)]
    return subprocess.run(command, input=given, capture_output=True, timeout=120, check=False)


def rules() -> dict[str, dict[str, Any]]:
    groups = yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"]
    return {rule["alert"]: rule for group in groups for rule in group["rules"]}


def series(found: dict[str, str]) -> list[dict[str, str]]:
    return [{"series": f"deid_node_{name}", "values": values} for name, values in found.items()]


def labels_of(case: Case, alert: str) -> dict[str, str]:
    labels = case.labels
    if labels is None:
        ((name, _),) = case.series.items()
        pairs = (pair.split("=") for pair in name.partition("{")[2].rstrip("}").split(","))
        labels = {key: value.strip('"') for key, value in pairs}
    return {**labels, "severity": rules()[alert]["labels"]["severity"]}


def as_it_fires(alert: str) -> dict[str, Any]:
    case = FIRES[alert]
    wanted = {
        "eval_time": f"{case.minutes}m",
        "alertname": alert,
        "exp_alerts": [{"exp_labels": labels_of(case, alert)}],
    }
    return {"interval": "1m", "input_series": series(case.series), "alert_rule_test": [wanted]}


def when_all_is_well() -> dict[str, Any]:
    quiet = [
        {"eval_time": f"{hour}h", "alertname": alert, "exp_alerts": []} for alert in rules() for hour in (1, 3, 12, 14)
    ]
    return {"interval": "1m", "input_series": series(WELL), "alert_rule_test": quiet}


def test_the_rules_are_well_formed() -> None:
    done = promtool("check", "rules", RULES)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{len(rules())} rules found" in done.stdout.decode()


def test_each_alert_fires_when_it_should_and_none_when_all_is_well(tmp_path: Path) -> None:
    assert set(FIRES) == set(rules())
    # What is told is checked as a template above; here it is who is told, and when.
    bare = [{key: value for key, value in rule.items() if key != "annotations"} for rule in rules().values()]
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump({"groups": [{"name": "deid-node", "rules": bare}]}))
    tests = [*map(as_it_fires, FIRES), when_all_is_well()]
    asked = {"rule_files": ["rules.yaml"], "evaluation_interval": "1m", "tests": tests}
    (tmp_path / "tests.yaml").write_text(yaml.safe_dump(asked))
    done = promtool("test", "rules", tmp_path / "tests.yaml")
    assert done.returncode == 0, (done.stdout + done.stderr).decode()


def test_a_rule_that_never_fires_would_be_seen(tmp_path: Path) -> None:
    bare = {"alert": "DeidNodeLedgerAway", "expr": "deid_node_ledger_up == 7", "labels": {"severity": "page"}}
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump({"groups": [{"name": "g", "rules": [bare]}]}))
    asked = {"rule_files": ["rules.yaml"], "tests": [as_it_fires("DeidNodeLedgerAway")]}
    (tmp_path / "tests.yaml").write_text(yaml.safe_dump(asked))
    assert promtool("test", "rules", tmp_path / "tests.yaml").returncode != 0


def test_the_metrics_page_is_as_prometheus_wants_it(tmp_path: Path) -> None:
    config, database = ledger_of(tmp_path)
    page = render(config, database)
    database.close()
    done = promtool("check", "metrics", given=page)
    assert done.returncode == 0, done.stdout + done.stderr
