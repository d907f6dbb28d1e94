"""Search, and the story of what was found: by what names nobody for everybody, by originals for re-identifiers."""

from __future__ import annotations

from collections.abc import Callable

import pydicom
import pytest

from tests.web.support import TOKENS, Browser, Place


def test_a_viewer_finds_by_replacements_and_never_by_originals(
    place: Place, signed_in: Callable[[str], Browser]
) -> None:
    viewer = signed_in("vera")
    sent, original = place.scp.datasets()[0], pydicom.dcmread(place.files[0])
    for term in (str(sent.StudyInstanceUID), str(sent.SOPInstanceUID), str(sent.PatientID)):
        viewer.get("/search")
        answer = viewer.post("/search", term=term, identity="yes")
        assert answer.status_code == 200
        assert str(sent.StudyInstanceUID) in answer.text, term
        assert not [token for token in (*TOKENS, str(original.StudyInstanceUID)) if token in answer.text]
    for term in (str(original.StudyInstanceUID), str(original.SOPInstanceUID), str(original.PatientID)):
        assert "Nothing is known by that." in viewer.post("/search", term=term, identity="yes").text
        asked = {"term": term, "identity": True}
        assert place.ask("POST", "/api/v1/search", "otto", json=asked).json() == {"studies": [], "stories": []}


def test_the_story_of_one_instance_says_what_changed_by_which_rule(
    place: Place, signed_in: Callable[[str], Browser]
) -> None:
    sent = place.scp.datasets()[0]
    viewer = signed_in("vera")
    viewer.get("/search")
    told = viewer.post("/search", term=str(sent.SOPInstanceUID)).text
    assert "The story of" in told
    for word in ("STORESCU", "research", "archive", "delivered", "0000H"):
        assert word in told, word
    assert not [token for token in TOKENS if token in told]


@pytest.mark.slow
def test_a_re_identifier_finds_by_a_patient_id_and_that_is_written_down(place: Place) -> None:
    before = place.audited().count("for ruth at")
    found = place.ask("POST", "/api/v1/search", "ruth", json={"term": "MRN-0001", "identity": True}).json()
    assert len(found["studies"][0]["instances"]) == 2
    assert place.audited().count("for ruth at") > before
    one = found["studies"][0]["instances"][0]["id"]
    story = place.ask("POST", "/api/v1/search", "ruth", json={"term": one, "identity": True}).json()["stories"][0]
    assert story["identity"]["patient_id"] == "MRN-0001"


@pytest.mark.slow
def test_a_held_instance_is_cleaned_again_by_another_recipe(place: Place) -> None:
    held = place.held()[-1]
    done = place.ask("POST", "/api/v1/held/clean", "otto", json={"ids": [held], "recipe": "recipe:dose-screens"})
    assert done.status_code == 200, done.text
    assert "for otto at" in place.audited()
    assert place.ask("POST", "/api/v1/held/clean", "otto", json={"ids": [held], "recipe": "/x"}).status_code == 409
