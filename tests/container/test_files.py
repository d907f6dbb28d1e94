"""The files for containers fit one another, the program, and what docs/container.md promises of them."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from node.config import load_config
from scripts.container_check import instructions, lets_through
from tests.support import REPOSITORY

DOCKER = REPOSITORY / "docker"
STAGES = instructions((DOCKER / "Dockerfile").read_text())
IGNORE = (REPOSITORY / ".dockerignore").read_text()
LAST = 60.0  # seconds for what is in hand, after node.drain


def of(word: str, stage: int | None = None) -> list[str]:
    return [one.text for one in STAGES if one.word == word and stage in (None, one.stage)]


def documents(path: Path) -> list[dict[str, Any]]:
    return [one for one in yaml.safe_load_all(path.read_text()) if one]


def manifests() -> dict[str, dict[str, Any]]:
    names = documents(DOCKER / "kubernetes/kustomization.yaml")[0]["resources"]
    found = [one for name in names for one in documents(DOCKER / "kubernetes" / name)]
    return {f"{one['kind']}/{one['metadata']['name']}": one for one in found}


def test_the_image_is_built_in_stages_from_pinned_bases_with_hashes() -> None:
    (base,) = {text.split()[0] for text in of("FROM")}
    assert base == "python:${PYTHON}"
    (version,) = of("ARG")
    assert re.fullmatch(r"PYTHON=3\.\d+\.\d+-slim-[a-z]+(@sha256:[0-9a-f]{64})?", version)
    assert len(of("FROM")) == 2
    installs = [text for text in of("RUN") if "pip install" in text]
    assert len(installs) == 2
    assert all("--require-hashes" in text or "--no-deps --no-build-isolation" in text for text in installs)
    assert not [text for text in of("RUN", 1) if "pip install" in text or "apt-get" in text]


def test_the_image_runs_as_a_numbered_user_and_ends_by_sigterm() -> None:
    assert of("USER") == ["10001:10001"]
    assert of("STOPSIGNAL") == ["SIGTERM"]
    assert [json.loads(of(word)[0]) for word in ("ENTRYPOINT", "CMD")] == [["deid-node"], ["serve"]]
    assert of("HEALTHCHECK")[0].endswith('CMD ["healthcheck"]')
    assert "pip uninstall" in of("RUN", 1)[0]
    assert "/usr/bin/dpkg*" in of("RUN", 1)[0]
    assert "/usr/bin/apt*" in of("RUN", 1)[0]


def test_the_builder_gets_what_it_copies_and_nothing_else() -> None:
    for text in [*of("COPY", 0), *(text for text in of("COPY", 1) if "--from" not in text)]:
        for name in [word for word in text.split() if not word.startswith("--")][:-1]:
            assert (REPOSITORY / name).exists(), name
            assert lets_through(IGNORE, name), name
    for name in ("var/secret.key", "var/ledger.db", ".git/config", "tests/support.py", ".venv/bin/python", "a.key"):
        assert not lets_through(IGNORE, name)
    assert lets_through(IGNORE, "node/cli/serve.py")
    assert not lets_through(IGNORE, "node/cli/__pycache__/serve.cpython-311.pyc")


def test_the_composed_services_fit_one_another() -> None:
    (compose,) = documents(DOCKER / "compose.yaml")
    node, archive = compose["services"]["node"], compose["services"]["archive"]
    config = load_config(DOCKER / "config.yaml")
    assert node["read_only"] is True
    assert node["user"] == of("USER")[0]
    assert node["cap_drop"] == ["ALL"]
    assert (DOCKER / node["build"]["context"] / node["build"]["dockerfile"]).is_file()
    for service in compose["services"].values():
        for volume in service["volumes"]:
            source = volume.split(":")[0]
            assert (DOCKER / source).is_file() if source.startswith(".") else source in compose["volumes"]
        assert ":" in service["image"] or "build" in service, "pinned"
    (mounted,) = (volume.split(":")[1] for volume in node["volumes"] if volume.startswith("data:"))
    assert config.node.data.parent == Path(mounted) == Path(json.loads(of("VOLUME")[0])[0])
    orthanc = json.loads((DOCKER / "orthanc.json").read_text())
    destination = config.destinations["archive"]
    assert (orthanc["DicomAet"], orthanc["DicomPort"]) == (destination.ae_title, destination.address.port)
    assert destination.address.host in compose["services"]
    assert archive["image"].partition(":")[2] not in ("", "latest")
    (scrape,) = documents(DOCKER / "prometheus" / "prometheus.yaml")[0]["scrape_configs"]
    assert scrape["static_configs"] == [{"targets": ["node:8080"]}]
    assert node["stop_grace_period"] == "2min"
    assert config.node.drain + LAST <= 120


def test_the_manifests_fit_one_another_and_hold_the_node_to_little() -> None:
    found = manifests()
    state = found["StatefulSet/deid-node"]["spec"]
    pod = state["template"]["spec"]
    (container,) = pod["containers"]
    assert state["replicas"] == 1
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] == 10001
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    labels = state["template"]["metadata"]["labels"]
    assert all(
        one["spec"]["selector"].items() <= labels.items() for key, one in found.items() if key.startswith("Service/")
    )
    ports = {port["name"] for port in container["ports"]}
    targets = {port["targetPort"] for key, one in found.items() if "Service/" in key for port in one["spec"]["ports"]}
    assert targets == ports
    assert {"startupProbe", "livenessProbe", "readinessProbe"} <= container.keys()
    volumes = {volume["name"] for volume in pod["volumes"]}
    volumes |= {claim["metadata"]["name"] for claim in state["volumeClaimTemplates"]}
    assert {mount["name"] for mount in container["volumeMounts"]} == volumes
    assert {"/tmp", "/etc/deid-node", "/var/lib/deid-node"} == {one["mountPath"] for one in container["volumeMounts"]}
    (secret,) = documents(DOCKER / "kubernetes/secret.example.yaml")
    assert "Secret/deid-node" not in found
    assert re.fullmatch("0{64}", secret["stringData"]["encryption-key"])


def test_the_configuration_of_the_manifests_is_one_that_the_program_takes(tmp_path: Path) -> None:
    found = manifests()
    (tmp_path / "config.yaml").write_text(found["ConfigMap/deid-node"]["data"]["config.yaml"])
    config = load_config(tmp_path / "config.yaml")
    pages = [key for key, one in found.items() if "Service/" in key and one["spec"]["ports"][0]["targetPort"] == "web"]
    assert pages, "and they reach the page by the names that it answers to"
    assert {key.partition("/")[2] for key in pages} <= set(config.web.hosts)
    pod = found["StatefulSet/deid-node"]["spec"]["template"]["spec"]
    assert pod["terminationGracePeriodSeconds"] > config.node.drain + LAST
    assert any(config.node.data.is_relative_to(one["mountPath"]) for one in pod["containers"][0]["volumeMounts"])


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not installed")
def test_kubectl_puts_the_manifests_together() -> None:
    done = subprocess.run(["kubectl", "kustomize", DOCKER / "kubernetes"], capture_output=True, timeout=60, check=True)
    assert len(list(yaml.safe_load_all(done.stdout))) == len(manifests())


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
def test_systemd_finds_nothing_wrong_with_the_unit_and_little_exposed(tmp_path: Path) -> None:
    text = (DOCKER / "deid-node.service").read_text()
    unit = tmp_path / "deid-node.service"
    unit.write_text(text.replace("/opt/deid-node/bin/deid-node", "/bin/true"))
    done = subprocess.run(["systemd-analyze", "verify", unit], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, [line for line in done.stderr.splitlines() if "deid-node" in line]) == (0, [])
    command = ["systemd-analyze", "security", "--offline=true", "--threshold=20", str(unit)]
    assert subprocess.run(command, capture_output=True, timeout=60, check=False).returncode == 0
    assert int(re.search(r"TimeoutStopSec=(\d+)", text)[1]) > 30 + LAST  # type: ignore[index]
    assert "RestartPreventExitStatus=2 3" in text
