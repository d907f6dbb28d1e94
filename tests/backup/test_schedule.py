"""Backups that the node makes by itself: when they are due, what stays, and what is told when they fail."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from node.backups.schedule import Schedule, let_go, scheduled_name
from node.cli import run
from node.errors import ConfigError
from node.ledger.alerts import alerts
from node.ledger.last_backup import last_backup, note_expected, note_failed, note_made
from tests.backup.support import Site
from tests.config.support import GOOD, load
from tests.support import wait_for

DAY = 86400.0


def scheduled(site: Site, **more: str) -> Path:
    folder = site.folder.parent / "backups"
    folder.mkdir(exist_ok=True)
    settings = {"to": f"[{site.public}]", "folder": str(folder), "every": "1d", "keep": "2"} | more
    site.configure(GOOD + "backup: { " + ", ".join(f"{key}: {value}" for key, value in settings.items()) + " }\n")
    return folder


def kinds(site: Site, monkeypatch: pytest.MonkeyPatch, later: float = 0.0) -> list[str]:
    now = time.time() + later
    monkeypatch.setattr("node.ledger.alerts.time.time", lambda: now)
    found = [one["kind"] for one in alerts(site.database, site.config) if "backup" in one["kind"]]
    monkeypatch.undo()
    return found


@pytest.mark.slow
def test_a_backup_is_made_when_it_is_due_by_a_process_of_its_own_and_old_ones_go(site: Site) -> None:
    folder = scheduled(site)
    for day in (1, 2, 3):
        scheduled_name(site.config, day * DAY).write_text("old")
    (folder / "deid-node-another-19700101T000000Z.age").write_text("another node's")
    mine = scheduled_name(site.config, 4 * DAY)
    mine.with_name(f".{mine.name}.part").write_text("what died")
    schedule = Schedule(site.config)
    schedule.look()

    def has_ended() -> bool:
        schedule.look()
        return schedule._process is None

    wait_for(has_ended, "the first one is made at once")
    names = sorted(path.name for path in folder.iterdir())
    assert len(names) == 3
    assert "deid-node-another-19700101T000000Z.age" in names
    assert scheduled_name(site.config, 3 * DAY).name in names
    (newest,) = [path for path in folder.iterdir() if path.stat().st_size > 100]
    assert last_backup(site.config).size == newest.stat().st_size


def test_it_is_started_once_when_due_again_after_a_failure_and_whatever_the_clock_does(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    scheduled(site)
    started: list[float] = []
    monkeypatch.setattr(Schedule, "_start", lambda _self: started.append(1))
    schedule, now = Schedule(site.config), time.time()
    note_made(site.config, 10)
    schedule.look(now + 0.9 * DAY)
    assert not started
    schedule.look(now + 1.1 * DAY)
    assert len(started) == 1
    note_failed(site.config, "no room")
    schedule.look(now + 600)
    assert len(started) == 1
    schedule.look(now + 4000)
    assert len(started) == 2
    schedule.look(now - 30 * DAY)
    assert len(started) == 3


def test_what_fails_or_is_overdue_is_told_until_one_succeeds(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    assert kinds(site, monkeypatch) == []
    folder = scheduled(site)
    note_expected(site.config)
    assert kinds(site, monkeypatch) == []
    assert kinds(site, monkeypatch, 2 * DAY) == ["backup-overdue"]
    folder.rmdir()
    command = ["backup", "--scheduled", "--config", str(site.config.file)]
    assert run(command) == 1
    assert kinds(site, monkeypatch) == ["backup-failed"]
    (alert,) = (one for one in alerts(site.database, site.config) if one["kind"] == "backup-failed")
    assert "cannot be written" in alert["text"]
    assert "none was made yet" in alert["text"]
    folder.mkdir()
    assert run(command) == 0
    assert kinds(site, monkeypatch) == []
    assert kinds(site, monkeypatch, 3 * DAY) == ["backup-overdue"]
    assert let_go(site.config) == 0


@pytest.mark.parametrize(
    ("section", "problem"),
    [
        ("{ to: [age1wrong] }", "public key of age"),
        ("{ every: 1d }", "needs `folder`"),
        ("{ keep: 0 }", "greater"),
        ("{ folder: var/backups }", "must not lie in the data folder"),
        ("{ to: nobody }", "expected a list"),
    ],
)
def test_what_the_section_cannot_mean_is_refused(tmp_path: Path, section: str, problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        load(tmp_path, f"{GOOD}backup: {section}\n")


def test_by_default_no_backup_is_made(site: Site) -> None:
    assert site.config.backup.every is None
    schedule = Schedule(site.config)
    schedule.look()
    assert schedule._process is None
    assert not (site.config.node.data / "backup.json").exists()
