"""Applies a compiled recipe to one encoded data set.

Guarantees that what no rule touches is not even read, and that of what a rule touches only the value, its length, and
the lengths of what encloses it change: undefined lengths stay undefined, a group length is computed again when its
group's size changes. Refuses with HoldInstance whatever an action cannot do, and with DatasetError what cannot be
parsed; nothing half done leaves this module.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

from node.errors import DatasetError, HoldInstance, HoldReason
from node.recipe.charset import Codec, codec
from node.recipe.compiled import GROUP_LENGTH, UNTOUCHED, Decision, Level, calls
from node.recipe.dictionary import SPECIFIC_CHARACTER_SET, show
from node.recipe.elements import Elements, Inside, Owners, Place
from node.recipe.encoded import MAX_DEPTH, UNDEFINED, Element, EncodedDataset
from node.recipe.header import Rule
from node.recipe.instance import Instance
from node.recipe.method import CODE_SEQUENCE, items
from node.recipe.originals import Originals, Seen
from node.recipe.output import Cleaned, Output
from node.recipe.program import REMOVED, Program, Subject
from node.recipe.replay import replayed
from node.recipe.values import encode


class Watch(Protocol):
    """Who wants to know what happens to a data set; it gives the parts of the engine in a form that tells."""

    def program(self, instance: Instance, dataset: EncodedDataset) -> Program:
        """Return what runs the lines."""
        ...

    def elements(self, dataset: EncodedDataset, output: Output, program: Program, inside: Inside) -> Elements:
        """Return what acts on the elements."""
        ...


class Engine:
    """One application of a recipe to one data set."""

    __slots__ = ("_instance", "_watched", "added", "dataset", "elements", "level", "originals", "output", "program")

    def __init__(
        self,
        level: Level,
        dataset: EncodedDataset,
        instance: Instance,
        *,
        meta: bool = False,
        watch: Watch | None = None,
        codes: tuple[str, ...] = (),
    ) -> None:
        self.level = level
        self.dataset = dataset
        self.added = level.rules.added_meta if meta else level.rules.added
        self.output = Output(dataset)
        self._instance = instance
        self.program = watch.program(instance, dataset) if watch else Program(instance, dataset)
        self.originals = Originals(dataset, instance, self.program)
        self.elements = (watch.elements if watch else Elements)(dataset, self.output, self.program, self.inside)
        self.elements.codes = codes
        self._watched = watch is not None

    def collect(self) -> None:
        """Fill the instance's lists from the original data set. Raises HoldInstance and DatasetError."""
        with as_dataset_error():
            self.originals.collect(self.level)

    def run(self) -> Cleaned:
        """Return the cleaned data set. Raises HoldInstance and DatasetError."""
        with as_dataset_error():
            place, learnt = self._top(), self.dataset.learnt
            if learnt is None or self._watched or self.level.rules.guarded or place.transcodes:
                self._present(place)
            else:
                replayed(self, place, learnt, self._instance)
        return self.output.cleaned(place.write)

    def inside(
        self, element: Element, decision: Decision, level: Level, place: Place, path: str
    ) -> Callable[[Rule], bool]:
        """Return what tells whether a line finds a value of a list inside of a sequence."""
        seen = Seen(element, decision, level, place, path)
        return lambda rule: self.originals.holds(seen, rule)

    def _top(self) -> Place:
        """Return the place of the top level; its last character set has to be known before any text is written."""
        dataset, level = self.dataset, self.level
        read = write = dataset.codec
        found = dataset.find(SPECIFIC_CHARACTER_SET)
        if found is not None:
            decision = Owners(level, dataset).decide(found, "")
            write = self.elements.new_codec(decision, found, read, codec(b""))
        elif SPECIFIC_CHARACTER_SET in self.added:
            rules, _ = level.rules.added_program(SPECIFIC_CHARACTER_SET)
            subject = Subject("CS", None, SPECIFIC_CHARACTER_SET, read, True, show(SPECIFIC_CHARACTER_SET))
            outcome = self.program.run(rules, subject)
            write = _codec_of(outcome) if isinstance(outcome, str) else read
        return Place(dataset.coding, read, write, 0)

    def _present(self, place: Place) -> None:
        # The hot loop: most elements need one look-up, private ones two.
        untouched = None if place.transcodes else UNTOUCHED
        act, sizes, group_lengths = self.elements.act, dict[int, int](), list[Element]()
        get, alone, removed = self.level.decisions.get, not self._watched, list[Element]()
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
            if decision.fixed is REMOVED and alone and element[3] != UNDEFINED:
                removed.append(element)
                continue
            if decision.kind == GROUP_LENGTH:
                group_lengths.append(element)
                continue
            _, grown = act(element, decision, self.level, place, self.dataset.end)
            if grown:
                sizes[key >> 32] = sizes.get(key >> 32, 0) + grown
        self.output.remove_all(removed, sizes)
        self._added(place, sizes)
        if group_lengths:
            self.elements.settle(group_lengths, sizes, place, self.dataset.end)

    def _added(self, place: Place, sizes: dict[int, int]) -> None:
        for tag in self.added:
            if self.dataset.find(tag) is None:
                self.add(tag, place, sizes)

    def add(self, tag: int, place: Place, sizes: dict[int, int], by: Program | None = None) -> None:
        """Do what lines say of a tag that the top level does not have; `sizes` are told how its group grows.

        `by` runs the lines, where it is not the engine's own program.
        """
        rules = self.level.rules
        if tag == CODE_SEQUENCE:
            encoded = self._codes(place)
            self.output.insert(tag, encoded)
            sizes[tag >> 16] = sizes.get(tag >> 16, 0) + len(encoded)
            return
        program, vr = rules.added_program(tag)
        where = show(tag)
        subject = Subject(vr, None, tag, place.read, place.coding.little, where)
        outcome = (by or self.program).run(program, subject)
        if not isinstance(outcome, str):
            return
        spot = f"{where}: {program[0].where}"
        encoded = self._new(tag, vr, outcome, place, spot, lenient=rules.lenient and calls(program))
        self.output.insert(tag, encoded)
        self.output.note(tag, outcome)
        sizes[tag >> 16] = sizes.get(tag >> 16, 0) + len(encoded)

    def _codes(self, place: Place) -> bytes:
        value = items(self.elements.codes, place.coding)
        return place.coding.header(CODE_SEQUENCE, "SQ", len(value)) + value

    def _new(self, tag: int, vr: str, text: str, place: Place, spot: str, *, lenient: bool) -> bytes:
        try:
            return _new_element(tag, vr, text, place, spot)
        except HoldInstance as hold:
            if not lenient:
                raise
            self.output.warn(hold.detail)
            return _new_element(tag, vr, text, place, spot, strict=False)


@contextmanager
def as_dataset_error() -> Iterator[None]:
    """Around whatever reads a data set: what only a broken one can cause is a DatasetError."""
    try:
        yield
    except struct.error:
        raise DatasetError("the data set is truncated") from None
    except OverflowError:
        raise DatasetError("a group length is wrong") from None
    except RecursionError:
        raise DatasetError(f"sequences are nested deeper than {MAX_DEPTH}") from None


def _codec_of(text: str) -> Codec:
    return codec(text.encode("latin-1", "replace"))


def _new_element(tag: int, vr: str, text: str, place: Place, where: str, *, strict: bool = True) -> bytes:
    problem = ""
    for choice in vr.split(" or "):
        try:
            value = encode(choice, text, place.write, little=place.coding.little, strict=strict)
            return place.coding.header(tag, choice, len(value)) + value
        except ValueError as error:
            problem = str(error)
    raise HoldInstance(HoldReason.ACTION_FAILED, f"{where}: VR {vr}: {problem}")
