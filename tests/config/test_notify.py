"""What `notify` may say, and what it refuses."""

from __future__ import annotations

from pathlib import Path

import pytest

from node.config.notify import DAYS, Window
from tests.config.support import GOOD, faults, load

MAIL = "to: [a@b.example], from: c@b.example, server: 'mail.b.example:587'"


def test_by_default_nobody_is_told(tmp_path: Path) -> None:
    found = load(tmp_path, GOOD).notify
    assert not found.wanted
    assert load(tmp_path, GOOD + "notify: { on: { held: never } }\n").notify.wanted is False


def test_a_way_is_enough_and_secrets_stay_out_of_every_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOOK", "Bearer hush")
    monkeypatch.setenv("MAIL_PASSWORD", "hush")
    quiet = "[{ route: research, after: 4h, between: '22:30-06:00', days: [mon] }, { route: research, after: 1h }]"
    found = load(
        tmp_path,
        GOOD + f"notify:\n  mail: {{ {MAIL}, user: me, password: '${{MAIL_PASSWORD}}' }}\n"
        "  webhook: { url: 'https://chat.example/hush', header: { Authorization: '${HOOK}' } }\n"
        f"  on: {{ held: never, refused_contexts: 2h, nothing_received: {quiet} }}\n",
    ).notify
    assert found.wanted
    assert "hush" not in repr(found)
    assert found.webhook is not None
    assert found.webhook.header == {"Authorization": "Bearer hush"}
    assert (found.on.held, found.on.destination_down, found.on.refused_contexts) == (None, 600.0, 7200.0)
    first, second = found.on.nothing_received
    assert (first.between, first.days) == (Window(22 * 60 + 30, 6 * 60), ("mon",))
    assert (second.between, second.days) == (Window(0, 24 * 60), DAYS)


@pytest.mark.parametrize(
    ("section", "key", "problem"),
    [
        (f"mail: {{ {MAIL}, user: me }}", "notify.mail", "stand together"),
        (f"mail: {{ {MAIL}, user: me, password: x, tls: none }}", "notify.mail", "never sent without TLS"),
        (f"mail: {{ {MAIL.replace('a@b.example', 'nobody')} }}", "notify.mail.to.0", "a mail address"),
        (f"mail: {{ {MAIL.replace('[a@b.example]', '[]')} }}", "notify.mail.to", "must not be empty"),
        ("webhook: { url: 'file:///etc/passwd' }", "notify.webhook.url", "an address such as https://"),
        ("webhook: { url: 'https://me:secret@chat.example' }", "notify.webhook.url", "an address such as https://"),
        ('webhook: { url: "https://x.example", header: { A: "b\\nc: d" } }', "notify.webhook.header", "one line"),
        ("on: { held: 0s }", "notify.on.held", "more than zero; or never"),
        (
            "on: { nothing_received: [{ route: reserch, after: 1h }] }",
            "notify.on.nothing_received.0.route",
            "there is no route 'reserch'",
        ),
        (
            "on: { nothing_received: [{ route: research, after: 1h, between: 07:00 }] }",
            "notify.on.nothing_received.0.between",
            "in quotes",
        ),
        (
            "on: { nothing_received: [{ route: research, after: 1h, days: [monday] }] }",
            "notify.on.nothing_received.0.days.0",
            "expected mon, tue",
        ),
    ],
)
def test_what_cannot_be_meant_is_refused_by_its_key(tmp_path: Path, section: str, key: str, problem: str) -> None:
    (fault,) = faults(tmp_path, GOOD + f"notify:\n  {section}\n")
    assert fault.key == key
    assert problem in fault.problem
