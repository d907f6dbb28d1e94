"""A node and an archive, as on the road."""

from tests.road.conftest import road

__all__ = ["road"]
