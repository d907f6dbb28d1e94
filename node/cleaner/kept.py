"""The recipes that a route has had, so that a study which began under one can be finished under it.

Guarantees that a recipe is on stable storage before anything is cleaned with it, that what is read back is the recipe
of that hash or nothing, and that texts alone are kept, nobody's identity. Refuses, by a hold, what can no longer be
applied as it was: its file is gone, or the site's functions or words are others. Nothing is ever deleted.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from node.durable import sync_folder
from node.errors import HoldInstance, HoldReason, RecipeError, SpoolError
from node.recipe import Recipe, RecipeText

_HASH = re.compile(r"[0-9a-f]{64}")
_BEGAN = "the study began under", "set recipe_change: now; reload, release"
_ASKED = "a person chose", "release it with a recipe of now"


@dataclass(slots=True)
class KeptRecipes:
    """The recipes of one route, by their hashes: files in `folder`, beside those of the other routes.

    `now` is the route's recipe.
    """

    folder: Path
    now: Recipe
    _loaded: dict[str, Recipe] = field(default_factory=dict)

    def keep(self) -> None:
        """Write the route's recipe where it is not kept yet. Raises SpoolError."""
        target = self._file(self.now.hash)
        if target.exists():
            return
        texts = [{"name": text.name, "text": text.text} for text in self.now.texts]
        draft = target.with_suffix(f".{os.getpid()}.draft")
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with draft.open("w", encoding="utf-8") as file:
                json.dump({"texts": texts}, file, indent=1)
                file.flush()
                os.fsync(file.fileno())
            draft.replace(target)
            for folder in (self.folder, self.folder.parent, self.folder.parent.parent):
                sync_folder(folder)
        except OSError as error:
            raise SpoolError(f"the recipe cannot be kept in {self.folder} ({error.strerror})") from None

    def asked(self, wanted: str) -> Recipe:
        """Return the recipe that a person chose for an instance of the route. Raises HoldInstance as `recipe_of`."""
        found = self._loaded.get(wanted)
        if found is None:
            found = self._loaded[wanted] = self._load(wanted, _ASKED)
        return found

    def past(self, wanted: str) -> Recipe:
        """Return the recipe of a hash, of whichever route it was kept for. Raises HoldInstance as `recipe_of`."""
        if not self._file(wanted).exists():
            for other in self._elsewhere(wanted):
                return KeptRecipes(other.parent, self.now).past(wanted)
        return self.now if wanted == self.now.hash else self.asked(wanted)

    def recipe_of(self, wanted: str) -> Recipe | None:
        """Return the recipe of a hash, or None where it is one of another route.

        Raises
        ------
        HoldInstance
            It is kept nowhere, or cannot be applied as it was.
        """
        found = self._loaded.get(wanted)
        if found is None:
            if not self._file(wanted).exists() and any(self._elsewhere(wanted)):
                return None
            found = self._loaded[wanted] = self._load(wanted, _BEGAN)
        return found

    def _load(self, wanted: str, words: tuple[str, str]) -> Recipe:
        said, ways = words
        try:
            kept = json.loads(self._file(wanted).read_text(encoding="utf-8"))
            found = self.now.with_texts([RecipeText(str(one["name"]), str(one["text"])) for one in kept["texts"]])
        except (OSError, ValueError, LookupError, TypeError):
            raise _hold(f"{said} the recipe {wanted[:12]}, which is not kept: {ways}") from None
        except RecipeError:
            found = None
        if found is None or found.hash != wanted:
            what = "the site's functions or words have changed since, or the program's"
            raise _hold(f"{said} the recipe {wanted[:12]}, and {what}: go back to what it was, or {ways}")
        return found

    def _elsewhere(self, wanted: str) -> Iterator[Path]:
        return self.folder.parent.glob(f"*/{self._file(wanted).name}")

    def _file(self, wanted: str) -> Path:
        if _HASH.fullmatch(wanted) is None:
            raise _hold("its recipe is not known: set recipe_change: now; reload, release")
        return self.folder / f"{wanted}.json"


def _hold(detail: str) -> HoldInstance:
    return HoldInstance(HoldReason.RECIPE_CHANGED, detail)
