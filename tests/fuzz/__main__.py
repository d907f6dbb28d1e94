"""Looks for streams and data sets that break what is promised, for as long as it is told; see `scripts/fuzz`."""

from __future__ import annotations

import argparse
import faulthandler
import hashlib
import random
import resource
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from tests.protocol.receiving import Plain, receiving

from . import dul, header
from .conversations import streams

FOUND = Path(__file__).resolve().parents[2] / ".cache/fuzz"
HANGS = 120  # seconds after which one example counts as hanging
MEMORY = 4 << 30  # bytes of address space
ROUND = 100  # examples


class Search:
    """Tries examples until the time is over; keeps the smallest one that fails."""

    def __init__(self, name: str, strategy: st.SearchStrategy[bytes], check: Callable[[bytes], object]) -> None:
        self._name = name
        self._strategy = strategy
        self._check = check
        self._current = b""
        self.tried = 0

    def _try(self, example: bytes) -> None:
        self._current = example
        self.tried += 1
        faulthandler.dump_traceback_later(HANGS, exit=True)
        try:
            self._check(example)
        finally:
            faulthandler.cancel_dump_traceback_later()

    def run(self, seconds: float, number: int) -> bool:
        """Whether nothing was found. Each round has a seed of its own, so that any can be repeated alone."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            try:
                self._round(number)
            except BaseException as error:
                if isinstance(error, KeyboardInterrupt):
                    return True
                path = self._keep()
                print(f"{self._name}: found with --seed {number}, kept as {path}", file=sys.stderr)
                print(
                    "Once mended it belongs into tests/fuzz/corpus, under a name that says what it shows.",
                    file=sys.stderr,
                )
                raise
            number += 1
        return True

    def _round(self, number: int) -> None:
        @seed(number)
        @settings(
            max_examples=ROUND,
            deadline=None,
            database=None,
            phases=(Phase.generate, Phase.shrink),
            suppress_health_check=list(HealthCheck),
        )
        @given(self._strategy)
        def examples(example: bytes) -> None:
            self._try(example)

        examples()

    def _keep(self) -> Path:
        FOUND.mkdir(parents=True, exist_ok=True)
        path = FOUND / f"{self._name}-{hashlib.sha256(self._current).hexdigest()[:12]}"
        path.write_bytes(self._current)
        return path


def _dul(seconds: float, number: int) -> int:
    failed: list[object] = []
    threading.excepthook = failed.append  # type: ignore[assignment]
    with receiving(Plain()) as receiver:
        receiver.serves()
        receiver.settled()
        resources = dul.Resources()
        search = Search(
            "dul", streams([path.read_bytes() for path in dul.corpus()]), lambda one: dul.check(receiver, one)
        )
        search.run(seconds, number)
        receiver.serves()
        receiver.settled()
        assert resources.returned(), "threads and descriptors come back"
        assert not failed, "a thread ended by an exception"
    return search.tried


def _header(seconds: float, number: int) -> int:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    search = Search("header", header.examples([path.read_bytes() for path in header.corpus()]), header.check)
    search.run(seconds, number)
    return search.tried


TARGETS = {"dul": _dul, "header": _header}


def main() -> None:
    parser = argparse.ArgumentParser(prog="scripts/fuzz", description=__doc__)
    parser.add_argument("target", nargs="*", metavar="dul|header", help="what to look at; both by default")
    parser.add_argument("--seconds", type=float, default=60, metavar="N", help="how long, for each (60)")
    parser.add_argument("--seed", type=int, default=None, metavar="N", help="the first round's seed; random by default")
    arguments = parser.parse_args()
    unknown = set(arguments.target) - set(TARGETS)
    if unknown:
        parser.error(f"unknown: {', '.join(sorted(unknown))}")
    number = random.randrange(1 << 32) if arguments.seed is None else arguments.seed
    for name in arguments.target or TARGETS:
        tried = TARGETS[name](arguments.seconds, number)
        print(f"{name}: {tried} examples from seed {number} on, nothing found")


if __name__ == "__main__":
    main()
