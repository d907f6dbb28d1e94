"""What the tests of the web page share: a node with something held, its users, and browsers without a screen."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from fastapi.testclient import TestClient

from node.audit.actor import this_person
from node.config import load_config
from node.ledger.audit import entries, open_trail
from node.web.app import make_app
from node.web.site import Site
from node.web.users import Role, Users
from tests.support import RunningNode, StoreSCP, free_port, make_ct, storescu, wait_for

PASSWORD = "correct horse battery"
ROLES: dict[str, tuple[Role, ...]] = {
    "vera": (),
    "otto": (Role.OPERATOR,),
    "ruth": (Role.RE_IDENTIFIER,),
    "both": (Role.OPERATOR, Role.RE_IDENTIFIER),
}
TOKENS = ("PLANTED", "19600314")
"""What `make_ct` writes into each file, and no page may show to who must not see it."""


@dataclass
class Place:
    """A running node with a page: three instances delivered, some held; users with one token each, called `t`."""

    node: RunningNode
    scp: StoreSCP
    web: int
    files: list[Path]
    tokens: dict[str, str] = field(default_factory=dict)

    def held(self) -> list[str]:
        """The ids of what is held, oldest first."""
        return [entry["id"] for entry in self.node.held()]

    def audited(self) -> str:
        """All messages of the audit trail."""
        with self.node.ledger() as ledger:
            return "\n".join(entry.message for entry in entries(ledger.database))

    def ask(self, way: str, path: str, user: str = "", **more: Any) -> httpx.Response:
        """One request to the running page, by a user's token."""
        headers = {"Authorization": f"Bearer {self.tokens[user]}"} if user else {}
        return httpx.request(way, f"http://127.0.0.1:{self.web}{path}", headers=headers, timeout=60, **more)


@contextlib.contextmanager
def a_place(folder: Path, **changes: Any) -> Iterator[Place]:
    """Run a node, send it what is delivered and what is held, and add users."""
    scp = StoreSCP(folder / "archive").start()
    web = free_port()
    folder.joinpath("node").mkdir()
    settings = {"enabled": True, "listen": f"127.0.0.1:{web}", **changes.pop("web", {})}
    node = RunningNode(folder / "node", {"archive": scp.port}, web=settings, **changes)
    try:
        node.start()
        users = Users(node.data / "web-users.json")
        place = Place(node, scp, web, make_ct(folder / "good", 2, rows=16))
        for name, roles in ROLES.items():
            users.put(name, roles, PASSWORD)
            place.tokens[name] = users.add_token(name, "t")
        held = [make_ct(folder / f"bad{number}", 1, rows=16, patient="UNKNOWN")[0] for number in range(4)]
        assert storescu(node.port, *place.files, *held).returncode == 0
        node.wait_status(lambda status: status["delivered"] == 2 and status["held"] == 4, "two delivered, four held")
        wait_for(lambda: _answers(place), "the page answers")
        yield place
    finally:
        node.close()
        scp.stop()


def _answers(place: Place) -> bool:
    with contextlib.suppress(httpx.TransportError):
        return place.ask("GET", "/health/live").status_code == 200
    return False


class Browser:
    """A browser without a screen or script: it keeps cookies, and sends the forms that a page has."""

    def __init__(self, client: TestClient) -> None:
        self.client = client

    def sign_in(self, name: str, password: str = PASSWORD) -> Any:
        self.get("/login")
        return self.post("/login", name=name, password=password)

    def get(self, path: str, **headers: str) -> Any:
        answer = self.client.get(path, headers=headers)
        found = re.search(r'name="csrf" value="([^"]+)"', answer.text)
        self.csrf = found[1] if found else ""
        return answer

    def post(self, path: str, files: Any = None, headers: Any = None, **data: Any) -> Any:
        return self.client.post(path, data={"csrf": self.csrf, **data}, files=files, headers=headers or {})


@contextlib.contextmanager
def a_site(config_path: Path) -> Iterator[Site]:
    """The site of a configuration in this process, on the ledger of its node."""
    config = load_config(config_path)
    site = Site(config, open_trail(config, this_person("serve")))
    try:
        yield site
    finally:
        site.close()


def browser_of(site: Site, address: str = "127.0.0.1") -> Browser:
    """A browser of its own that has not signed in."""
    return Browser(
        TestClient(make_app(site), base_url="https://localhost", client=(address, 1), follow_redirects=False)
    )
