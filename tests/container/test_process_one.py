"""The node as process 1 of a namespace, as in a container; and, slowly, all that the Dockerfile says."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.crash.support import Deadly
from tests.process.conftest import make_node, node, scp
from tests.support import REPOSITORY, can_connect, wait_for

__all__ = ["make_node", "node", "scp"]

_UNSHARE = ["unshare", "--map-root-user", "--pid", "--fork", "--kill-child", "--mount-proc"]


def _may_unshare() -> bool:
    try:
        return subprocess.run([*_UNSHARE, "true"], capture_output=True, timeout=20, check=False).returncode == 0
    except OSError:
        return False


def _state(process: str) -> str:
    try:
        return Path(f"/proc/{process}/status").read_text()
    except OSError:
        return ""


def _children(process: int) -> list[str]:
    return Path(f"/proc/{process}/task/{process}/children").read_text().split()


@pytest.mark.slow
@pytest.mark.skipif(not _may_unshare(), reason="namespaces of processes are not permitted here")
def test_process_one_reaps_orphans_and_ends_in_order_on_sigterm(node: Deadly) -> None:
    command = [*_UNSHARE, sys.executable, "-m", "node", "serve", "--config", str(node.config_path)]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    with node.log_path.open("wb") as log:
        outer = subprocess.Popen(command, cwd=node.folder, env=environment, stdout=log, stderr=log)
    try:
        wait_for(lambda: can_connect(node.port) and "listens on" in node.log(), "it serves")
        (first,) = map(int, _children(outer.pid))
        assert re.search(r"NSpid:(\s+\d+)*\s+1\n", _state(str(first))), "it is process 1"
        # Keeper, auditor, forwarder, two cleaners and two receivers.
        wait_for(lambda: len(_children(first)) == 7, "all roles have started")
        before = set(_children(first))
        enter = ["nsenter", "--target", str(first), "--user", "--pid", "--preserve-credentials"]
        subprocess.run([*enter, "sh", "-c", "sleep 0.3 >/dev/null 2>&1 & exit 0"], check=True, timeout=30)
        wait_for(lambda: set(_children(first)) - before, "it has inherited an orphan", 5)
        wait_for(lambda: set(_children(first)) <= before, "it has reaped it")
        assert not [one for one in _children(first) if "State:\tZ" in _state(one)]
        os.kill(first, signal.SIGTERM)
        assert outer.wait(60) == 0
        assert '"ended"' in node.log()
    finally:
        outer.kill()
        outer.wait()


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.skipif(os.getuid() != 0, reason="another user and a read-only root need root")
def test_what_the_dockerfile_says_makes_a_node_that_works_read_only_as_its_user() -> None:
    environment = dict(os.environ)
    if Path("/usr/bin/python3.11").exists():
        environment["PYTHON"] = "/usr/bin/python3.11"  # which any user can run
    command = [REPOSITORY / "scripts/container-check"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=800, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    assert "ok: SIGTERM ends it in order" in done.stdout


@pytest.mark.slow
@pytest.mark.skipif(
    not (shutil.which("strace") and shutil.which("systemd-analyze")), reason="strace or systemd is not installed"
)
def test_the_units_filter_lets_every_system_call_of_the_node_through(node: Deadly, tmp_path: Path) -> None:
    allowed = _set_of("@system-service") - _set_of("@privileged")
    trace = tmp_path / "trace"
    command = ["strace", "-f", "-qq", "-o", str(trace), sys.executable, "-m", "node", "serve"]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "DEID_NODE_CONFIG": str(node.config_path)}
    with node.log_path.open("wb") as log:
        process = subprocess.Popen(command, cwd=node.folder, env=environment, stdout=log, stderr=log)
    try:
        wait_for(lambda: "listens on" in node.log(), "it serves")
        time.sleep(2)
        os.kill(int(_children(process.pid)[0]), signal.SIGTERM)
        assert process.wait(60) == 0
    finally:
        process.kill()
        process.wait()
    used = set(re.findall(r"^\d+ +(\w+)\(", trace.read_text(errors="replace"), re.MULTILINE))
    assert len(used) > 40
    # SQLite gives its files the owner of the ledger where it runs as root, and does without where it may not.
    assert used - {"fchown"} <= allowed


def _set_of(name: str) -> set[str]:
    """The system calls of one of systemd's sets, and of the sets in it."""
    told = subprocess.run(["systemd-analyze", "syscall-filter", name], capture_output=True, text=True, check=True)
    found: set[str] = set()
    for line in told.stdout.splitlines()[1:]:
        word = line.strip()
        if word.startswith("@"):
            found |= _set_of(word)
        elif word and not word.startswith("#"):
            found.add(word)
    return found
