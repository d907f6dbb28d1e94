"""The API and the process that serves it: by tokens, on a running node."""

from __future__ import annotations

import contextlib
import os
import signal
from pathlib import Path

import httpx
import pydicom
import pytest

from tests.support import make_ct, storescu, wait_for
from tests.web.support import Place


def test_a_program_reads_counts_and_holds_by_its_token_alone(place: Place) -> None:
    assert place.ask("GET", "/api/v1/status").status_code == 401
    status = place.ask("GET", "/api/v1/status", "vera").json()
    now = place.node.status()
    assert (status["delivered"], status["held"]) == (now["delivered"], len(place.held()))
    assert status["delivered"] >= 2
    held = place.ask("GET", "/api/v1/held", "vera").json()
    assert [one["id"] for one in held] == place.held()
    one = place.ask("GET", f"/api/v1/instances/{held[0]['id']}", "vera").json()
    assert one["ways"] == ["release", "discard"]
    assert place.ask("GET", "/api/v1/instances/abc", "vera").status_code == 404
    destination = place.ask("GET", "/api/v1/destinations", "vera").json()[0]
    assert (destination["name"], destination["paused"]) == ("archive", False)
    assert destination["delivered"] == now["delivered"]
    assert place.ask("POST", "/api/v1/destinations/archive/echo", "otto").json()["answers"]


def test_an_answer_says_what_is_wrong_and_never_what_was_sent(place: Place) -> None:
    wrong = place.ask("POST", "/api/v1/held/release", "otto", json={"ids": ["PLANTED^NAME"], "PLANTED": 1})
    assert wrong.status_code == 422
    assert "body.ids.0" in wrong.json()["error"]
    assert "body: extra_forbidden" in wrong.json()["error"]
    assert "PLANTED" not in wrong.text
    for path in ("/api/v1/instances/PLANTED", "/api/v1/held?limit=PLANTED", "/api/v1/nothing/PLANTED"):
        answer = place.ask("GET", path, "vera")
        assert answer.status_code in (404, 422)
        assert "PLANTED" not in answer.text
    assert "PLANTED" not in place.node.log()


@pytest.mark.slow
def test_a_file_is_tried_by_the_api_without_the_nodes_own_key(place: Place) -> None:
    content = place.files[0].read_bytes()
    found = place.ask("POST", "/api/v1/preview?recipe=route:research", "otto", content=content).json()
    by_path = {one["path"]: one for one in found["elements"]}
    assert by_path["(0010,0010)"]["before"] == "PLANTED^NAME"
    assert by_path["(0010,0020)"]["after"] != str(place.scp.datasets()[0].PatientID)
    assert by_path["(0010,0020)"]["lines"]
    assert place.ask("POST", "/api/v1/preview?recipe=recipe:none", "otto", content=content).status_code == 409


def test_the_description_of_the_api_needs_nothing_from_outside(place: Place) -> None:
    described = place.ask("GET", "/api/v1/openapi.json").json()
    assert described["openapi"].startswith("3.1")
    assert all(path.startswith("/api/v1/") for path in described["paths"])
    assert {"/api/v1/held/release", "/api/v1/search", "/api/v1/crosswalk/{project}/import"} <= set(described["paths"])
    for path in ("/docs", "/redoc", "/api/v1/docs"):
        assert place.ask("GET", path, "vera").status_code == 404


def test_health_asks_nobody_who_it_is(place: Place) -> None:
    assert place.ask("GET", "/health/live").status_code == 200
    assert place.ask("GET", "/health/ready").status_code == 200


def test_the_process_of_the_page_may_die_and_images_go_on(place: Place, tmp_path: Path) -> None:
    page = _process(place)
    assert int(Path(f"/proc/{page}/oom_score_adj").read_text()) == 500
    os.kill(page, signal.SIGKILL)
    more = make_ct(tmp_path / "more", 1, rows=16)
    assert storescu(place.node.port, *more).returncode == 0
    place.node.wait_delivered(3)
    wait_for(lambda: _answers(place), "the page is there again")
    assert _process(place) != page


def _process(place: Place) -> int:
    """The page's process, by the name that it has for `ps`."""
    assert place.node.process is not None
    children = Path(f"/proc/{place.node.process.pid}/task/{place.node.process.pid}/children").read_text().split()
    return next(int(child) for child in children if Path(f"/proc/{child}/comm").read_text().strip() == "web0")


def _answers(place: Place) -> bool:
    with contextlib.suppress(httpx.TransportError):
        return place.ask("GET", "/health/live").status_code == 200
    return False


def test_neither_the_secret_nor_a_data_set_is_in_the_process_of_the_page(place: Place) -> None:
    page = _process(place)
    secret = (place.node.data / "secret.key").read_bytes().strip()
    name = str(pydicom.dcmread(place.files[0]).PatientName).encode()
    place.ask("POST", "/api/v1/destinations/archive/echo", "otto")
    held = _memory(page)
    assert len(held) > 1 << 20
    assert bytes.fromhex(secret.decode()) not in held
    assert name not in held


def _memory(process: int) -> bytes:
    """What a process can write to, all of it."""
    parts = []
    with Path(f"/proc/{process}/mem").open("rb", buffering=0) as memory:
        for line in Path(f"/proc/{process}/maps").read_text().splitlines():
            where, rights = line.split()[:2]
            if rights.startswith("rw") and "[v" not in line:
                start, end = (int(one, 16) for one in where.split("-"))
                memory.seek(start)
                with contextlib.suppress(OSError):
                    parts.append(memory.read(end - start))
    return b"".join(parts)
