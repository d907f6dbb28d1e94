"""What a recipe did with a header, done again to the next one like it.

Guarantees the result of the engine's own way. An element's effects are used again only where all that they followed
from is the same: its bytes (`node.recipe.learnt`), the decision, the character sets, the codes of the method, and the
answer to each question that was asked about anything else: every one is asked anew, in the same order, so that whoever
answers hears the same questions as without. What a line asked in any other way (of another element, of a variable, of a
function of the site) is not remembered: that element goes the engine's own way each time, as do those that vary.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from node.recipe import dummies
from node.recipe.compiled import GROUP_LENGTH, UNTOUCHED, Decision, Level
from node.recipe.content_items import ItemAt
from node.recipe.elements import Elements, Inside, Owners, Place
from node.recipe.encoded import Element, EncodedDataset
from node.recipe.functions import BUILT_IN, Function, Identities
from node.recipe.header import Rule, Source, Value
from node.recipe.instance import Instance
from node.recipe.known.texts import Known
from node.recipe.learnt import Learnt
from node.recipe.output import Edit, Output
from node.recipe.program import Outcome, Program, Subject

if TYPE_CHECKING:
    from node.recipe.engine import Engine

_KNOWN = "known"
_PIXEL_GROUPS = 0x7FE00000
_FUNCTIONS: frozenset[Function] = frozenset(
    (*BUILT_IN.values(), *(one.run for one in vars(dummies).values() if isinstance(one, Value) and one.run is not None))
)
"""The node's own: what they follow from is in their call."""

_Question: TypeAlias = tuple[str, tuple[Any, ...]]
"""A method of `Identities` and its arguments, or what is known of the instance (`_KNOWN`)."""


class Effects(NamedTuple):
    """What becomes of one element.

    Parameters
    ----------
    start
        Where the element began; the edits have offsets of that data set.
    edits, grown
        What is changed, and by how many bytes its group grows.
    noted
        The new value of the top level's tag, if there is one.
    asked
        Numbers of the plan's questions.
    """

    start: int
    edits: tuple[Edit, ...]
    grown: int
    noted: tuple[tuple[int, str | None], ...]
    asked: tuple[int, ...]


class Step(NamedTuple):
    """The element at a place, or a tag that is added in front of it; None for `effects` goes the engine's own way."""

    place: int
    tag: int
    decision: Decision | None
    effects: Effects | None


class Plan:
    """What a recipe does with the headers of one pattern.

    Attributes
    ----------
    edits
        By stretch: what is the same in each instance.
    values, sizes
        The values that the top level then has, and by how much groups grow.
    steps, added
        What is looked at each time, in order: elements that are there, and tags that are not.
    lengths
        The places of group lengths.
    questions
        With the answers that they had.
    """

    __slots__ = ("added", "edits", "lengths", "questions", "sizes", "steps", "values")

    def __init__(self, stretches: int) -> None:
        self.edits: list[list[Edit]] = [[] for _ in range(stretches)]
        self.values: dict[int, str | None] = {}
        self.sizes: dict[int, int] = {}
        self.steps: list[Step] = []
        self.added: list[Step] = []
        self.lengths: list[int] = []
        self.questions: list[tuple[_Question, Any]] = []


def replayed(engine: Engine, place: Place, learnt: Learnt, instance: Instance) -> None:
    """Clean a data set that was recognized. Raises HoldInstance and DatasetError as the engine does."""
    pattern = learnt.pattern
    key = (engine.level, place.read.terms, place.write.terms, engine.elements.codes, instance.identities is None)
    plan = pattern.plans.get(key)
    if plan is None:
        plan = _Recording(engine, place, learnt, instance).plan()
        pattern.keep(key, plan)
    else:
        _repeat(plan, engine, place, learnt, instance)


def _repeat(plan: Plan, engine: Engine, place: Place, learnt: Learnt, instance: Instance) -> None:
    edits, values, sizes = list[Edit](), plan.values.copy(), plan.sizes.copy()
    engine.output.take(edits, values, [])
    for own, shift in zip(plan.edits, learnt.shifts, strict=True):
        edits += own if not shift else _moved(own, shift)
    elements, end, level, act = engine.dataset.elements, engine.dataset.end, engine.level, engine.elements.act
    same = _Answers(plan.questions, instance).are_same
    for step in plan.steps:
        element, effects = elements[step.place], step.effects
        if effects is None or not same(effects.asked):
            assert step.decision is not None
            grown = act(element, step.decision, level, place, end)[1]
        else:
            grown = _take(effects, element[1], edits, values)
        if grown:
            sizes[element[0] >> 32] = sizes.get(element[0] >> 32, 0) + grown
    for step in plan.added:
        effects = step.effects
        if effects is None or not same(effects.asked):
            engine.add(step.tag, place, sizes)
            continue
        grown = _take(effects, elements[step.place][1], edits, values)
        sizes[step.tag >> 16] = sizes.get(step.tag >> 16, 0) + grown
    if plan.lengths:
        engine.elements.settle([elements[one] for one in plan.lengths], sizes, place, end)


def _take(effects: Effects, start: int, edits: list[Edit], values: dict[int, str | None]) -> int:
    shift = start - effects.start
    edits += effects.edits if not shift else _moved(effects.edits, shift)
    values.update(effects.noted)
    return effects.grown


def _moved(edits: list[Edit] | tuple[Edit, ...], shift: int) -> list[Edit]:
    return [(start + shift, end + shift, new) for start, end, new in edits]


class _Answers:
    """The questions of a plan, each asked once of an instance, when it is first needed."""

    __slots__ = ("_instance", "_met", "_questions")

    def __init__(self, questions: list[tuple[_Question, Any]], instance: Instance) -> None:
        self._questions = questions
        self._instance = instance
        self._met: dict[int, bool] = {}

    def are_same(self, asked: tuple[int, ...]) -> bool:
        """Tell whether the answers are those that they were."""
        for number in asked:
            met = self._met.get(number)
            if met is None:
                met = self._met[number] = self._is_same(*self._questions[number])
            if not met:
                return False
        return True

    def _is_same(self, question: _Question, answer: Any) -> bool:
        name, arguments = question
        if name == _KNOWN:
            return self._instance.known is answer
        return bool(getattr(self._instance.identities, name)(*arguments) == answer)


class _Notes:
    """What was asked for the element in hand; `follows` turns false where it was asked in a way that is not known."""

    def __init__(self) -> None:
        self.follows = True
        self.asked: dict[_Question, Any] = {}

    def begin(self) -> None:
        """Go on to the next element."""
        self.follows = True
        self.asked = {}


class _Asked:
    """The identities of an instance; every question is noted with its answer."""

    def __init__(self, identities: Identities, notes: _Notes) -> None:
        self._identities = identities
        self._notes = notes

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = getattr(self._identities, name)

        def ask(*arguments: Any) -> Any:
            answer = method(*arguments)
            self._notes.asked[name, arguments] = answer
            return answer

        return ask


class _Noted(Instance):
    """An instance that notes what is asked of it. Whatever is not named here makes an element's effects its own."""

    def __init__(self, instance: Instance, notes: _Notes) -> None:
        # On purpose without the attributes of an instance: each that is asked for goes to `__getattr__`.
        self._instance = instance
        self._notes = notes
        self.vocabulary = instance.vocabulary
        found = instance.identities
        self.identities = None if found is None else _Asked(found, notes)

    def __getattr__(self, name: str) -> Any:
        self._notes.follows = False
        return getattr(self._instance, name)

    @property
    def known(self) -> Known:
        """What identifies the instance."""
        answer = self._instance.known
        self._notes.asked[_KNOWN, ()] = answer
        return answer

    def items(self, path: str, tags: Any) -> list[dict[int, str]]:
        """Return values of the sequence that a line's element stands in: they belong to the same top-level element."""
        return self._instance.items(path, tags)

    def names(self, key: str, make: Callable[[], list[str]]) -> list[str]:  # noqa: ARG002 -- nothing is kept by it
        """Return what the items of such a sequence are called, each time made anew: what that asks belongs to all."""
        return make()


class _NotedProgram(Program):
    """Runs lines, and notes what they ask outside of the element."""

    __slots__ = ("_notes",)

    def __init__(self, instance: Instance, dataset: EncodedDataset, notes: _Notes) -> None:
        super().__init__(instance, dataset)
        self._notes = notes

    def meant(self, rule: Rule, state: Outcome, subject: Subject) -> bool:
        """Tell whether lists mean the element; they come from all of the instance."""
        self._notes.follows = False
        return super().meant(rule, state, subject)

    def _text(self, value: Value, state: Outcome, subject: Subject, spot: str) -> str:
        if value.source is not Source.LITERAL and value.run not in _FUNCTIONS:
            self._notes.follows = False
        return super()._text(value, state, subject, spot)


class _NotedElements(Elements):
    """Acts on elements, and notes where that depends on others."""

    __slots__ = ("_notes",)

    def __init__(
        self, dataset: EncodedDataset, output: Output, program: Program, inside: Inside, notes: _Notes
    ) -> None:
        super().__init__(dataset, output, program, inside)
        self._notes = notes

    def _kind(self, decision: Decision, level: Level, item: ItemAt) -> int:
        self._notes.follows = False  # whether an item may go follows from the whole data set
        return super()._kind(decision, level, item)


class _Recording:
    """One data set on the engine's own way, with notes."""

    def __init__(self, engine: Engine, place: Place, learnt: Learnt, instance: Instance) -> None:
        self._engine = engine
        self._place = place
        self._learnt = learnt
        self._notes = _Notes()
        dataset, output = engine.dataset, engine.output
        program = _NotedProgram(_Noted(instance, self._notes), dataset, self._notes)
        self._elements = _NotedElements(dataset, output, program, engine.inside, self._notes)
        self._elements.codes = engine.elements.codes
        self._program = program
        self._plan = Plan(len(learnt.shifts))
        self._questions: dict[_Question, int] = {}
        self._sizes: dict[int, int] = {}
        self._static: list[tuple[int, Effects]] = []

    def plan(self) -> Plan:
        """Clean the data set, and return how."""
        engine, plan = self._engine, self._plan
        owners, varying = Owners(engine.level, engine.dataset), set(self._learnt.pattern.varying)
        for number, element in enumerate(engine.dataset.elements):
            decision = owners.decide(element, "")
            if decision is UNTOUCHED:
                continue
            if decision.kind == GROUP_LENGTH:
                plan.lengths.append(number)
                continue
            self._act(number, element, decision, varies=number in varying)
        self._added()
        self._settle_statics()
        if plan.lengths:
            lengths = [engine.dataset.elements[one] for one in plan.lengths]
            engine.elements.settle(lengths, self._sizes, self._place, engine.dataset.end)
        return plan

    def _act(self, number: int, element: Element, decision: Decision, *, varies: bool) -> None:
        engine, group, tag = self._engine, element[0] >> 32, element[0] >> 16
        mark, warned = engine.output.begin(tag)
        self._notes.begin()
        act = engine.elements.act if varies else self._elements.act
        _, grown = act(element, decision, engine.level, self._place, engine.dataset.end)
        self._sizes[group] = self._sizes.get(group, 0) + grown
        effects = None if varies else self._effects(element[1], tag, mark, warned, grown)
        if effects is None or effects.asked:
            self._plan.steps.append(Step(number, tag, decision, effects))
        elif effects.edits or effects.noted:
            self._static.append((number, effects))
            self._plan.values.update(effects.noted)
            if grown:
                self._plan.sizes[group] = self._plan.sizes.get(group, 0) + grown

    def _effects(self, start: int, tag: int, mark: int, warned: int, grown: int) -> Effects | None:
        """Return what became of an element since `mark`, or None where it does not follow from what is known."""
        edits, noted, warnings = self._engine.output.since(tag, mark)
        if not self._notes.follows or warnings != warned:
            return None
        asked = tuple([self._number(question, answer) for question, answer in self._notes.asked.items()])
        return Effects(start, edits, grown, noted, asked)

    def _number(self, question: _Question, answer: Any) -> int:
        found = self._questions.get(question)
        if found is None:
            found = self._questions[question] = len(self._plan.questions)
            self._plan.questions.append((question, answer))
        return found

    def _added(self) -> None:
        engine, elements = self._engine, self._engine.dataset.elements
        for tag in engine.added:
            if engine.dataset.find(tag) is not None:
                continue
            mark, warned = engine.output.begin(tag)
            self._notes.begin()
            before = self._sizes.get(tag >> 16, 0)
            engine.add(tag, self._place, self._sizes, self._program)
            where = engine.dataset.place_of(tag)
            behind = next((n for n, element in enumerate(elements) if element[1] == where), None)
            effects = self._effects(where, tag, mark, warned, self._sizes.get(tag >> 16, 0) - before)
            known = behind is not None
            self._plan.added.append(Step(behind or 0, tag, None, effects if known else None))

    def _settle_statics(self) -> None:
        """Put together what neighbors that go leave, but where something is put between them."""
        elements = self._engine.dataset.elements
        between = {elements[step.place][1] for step in self._plan.added}
        varying = self._learnt.pattern.varying
        stretch = 0
        for number, effects in self._static:
            while stretch < len(varying) and varying[stretch] < number:
                stretch += 1
            shift = self._learnt.shifts[stretch]
            own = self._plan.edits[stretch]
            for start, end, new in effects.edits:
                if own and not new and start < end and start not in between and _ends(own[-1], start - shift):
                    own[-1] = (own[-1][0], end - shift, b"")
                else:
                    own.append((start - shift, end - shift, new))


def _ends(edit: Edit, at: int) -> bool:
    """Tell whether an edit takes away what stands in front of an offset."""
    return edit[0] < edit[1] == at and not edit[2]
