"""One receiver for all tests of the protocol; each must leave it as it was."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from .receiving import Plain, Receiving

TRANSPORTS = {"plain": Plain}
MEMORY = Path("/dev/shm")  # thousands of instances are synced here, and no test is about what a sync is good for


@pytest.fixture(scope="session", params=TRANSPORTS.values(), ids=TRANSPORTS.keys())
def transport(request: pytest.FixtureRequest) -> Plain:
    made = request.param()
    assert isinstance(made, Plain)
    return made


@pytest.fixture(scope="session")
def _receiver(transport: Plain, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Receiving]:
    with tempfile.TemporaryDirectory(
        dir=MEMORY if os.access(MEMORY, os.W_OK) else tmp_path_factory.getbasetemp()
    ) as name:
        receiving = Receiving(Path(name), transport)
        try:
            yield receiving
        finally:
            receiving.close()


@pytest.fixture
def receiver(_receiver: Receiving) -> Iterator[Receiving]:
    """The receiver, with nothing new in it."""
    _receiver.settled()
    yield _receiver
    _receiver.settled()
