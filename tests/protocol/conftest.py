"""One receiver for all tests of the protocol; each must leave it as it was."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from .receiving import Plain, Receiving, Secure, receiving


@pytest.fixture(
    scope="session",
    # What TLS does of itself, `tests/dicomnet/test_tls.py` says in each run.
    params=[Plain, pytest.param(Secure, marks=pytest.mark.slow)],
    ids=["plain", "TLS"],
)
def transport(request: pytest.FixtureRequest) -> Plain:
    made = request.param()
    assert isinstance(made, Plain)
    return made


@pytest.fixture(scope="session")
def _receiver(transport: Plain) -> Iterator[Receiving]:
    with receiving(transport) as made:
        yield made


@pytest.fixture
def receiver(_receiver: Receiving) -> Iterator[Receiving]:
    """The receiver, with nothing new in it."""
    _receiver.settled()
    yield _receiver
    _receiver.settled()
