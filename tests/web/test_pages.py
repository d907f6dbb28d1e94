"""The page as people of each role see it: what it shows, what may be done there, and what is written down."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pydicom
import pytest

from node.web.api import ROUTERS as API
from node.web.app import OPEN, PAGES, PREFIX
from node.web.site import Site
from tests.support import wait_for
from tests.web.support import PASSWORD, TOKENS, Browser, Place, browser_of

LOOKS = (
    *("/", "/held", "/held?reason=no-patient-id", "/search", "/destinations", "/studies", "/refused"),
    "/live/overview",
)
SignIn = Callable[[str], Browser]


def test_nobody_sees_anything_without_signing_in(site: Site) -> None:
    browser = browser_of(site)
    places = [*(("", router) for router in PAGES), *((PREFIX, router) for router in API)]
    routes = [(prefix + route.path, route.methods) for prefix, router in places for route in router.routes]
    paths = [(path, method) for path, methods in routes for method in methods]
    assert len(paths) > 30
    for path, method in paths:
        if path in OPEN:
            continue
        answer = browser.client.request(method, re.sub(r"\{\w+\}", "abc", path))
        refused = answer.status_code in (401, 403) or answer.headers.get("location") == "/login"
        assert refused, f"{method} {path} answered {answer.status_code}"


def test_a_viewer_sees_how_things_are_and_no_value_of_any_instance(place: Place, signed_in: SignIn) -> None:
    viewer, held = signed_in("vera"), place.held()[0]
    originals = {str(pydicom.dcmread(path).StudyInstanceUID) for path in place.files}
    for path in (*LOOKS, f"/instances/{held}"):
        answer = viewer.get(path)
        assert answer.status_code == 200, path
        assert not [token for token in (*TOKENS, *originals) if token in answer.text]
    assert "no-patient-id" in viewer.get("/held").text
    assert "4 held" in re.sub(r"<dt>held</dt><dd>(\d+)</dd>", r"\1 held", viewer.get("/").text)


def test_a_viewer_can_change_nothing_and_sees_no_identity(place: Place, signed_in: SignIn) -> None:
    viewer, held = signed_in("vera"), place.held()[0]
    viewer.get("/")
    for path, data in (
        (f"/instances/{held}/act", {"way": "release"}),
        (f"/instances/{held}/clean", {"recipe": "recipe:research"}),
        (f"/instances/{held}/identity", {"recipe": ""}),
        ("/held", {"way": "discard", "reason": "no-patient-id", "id": held, "sure": "yes"}),
        ("/destinations/archive/pause", {}),
        ("/destinations/archive/echo", {}),
        ("/crosswalk/import", {"project": "demo"}),
        ("/crosswalk/export", {"project": "demo"}),
        ("/recipes", {"recipe": "recipe:research"}),
    ):
        assert viewer.post(path, None, None, **data).status_code == 403, path
    assert viewer.get("/recipes").status_code == 403
    assert len(place.held()) == 4
    assert place.ask("POST", "/api/v1/destinations/archive/pause", "vera").status_code == 403
    assert place.ask("POST", "/api/v1/held/discard", "vera", json={"ids": [held], "sure": True}).status_code == 403


@pytest.mark.slow
def test_what_a_recipe_does_to_a_held_instance_is_shown_without_values_and_with_them_after_it_is_written_down(
    place: Place, signed_in: SignIn
) -> None:
    held = place.held()[0]
    viewer = signed_in("vera")
    viewer.get(f"/instances/{held}")
    masked = viewer.post(f"/instances/{held}/preview", recipe="route:research")
    assert masked.status_code == 200
    assert "no-patient-id" in masked.text
    assert not [token for token in TOKENS if token in masked.text]
    ruth = signed_in("ruth")
    ruth.get(f"/instances/{held}")
    before = place.audited().count("web/ruth@")
    shown = ruth.post(f"/instances/{held}/identity", recipe="recipe:dose-screens")
    assert shown.status_code == 200
    assert all(token in shown.text for token in TOKENS)
    said = place.audited()
    assert said.count("web/ruth@") > before
    assert "identity shown" in said


def test_an_operator_pauses_and_resumes_a_destination_and_asks_whether_it_answers(
    place: Place, signed_in: SignIn
) -> None:
    operator = signed_in("otto")
    operator.get("/destinations")
    assert operator.post("/destinations/archive/pause").status_code == 303
    assert place.node.status()["destinations"]["archive"]["paused"]
    assert "<strong>paused</strong>" in operator.get("/destinations").text
    live = operator.post("/destinations/archive/resume", headers={"HX-Request": "true"})
    assert live.text.startswith('<div id="destinations">')
    assert not place.node.status()["destinations"]["archive"]["paused"]
    assert "archive: answers" in operator.post("/destinations/archive/echo").text
    assert operator.post("/destinations/nowhere/pause").status_code == 404
    assert place.audited().count("web/otto@") >= 2


def test_an_operator_releases_and_discards_one_or_many_and_only_who_is_sure_discards(
    place: Place, signed_in: SignIn
) -> None:
    operator = signed_in("otto")
    one, two, three, _ = place.held()
    operator.get(f"/instances/{one}")
    assert operator.post(f"/instances/{one}/act", way="despite-leak").status_code == 409
    assert operator.post(f"/instances/{one}/act", way="release").status_code == 303
    wait_for(lambda: one in place.held() and place.held()[0] != one, "it was cleaned again, and is held again")
    operator.get("/held?reason=no-patient-id")
    many = {"way": "discard", "reason": "no-patient-id", "id": [two, three]}
    assert operator.post("/held", None, None, **many).status_code == 422
    assert len(place.held()) == 4
    done = operator.post("/held", None, None, **many, sure="yes")
    assert "2 done: discard" in done.text
    status = place.node.status()
    assert (status["held"], status["discarded"]) == (2, 2)
    assert not [name for name in (two, three) if list(place.node.spool.rglob(f"{name}*"))]
    assert operator.post(f"/instances/{two}/act", way="release").status_code == 409


@pytest.mark.slow
def test_a_file_of_ones_own_is_shown_side_by_side_by_a_key_that_everybody_knows_and_nothing_of_it_is_kept(
    place: Place, signed_in: SignIn, tmp_path: Path
) -> None:
    operator = signed_in("otto")
    operator.get("/recipes")
    sample = {"sample": ("a.dcm", place.files[0].read_bytes())}
    before = {path for path in place.node.folder.rglob("*") if path.is_file()}
    draft = "FORMAT dicom\n%header\nREMOVE InstitutionName\n"
    found = operator.post("/recipes", sample, recipe="route:research", against="draft", draft=draft, everything="yes")
    assert found.status_code == 200
    assert "PLANTED HOSPITAL" in found.text
    assert "Side by side" in found.text
    delivered = place.scp.datasets()[0]
    assert str(delivered.PatientID) not in found.text
    assert {path for path in place.node.folder.rglob("*") if path.is_file()} == before
    wrong = operator.post("/recipes", sample, recipe="draft", draft="FORMAT dicom\n%header\nREMVE PatientName\n")
    assert wrong.status_code == 422
    assert "the recipe.dicom:3" in wrong.text
    assert "REMVE is no action" in wrong.text
    assert operator.post("/recipes", sample, recipe="/etc/passwd").status_code == 422


def test_a_reload_of_the_page_itself_keeps_nobody_signed_in(site: Site, signed_in: SignIn) -> None:
    browser = signed_in("vera")
    before = [session.used for session in site.sessions._by_key.values()]
    assert browser.get("/live/overview", **{"X-Live": "1", "HX-Request": "true"}).status_code == 200
    assert [session.used for session in site.sessions._by_key.values()] == before
    assert browser.get("/live/overview").status_code == 200
    assert sorted(session.used for session in site.sessions._by_key.values()) != sorted(before)


@pytest.mark.parametrize("field", ["name", "password"])
def test_a_wrong_name_or_password_is_refused_alike_and_what_was_typed_is_written_nowhere(
    site: Site, place: Place, field: str
) -> None:
    browser = browser_of(site, "192.0.2.7")
    typed = {"name": "vera", "password": PASSWORD} | {field: "my secret word"}
    browser.get("/login")
    answer = browser.post("/login", None, None, **typed)
    assert answer.status_code == 401
    assert "Name or password is wrong." in answer.text
    said = place.audited()
    assert "my secret word" not in said + place.node.log()
    assert "192.0.2.7" in said
