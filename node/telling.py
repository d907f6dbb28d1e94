"""Times and durations as people read them."""

from __future__ import annotations

from datetime import UTC, datetime


def ago(moment: str | None, now: datetime | None = None) -> str:
    """Return an ISO time as people read it: `in 12 s (14:03:11 UTC)`, `3 min ago (…)`; empty for None."""
    if moment is None:
        return ""
    then = datetime.fromisoformat(moment).astimezone(UTC)
    seconds = (then - (now or datetime.now(UTC))).total_seconds()
    clock = then.strftime("%H:%M:%S UTC" if abs(seconds) < 43200 else "%Y-%m-%d %H:%M:%S UTC")
    far = length(abs(seconds))
    return f"in {far} ({clock})" if seconds >= 0 else f"{far} ago ({clock})"


def length(seconds: float) -> str:
    """Return a duration as people read it."""
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"
