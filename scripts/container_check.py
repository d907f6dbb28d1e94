"""Runs the steps of docker/Dockerfile without an engine, and the node from what they made: scripts/container-check."""

from __future__ import annotations

import fnmatch
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

TOP = Path(__file__).resolve().parent.parent
USER = 10001
SECONDS = 120.0


class Instruction(NamedTuple):
    """One instruction of a Dockerfile, and the number of its stage, from 0."""

    stage: int
    word: str
    text: str


def instructions(text: str) -> list[Instruction]:
    """Return the instructions of a Dockerfile, continued lines joined."""
    found, stage = [], -1
    for line in re.sub(r"\\\n\s*", " ", re.sub(r"(?m)^\s*#.*\n", "", text)).splitlines():
        if line.strip():
            word, _, rest = line.strip().partition(" ")
            stage += word == "FROM"
            found.append(Instruction(stage, word, rest.strip()))
    return found


def lets_through(ignore: str, path: str) -> bool:
    """Say whether a .dockerignore lets a path through: the last pattern that fits it, or a folder above it, decides."""
    through = True
    above = [path, *(str(parent) for parent in Path(path).parents if str(parent) != ".")]
    for line in ignore.splitlines():
        pattern = line.strip()
        if pattern and not pattern.startswith("#"):
            plain = pattern.removeprefix("!").removeprefix("**/")
            names = [os.path.basename(one) for one in above] if "**/" in pattern else above
            if any(fnmatch.fnmatch(name, plain) for name in names):
                through = pattern.startswith("!")
    return through


def build(found: list[Instruction], root: Path, python: str) -> None:
    """Carry out the first stage: COPY from what the .dockerignore lets through, RUN as it stands, below `root`."""
    ignore = (TOP / ".dockerignore").read_text(encoding="utf-8")
    source = root / "src"
    source.mkdir(parents=True)
    (root / "opt").mkdir()
    for one in found:
        if one.stage == 0 and one.word == "COPY":
            *names, _ = one.text.split()
            for name in names:
                _copy(name, source, ignore)
        elif one.stage == 0 and one.word == "RUN":
            command = one.text.replace("/opt/deid-node", f"{root}/opt/deid-node")
            command = re.sub(r"^python -m venv", f"{python} -m venv", command)
            print(f"+ {command}", flush=True)
            subprocess.run(["sh", "-ec", command], cwd=source, check=True, timeout=900)


def _copy(name: str, source: Path, ignore: str) -> None:
    top = TOP / name
    files = [path for path in top.rglob("*") if path.is_file()] if top.is_dir() else [top]
    taken = [path for path in files if lets_through(ignore, str(path.relative_to(TOP)))]
    if not taken:
        raise SystemExit(f"COPY {name}: .dockerignore lets nothing of it through")
    for path in taken:
        # A folder's content goes into the folder of that name, as `COPY node ./node` says.
        target = source / path.relative_to(TOP)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, target)


def configure(root: Path, port: int) -> Path:
    """Write the configuration of the image, with places below `root`."""
    text = (TOP / "docker/config.yaml").read_text(encoding="utf-8")
    volume = root / "volume"
    volume.mkdir(mode=0o700)
    os.chown(volume, USER, USER)
    text = text.replace("/var/lib/deid-node", str(volume)).replace("0.0.0.0:11112", f"127.0.0.1:{port}")
    text = text.replace("  log:", "  min_free_disk: 1 MiB\n  log:").replace("archive:4242", "127.0.0.1:9")
    path = root / "config.yaml"
    path.write_text(text, encoding="utf-8")
    return path


INSIDE = """
mount --make-rprivate /
mount --bind "$ROOT/volume" "$ROOT/volume"
mount -t tmpfs tmpfs "$ROOT/tmp"
mount -o remount,bind,ro /
mount -t proc proc /proc
if touch "$ROOT/probe" /etc/probe 2>/dev/null; then echo "the root can be written" >&2; exit 9; fi
exec setpriv --reuid 10001 --regid 10001 --clear-groups --inh-caps=-all --bounding-set=-all --no-new-privs \
    env -i PATH="$ROOT/opt/deid-node/bin:/usr/bin:/bin" TMPDIR="$ROOT/tmp" HOME=/ DEID_NODE_CONFIG="$ROOT/config.yaml" \
    PYTHONDONTWRITEBYTECODE=1 deid-node serve
"""


SEND = """
import sys
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pynetdicom import AE

ae = AE("SCU")
ae.add_requested_context("1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.1.2.1")
association = ae.associate("127.0.0.1", int(sys.argv[1]), ae_title="DEIDNODE")
status = association.send_c_store(dcmread(get_testdata_file("CT_small.dcm", download=False))).Status
association.release()
sys.exit(status)
"""


def run_node(root: Path, port: int) -> None:
    """Start the node as process 1, read-only, as the image's user; send, orphan, end."""
    (root / "tmp").mkdir(mode=0o1777)
    log = (root / "log").open("wb")
    outer = subprocess.Popen(
        ["unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-eu", "-c", INSIDE],
        env={**os.environ, "ROOT": str(root)},
        stdout=log,
        stderr=log,
    )
    try:
        wait_for(lambda: _listens(port) or outer.poll() is not None, "the node listens")
        if outer.poll() is not None:
            raise SystemExit(f"it ended with {outer.returncode}:\n{(root / 'log').read_text()}")
        first = int(Path(f"/proc/{outer.pid}/task/{outer.pid}/children").read_text().split()[0])
        look_at(root, port, first)
        os.kill(first, signal.SIGTERM)
        expect(outer.wait(SECONDS) == 0, "SIGTERM ends it in order")
        expect('"ended"' in (root / "log").read_text(), "and it says so")
    finally:
        outer.kill()
        outer.wait()


def look_at(root: Path, port: int, first: int) -> None:
    """Look at the node that runs as process `first`, and use it from inside of its namespaces."""
    status = _status(str(first))
    expect(re.search(r"NSpid:\s+\d+\s+1\n", status) is not None, "it is process 1 of its namespace")
    expect(f"Uid:\t{USER}\t{USER}" in status, "it runs as the image's user")
    expect("CapEff:\t0000000000000000" in status, "it has no capability")

    def inside(*command: str | Path) -> subprocess.CompletedProcess[bytes]:
        enter = ["nsenter", "--target", str(first), "--mount", "--pid", "setpriv", f"--reuid={USER}", f"--regid={USER}"]
        settings = [f"PATH={root}/opt/deid-node/bin:/usr/bin:/bin", f"DEID_NODE_CONFIG={root}/config.yaml"]
        settings += [f"HOME={root}", f"TMPDIR={root / 'tmp'}"]
        line = [*enter, "--clear-groups", "env", "-i", *settings, *command]
        return subprocess.run(line, check=True, timeout=SECONDS, capture_output=True)

    def is_well() -> bool:
        try:
            inside("sh", TOP / "docker/healthcheck")
        except subprocess.CalledProcessError:
            return False
        return True

    wait_for(is_well, "the health check")
    inside("python", "-c", SEND, str(port))
    expect(json.loads(inside("deid-node", "status", "--json").stdout)["received"] == 1, "it took an instance")
    inside("sh", "-c", "sleep 0.5 >/dev/null 2>&1 & exit 0")
    time.sleep(0.7)
    wait_for(lambda: not _zombies(first), "orphans are reaped")


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _zombies(parent: int) -> list[str]:
    children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    return [child for child in children if "State:\tZ" in _status(child)]


def _status(process: str) -> str:
    try:
        return Path(f"/proc/{process}/status").read_text()
    except OSError:
        return ""


def expect(holds: bool, what: str) -> None:
    """Say what holds, and end where it does not."""
    if not holds:
        raise SystemExit(f"not so: {what}")
    print(f"ok: {what}", flush=True)


def wait_for(condition: Callable[[], object], what: str) -> None:
    """Wait until something is true, at most two minutes."""
    until = time.monotonic() + SECONDS
    while not condition():
        if time.monotonic() > until:
            raise SystemExit(f"not so: {what}")
        time.sleep(0.1)
    print(f"ok: {what}", flush=True)


def main() -> int:
    """Build and run, in a folder that goes afterwards; the exit code."""
    if os.getuid() != 0:
        print("container-check needs root, for namespaces and another user", file=sys.stderr)
        return 2
    root = Path(tempfile.mkdtemp(prefix="container-check-"))
    root.chmod(0o755)
    try:
        found = instructions((TOP / "docker/Dockerfile").read_text(encoding="utf-8"))
        build(found, root, sys.executable)
        expect(not list(root.glob("opt/deid-node/lib/python3*/site-packages/pip")), "no pip is left")
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = int(probe.getsockname()[1])
        configure(root, port)
        run_node(root, port)
    finally:
        shutil.rmtree(root, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
