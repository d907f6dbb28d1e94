"""A node and an archive, as on the road; the command line, as its own tests run it."""

from tests.cli.conftest import deid
from tests.road.conftest import road

__all__ = ["deid", "road"]
