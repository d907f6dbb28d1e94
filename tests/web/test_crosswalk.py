"""Crosswalks by the page: what conflicts is told by line and nothing of it imported; export; who waits."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.web.support import Browser, Place

CONFLICT = b"Patient ID;Pseudonym\r\nNEW-1;SUBJECT-1\r\nMRN-0001;SUBJECT-2\r\nNEW-2;SUBJECT-1\r\n"
GOOD = b"Patient ID;Pseudonym\r\nNEW-1;SUBJECT-1\r\nNEW-2;SUBJECT-2\r\n"


@pytest.mark.slow
def test_conflicts_are_listed_by_line_and_the_file_is_refused_as_a_whole(
    place: Place, signed_in: Callable[[str], Browser]
) -> None:
    page = signed_in("ruth")
    page.get("/crosswalk")
    refused = page.post("/crosswalk/import", {"file": ("pairs.csv", CONFLICT)}, project="demo")
    assert refused.status_code == 409
    assert "nothing was imported" in refused.text
    assert "the file:3" in refused.text
    assert "the file:4" in refused.text
    assert not [value for value in ("MRN-0001", "SUBJECT-2", "NEW-2") if value in refused.text]
    answer = place.ask("POST", "/api/v1/crosswalk/demo/import", "ruth", content=CONFLICT)
    assert answer.status_code == 409
    assert len(answer.json()["faults"]) >= 2
    assert b"NEW-1" not in place.ask("POST", "/api/v1/crosswalk/demo/export", "ruth").content


@pytest.mark.slow
def test_pairs_are_imported_and_exported_and_both_are_written_down_with_the_user(place: Place) -> None:
    tried = place.ask("POST", "/api/v1/crosswalk/demo/import?dry_run=true", "ruth", content=GOOD)
    assert tried.json()["counts"]["new"] == 2, tried.text
    done = place.ask("POST", "/api/v1/crosswalk/demo/import", "ruth", content=GOOD)
    assert (done.status_code, done.json()["counts"]["new"]) == (200, 2)
    exported = place.ask("POST", "/api/v1/crosswalk/demo/export", "ruth")
    assert exported.headers["content-disposition"] == 'attachment; filename="crosswalk-demo.csv"'
    assert b"NEW-2" in exported.content
    assert place.audited().count("for ruth at 127.0.0.1") >= 2
    for user in ("vera", "otto"):
        assert place.ask("POST", "/api/v1/crosswalk/demo/export", user).status_code == 403
    assert place.ask("GET", "/api/v1/crosswalk/waiting", "vera").json() == []
    listed = place.ask("POST", "/api/v1/crosswalk/demo/waiting", "ruth")
    assert listed.headers["content-disposition"] == 'attachment; filename="waiting-demo.csv"'
    assert listed.text.splitlines()[0].startswith('"Issuer of Patient ID","Patient ID","Pseudonym"')
    assert "0 patients who wait were listed" in place.audited()
    assert place.ask("POST", "/api/v1/crosswalk/demo/waiting", "otto").status_code == 403
