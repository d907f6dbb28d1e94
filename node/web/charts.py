"""Small charts, drawn here as SVG: no script, no style of their own, a text for those who do not see them."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

WIDTH, HEIGHT = 240, 48
_EDGE = 2


def line(points: Sequence[tuple[float, float]], title: str, unit: str = "") -> Markup:
    """Return a line of values over time: pairs of seconds and value, oldest first; `title` says what it is."""
    values = [value for _, value in points]
    top = max(values, default=0.0)
    label = f"{title}: now {now(points)}{unit}, at most {number(top)}{unit}"
    drawn = Markup('<polyline points="{}" />').format(_path(points, top)) if len(points) > 1 else Markup("")
    return Markup(
        '<svg class="chart" viewBox="0 0 {w} {h}" preserveAspectRatio="none" role="img" aria-label="{label}">'
        '<title>{label}</title><line class="ground" x1="0" y1="{y}" x2="{w}" y2="{y}" />{drawn}</svg>'
    ).format(w=WIDTH, h=HEIGHT, y=HEIGHT - _EDGE, label=label, drawn=drawn)


def _path(points: Sequence[tuple[float, float]], top: float) -> str:
    first, last = points[0][0], points[-1][0]
    across = (WIDTH - 2 * _EDGE) / (last - first) if last > first else 0.0
    up = (HEIGHT - 2 * _EDGE) / top if top > 0 else 0.0
    return " ".join(f"{_EDGE + (at - first) * across:.1f},{HEIGHT - _EDGE - value * up:.1f}" for at, value in points)


def now(points: Sequence[tuple[float, float]]) -> str:
    """Return the last of the values, as it is shown beside its chart."""
    return number(points[-1][1]) if points else "0"


def number(value: float) -> str:
    """Return a number as short as it is still told apart."""
    return f"{value:.0f}" if value >= 100 or value == int(value) else f"{value:.1f}"
