"""What a person said of texts: what identifies leaves no more, by whatever recipe and gate."""

from __future__ import annotations

import pytest

from node.gate import Passed, through
from node.recipe import Decided, EncodedDataset, RecipeText, decided_of, load_recipe
from node.recipe.known.attributes import SAID
from node.syntaxes import EXPLICIT_LE
from tests.profile.support import element
from tests.recipe.support import Keys

PATH = "(0008,103E)"
KEEPS = "FORMAT dicom\n%header\nREPLACE PatientName NOBODY\nKEEP SeriesDescription\n"
CLEANS = "FORMAT dicom\n%header\nREPLACE PatientName NOBODY\nREPLACE SeriesDescription func:clean_text\n"
SAID_OF = decided_of([(PATH, "knee of Kowalska")], ["knee", "routine"])


class Deciding(Keys):
    def __init__(self, said: Decided | None) -> None:
        self._said = said

    def decided(self) -> Decided | None:  # type: ignore[override]
        return self._said


def passed(text: str, recipe: str = KEEPS, said: Decided | None = SAID_OF, gate: str = "hold") -> Passed:
    """What the gate makes of a Series Description."""
    encoded = element(0x0008103E, "LO", text.encode()) + element(0x00100010, "PN", b"SOMEBODY")
    loaded = load_recipe([RecipeText("test", recipe)])
    cleaned = loaded.apply(EncodedDataset.scan(encoded, 0, EXPLICIT_LE), Deciding(said), {})
    return through(cleaned, loaded, gate)


def description(found: Passed) -> str:
    dataset = EncodedDataset.scan(found.cleaned.tobytes(), 0, EXPLICIT_LE)
    return dataset.text(0x0008103E) or ""


def held(found: Passed) -> list[str]:
    return [str(finding) for finding in found.left]


@pytest.mark.parametrize("gate", ["hold", "report"])
@pytest.mark.parametrize("text", ["knee of Kowalska", "left knee of Kowalska, again", "KOWALSKA_hip"])
def test_a_kept_text_with_what_was_said_to_identify_is_held_whatever_the_gate(text: str, gate: str) -> None:
    assert held(passed(text, gate=gate)) == [f"{SAID} in {PATH}"]
    assert not held(passed(text, said=None, gate=gate)), "but for what was said nothing is found"


@pytest.mark.parametrize(("text", "left"), [("knee of Kowalska", ""), ("hip of Kowalska, left", "hip of, left")])
def test_where_the_gate_scrubs_it_is_taken_out(text: str, left: str) -> None:
    found = passed(text, gate="scrub")
    assert not found.left
    assert description(found) == left


@pytest.mark.parametrize("text", ["knee", "knee routine", "of the knee"])
def test_words_that_say_nothing_of_a_person_stay(text: str) -> None:
    assert not held(passed(text))
    assert description(passed(text)) == text


def test_of_a_text_of_known_words_alone_all_go_but_those_of_harmless_ones() -> None:
    said = decided_of([(PATH, "Lunge Hand")], ["Hand"])
    assert description(passed("Lunge links Hand", CLEANS, None)) == "Lunge links Hand"
    found = passed("Lunge links Hand", CLEANS, said)
    assert description(found) == "links Hand"
    assert not found.left


def test_a_short_text_holds_where_it_was_met_and_is_looked_for_nowhere_else() -> None:
    said = decided_of([(PATH, "XY")], [])
    assert held(passed("XY", said=said)) == [f"{SAID} in {PATH}"]
    assert not held(passed("XY 2", said=said))
    assert not held(passed("XY", said=decided_of([("(0008,1030)", "XY")], [])))
    assert description(passed("XY lung", CLEANS, said)) == "lung", "but from texts that are cleaned it goes"


def test_a_name_that_a_line_keeps_is_held_too() -> None:
    keeps = "FORMAT dicom\n%header\nKEEP PatientName\n"
    said = decided_of([("(0010,0010)", "SOMEBODY")], [])
    assert held(passed("knee", keeps, said)) == [f"{SAID} in (0010,0010)"]
    assert not held(passed("knee", keeps, None))


def test_what_harmless_texts_have_is_no_word_of_a_person() -> None:
    said = decided_of([(PATH, "wobbler Kowalska")], ["wobbler lung"])
    assert said.words == {"kowalska"}
    assert said.digest != decided_of([(PATH, "wobbler Kowalska")], []).digest
