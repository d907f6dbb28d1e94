"""The page as people of each role see it: what it shows, what may be done there, and what is written down."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pydicom
import pytest

from node.ledger.halt import go, stop
from node.ledger.reception import Refusal, count_refusals
from node.web.api import ROUTERS as API
from node.web.app import OPEN, PAGES, PREFIX
from node.web.pages import holds as pages_of_holds
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
    assert f"{len(place.held())} held" in re.sub(r"<dt>held</dt><dd>(\d+)</dd>", r"\1 held", viewer.get("/").text)


def test_a_viewer_can_change_nothing_and_sees_no_identity(place: Place, signed_in: SignIn) -> None:
    viewer, before = signed_in("vera"), place.held()
    held = before[0]
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
    assert place.held() == before
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
    operator, before = signed_in("otto"), place.node.status()
    one, two, three, *_ = place.held()
    operator.get(f"/instances/{one}")
    assert operator.post(f"/instances/{one}/act", way="despite-leak").status_code == 409
    assert operator.post(f"/instances/{one}/act", way="release").status_code == 303
    wait_for(lambda: one in place.held() and place.held()[0] != one, "it was cleaned again, and is held again")
    operator.get("/held?reason=no-patient-id")
    many = {"way": "discard", "reason": "no-patient-id", "id": [two, three]}
    assert operator.post("/held", None, None, **many).status_code == 422
    assert len(place.held()) == before["held"]
    done = operator.post("/held", None, None, **many, sure="yes")
    assert "2 done: discard" in done.text
    status = place.node.status()
    assert (status["held"], status["discarded"]) == (before["held"] - 2, before["discarded"] + 2)
    assert not [name for name in (two, three) if list(place.node.spool.rglob(f"{name}*"))]
    assert operator.post(f"/instances/{two}/act", way="release").status_code == 409


def test_many_are_cleaned_again_by_another_recipe_and_what_the_list_has_no_room_for_is_counted(
    place: Place, signed_in: SignIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    operator = signed_in("otto")
    held = place.held()
    monkeypatch.setattr(pages_of_holds, "MOST", 1)
    assert f"The oldest 1 of {len(held)} are shown." in operator.get("/held?reason=no-patient-id").text
    monkeypatch.undo()
    operator.get("/held?reason=no-patient-id")
    many = {"way": "clean", "reason": "no-patient-id", "id": held[:2]}
    wrong = operator.post("/held", None, None, **many, recipe="recipe:none")
    assert (wrong.status_code, "There is no such recipe here." in wrong.text) == (409, True)
    assert operator.post("/held", None, None, **many | {"reason": "refused"}).status_code == 422
    before = {one["id"]: one["since"] for one in place.node.held()}
    done = operator.post("/held", None, None, **many, recipe="route:research")
    assert f"{len(held[:2])} are cleaned again" in done.text

    def held_again() -> bool:
        now = {one["id"]: one["since"] for one in place.node.held()}
        return set(now) == set(held) and all(now[one] != before[one] for one in held[:2])

    wait_for(held_again, "they are held again, for the same reason")
    for one in held[:2]:
        assert "released with the recipe" in operator.get(f"/instances/{one}").text
    shown = re.findall(r'name="shown" value="([^"]+)"', operator.get("/held?reason=no-patient-id").text)
    assert set(shown[0].split()) == set(held)
    everything = {"way": "release", "reason": "no-patient-id", "all": "yes", "shown": shown[0]}
    assert f"{len(held)} done: release" in operator.post("/held", None, None, **everything).text
    wait_for(lambda: set(place.held()) == set(held), "and are held again")


@pytest.mark.slow
def test_a_held_instance_is_shown_under_two_recipes_without_values(place: Place, signed_in: SignIn) -> None:
    viewer, held = signed_in("vera"), place.held()[0]
    viewer.get(f"/instances/{held}")
    alike = viewer.post(f"/instances/{held}/preview", recipe="recipe:dose-screens", against="recipe:mr-research")
    assert "0 elements differ" in alike.text
    one = viewer.post(f"/instances/{held}/preview", recipe="route:research", against="recipe:dose-screens")
    assert "First: It would be held" in one.text
    assert "(0010,0010)" in one.text, "and what the other one does"
    assert not [token for token in TOKENS if token in one.text]
    asked = {"recipe": "route:research", "against": "recipe:mr-research"}
    found = place.ask("POST", f"/api/v1/instances/{held}/preview/beside", "vera", json=asked).json()
    assert found["differences"] is None
    assert found["recipe"]["held"]["reason"] == "no-patient-id"
    assert found["against"]["held"] is None


def test_a_destination_that_cannot_be_reached_is_gone_or_stopped_says_so(place: Place, signed_in: SignIn) -> None:
    viewer = signed_in("vera")
    assert "<dd>idle</dd>" in viewer.get("/destinations").text
    with place.node.ledger() as ledger:
        with ledger.database.write(durable=True) as connection:
            connection.driver.execute("UPDATE destinations SET failures = 2 WHERE name = 'archive'")
            connection.driver.execute("INSERT INTO destinations (name, paused, failures) VALUES ('old', 0, 0)")
        stop(ledger.database, ledger.trail, "looking at the recipe")
        told = viewer.get("/destinations").text
        states = {one["name"]: one["state"] for one in place.ask("GET", "/api/v1/destinations", "vera").json()}
        go(ledger.database, ledger.trail)
        ledger.resume("archive")
        with ledger.database.write(durable=True) as connection:
            connection.driver.execute("DELETE FROM destinations WHERE name = 'old'")
    assert states == {"archive": "unreachable", "old": "gone"}
    assert "<strong>unreachable</strong>" in told
    assert "<strong>gone</strong> from the configuration" in told
    assert "Forwarding is stopped, to every destination" in told
    assert "looking at the recipe" in told


def test_what_was_refused_is_told_by_its_name_and_with_what_to_change(place: Place, signed_in: SignIn) -> None:
    context = Refusal("presentation-context", "CT<1>", "DEIDNODE", "::1", "1.2.840.10008.1.20.1", "1.2.840.10008.1.2")
    with place.node.ledger() as ledger:
        count_refusals(ledger.database, {context: 41, Refusal("association", "US2", "OTHER", "10.0.0.2"): 2})
    told = signed_in("vera").get("/refused").text
    for text in ("CT&lt;1&gt;", "Storage Commitment Push Model", "Implicit VR Little Endian", "41", "called_ae", "US2"):
        assert text in told, text
    senders = place.ask("GET", "/api/v1/refused", "vera").json()["senders"]
    assert {one["calling_ae_title"] for one in senders} == {"CT<1>", "US2"}


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
