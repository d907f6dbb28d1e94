from __future__ import annotations

from tests.completeness.support import site

__all__ = ["site"]
