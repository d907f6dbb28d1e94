"""What protects the page: who may come in, from where, and what an answer carries."""

from __future__ import annotations

import json
import re
from pathlib import Path
from types import SimpleNamespace

import pytest

from node.errors import UsersError
from node.web import sessions
from node.web.charts import line
from node.web.guard import MOST_BYTES
from node.web.sessions import Pretokens, Sessions, Throttle
from node.web.site import Site
from node.web.users import Role, Users
from tests.web.support import PASSWORD, Place, a_site, browser_of


def test_only_the_nodes_own_names_and_addresses_reach_the_page(site: Site) -> None:
    client = browser_of(site).client
    for host, status in (
        ("localhost:8080", 200),
        ("127.0.0.1:8080", 200),
        ("[::1]:8080", 200),
        ("10.1.2.3", 200),
        ("evil.example", 421),
        ("localhost.evil.example", 421),
        ("127.0.0.1.evil.example", 421),
        ("", 421),
    ):
        assert client.get("/login", headers={"Host": host}).status_code == status, host


def test_every_answer_forbids_foreign_scripts_frames_and_caches(site: Site) -> None:
    client = browser_of(site).client
    for path in ("/login", "/nowhere", "/api/v1/status", "/health/live", "/static/style.css"):
        headers = client.get(path).headers
        policy = headers["content-security-policy"]
        assert policy.startswith("default-src 'none'; script-src 'self';")
        assert "unsafe" not in policy
        assert headers["x-frame-options"] == "DENY"
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cache-control"] == ("public, max-age=3600" if "static" in path else "no-store")


def test_no_page_has_script_or_style_of_its_own() -> None:
    for path in (Path(__file__).parents[2] / "node/web/templates").glob("*.html"):
        text = path.read_text()
        assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\bstyle=|\bon[a-z]+=|javascript:|\bhx-on|\|safe", text), (
            path
        )
        assert not re.search(r"""(?:src|href|action)=["'](?:https?:)?//""", text), path


def test_the_session_is_a_cookie_that_no_script_and_no_other_site_gets(site: Site) -> None:
    browser = browser_of(site)
    browser.sign_in("vera")
    browser.get("/login")
    cookies = [cookie for cookie in browser.client.cookies.jar if cookie.name == "__Host-deid"]
    assert [(cookie.secure, cookie.path, cookie.domain_specified) for cookie in cookies] == [(True, "/", False)]
    kept = cookies[0].__dict__["_rest"]
    assert "HttpOnly" in kept
    assert kept["SameSite"] == "strict"
    assert cookies[0].value not in str(site.sessions._by_key)
    browser.get("/")
    assert browser.post("/logout").status_code == 303
    assert browser.get("/").headers["location"] == "/login"


def test_nothing_changes_without_the_token_of_the_page_or_from_a_page_of_another_site(site: Site) -> None:
    browser = browser_of(site)
    assert browser.sign_in("otto").status_code == 303
    browser.get("/destinations")
    path = "/destinations/archive/pause"
    assert browser.client.post(path).status_code == 403
    assert browser.client.post(path, data={"csrf": "x" * 43}).status_code == 403
    assert browser.post(path, headers={"Origin": "https://evil.example"}).status_code == 403
    assert browser.post(path, headers={"Sec-Fetch-Site": "cross-site"}).status_code == 403
    assert browser.client.post("/api/v1/destinations/archive/pause").status_code == 403
    other = browser_of(site)
    other.get("/login")
    other.csrf = "x"
    assert other.post("/login", name="otto", password=PASSWORD).status_code == 403
    with site.database.read() as connection:
        assert not connection.driver.execute("SELECT 1 FROM destinations WHERE paused").fetchall()
    headers = {"X-CSRF-Token": browser.csrf, "Origin": "https://localhost"}
    assert browser.client.post("/api/v1/destinations/archive/resume", headers=headers).status_code == 200


def test_what_is_too_long_is_refused_whether_it_says_so_or_not(site: Site) -> None:
    client = browser_of(site).client
    assert client.post("/login", content=b"x" * (MOST_BYTES + 1)).status_code == 413

    def pieces() -> object:
        for _ in range(20):
            yield b"x" * (MOST_BYTES // 10)

    kind = {"Content-Type": "application/x-www-form-urlencoded"}
    assert client.post("/login", content=pieces(), headers=kind).status_code == 413


def test_many_wrong_passwords_make_one_wait_by_name_and_by_address(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr(sessions, "time", SimpleNamespace(monotonic=lambda: now))
    throttle = Throttle()
    for _ in range(5):
        assert throttle.wait("name a", "address b") == 0
        throttle.failed("name a", "address b")
    assert throttle.wait("name a") == 2.0
    assert throttle.wait("name z", "address b") == 2.0
    assert throttle.wait("name z") == 0
    now += 2
    assert throttle.wait("name a") == 0
    throttle.failed("name a")
    assert throttle.wait("name a") == 4.0
    for _ in range(50):
        throttle.failed("name a")
    assert throttle.wait("name a") == 300.0
    throttle.succeeded("name a")
    assert throttle.wait("name a") == 0


def test_the_page_asks_to_wait_before_it_looks_at_another_password(site: Site) -> None:
    browser = browser_of(site, "192.0.2.9")
    for _ in range(5):
        site.throttle.failed("name nobody", "address 192.0.2.9")
    answer = browser.sign_in("vera")
    assert answer.status_code == 429
    assert 1 <= int(answer.headers["retry-after"]) <= 2


def test_a_session_ends_by_time_and_by_use(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr(sessions, "time", SimpleNamespace(monotonic=lambda: now))
    known = Sessions(idle=60, longest=100)
    key, session = known.begin("vera")
    assert known.get(key) is session
    assert known.get(key[:-1] + "x") is None
    now = 50.0
    assert known.get(key) is session
    now = 99.0
    assert known.get(key) is session
    now = 101.0
    assert known.get(key) is None
    key, session = known.begin("vera")
    now += 50
    assert known.get(key, touch=False) is session
    now += 20
    assert known.get(key) is None


def test_the_token_of_the_sign_in_page_belongs_to_one_browser() -> None:
    tokens = Pretokens()
    assert tokens.is_right("a", tokens.make("a"))
    assert not tokens.is_right("b", tokens.make("a"))
    assert not tokens.is_right("", tokens.make(""))
    assert not Pretokens().is_right("a", tokens.make("a"))


def test_a_reverse_proxy_says_who_it_is_only_from_where_it_is_trusted_and_only_once(
    place: Place, tmp_path: Path
) -> None:
    config = {**place.node.config, "web": {"proxy_header": "X-Remote-User", "trusted_proxies": ["192.0.2.0/28"]}}
    config["node"] = config["node"] | {"data": str(place.node.data)}
    path = tmp_path / "config.yaml"
    path.write_text(json.dumps(config))
    with a_site(path) as site:
        proxy, elsewhere = browser_of(site, "192.0.2.1"), browser_of(site, "198.51.100.1")
        said = {"X-Remote-User": "otto", "X-Forwarded-For": "203.0.113.5, 203.0.113.6"}
        assert proxy.get("/destinations", **said).status_code == 200
        assert elsewhere.get("/destinations", **said).status_code == 303
        assert proxy.get("/destinations", **said | {"Authorization": "Basic b3R0bzp4"}).status_code == 200
        assert proxy.get("/destinations", **said | {"X-Remote-User": "nobody"}).status_code == 303
        twice = [("X-Remote-User", "otto"), ("X-Remote-User", "ruth")]
        assert proxy.client.get("/destinations", headers=twice).status_code == 303
        proxy.get("/destinations", **said)
        assert proxy.post("/destinations/archive/resume", headers=said).status_code == 303
        # A proxy that leaves what a browser made up, and adds a line of its own behind it.
        lines = [("X-Remote-User", "otto"), ("X-Forwarded-For", "203.0.113.66"), ("X-Forwarded-For", "203.0.113.7")]
        assert proxy.post("/destinations/archive/resume", headers=lines).status_code == 303
        assert proxy.post("/destinations/archive/resume", headers=said | {"X-Remote-User": "both"}).status_code == 403
        assert proxy.post("/destinations/archive/resume").status_code == 401
    said_of = place.audited()
    assert 'NetworkAccessPointID="203.0.113.6"' in said_of
    assert 'NetworkAccessPointID="203.0.113.7"' in said_of
    assert "203.0.113.66" not in said_of


def test_the_file_of_users_holds_no_password_and_no_token_and_is_its_owners_alone(tmp_path: Path) -> None:
    users = Users(tmp_path / "users.json")
    assert users.all() == []
    users.put("anna", [Role.OPERATOR], PASSWORD)
    token = users.add_token("anna", "script")
    text = (tmp_path / "users.json").read_text()
    assert PASSWORD not in text
    assert token not in text
    assert "$argon2id$" in text
    assert (tmp_path / "users.json").stat().st_mode & 0o777 == 0o600
    again = Users(tmp_path / "users.json")
    known = again.of_password("anna", PASSWORD)
    assert known is not None
    assert known.may(Role.OPERATOR)
    assert not known.may(Role.RE_IDENTIFIER)
    assert again.of_token(token) == known
    assert again.of_token(token[:-1] + "?") is None
    users.remove_token("anna", "script")
    assert again.of_token(token) is None
    users.put("anna", [], None)
    assert again.of_password("anna", PASSWORD) is None
    users.remove("anna")
    assert again.get("anna") is None


def test_a_file_of_users_that_others_can_read_or_that_is_none_lets_nobody_in(tmp_path: Path) -> None:
    path = tmp_path / "users.json"
    Users(path).put("anna", [], None)
    path.chmod(0o640)
    with pytest.raises(UsersError, match="chmod 600"):
        Users(path).get("anna")
    path.write_text("[]")
    path.chmod(0o600)
    with pytest.raises(UsersError, match="no file of users"):
        Users(path).get("anna")


@pytest.mark.parametrize(("name", "password"), [("", PASSWORD), ("../x", PASSWORD), ("anna", "short"), ("a b", None)])
def test_a_name_or_password_that_is_none_is_refused(tmp_path: Path, name: str, password: str | None) -> None:
    with pytest.raises(UsersError):
        Users(tmp_path / "users.json").put(name, [], password)
    assert not (tmp_path / "users.json").exists()


def test_users_of_a_node_that_was_never_started_have_to_wait_for_its_start(tmp_path: Path) -> None:
    with pytest.raises(UsersError, match="first start makes it"):
        Users(tmp_path / "var" / "users.json").put("anna", [], None)


def test_another_password_ends_the_sessions_of_a_user_and_other_roles_do_not(site: Site) -> None:
    site.users.put("nina", [Role.OPERATOR], PASSWORD)
    one = browser_of(site)
    assert one.sign_in("nina").status_code == 303
    site.users.set_roles("nina", [])
    assert one.get("/held").status_code == 200
    assert one.get("/recipes").status_code == 403, "the roles of now count"
    site.users.put("nina", [Role.OPERATOR], PASSWORD[::-1])
    assert one.get("/held").headers["location"] == "/login"
    site.users.remove("nina")
    site.users.put("nina", [Role.OPERATOR], PASSWORD)
    assert one.get("/held").headers["location"] == "/login", "somebody else of the same name"
    site.users.remove("nina")


def test_users_are_added_listed_and_removed_at_the_command_line(place: Place) -> None:
    cli = place.node.cli
    assert cli("web", "user", "add", "zoe", "--role", "operator", "--no-password").stdout == "zoe: operator, viewer\n"
    token = cli("web", "token", "add", "zoe", "script").stdout.strip()
    place.tokens["zoe"] = token
    assert place.ask("GET", "/api/v1/me", "zoe").json() == {"name": "zoe", "roles": ["operator", "viewer"]}
    listed = json.loads(cli("web", "user", "list", "--json").stdout)
    assert {"name": "zoe", "roles": ["operator", "viewer"], "password": False, "tokens": ["script"]} in listed
    assert cli("web", "user", "add", "zoe", "--role", "re-identifier", "--keep-password").returncode == 0
    assert place.ask("GET", "/api/v1/me", "zoe").json()["roles"] == ["re-identifier", "viewer"]
    assert cli("web", "user", "remove", "zoe").returncode == 0
    assert place.ask("GET", "/api/v1/me", "zoe").status_code == 401
    assert cli("web", "user", "add", "zoe", "--keep-password").returncode == 1, "nobody is added without a word"
    said = place.audited()
    for text in ("roles: operator, viewer; no password", "token script made", "roles: re-identifier, viewer"):
        assert f"web page: {text}" in said, text
    assert "web page: removed" in said
    assert token not in said


def test_what_peers_call_themselves_is_text_and_nothing_else() -> None:
    drawn = line([(0.0, 1.0), (1.0, 2.0)], 'Waiting for <script>"')
    assert "<script>" not in drawn
    assert "&lt;script&gt;&#34;" in drawn
