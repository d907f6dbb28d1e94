"""Fixtures: one certification authority, and those of the crash tests."""

from tests.crash.conftest import make_node, node, scp
from tests.dicomnet.conftest import authority

__all__ = ["authority", "make_node", "node", "scp"]
