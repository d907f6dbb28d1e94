"""One instance cleaned with a memory of those before it and without; whatever comes out has to be the same."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from node.errors import DatasetError, HoldInstance
from node.gate import through
from node.instances import InstanceIdentities, Scope
from node.instances.identities import NoMaps
from node.objects import Policy
from node.part10 import read_file_meta
from node.recipe import Cleaned, EncodedDataset, Memory, Recipe
from node.recipe.encoded import UNDEFINED, Element
from node.recipe.known.gather import gather
from node.syntaxes import Syntax, lookup

_POLICY = Policy("pass", "pass", "pass")


class Both:
    """Cleans each data set twice."""

    def __init__(self, *recipes: Recipe, gate: str = "hold") -> None:
        self.memory = Memory()
        self.recognized = 0
        self._recipes = recipes
        self._gate = gate

    def clean(self, data: bytes, syntax: Syntax, scope: Scope, **variables: str) -> list[Any]:
        """Return what comes out, the same either way."""
        fresh = self._outcomes(lambda: EncodedDataset.scan(data, 0, syntax), scope, variables)
        learnt = self._outcomes(lambda: self._scan(data, syntax), scope, variables)
        assert learnt == fresh
        return fresh

    def _scan(self, data: bytes, syntax: Syntax) -> EncodedDataset:
        found = self.memory.scan(data, 0, syntax)
        self.recognized += found.learnt is not None
        return found

    def _outcomes(self, scan: Any, scope: Scope, variables: dict[str, str]) -> list[Any]:
        try:
            dataset = scan()
        except DatasetError as error:
            return [str(error)]
        return [dataset.elements, *(self._outcome(one, dataset, scope, variables) for one in self._recipes)]

    def _outcome(self, recipe: Recipe, dataset: EncodedDataset, scope: Scope, variables: dict[str, str]) -> Any:
        identities = InstanceIdentities(scope, NoMaps(), dataset)
        try:
            verdict = _POLICY.judge(recipe, dataset)
            made = recipe.apply(dataset, identities, variables, masks=verdict.judgement)
            cleaned = verdict.finished(made)
            found = through(cleaned, recipe, self._gate)
        except (HoldInstance, DatasetError) as error:
            return type(error), str(error), list(identities.uids.items())
        return (
            made.tobytes(), told(made), cleaned.tobytes(), told(cleaned), found.cleaned.tobytes(),
            found.left, found.taken, found.texts, gathered(dataset),
            list(identities.uids.items()), list(identities.patients.items()),
        )  # fmt: skip


def told(cleaned: Cleaned) -> tuple[Any, ...]:
    """What a result says of itself, and where its elements went."""
    spans = [cleaned.span(element[1], element[4]) for element in cleaned.dataset.elements]
    return dict(cleaned.values), cleaned.changed, cleaned.warnings, cleaned.regions, cleaned.codec.terms, spans


def gathered(dataset: EncodedDataset) -> tuple[Any, ...]:
    """What identifies an original, in the order in which it was met."""
    found = gather(dataset)
    values = [(key, one.form, one.raw, one.read.terms, one.tag) for key, one in found.values.items()]
    return (
        values, list(found.uids.items()), list(found.dates.items()), [one.terms for one in found.codecs], found.numbers
    )  # fmt: skip


def read(path: Path) -> tuple[bytes, Syntax] | None:
    """The data set of a file and its syntax; None for one that cannot be cleaned."""
    data = path.read_bytes()
    try:
        meta, start = read_file_meta(data[:65536])
    except DatasetError:
        return None
    syntax = lookup(meta.transfer_syntax_uid)
    return None if syntax is None or syntax.deflated else (data[start:], syntax)


def variants(data: bytes, syntax: Syntax, number: int, seed: int) -> Iterator[bytes]:
    """The data set, and others of which some elements are other ones, longer, shorter, gone, or damaged."""
    yield from (data, data)
    try:
        elements = EncodedDataset.scan(data, 0, syntax).elements
    except DatasetError:
        return
    chance = random.Random(seed)
    for _ in range(number):
        changed = data
        for element in sorted(chance.sample(elements, min(len(elements), chance.randint(1, 3))), reverse=True):
            changed = _changed(changed, element, syntax, chance)
        yield from (changed, changed, changed) if chance.random() < 0.3 else (changed, data)


def _changed(data: bytes, element: Element, syntax: Syntax, chance: random.Random) -> bytes:
    _, start, value, length, end = element
    what = chance.randrange(5)
    if what == 0:
        return data[:start] + data[end:]
    if what == 1:
        return data[: max(start, end - 1)] + data[end:]  # every length behind it lies
    if what == 2 and end > value:
        at = chance.randrange(start, end)
        return data[:at] + bytes([chance.randrange(256)]) + data[at + 1 :]
    if what == 3 and length != UNDEFINED and value - start == 8 and end - value > 2:
        order, width = ("little" if syntax.little_endian else "big"), 4 if syntax.implicit_vr else 2
        field = (length - 2).to_bytes(width, order)  # type: ignore[arg-type]
        return data[: value - width] + field + data[value : end - 2] + data[end:]
    if end > value:
        at = chance.randrange(value, end)
        return data[:at] + bytes([chance.choice(b"0123456789ABCX^\\ ")]) + data[at + 1 :]
    return data


def mixed(series: Sequence[list[tuple[bytes, Syntax]]], seed: int) -> Iterator[tuple[bytes, Syntax]]:
    """Instances of many series, in turns as they come from many senders."""
    chance, left = random.Random(seed), [list(reversed(one)) for one in series]
    while left:
        one = chance.choice(left[:6])
        yield one.pop()
        left = [one for one in left if one]
