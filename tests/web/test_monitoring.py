"""Health and metrics on the page's port."""

from __future__ import annotations

from tests.web.support import TOKENS, Place


def test_machines_ask_for_health_and_metrics_without_signing_in(place: Place) -> None:
    for path in ("/health/live", "/health/ready"):
        answer = place.ask("GET", path)
        assert (answer.status_code, answer.json()["ok"]) == (200, True), answer.text
    metrics = place.ask("GET", "/metrics")
    assert metrics.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert 'route="research"' in metrics.text
    assert not [token for token in TOKENS if token in metrics.text]
