"""The same by the web page and its API: a viewer looks, an operator accepts, nobody sees an original."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from node.config import users_path
from node.web.users import Role, Users
from tests.completeness.support import FollowedSite, burned_in
from tests.drills.support import image
from tests.web.support import PASSWORD, a_site, browser_of

ORIGINALS = ("MRN-1", "PLANTED", ">1.2.7", '"1.2.7')


@pytest.fixture
def site(tmp_path: Path) -> Iterator[FollowedSite]:
    made = FollowedSite(tmp_path)
    made.settings["web"] = {"enabled": True}
    made.configure()
    made.come(image())
    made.come(burned_in(study="1.2.8", patient="MRN-2"))
    made.deliver("a")
    made.pass_time()
    yield made
    made.database.close()


def test_people_and_programs_see_what_differs_and_accept_it(site: FollowedSite) -> None:
    users = Users(users_path(site.config))
    users.put("otto", (Role.OPERATOR,), PASSWORD)
    users.put("vera", (), PASSWORD)
    tokens = {name: {"Authorization": f"Bearer {users.add_token(name, 't')}"} for name in ("otto", "vera")}
    with a_site(site.folder / "config.yaml") as web:
        person = browser_of(web)

        def ask(method: str, path: str, name: str = "vera") -> tuple[int, Any]:
            answer = person.client.request(method, f"/api/v1{path}", headers=tokens[name])
            assert not any(original in answer.text for original in ORIGINALS)
            return answer.status_code, answer.json()

        code, every = ask("GET", "/studies")
        assert code == 200
        numbers = {one["state"]: one["number"] for one in every}
        assert set(numbers) == {"complete", "different"}
        _, (one,) = ask("GET", "/studies?problems=true")
        path = f"/studies/{one['number']}"
        assert one["number"] == numbers["different"]
        assert ask("GET", path)[1]["differences"][0]["kind"] == "held"
        assert ask("GET", "/receipts/1")[0] == 200
        assert ask("GET", "/receipts/2")[0] == ask("GET", "/studies/99")[0] == 404
        assert ask("POST", f"{path}/accept")[0] == 403
        assert ask("POST", f"{path}/check", "otto") == (200, {"number": one["number"]})
        assert site.sql("SELECT due_at IS NOT NULL FROM studies WHERE seq = ?", one["number"]) == [(1,)]

        assert person.sign_in("otto").status_code == 303
        listed = person.get("/studies").text
        assert f'href="{path}"' in listed
        page = person.get(path).text
        assert "What differs" in page
        assert not any(original in listed + page for original in ORIGINALS)
        assert person.post(f"{path}/accept").status_code == 303
        assert "accepted" in person.get(path).text
        assert f"differences of study {one['study_instance_uid']} accepted" in site.said_in_audit()
        assert "Receipts" in person.get(f"/studies/{numbers['complete']}").text
