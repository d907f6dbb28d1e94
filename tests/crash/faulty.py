"""`deid-node` of which one durable step goes wrong, once: `faulty.py FOLDER STEP KIND serve --config …`.

FOLDER is the node's; there `steps` gets a line for each step that any of its processes takes, and `fired` is made when
the fault happens. STEP and KIND as `tests.crash.faults` has them; without a step (`-`) nothing goes wrong.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from node.cli import main
from tests.crash.faults import Fault, Faults


def role(place: str) -> str:
    """The role of this process, as `ps` shows it."""
    with open("/proc/self/comm", encoding="utf-8") as file:
        return "".join(letter for letter in file.read().strip() if not letter.isdigit())


def arm(folder: Path, step: str, kind: str) -> None:
    steps = os.open(folder / "steps", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    write = os.write

    def once() -> bool:
        try:
            (folder / "fired").open("x").close()
        except FileExistsError:
            return False
        return True

    faults = Faults(folder / "var", role, lambda name: write(steps, f"{name}\n".encode()), once)
    faults.fault = None if step == "-" else Fault(step, 1, kind)
    faults.install()


if __name__ == "__main__":
    where, what, how, *rest = sys.argv[1:]
    arm(Path(where), what, how)
    sys.argv[1:] = rest
    sys.exit(main())
