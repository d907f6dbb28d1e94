"""The sections `commitment` and `peers`: what is refused, and what `check` says of a route that has it."""

from __future__ import annotations

from pathlib import Path

import pytest

from node.config.commitment import Commitment, reporters, warnings
from tests.config.support import GOOD, faults, keys, load

FROM = "    from: {calling_ae: [CT1, 'MR*']}\n"
PEERS = "peers: {CT1: 10.1.0.21:104, MR1: {address: '[::1]:11112'}}\n"
QUERY = "    query: {ae_title: Q}\n"


def text(commitment: str = "{}", sender: str = FROM, query: str = QUERY, peers: str = PEERS) -> str:
    route = f"    to: [archive]\n{sender}    commitment: {commitment}\n"
    return GOOD.replace("    to: [archive]\n", route) + query + peers


def test_without_the_section_it_is_off_and_with_it_there_are_defaults(tmp_path: Path) -> None:
    assert load(tmp_path, GOOD).routes[0].commitment is None
    config = load(tmp_path, text())
    commitment = config.routes[0].commitment
    assert commitment is not None
    assert (commitment.confirm, commitment.within, commitment.patience) == (("commitment", "find"), 86400.0, 600.0)
    assert (commitment.answer.first, commitment.answer.cap, commitment.answer.within) == (5.0, 900.0, 7 * 86400.0)
    assert {title: tuple(peer.address) for title, peer in config.peers.items()} == {
        "CT1": ("10.1.0.21", 104),
        "MR1": ("::1", 11112),
    }
    found = load(tmp_path, text("{confirm: find, patience: 0s}")).routes[0].commitment
    assert found == Commitment.model_construct(confirm=("find",), patience=0.0)
    assert reporters(config) == {("Q", "DEIDNODE"): "archive"}
    assert reporters(load(tmp_path, text(query="    query: {}\n"))) == {("ARCHIVE", "DEIDNODE"): "archive"}
    assert reporters(load(tmp_path, text("{confirm: find}"))) == {}


@pytest.mark.parametrize(
    ("changed", "key"),
    [
        (text("{confirm: ask}"), "routes.0.commitment.confirm"),
        (text("{confirm: []}"), "routes.0.commitment.confirm"),
        (text("{confirm: [find, find]}"), "routes.0.commitment.confirm"),
        (text("{confirm: [status, find]}"), "routes.0.commitment.confirm"),
        (text("{within: 0s}"), "routes.0.commitment.within"),
        (text("true"), "routes.0.commitment"),
        (text(query=""), "routes.0.commitment.confirm"),
        (text("{confirm: commitment}", query=""), "routes.0.commitment.confirm"),
        (text(peers="peers: {MR1: h:104}\n"), "routes.0.commitment"),
        (text(sender="", peers=""), "routes.0.commitment"),
        (text(sender="    from: {calling_ae: ['MR*']}\n", peers="peers: {CT1: h:104}\n"), "routes.0.commitment"),
        (text(peers="peers: {CT1: nowhere}\n"), "peers.CT1.address"),
        (text(peers="peers: {CT1: {tls: {}}}\n"), "peers.CT1.address"),
    ],
)
def test_what_could_never_be_answered_or_asked_is_refused_where_it_stands(
    tmp_path: Path, changed: str, key: str
) -> None:
    found = keys(tmp_path, changed)
    assert key in {one for _, one in found}
    assert all(line is not None for line, _ in found)


def test_a_destination_that_cannot_be_asked_can_be_trusted(tmp_path: Path) -> None:
    assert faults(tmp_path, text("{confirm: [find, status]}", query="")) == []


def test_what_it_means_is_said_for_each_route_that_has_it(tmp_path: Path) -> None:
    assert list(warnings(load(tmp_path, GOOD))) == []
    (first,) = warnings(load(tmp_path, text()))
    assert "no archive copy" in first
    assert "'research'" in first
    _, second = warnings(load(tmp_path, text("{confirm: [find, status]}", query="")))
    assert "archive" in second
    assert "C-STORE" in second
    unused = load(tmp_path, GOOD + PEERS).warnings
    assert any("nobody is reported to" in one for one in unused)
