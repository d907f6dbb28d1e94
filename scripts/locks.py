"""Reads locks of requirements, and compares a software bill of materials with one: `locks.py LOCK SBOM`."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

_REQUIREMENT = re.compile(r"(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)==(?P<version>[^ ;\\]+)")
_HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})(?: |$)")

Packages = dict[tuple[str, str], set[str]]
"""The SHA-256 of every distribution that may be installed, by name and version."""


def read_lock(text: str) -> Packages:
    """Return what a lock pins. Raises ValueError for a line that pins nothing, or has no hash."""
    found: Packages = {}
    for line in re.sub(r"\\\n\s*", " ", text).splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        pinned = _REQUIREMENT.match(line)
        hashes = set(_HASH.findall(line))
        if pinned is None or not hashes or line.count("--hash=") != len(hashes):
            raise ValueError(f"not pinned to a version and to SHA-256 hashes: {line[:60]}")
        found[pinned["name"], pinned["version"]] = hashes
    return found


def read_sbom(content: dict[str, Any]) -> Packages:
    """Return what a CycloneDX document names."""
    return {
        (one["name"], one["version"]): {
            digest["content"]
            for reference in one.get("externalReferences", ())
            for digest in reference.get("hashes", ())
            if digest["alg"] == "SHA-256"
        }
        for one in content["components"]
    }


def differences(lock: Packages, sbom: Packages) -> list[str]:
    """Return what only one of them has."""
    found = [f"{' '.join(key)}: only in the lock" for key in sorted(lock.keys() - sbom.keys())]
    found += [f"{' '.join(key)}: not in the lock" for key in sorted(sbom.keys() - lock.keys())]
    return found + [
        f"{' '.join(key)}: other hashes" for key in sorted(lock.keys() & sbom.keys()) if lock[key] != sbom[key]
    ]


def main(lock: str, sbom: str) -> int:
    """Compare two files; the exit code."""
    packages = read_lock(Path(lock).read_text(encoding="utf-8"))
    found = differences(packages, read_sbom(json.loads(Path(sbom).read_text(encoding="utf-8"))))
    for difference in found:
        print(difference, file=sys.stderr)
    print(f"{sbom}: {len(packages)} packages")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
