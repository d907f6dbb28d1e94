"""The page in a real browser: Debian's chromium, driven by playwright.

`DEID_NODE_SCREENSHOTS=docs/images` lets the flows leave pictures for the documentation.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support import make_ct, storescu, wait_for
from tests.web.support import PASSWORD, TOKENS, Place, a_place

CHROMIUM = Path("/usr/bin/chromium")
PICTURES = os.environ.get("DEID_NODE_SCREENSHOTS", "")
WIDE, SMALL = {"width": 1280, "height": 860}, {"width": 360, "height": 740}

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not CHROMIUM.exists(), reason="no chromium: apt-get install chromium"),
]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """A node of its own, since much is changed in it."""
    with a_place(tmp_path_factory.mktemp("own")) as made:
        yield made


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        # As root, chromium cannot make a sandbox; nothing but the node's own page is opened in it.
        options = ["--no-sandbox"] if os.getuid() == 0 else []
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=options)
        yield browser
        browser.close()


@contextlib.contextmanager
def a_window(chromium: Any, place: Place, **more: Any) -> Iterator[Any]:
    """A window in which every complaint of the browser, and every request to somebody else, is a failure."""
    context = chromium.new_context(base_url=f"http://127.0.0.1:{place.web}", viewport=WIDE, **more)
    context.set_default_timeout(30_000)
    page, complaints = context.new_page(), list[str]()
    page.on("console", lambda said: complaints.append(said.text) if said.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    own = f"http://127.0.0.1:{place.web}/"
    page.on("request", lambda asked: None if asked.url.startswith(own) else complaints.append(asked.url))
    try:
        yield page
        expected = ("status of 401", "status of 409", "status of 422", "status of 403")
        assert not [one for one in complaints if not any(code in one for code in expected)]
    finally:
        context.close()


@pytest.fixture
def window(chromium: Any, place: Place) -> Iterator[Callable[..., Any]]:
    with contextlib.ExitStack() as stack:
        yield lambda **more: stack.enter_context(a_window(chromium, place, **more))


def sign_in(page: Any, name: str) -> Any:
    page.goto("/login")
    page.get_by_label("Name").fill(name)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url("**/")
    return page


def picture(page: Any, name: str) -> None:
    if PICTURES:
        page.screenshot(path=f"{PICTURES}/web-{name}.png")


@pytest.mark.parametrize(("name", "places"), [("vera", 7), ("otto", 8), ("ruth", 7), ("both", 8)])
def test_each_role_signs_in_and_sees_its_pages(window: Any, name: str, places: int) -> None:
    page = sign_in(window(), name)
    assert page.get_by_role("navigation", name="Pages").get_by_role("link").count() == places
    page.get_by_role("button", name="Sign out").click()
    page.wait_for_url("**/login")
    page.goto("/held")
    page.wait_for_url("**/login")


def test_the_page_of_a_viewer_holds_no_token(window: Any, place: Place) -> None:
    page = sign_in(window(), "vera")
    for path in ("/", "/held", "/search", "/studies", "/refused", "/crosswalk", f"/instances/{place.held()[0]}"):
        page.goto(path)
        assert not [token for token in TOKENS if token in page.content()]
        assert page.get_by_role("button", name="Discard").count() == 0
        assert page.get_by_role("button", name="Pause").count() == 0


def test_the_overview_refreshes_itself(window: Any, place: Place) -> None:
    page = sign_in(window(), "vera")
    with page.expect_response("**/live/overview") as refreshed:
        pass
    assert refreshed.value.status == 200
    picture(page, "overview")
    assert page.get_by_role("img").count() >= 4


def test_a_destination_is_paused_and_resumed_in_place(window: Any, place: Place) -> None:
    page = sign_in(window(), "otto")
    page.goto("/destinations")
    page.get_by_role("button", name="Pause").click()
    page.get_by_role("button", name="Resume").wait_for()
    assert page.url.endswith("/destinations")
    assert place.node.status()["destinations"]["archive"]["paused"]
    picture(page, "destinations")
    page.get_by_role("button", name="Resume").click()
    page.get_by_role("button", name="Pause").wait_for()
    assert not place.node.status()["destinations"]["archive"]["paused"]
    page.get_by_role("button", name="Echo").click()
    page.get_by_text("archive: answers").wait_for()


def test_what_is_held_is_looked_at_released_and_discarded(window: Any, place: Place) -> None:
    page = sign_in(window(), "otto")
    one, two, *_ = place.held()
    page.goto("/held")
    picture(page, "held")
    page.get_by_role("link", name=one).click()
    page.get_by_role("button", name="Show, without values").click()
    page.get_by_text("It would be held").wait_for()
    page.get_by_label("Recipe", exact=True).select_option("recipe:dose-screens")
    page.get_by_role("button", name="Show, without values").click()
    page.get_by_text("(0010,0010)", exact=True).wait_for()
    assert not [token for token in TOKENS if token in page.content()]
    picture(page, "instance")
    page.get_by_role("button", name="Release", exact=True).click()
    page.wait_for_load_state()
    wait_for(lambda: place.held()[0] != one, "it was cleaned again")
    page.goto(f"/instances/{two}")
    page.get_by_role("button", name="Discard").click()
    assert two in place.held(), "the browser asks whether one is sure"
    page.get_by_label("I am sure").check()
    page.get_by_role("button", name="Discard").click()
    wait_for(lambda: two not in place.held(), "it was discarded")


def test_several_are_discarded_at_once_in_place(window: Any, place: Place) -> None:
    page = sign_in(window(), "otto")
    page.goto("/held?reason=no-patient-id")
    chosen = place.held()[-1]
    page.get_by_label(f"Choose {chosen}").check()
    page.get_by_role("button", name="Discard").click()
    page.get_by_text("mark that you are sure").wait_for()
    page.get_by_label("I am sure").check()
    page.get_by_role("button", name="Discard").click()
    page.get_by_text("1 done: discard").wait_for()
    assert chosen not in place.held()


def test_a_file_is_shown_under_two_recipes(window: Any, place: Place) -> None:
    page = sign_in(window(), "otto")
    page.goto("/recipes")
    page.get_by_label("DICOM file").set_input_files(place.files[0])
    page.get_by_label("Recipe", exact=True).select_option("route:research")
    page.get_by_label("Beside it").select_option("recipe:strict")
    page.get_by_role("button", name="Show").click()
    page.get_by_role("heading", name="Side by side").wait_for()
    assert page.locator("tr.differs").count() > 0
    picture(page, "recipes")


def test_what_still_waits_is_shown_under_two_recipes_without_values(window: Any, place: Place, tmp_path: Path) -> None:
    paused = place.node.log().count('"destination-paused"')
    assert place.ask("POST", "/api/v1/destinations/archive/pause", "otto").status_code == 200
    wait_for(lambda: place.node.log().count('"destination-paused"') > paused, "the forwarder has seen it")
    assert storescu(place.node.port, *make_ct(tmp_path / "waits", 1, rows=16)).returncode == 0
    place.node.wait_status(lambda status: status["destinations"]["archive"]["waiting"] == 1, "it waits")
    with place.node.ledger() as ledger, ledger.database.read() as connection:
        ((name,),) = connection.driver.execute("SELECT id FROM instances WHERE outcome = 'in_flight'").fetchall()
    page = sign_in(window(), "vera")
    page.goto(f"/instances/{name}")
    page.get_by_label("Beside it").select_option("recipe:strict")
    page.get_by_role("button", name="Show, without values").click()
    page.get_by_role("region", name="Side by side").wait_for()
    assert page.locator("tr.differs").count() > 0, "also where both say no more than that there is a value"
    assert not [token for token in TOKENS if token in page.content()]
    picture(page, "beside")
    asked = {"recipe": "", "against": "recipe:strict"}
    found = place.ask("POST", f"/api/v1/instances/{name}/preview/beside", "vera", json=asked).json()
    assert {one["recipe"]["before"] for one in found["differences"] if one["recipe"]} <= {"***", "", None}
    assert place.ask("POST", "/api/v1/destinations/archive/resume", "otto").status_code == 200
    place.node.wait_delivered(3)


def test_identity_is_shown_to_a_re_identifier_and_written_down(window: Any, place: Place) -> None:
    page = sign_in(window(), "ruth")
    page.goto(f"/instances/{place.held()[0]}")
    page.get_by_label("Recipe", exact=True).select_option("recipe:dose-screens")
    page.get_by_role("button", name="Show with identity").click()
    page.get_by_text("PLANTED^NAME").first.wait_for()
    assert "identity shown" in place.audited()


def test_all_can_be_done_by_keyboard(window: Any, place: Place) -> None:
    page = window()
    page.goto("/login")
    page.keyboard.type("otto")
    page.keyboard.press("Tab")
    page.keyboard.type(PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_url("**/")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the content"
    page.keyboard.press("Enter")
    assert page.evaluate("location.hash") == "#main"
    page.goto("/destinations")
    for _ in range(30):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.textContent") == "Pause":
            break
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Resume").wait_for()
    page.get_by_role("button", name="Resume").focus()
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Pause").wait_for()


@pytest.mark.parametrize("colours", ["light", "dark"])
def test_a_small_screen_is_enough(window: Any, place: Place, colours: str) -> None:
    page = sign_in(window(color_scheme=colours), "both")
    page.set_viewport_size(SMALL)
    for path in ("/", "/held", "/destinations", "/recipes", "/crosswalk", f"/instances/{place.held()[0]}"):
        page.goto(path)
        wide = page.evaluate("[document.documentElement.scrollWidth, window.innerWidth]")
        assert wide[0] <= wide[1], f"{path} is wider than the screen"
        small = page.evaluate(
            "[...document.querySelectorAll('button')].filter(b => b.offsetHeight && b.offsetHeight < 40).length"
        )
        assert small == 0
    page.goto("/")
    picture(page, f"small-{colours}")


def test_the_page_works_without_script(window: Any, place: Place) -> None:
    page = sign_in(window(java_script_enabled=False), "otto")
    page.goto("/destinations")
    page.get_by_role("button", name="Pause").click()
    page.get_by_role("button", name="Resume").click()
    page.get_by_role("button", name="Pause").wait_for()
    page.goto("/held")
    assert page.get_by_role("link", name=place.held()[0]).count() == 1


def test_a_conflict_in_a_crosswalk_is_told_by_line(window: Any, place: Place, tmp_path: Path) -> None:
    page = sign_in(window(), "ruth")
    page.goto("/crosswalk")
    pairs = tmp_path / "pairs.csv"
    pairs.write_bytes(b"Patient ID;Pseudonym\r\nNEW-1;SUBJECT-1\r\nNEW-2;SUBJECT-1\r\n")
    page.get_by_label("File").set_input_files(pairs)
    page.get_by_role("button", name="Import").click()
    page.get_by_text("nothing was imported").wait_for()
    page.get_by_text("the file:3").wait_for()
    picture(page, "crosswalk")


def test_a_search_leads_to_the_story(window: Any, place: Place) -> None:
    page = sign_in(window(), "vera")
    page.goto("/search")
    page.get_by_role("searchbox").fill(str(place.scp.datasets()[0].SOPInstanceUID))
    page.get_by_role("button", name="Search").click()
    page.get_by_role("heading", name="The story of").wait_for()
    assert not [token for token in TOKENS if token in page.content()]
    picture(page, "story")


def test_a_held_instance_is_cleaned_again(window: Any, place: Place) -> None:
    page = sign_in(window(), "otto")
    held = place.held()[-1]
    page.goto(f"/instances/{held}")
    page.get_by_label("Clean again with another recipe").select_option("recipe:dose-screens")
    page.get_by_role("button", name="Clean again").click()
    page.wait_for_url(f"**/instances/{held}")
    wait_for(lambda: "for otto at" in place.audited(), "it is written down")
