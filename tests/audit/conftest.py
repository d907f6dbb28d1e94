"""Fixtures of the audit tests: those of the crash tests."""

from tests.crash.conftest import make_node, node, scp

__all__ = ["make_node", "node", "scp"]
