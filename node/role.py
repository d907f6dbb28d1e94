"""One child that the supervisor keeps alive."""

from __future__ import annotations

from dataclasses import dataclass


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
