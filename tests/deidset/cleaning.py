"""Our own cleaner over the set, as `deid-node clean` runs it on one file after the other."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from node.files import FileCleaner, Found, Kind, Layout, OutputFolder, Settings
from node.identity import ProjectKeys
from node.instances import Scope
from node.objects import Policy
from node.recipe import load_recipe, shipped_recipe

SECRET = bytes(range(32))
# Whatever may be held by default goes out with it, so that what is in it is judged too.
EVERYTHING = Policy(unknown_sop_class="pass", documents="pass", pixel_risk="pass")


@dataclass
class Done:
    """What became of a file: why it was held, and how long it took."""

    reason: str
    seconds: float


def settings(
    names: tuple[str, ...], *, project: str = "demo", secret: bytes = SECRET, policy: Policy | None = None
) -> Settings:
    """How files are cleaned by recipes that come with the node."""
    texts = [shipped_recipe(name) for name in names]
    assert all(texts)
    recipe = load_recipe([text for text in texts if text is not None])
    return Settings(recipe, {}, Scope(project, ProjectKeys(secret, project)), policy=policy or Policy())


def clean(how: Settings, folder: Path, out: Path) -> dict[str, Done]:
    """Clean all files of a folder; what is written has its own name in `out`."""
    place = OutputFolder(out, Layout.INPUT)
    cleaner, done = FileCleaner(how, place), {}
    for path in sorted(folder.iterdir()):
        start = time.perf_counter()
        outcome = cleaner.clean(Found(path, Path(path.name), named=True))
        if outcome.draft is not None and outcome.target is not None:
            place.place(outcome.draft, outcome.target)
        reason = "" if outcome.kind is Kind.WRITTEN else f"{outcome.reason}: {outcome.detail}"
        done[path.name] = Done(reason, time.perf_counter() - start)
    place.close()
    return done
