"""The sections about listeners and TLS: what they may say, and what is said about their files."""

from __future__ import annotations

from pathlib import Path

import pytest

from node.config import Config, certificate_faults, destination_security, expiries, listener_security
from tests.dicomnet.tls import Authority

from .support import GOOD, faults, keys, load

LISTENER = "127.0.0.1:2762"


def with_listeners(*listeners: str, listen: str = "  listen: 127.0.0.1:11112\n") -> str:
    """A configuration with these `listeners`, and a plain one beside them unless `listen` is empty."""
    entries = "  listeners:\n" + "".join(f"    - {one}\n" for one in listeners)
    return GOOD.replace("  listen: 127.0.0.1:11112\n", listen + entries)


def with_tls(tls: str) -> str:
    return GOOD + f"    tls: {tls}\n"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    made = Authority(tmp_path_factory.mktemp("ca"))
    made.issue("node", days=20)
    made.issue("old", days=-1)
    made.issue("other")
    return made


def listener(authority: Authority, name: str = "node", key: str = "") -> str:
    folder = authority.folder
    files = f"certificate: {folder}/{name}.crt, key: {folder}/{key or name}.key, ca: {authority.ca}"
    return f"{{listen: '{LISTENER}', tls: {{{files}}}}}"


def test_listeners_stand_beside_the_plain_one_or_in_its_place(tmp_path: Path, authority: Authority) -> None:
    both = load(tmp_path, with_listeners(listener(authority)))
    assert [str(one.listen) for one in both.node.listening] == ["127.0.0.1:11112", LISTENER]
    assert [listener_security(one) is None for one in both.node.listening] == [True, False]
    closed = load(tmp_path, with_listeners(listener(authority), listen=""))
    assert [str(one.listen) for one in closed.node.listening] == [LISTENER]


def test_a_node_that_listens_nowhere_is_refused(tmp_path: Path) -> None:
    assert keys(tmp_path, GOOD.replace("  listen: 127.0.0.1:11112\n", "")) == [(1, "node.listen")]
    assert keys(tmp_path, GOOD.replace("  listen: 127.0.0.1:11112\n", "  listeners: []\n")) == [(1, "node.listen")]


def test_paths_count_from_the_folder_of_the_file(tmp_path: Path) -> None:
    files = load(tmp_path, with_tls("{ca: tls/ca.crt, certificate: a.crt, key: /k}")).destinations["archive"].tls
    assert files is not None
    assert files.files.all() == (tmp_path / "a.crt", Path("/k"), tmp_path / "tls/ca.crt")


def test_a_destination_is_known_by_its_host_unless_a_name_is_given(tmp_path: Path) -> None:
    for tls, name in (("{ca: ca.crt}", "127.0.0.1"), ("{ca: ca.crt, name: archive.example}", "archive.example")):
        security = destination_security("archive", load(tmp_path, with_tls(tls)).destinations["archive"])
        assert security is not None
        assert security.name == name
    assert destination_security("archive", load(tmp_path, GOOD).destinations["archive"]) is None


@pytest.mark.parametrize(
    ("text", "key"),
    [
        (with_listeners("{listen: '127.0.0.1:1', tls: {certificate: a, key: b}}"), "node.listeners.0.tls"),
        (with_listeners("{listen: '127.0.0.1:1', tls: {certificate: a, ca: b}}"), "node.listeners.0.tls.key"),
        (with_listeners("{listen: '127.0.0.1:1', tls: {}}"), "node.listeners.0.tls.certificate"),
        (with_listeners("{listen: '127.0.0.1:1', called_ae: []}"), "node.listeners.0.called_ae"),
        (with_listeners("{listen: '127.0.0.1:1', tsl: {}}"), "node.listeners.0.tsl"),
        (with_listeners("{called_ae: [A]}"), "node.listeners.0.listen"),
        (with_listeners("{listen: '127.0.0.1:11112'}"), "node.listeners.0.listen"),
        (with_listeners("{listen: '0.0.0.0:5'}", "{listen: '10.0.0.1:5'}", listen=""), "node.listeners.1.listen"),
        (with_listeners("{listen: '127.0.0.1:11113'}"), "destinations.archive.address"),
        (with_tls("{certificate: a, key: b}"), "destinations.archive.tls.ca"),
        (with_tls("{ca: a, key: b}"), "destinations.archive.tls"),
        (with_tls("{ca: a, name: ''}"), "destinations.archive.tls.name"),
        (with_tls("{ca: a, verify: false}"), "destinations.archive.tls.verify"),
        (
            with_tls("{ca: a}") + "trial_destination: {ae_title: A, listen: '127.0.0.1:11113', folder: f}\n",
            "destinations.archive.tls",
        ),
        (GOOD.replace("routes:", "  tls: {certificate: a}\nroutes:"), "node.tls"),
        (GOOD + "tls: {}\n", "tls"),
    ],
)
def test_what_cannot_be_is_refused_where_it_stands(tmp_path: Path, text: str, key: str) -> None:
    assert key in [fault.key for fault in faults(tmp_path, text)]


def test_a_tls_listener_beyond_this_machine_needs_from_as_well(tmp_path: Path, authority: Authority) -> None:
    text = with_listeners(listener(authority).replace("127.0.0.1:2762", "0.0.0.0:2762"), listen="")
    assert [fault.key for fault in faults(tmp_path, text)] == ["routes.0"]


def certificates(config: Config) -> list[tuple[int | None, str, str]]:
    return [(fault.line, fault.key, fault.problem) for fault in certificate_faults(config)]


def test_files_are_looked_into_only_when_that_is_asked_for(tmp_path: Path, authority: Authority) -> None:
    """So `status` works for who may not read the key, and the day after a certificate has expired."""
    config = load(tmp_path, with_listeners(listener(authority, "gone")))
    ((line, key, problem), (_, other, _)) = certificates(config)
    assert (line, key, other) == (5, "node.listeners.0.tls.certificate", "node.listeners.0.tls.key")
    assert "gone.crt cannot be read: No such file" in problem


@pytest.mark.parametrize(
    ("name", "key", "place", "said"),
    [("old", "", "certificate", "has expired"), ("node", "other", "key", "does not belong to")],
)
def test_what_is_wrong_with_them_is_named_by_line_and_key(
    tmp_path: Path, authority: Authority, name: str, key: str, place: str, said: str
) -> None:
    ((line, found, problem),) = certificates(load(tmp_path, with_listeners(listener(authority, name, key))))
    assert (line, found) == (5, f"node.listeners.0.tls.{place}")
    assert said in problem


def test_the_days_of_every_certificate_are_known(tmp_path: Path, authority: Authority) -> None:
    text = with_listeners(listener(authority)) + f"    tls: {{ca: {tmp_path}/none}}\n"
    found = [(one.used_by, one.file.name, one.days) for one in expiries(load(tmp_path, text))]
    assert found[0] in ((f"listener {LISTENER}", "node.crt", days) for days in (19, 20))
    assert found[1][:2] == (f"listener {LISTENER}", "ca.crt")
    assert found[2:] == [("destination archive", "none", None)]


TOLD = """\
notify:
  mail: {{ to: [team@hospital.example], from: node@hospital.example, server: mail.hospital.example:587, ca: {0} }}
  webhook: {{ url: "https://chat.hospital.example/hook", ca: {0} }}
canary:
  tls: {{ ca: {0}, certificate: {1}/old.crt, key: {1}/old.key }}
"""


def test_certificates_of_mail_webhook_and_canary_are_looked_at_as_others_are(
    tmp_path: Path, authority: Authority
) -> None:
    config = load(tmp_path, with_listeners(listener(authority)) + TOLD.format(authority.ca, authority.folder))
    assert [(one.used_by, one.file.name) for one in expiries(config)[2:]] == [
        ("canary", "old.crt"),
        ("canary", "ca.crt"),
        ("notify.mail", "ca.crt"),
        ("notify.webhook", "ca.crt"),
    ]
    (fault,) = certificate_faults(config)
    assert (fault.key, fault.problem) == ("canary.tls.certificate", f"{authority.folder}/old.crt has expired.")
    gone = load(tmp_path, GOOD + TOLD.format(tmp_path / "none.crt", authority.folder))
    keys_of = [fault.key for fault in certificate_faults(gone)]
    assert keys_of == ["canary.tls.certificate", "canary.tls.ca", "notify.mail.ca", "notify.webhook.ca"]
