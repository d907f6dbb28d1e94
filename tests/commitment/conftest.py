from __future__ import annotations

from tests.drills.conftest import make_site, site

__all__ = ["make_site", "site"]
