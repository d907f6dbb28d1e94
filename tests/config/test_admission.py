"""Refusals are told with the line of the configuration that would admit them, and with no other."""

import pytest

from node.admission import NOTHING_TO_DO, Advice, Refused
from node.config import load_config
from tests.config.support import write

TEXT = """\
node:
  ae_title: DEIDNODE
  listen: 127.0.0.1:11112
  listeners:
    - listen: 127.0.0.1:2762
      called_ae: [SECURE]
      tls: {certificate: n.crt, key: n.key, ca: ca.crt}
  max_associations: 7
routes:
  - name: ct
    from:
      calling_ae: ["CT*", MR1]
      address:
        - 10.1.0.0/16
    recipe: [own/careful.dicom]
    to: [archive]
  - name: trial
    from:
      called_ae: [TRIAL, SECURE]
      address: [10.2.0.0/16]
      certificate: [ct1.example]
    recipe: [own/careful.dicom]
    to: [archive]
destinations:
  archive:
    ae_title: ARCHIVE
    address: 127.0.0.1:11113
limits:
  - {calling_ae: [CT9], associations: 2}
  - associations: 3
    instance_size: 2 GiB
"""
PLACES = {
    "routes.0.from.called_ae": 11,
    "routes.0.from.calling_ae": 12,
    "routes.0.from.address": 13,
    "routes.1.from.called_ae": 19,
    "routes.1.from.address": 20,
    "routes.1.from.certificate": 21,
    "node.listeners.0.called_ae": 6,
    "node.max_associations": 8,
    "limits.0.associations": 29,
    "limits.1.associations": 30,
    "limits.1.instance_size": 31,
}


@pytest.fixture
def advise(tmp_path, monkeypatch):
    path = write(tmp_path, TEXT)
    monkeypatch.chdir(tmp_path)
    return Advice(load_config(path.relative_to(tmp_path))).of


def said(*changes: tuple[str, str]) -> str:
    return "; ".join(f"{key} (config.yaml:{PLACES[key]}): {change}" for key, change in changes)


@pytest.mark.parametrize(
    ("calling", "called", "address", "certificate", "changes"),
    [
        ("XA7", "DEIDNODE", "10.1.2.3", "", [("routes.0.from.calling_ae", 'add "XA7"')]),
        ("CT7", "DEIDNODE", "10.9.2.3", "", [("routes.0.from.address", 'add "10.9.2.3"')]),
        ("CT7", "DEIDNODE", "::ffff:10.9.2.3", "", [("routes.0.from.address", 'add "10.9.2.3"')]),
        ("CT7", "WRONG", "10.1.2.3", "", [("routes.0.from.called_ae", 'write ["DEIDNODE", "WRONG"]')]),
        ("XA7", "TRIAL", "10.2.2.3", "", [("routes.1.from.certificate", "it has shown no certificate")]),
        ("XA7", "TRIAL", "10.2.2.3", "xa7.example, XA7", [("routes.1.from.certificate", 'add "xa7.example"')]),
        (
            "XA7",
            "TRIAL",
            "10.9.9.9",
            "xa7.example",
            [("routes.1.from.address", 'add "10.9.9.9"'), ("routes.1.from.certificate", 'add "xa7.example"')],
        ),
        ("*", "DEIDNODE", "10.1.2.3", "", [("routes.0.from.calling_ae", "none for this sender")]),
        ("", "DEIDNODE", "10.1.2.3", "", [("routes.0.from.calling_ae", "none for a sender without a name")]),
        ('A"B', "DEIDNODE", "10.1.2.3", "", [("routes.0.from.calling_ae", r'add "A\"B"')]),
    ],
)
def test_a_refused_association_is_told_the_nearest_route_and_what_differs(
    advise, calling, called, address, certificate, changes
):
    assert advise(Refused("association", calling, called, address, certificate)).startswith(said(*changes))


def test_nothing_that_a_peer_says_gets_out_of_its_line(advise):
    found = advise(Refused("association", "A\nroutes:\x1b[2J", "DEIDNODE", "10.1.2.3", ""))
    assert found.isprintable()
    assert (
        "*" not in advise(Refused("association", "CT1", "*", "10.1.2.3", "")).partition("): ")[2].partition("none")[0]
    )


def test_a_refused_echo_is_a_matter_of_address_and_certificate_alone(advise):
    assert advise(Refused("echo", "ANY", "ANY", "10.9.2.3")) == said(("routes.0.from.address", 'add "10.9.2.3"'))
    shown = said(("routes.1.from.certificate", "it has shown no certificate"))
    assert advise(Refused("echo", "ANY", "ANY", "10.2.2.3")) == shown


@pytest.mark.parametrize(
    ("refused", "change"),
    [
        (Refused("listener", "CT1", "DEIDNODE", "10.1.2.3"), ("node.listeners.0.called_ae", 'add "DEIDNODE"')),
        (Refused("node-limit", "CT1", "DEIDNODE", "10.1.2.3"), ("node.max_associations", "more than 7")),
        (Refused("peer-limit", "CT9", "DEIDNODE", "10.1.2.3"), ("limits.0.associations", "more than 2")),
        (Refused("peer-limit", "CT1", "DEIDNODE", "10.1.2.3"), ("limits.1.associations", "more than 3")),
        (Refused("instance-size", "CT1", "DEIDNODE", "10.1.2.3"), ("limits.1.instance_size", "more than 2 GiB")),
    ],
    ids=lambda value: value.kind if isinstance(value, Refused) else "",
)
def test_a_limit_is_named_by_its_key(advise, refused, change):
    assert advise(refused) == said(change)


@pytest.mark.parametrize("kind", ["tls", "presentation-context", "sop-instance-uid", "sop-class-uid"])
def test_what_no_line_admits_is_said_to_be_so(advise, kind):
    assert advise(Refused(kind, "CT1", "DEIDNODE", "10.1.2.3")).startswith("no line: ")


@pytest.mark.parametrize("kind", ["association", "echo"])
def test_who_would_be_admitted_by_now_needs_nothing(advise, kind):
    assert advise(Refused(kind, "CT1", "DEIDNODE", "10.1.2.3")) == NOTHING_TO_DO
