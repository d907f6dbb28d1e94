"""Recipes from files, loaded into one thing that can be applied.

Guarantees that `load_recipe` names every fault of every text at once, and that a recipe's hash changes with any
character of its texts or their order. Refuses recipes that are missing, not UTF-8, empty, or hold one single fault.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from node.errors import Fault, HoldInstance, HoldReason, RecipeError
from node.recipe import dummies
from node.recipe.combine import Combined, combine
from node.recipe.compiled import MAX_DECISIONS, Level, Rules
from node.recipe.descriptors import clean_text
from node.recipe.encoded import EncodedDataset
from node.recipe.engine import Engine, Watch
from node.recipe.filters import Detection, Filters, Judgement, detect, judged
from node.recipe.functions import BUILT_IN, UNKEYED, Identities
from node.recipe.header import Action, Rule, Scope, Source
from node.recipe.instance import Instance
from node.recipe.language import RecipeText, parse
from node.recipe.method import applied_codes
from node.recipe.outcomes import Resolved
from node.recipe.output import Cleaned
from node.recipe.selectors import parse_selector
from node.recipe.site_functions import Functions
from node.standard import iod_of
from node.vocabulary import Vocabulary, shipped_vocabulary

SUFFIX = ".dicom"
SOP_CLASS_UID = 0x00080016


class Recipe:
    """A recipe that loaded, with the decisions it has made so far.

    Attributes
    ----------
    hash
        SHA-256 (hexadecimal) over the texts in their order, each with its length in front, over the site's functions
        where a line calls one, and over the vocabulary where a text is cleaned.
    texts
        What it was loaded from.
    variables
        Names that `var:` asks for.
    keyed
        The first line that calls a keyed function, which needs the secret; None where no line does.
    rules
        The lines of `%header`, in order.
    lists
        The sections `%fields` and `%values`.
    filters
        The sections `%filter`, in order.
    labels
        The lines of `%labels`.
    warnings
        What is no fault but hardly meant.
    profile
        What the sections `%profile` say together; None where there are none.
    """

    def __init__(self, texts: Sequence[RecipeText], combined: Combined, scope: Scope) -> None:
        rules = combined.rules
        self._vocabulary = scope.vocabulary or shipped_vocabulary()
        words = self._vocabulary.digest if _cleans_texts(combined) else ""
        self.hash = _hash(texts, _used(rules, scope) + words)
        self.variables = frozenset(
            rule.value.text for rule in rules if rule.value is not None and rule.value.source is Source.VARIABLE
        )
        self.keyed = _keyed(combined) if scope.in_node else None
        self.rules = rules
        self.lists = combined.lists
        self.filters = combined.filters
        self._filters = Filters(combined.filters)
        judging = [section for section in combined.filters if not section.is_whitelist] if scope.in_node else ()
        self._judging = Filters(judging)
        self.labels = combined.labels
        self.warnings = combined.warnings
        self.texts = tuple(texts)
        self._scope = scope
        self._in_node = scope.in_node
        self.profile = combined.profile
        self._lists = combined.used_lists
        self._lines: dict[str, list[str]] = {}
        self._rules: dict[str | None, Rules] = {}
        self._roots: dict[tuple[str | None, bool], Level] = {}

    def apply(
        self,
        dataset: EncodedDataset,
        identities: Identities | None,
        variables: Mapping[str, Any],
        meta: EncodedDataset | None = None,
        watch: Watch | None = None,
        *,
        masks: Judgement | bool = False,
    ) -> Cleaned:
        """Clean one data set.

        Parameters
        ----------
        dataset
            As scanned; the result refers to its buffer.
        identities
            What replaces the identity of this instance. Outside the node it may be None: then the functions that ask
            for it do not exist.
        variables
            Values for `var:`; outside the node also functions for `func:`.
        meta
            File meta information (group 0002), outside the node: cleaned along with it, and in `meta` of the result.
        watch
            Who wants to know which line did what.

        masks
            The caller masks `regions` of the result (`node.pixels`). A caller that does not say so gets no instance
            whose pixels a filter wants masked: it is held. In place of True what `judge` said of the instance, without
            the risks that somebody answers for.

        Raises
        ------
        HoldInstance
            A line cannot be carried out, or a filter holds the instance.
        DatasetError
            Items that cannot be parsed.
        """
        judgement = masks if isinstance(masks, Judgement) else self.judge(dataset)
        regions = judgement.regions
        if judgement.risks or (regions and not masks):
            raise HoldInstance(HoldReason.PIXEL_RISK, "; ".join(judgement.risks) or "a filter asks for a mask")
        decided = None if identities is None else identities.decided()
        instance = Instance(dataset, identities, variables, meta, self._vocabulary, decided)
        root, codes = self.root(dataset), applied_codes(self.profile, masked=bool(regions))
        engines = [Engine(root, dataset, instance, watch=watch, codes=codes)]
        if meta is not None:
            engines.append(Engine(root, meta, instance, meta=True))
        if self._lists:
            for engine in engines:
                engine.collect()
        cleaned, *others = [engine.run() for engine in engines]
        cleaned.meta = others[0] if others else None
        cleaned.regions = regions
        if decided is not None:
            _ = instance.known  # the gate looks for it too
        cleaned.gathered, cleaned.decided = instance.gathered, decided
        return cleaned

    def with_texts(self, texts: Sequence[RecipeText]) -> Recipe:
        """Return the recipe of other texts, with the functions and the vocabulary of this one. Raises RecipeError."""
        scope = self._scope
        return load_recipe(texts, in_node=scope.in_node, functions=scope.functions, vocabulary=scope.vocabulary)

    def detect(self, dataset: EncodedDataset) -> Detection:
        """Judge an image by the filters. Raises DatasetError for undecodable text, HoldInstance for empty regions."""
        return detect(self._filters, dataset)

    def line(self, where: str) -> str:
        """Return the text of a line by its `where`, file and number, as rules and filters have it."""
        name, _, number = where.rpartition(":")
        lines = self._lines.get(name)
        if lines is None:
            text = next((text.text for text in self.texts if text.name == name), "")
            lines = self._lines[name] = text.removeprefix("\ufeff").splitlines()
        return lines[int(number) - 1].strip() if number.isdecimal() and int(number) <= len(lines) else ""

    def judge(self, dataset: EncodedDataset) -> Judgement:
        """Return what the filters ask for on the network path; outside of it they ask for nothing.

        Raises DatasetError for undecodable text, HoldInstance for empty regions.
        """
        filters = self._judging
        return judged(detect(filters, dataset, plausible=True)) if filters.sections else Judgement()

    def root(self, dataset: EncodedDataset) -> Level:
        """Return the decisions for the top level of data sets of this IOD whose pixels are signed, or are not.

        Raises DatasetError where a profile asks for the SOP Class and it cannot be decoded.
        """
        if sum([rules.decided for rules in self._rules.values()]) > MAX_DECISIONS:
            self._roots.clear()
            self._rules.clear()
        iod = None if self.profile is None else iod_of(dataset.text(SOP_CLASS_UID) or "")
        place = iod, dataset.signed
        found = self._roots.get(place)
        if found is None:
            found = self._roots[place] = Level(self._of_iod(iod), (), dataset.signed)
        return found

    def _of_iod(self, iod: str | None) -> Rules:
        if iod not in self._rules:
            resolved = None if self.profile is None else Resolved(self.profile, iod)
            self._rules[iod] = Rules(self.rules, self._lists, lenient=not self._in_node, profile=resolved)
        return self._rules[iod]


def load_recipe(
    texts: Sequence[RecipeText],
    *,
    in_node: bool = True,
    functions: Functions | None = None,
    vocabulary: Vocabulary | None = None,
) -> Recipe:
    """Return the recipe of one or more texts; the lines of a later text come after those of an earlier one.

    Parameters
    ----------
    texts
        At least one.
    in_node
        On the network path: file meta information (group 0002) is the node's own, functions are keyed, all functions
        are known. False is for files: lines may name group 0002, `deid_func:` gives what pydicom/deid gives, functions
        may come with the variables.
    functions
        The site's own functions.
    vocabulary
        The words that cleaned texts keep; None are those that come with the node.

    Raises
    ------
    RecipeError
        With every fault of every text.
    """
    if not texts:
        raise RecipeError([Fault("recipe", None, "No recipe is named.", "Name at least one.")])
    scope = Scope(in_node, functions, vocabulary)
    combined = combine([(text, parse(text, scope)) for text in texts])
    return Recipe(texts, combined, scope)


def _keyed(combined: Combined) -> Rule | None:
    """Return the first line that needs the secret; a profile maps UIDs."""
    if combined.profile is not None:
        return Rule(Action.REPLACE, parse_selector("select:VR:UI"), dummies.UID, combined.profile.where)
    return next((rule for rule in combined.rules if _is_keyed(rule)), None)


def _is_keyed(rule: Rule) -> bool:
    if rule.value is None:
        return False
    if rule.value.source is Source.DEID_FUNCTION:
        return rule.value.text != "jitter"
    return rule.value.source is Source.FUNCTION and rule.value.text in BUILT_IN.keys() - UNKEYED


def _cleans_texts(combined: Combined) -> bool:
    """Tell whether texts are cleaned word by word."""
    profile = combined.profile is not None and any(line.code == "C" for line in combined.profile.lines.values())
    return profile or any(rule.value is not None and rule.value.run is clean_text for rule in combined.rules)


def _used(rules: Sequence[Rule], scope: Scope) -> str:
    """Return the digest of the site's functions where a line calls one."""
    own = scope.used()
    called = any(
        rule.value is not None and rule.value.source is Source.FUNCTION and rule.value.text in own.by_name
        for rule in rules
    )
    return own.digest if called else ""


def _hash(texts: Sequence[RecipeText], functions: str) -> str:
    digest = hashlib.sha256(functions.encode())
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
