"""One certification authority for all tests of the network layer."""

from __future__ import annotations

import pytest

from .tls import Authority, Pair


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture(scope="session")
def node_pair(authority: Authority) -> Pair:
    return authority.issue("node")


@pytest.fixture(scope="session")
def scanner(authority: Authority) -> Pair:
    return authority.issue("scanner", alternatives="DNS:ct1.hospital.example")


@pytest.fixture(scope="session")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Another authority, which nobody trusts."""
    return Authority(tmp_path_factory.mktemp("stranger"), "Another CA")
