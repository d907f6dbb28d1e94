"""A message, as a mail's text and as a webhook's JSON: counts, reasons, names of the configuration, times."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from node import __version__
from node.ledger.times import iso
from node.notifier.deciding import News
from node.notifier.matters import Matter

_MOST_IN_SUBJECT = 3


@dataclass(frozen=True, slots=True)
class Message:
    """What a node, by its name, tells at a time (seconds, UTC)."""

    node: str
    at: float
    news: News
    is_test: bool = False

    @property
    def subject(self) -> str:
        """One line: how much began, lasts, is over; and what."""
        if self.is_test:
            return f"[deid-node {self.node}] test"
        parts = [
            f"{len(part)} {name}: {_shortly(part)}"
            for name, part in (
                ("new", [matter.key for matter in self.news.began]),
                ("still", [matter.key for matter in self.news.lasts]),
                ("over", list(self.news.over or {})),
            )
            if part
        ]
        return f"[deid-node {self.node}] " + "; ".join(parts)

    def text(self) -> str:
        """The whole, for people."""
        if self.is_test:
            return f"A test: messages of the node {self.node} arrive here.\n"
        lines: list[str] = []
        for title, matters in (("New", self.news.began), ("Still so", self.news.lasts)):
            if matters:
                lines += [f"{title}:", *(f"- {_line(matter)}" for matter in matters), ""]
        if self.news.over:
            over = [
                f"- {_named(key)}: over, or not watched any more; it was so since {_clock(notice.since)}"
                for key, notice in self.news.over.items()
            ]
            lines += ["Over:", *over, ""]
        return "\n".join([*lines, f"{self.node}, deid-node {__version__}, {_clock(self.at)}", ""])

    def json(self) -> dict[str, Any]:
        """The whole, for machines; `text` is what chat servers show."""
        return {
            "node": self.node,
            "version": __version__,
            "at": iso(self.at),
            "test": self.is_test,
            "text": f"{self.subject}\n{self.text()}",
            "began": [_told(matter) for matter in self.news.began],
            "lasts": [_told(matter) for matter in self.news.lasts],
            "over": [
                {"kind": kind, "about": about, "since": iso(notice.since)}
                for (kind, about), notice in (self.news.over or {}).items()
            ],
        }


def test_message(node: str) -> Message:
    """Return a message that tells nothing, to see whether messages arrive."""
    return Message(node, time.time(), News(), is_test=True)


def _shortly(keys: Iterable[tuple[str, str]]) -> str:
    names = [_named(key) for key in keys]
    more = len(names) - _MOST_IN_SUBJECT
    return ", ".join(names[:_MOST_IN_SUBJECT]) + (f" and {more} more" if more > 0 else "")


def _named(key: tuple[str, str]) -> str:
    return " ".join(filter(None, key))


def _line(matter: Matter) -> str:
    return f"{_named(matter.key)}, since {_clock(matter.since)}: {matter.text}"


def _told(matter: Matter) -> dict[str, Any]:
    about = {"count": matter.n} if matter.n else {}
    return {"kind": matter.kind, "about": matter.about, **about, "since": iso(matter.since), "text": matter.text}


def _clock(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(seconds))
