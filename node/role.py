"""One child that the supervisor keeps alive."""

from __future__ import annotations

from dataclasses import dataclass

# How far a role stands behind the receivers, on whose answers senders wait (nice(2)).
_NICENESS = {"cleaner": 10, "forwarder": 5}


@dataclass(slots=True)
class Role:
    """One child to be kept alive, and how often it died of late."""

    name: str
    index: int
    slot: int
    owner: str = ""
    pid: int = 0
    started: float = 0.0
    back_off: float = 0.0
    start_at: float = 0.0
    leaving: bool = False

    @property
    def label(self) -> str:
        """How logs name it."""
        return f"{self.name}{self.index}"

    @property
    def niceness(self) -> int:
        """By how much the system prefers others to it where the processors are short (nice(2))."""
        return _NICENESS.get(self.name, 0)
