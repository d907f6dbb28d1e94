"""Recipes from files, loaded into one thing that can be applied.

Guarantees that `load_recipe` names every fault of every text at once, and that a recipe's hash changes with any
character of its texts or their order. Refuses recipes that are missing, not UTF-8, empty, or hold one single fault.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

from node.errors import Fault, RecipeError
from node.recipe.compiled import MAX_DECISIONS, Level, Rules
from node.recipe.encoded import EncodedDataset
from node.recipe.engine import Engine
from node.recipe.functions import Identities
from node.recipe.language import RecipeText, Rule, Source, parse
from node.recipe.output import Cleaned

SUFFIX = ".dicom"


class Recipe:
    """A recipe that loaded, with the decisions it has made so far.

    Attributes
    ----------
    hash
        SHA-256 (hexadecimal) over the texts in their order, each with its length in front.
    variables
        Names that `var:` asks for.
    """

    def __init__(self, texts: Sequence[RecipeText], rules: list[Rule]) -> None:
        self.hash = _hash(texts)
        self.variables = frozenset(
            rule.value.text for rule in rules if rule.value is not None and rule.value.source is Source.VARIABLE
        )
        self._rules = Rules(rules)
        self._roots: dict[bool, Level] = {}

    def apply(self, dataset: EncodedDataset, identities: Identities, variables: Mapping[str, str]) -> Cleaned:
        """Clean one data set.

        Parameters
        ----------
        dataset
            As scanned; the result refers to its buffer.
        identities
            What replaces the identity of this instance.
        variables
            Values for `var:`.

        Raises
        ------
        HoldInstance
            A line cannot be carried out.
        DatasetError
            Items that cannot be parsed.
        """
        return Engine(self._root(dataset.signed), dataset, identities, variables).run()

    def _root(self, signed: bool) -> Level:
        if self._rules.decided > MAX_DECISIONS:
            self._roots.clear()
            self._rules.decided = 0
        return self._roots.setdefault(signed, Level(self._rules, (), signed))


def load_recipe(texts: Sequence[RecipeText], *, in_node: bool = True) -> Recipe:
    """Return the recipe of one or more texts; the lines of a later text come after those of an earlier one.

    Parameters
    ----------
    texts
        At least one.
    in_node
        File meta information (group 0002) is the node's own. Only True is supported by this version.

    Raises
    ------
    RecipeError
        With every fault of every text.
    """
    if not in_node:
        raise NotImplementedError("recipes for files are not supported by this version")
    if not texts:
        raise RecipeError([Fault("recipe", None, "No recipe is named.", "Name at least one.")])
    rules: list[Rule] = []
    faults: list[Fault] = []
    for text in texts:
        found, wrong = parse(text)
        rules += found
        faults += wrong
    if faults:
        raise RecipeError(faults)
    return Recipe(texts, rules)


def _hash(texts: Sequence[RecipeText]) -> str:
    digest = hashlib.sha256()
    for text in texts:
        encoded = text.text.encode("utf-8")
        digest.update(len(encoded).to_bytes(8, "big") + encoded)
    return digest.hexdigest()


def read_recipe(path: Path) -> RecipeText:
    """Read a recipe. Raises RecipeError when the file cannot be read or is not UTF-8."""
    try:
        return RecipeText(str(path), path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise RecipeError([Fault(str(path), None, f"The recipe cannot be read: {error.strerror}.")]) from None
    except UnicodeDecodeError:
        raise RecipeError([Fault(str(path), None, "The recipe is not UTF-8.", "Save it as UTF-8.")]) from None


def _folder() -> Path:
    """Return where the shipped recipes lie: in an installed package inside of it, in a checkout beside it."""
    package = Path(__file__).resolve().parent.parent
    installed = package / "_recipes"
    return installed if installed.is_dir() else package.parent / "recipes"


def shipped_names() -> list[str]:
    """Return the names of the recipes that come with the node, sorted."""
    return sorted(path.name.removesuffix(SUFFIX) for path in _folder().glob(f"*{SUFFIX}"))


def shipped_recipe(name: str) -> RecipeText | None:
    """Return a recipe that comes with the node, or None where none has this name."""
    if name not in shipped_names():
        return None
    text = read_recipe(_folder() / f"{name}{SUFFIX}")
    return RecipeText(name, text.text)
