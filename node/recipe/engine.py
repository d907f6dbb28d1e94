"""Applies a compiled recipe to one encoded data set.

Guarantees that what no rule touches is not even read, and that of what a rule touches only the value, its length, and
the lengths of what encloses it change: undefined lengths stay undefined, a group length is computed again when its
group's size changes. Refuses with HoldInstance whatever an action cannot do, and with DatasetError what cannot be
parsed; nothing half done leaves this module.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping

from node.errors import DatasetError, HoldInstance, HoldReason
from node.recipe.charset import Codec, codec
from node.recipe.compiled import GROUP_LENGTH, UNTOUCHED, Level
from node.recipe.dictionary import SPECIFIC_CHARACTER_SET, show
from node.recipe.elements import Elements, Owners, Place
from node.recipe.encoded import MAX_DEPTH, Element, EncodedDataset
from node.recipe.functions import Identities
from node.recipe.output import Cleaned, Output
from node.recipe.program import Program
from node.recipe.values import encode


class Engine:
    """One application of a recipe to one data set."""

    __slots__ = ("dataset", "elements", "level", "output", "program")

    def __init__(
        self, level: Level, dataset: EncodedDataset, identities: Identities, variables: Mapping[str, str]
    ) -> None:
        self.level = level
        self.dataset = dataset
        self.output = Output(dataset)
        self.program = Program(dataset, identities, variables)
        self.elements = Elements(dataset, self.output, self.program)

    def run(self) -> Cleaned:
        """Return the cleaned data set. Raises HoldInstance and DatasetError."""
        try:
            place = self._top()
            self._present(place)
        except struct.error:
            raise DatasetError("the data set is truncated") from None
        except RecursionError:
            raise DatasetError(f"sequences are nested deeper than {MAX_DEPTH}") from None
        return self.output.cleaned(place.write)

    def _top(self) -> Place:
        """Return the place of the top level; its last character set has to be known before any text is written."""
        dataset, level = self.dataset, self.level
        read = write = dataset.codec
        found = dataset.find(SPECIFIC_CHARACTER_SET)
        if found is not None:
            decision = Owners(level, dataset).decide(found, "")
            write = self.elements.new_codec(decision, found, read, codec(b""))
        elif SPECIFIC_CHARACTER_SET in level.rules.added:
            rules, _ = level.rules.added_program(SPECIFIC_CHARACTER_SET)
            outcome = self.program.run(rules, "CS", None, read, show(SPECIFIC_CHARACTER_SET))
            write = _codec_of(outcome) if isinstance(outcome, str) else read
        return Place(dataset.coding, read, write, 0)

    def _present(self, place: Place) -> None:
        # The hot loop: most elements need one look-up, private ones two.
        untouched = None if place.transcodes else UNTOUCHED
        act, sizes, group_lengths = self.elements.act, dict[int, int](), list[Element]()
        get = self.level.decisions.get
        owners = Owners(self.level, self.dataset)
        block_of = owners.blocks.get
        for element in self.dataset.elements:
            key = element[0]
            decision = get(key)
            if decision is None:
                block = block_of(key >> 24)
                decision = (block.get(key) if block else None) or owners.decide(element, "")
            if decision is untouched:
                continue
            if decision.kind == GROUP_LENGTH:
                group_lengths.append(element)
                continue
            _, grown = act(element, decision, self.level, place, self.dataset.end)
            if grown:
                sizes[key >> 32] = sizes.get(key >> 32, 0) + grown
        self._added(place, sizes)
        if group_lengths:
            self.elements.settle(group_lengths, sizes, place, self.dataset.end)

    def _added(self, place: Place, sizes: dict[int, int]) -> None:
        rules = self.level.rules
        for tag in rules.added:
            if self.dataset.find(tag) is not None:
                continue
            program, vr = rules.added_program(tag)
            where = show(tag)
            outcome = self.program.run(program, vr, None, place.read, where)
            if not isinstance(outcome, str):
                continue
            spot = f"{where}: {program[0].where}"
            encoded = _new_element(tag, vr, outcome, place, spot)
            self.output.insert(tag, encoded)
            self.output.note(tag, outcome)
            sizes[tag >> 16] = sizes.get(tag >> 16, 0) + len(encoded)


def _codec_of(text: str) -> Codec:
    return codec(text.encode("latin-1", "replace"))


def _new_element(tag: int, vr: str, text: str, place: Place, where: str) -> bytes:
    for choice in vr.split(" or "):
        try:
            value = encode(choice, text, place.write, little=place.coding.little)
            return place.coding.header(tag, choice, len(value)) + value
        except ValueError as error:
            problem = str(error)
    raise HoldInstance(HoldReason.ACTION_FAILED, f"{where}: VR {vr}: {problem}")
