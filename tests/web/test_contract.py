"""The API against its own description, by schemathesis: whatever is sent, the answer is one that is described."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.web.support import Place, a_place

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """A node of its own, since much is changed in it."""
    with a_place(tmp_path_factory.mktemp("own")) as made:
        yield made


@pytest.mark.timeout(500)
@pytest.mark.parametrize("user", ["both", "vera"])
def test_no_request_gets_an_answer_that_is_not_described(place: Place, user: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [
            Path(sys.executable).with_name("schemathesis"),
            "run",
            f"http://127.0.0.1:{place.web}/api/v1/openapi.json",
            "--header",
            f"Authorization: Bearer {place.tokens[user]}",
            # Each of these starts a command of the node; two at once and a second each is what they may.
            "--exclude-path-regex",
            "/(search|preview|identity|clean|crosswalk/)",
            "--checks",
            "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance",
            "--phases",
            "examples,coverage,fuzzing",
            "--max-examples",
            "25",
            "--seed",
            "1",
            "--no-color",
            # How long making up requests takes says nothing of the node.
            "--suppress-health-check",
            "too_slow",
        ],
        capture_output=True,
        text=True,
        timeout=450,
        check=False,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stdout[-6000:]
    tested = re.search(r"(\d+) selected", done.stdout)
    assert tested is not None, done.stdout[-3000:]
    assert int(tested[1]) >= 12
    assert place.ask("GET", "/health/live").status_code == 200
