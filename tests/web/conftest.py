"""One node with a page for all tests; those of a browser, and those that send anything at all, have their own."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from node.web.site import Site
from tests.web.support import Browser, Place, a_place, a_site, browser_of


@pytest.fixture(scope="session")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with a_place(tmp_path_factory.mktemp("web")) as made:
        yield made


@pytest.fixture(scope="session")
def site(place: Place) -> Iterator[Site]:
    with a_site(place.node.config_path) as made:
        yield made


@pytest.fixture(scope="session")
def signed_in(site: Site) -> Callable[[str], Browser]:
    """Give a browser in which a user is signed in; one for each, since each password takes its time."""
    known: dict[str, Browser] = {}

    def of(name: str) -> Browser:
        if name not in known:
            known[name] = browser_of(site)
            assert known[name].sign_in(name).status_code == 303
        return known[name]

    return of
