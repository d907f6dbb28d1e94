"""The REST API below `/api/v1`: what the pages do, for programs. OpenAPI is at `/api/v1/openapi.json`."""

from __future__ import annotations

from node.web.api import crosswalk, destinations, holds, preview, search, status, studies

ROUTERS = tuple(module.router for module in (status, holds, search, destinations, studies, preview, crosswalk))

__all__ = ["ROUTERS"]
