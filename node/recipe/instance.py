"""What the lines of a recipe know of one instance: its data set, identities, variables, and lists.

Guarantees that the data set as pydicom shows it is made only when a function asks for it, and once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from node.recipe.encoded import EncodedDataset
from node.recipe.functions import Call, Identities
from node.recipe.known.decided import Decided
from node.recipe.known.gather import Gathered, gather
from node.recipe.known.texts import Known, known_of
from node.recipe.lists import Lists
from node.recipe.texts import ARRAYS, BYTES
from node.recipe.values import NUMBER_VRS
from node.vocabulary import Vocabulary, shipped_vocabulary

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

SOP_INSTANCE_UID = 0x00080018


class Instance:
    """One instance under one recipe.

    Parameters
    ----------
    dataset
        Its data set.
    identities
        What replaces its identity, if anything.
    lookup
        The values of `var:`, outside the node functions too.
    meta
        Its file meta information, where lines reach that.
    vocabulary
        The words that its texts may keep; None are those that come with the node.
    decided
        What was said of the texts of its project; None where nothing was.
    """

    def __init__(
        self,
        dataset: EncodedDataset,
        identities: Identities | None,
        lookup: Mapping[str, Any],
        meta: EncodedDataset | None = None,
        vocabulary: Vocabulary | None = None,
        decided: Decided | None = None,
    ) -> None:
        self.dataset = dataset
        self.meta = meta
        self.identities = identities
        self.lookup = lookup
        self.lists = Lists()
        self.vocabulary = vocabulary or shipped_vocabulary()
        self.decided = decided
        self.gathered: Gathered | None = None
        self._names: dict[str, list[str]] = {}

    @cached_property
    def _original(self) -> Dataset:
        from node.recipe.original import Original

        return Original(self.dataset, self.meta)

    @cached_property
    def known(self) -> Known:
        """What identifies the instance, for texts that stay; found out where a text asks for it."""
        self.gathered = gather(self.dataset)
        if self.decided is not None:
            self.gathered.values |= self.decided.values
        return known_of(self.gathered, self.decided)

    def items(self, path: str, tags: Sequence[int]) -> list[dict[int, str]]:
        """Return the original values of some attributes in each item of a sequence. Raises DatasetError."""
        from node.recipe.siblings import items

        return items(self.dataset, path, tags)

    def names(self, key: str, make: Callable[[], list[str]]) -> list[str]:
        """Return what the items of a sequence are called, made once."""
        found = self._names.get(key)
        if found is None:
            found = self._names[key] = make()
        return found

    def item(self) -> dict[str, Any]:
        """Return the lookup for a function, which may change it without an effect on others."""
        return self.lookup.copy() if isinstance(self.lookup, dict) else dict(self.lookup)

    def original(self) -> Dataset:
        """Return the original data set, which is read when it is looked into."""
        return self._original

    def seed(self, path: str) -> str:
        """Return a text that belongs to one element of this instance alone."""
        return f"{self.dataset.text(SOP_INSTANCE_UID) or ''}/{path}"

    def element(self, call: Call) -> Any:
        """Return the element of a call as pydicom shows it, with its current value; None where it does not exist."""
        element = self._find(call.path.split("__")) if call.exists else None
        if not call.changed:
            return element
        from pydicom.config import IGNORE
        from pydicom.dataelem import DataElement

        tag = _tag(call.path.rpartition("__")[2])
        made = DataElement(tag, call.vr.partition(" ")[0], _python(call), validation_mode=IGNORE)
        made.private_creator = element.private_creator if element is not None else None
        return made

    def _find(self, parts: list[str]) -> Any:
        current: Any = self._original.file_meta if parts[0].startswith("(0002,") else self._original
        for part in parts:
            try:
                current = current[int(part)] if part.isdecimal() else current[_tag(part)]
            except (KeyError, IndexError, TypeError):
                return None
            if not part.isdecimal() and part is not parts[-1]:
                current = current.value
        return current


def _python(call: Call) -> Any:
    """Return the current value of an element as pydicom takes it."""
    vr = call.vr.partition(" ")[0]
    if vr in BYTES or vr in ARRAYS:
        return call.value.encode("latin-1", "replace")  # as it was read
    if vr not in NUMBER_VRS:
        return call.value
    numbers = [float(part) if vr in ("FL", "FD") else int(part) for part in call.value.split("\\") if part]
    return numbers if len(numbers) != 1 else numbers[0]


def _tag(text: str) -> int:
    return int(text[1:5] + text[6:10], 16)
