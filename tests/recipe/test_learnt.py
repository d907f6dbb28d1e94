"""What was learnt from the instances before changes nothing but the time that the next one takes."""

from __future__ import annotations

import itertools
import random
from pathlib import Path

import pydicom
import pytest
from pydicom.dataset import Dataset

from node.identity import ProjectKeys
from node.instances import InstanceIdentities, Scope
from node.instances.identities import NoMaps
from node.recipe import EncodedDataset, Functions, Memory, Recipe, RecipeText, load_recipe, shipped_recipe
from node.syntaxes import EXPLICIT_BE, EXPLICIT_LE, IMPLICIT_LE
from tests.deidset.build import synthetic
from tests.deidset.encoding import part10
from tests.gate.support import patient
from tests.recipe.alike import Both, mixed, read, variants
from tests.recipe.support import encode, text
from tests.thorough import slow

FILES = Path(pydicom.__file__).parent / "data/test_files"
CT = FILES / "CT_small.dcm"
SCOPE = Scope("a", ProjectKeys(bytes(32), "a"))
OTHER = Scope("b", ProjectKeys(bytes(range(32)), "b"), invalid_dates="empty")
SYNTAXES = (EXPLICIT_LE, IMPLICIT_LE, EXPLICIT_BE)


def shipped(*names: str) -> Recipe:
    return load_recipe([one for one in map(shipped_recipe, names) if one is not None])


BASIC, RESEARCH = shipped("ps3.15-basic"), shipped("research")
ALL = shipped(
    "ps3.15-basic", "clean-pixel-data", "clean-graphics", "clean-structured-content", "clean-descriptors",
    "retain-modified-dates", "retain-safe-private", "retain-patient-characteristics", "retain-device-identity",
)  # fmt: skip


def slice_of(number: int, **changes: object) -> Dataset:
    """A CT slice: what differs from slice to slice does, and `changes`."""
    dataset = pydicom.dcmread(CT)
    del dataset.PixelData
    dataset.PatientName, dataset.PatientID, dataset.PatientBirthDate = "ALBRECHT^ANNA", "PID4711", "19500102"
    dataset.SOPInstanceUID = f"1.2.3.4.{number}"
    dataset.InstanceNumber = number
    for keyword, value in changes.items():
        setattr(dataset, keyword, value)
    return dataset


def test_a_series_is_recognized_from_its_second_instance_on() -> None:
    both = Both(BASIC, RESEARCH)
    for number in range(9):
        both.clean(encode(slice_of(number)), EXPLICIT_LE, SCOPE)
    # The second one shows that more than the SOP Instance UID varies, a longer number that nothing else has changed.
    assert both.recognized == 7


@pytest.mark.parametrize(
    "recipe",
    [
        BASIC,
        pytest.param(RESEARCH, marks=pytest.mark.slow),
        pytest.param(ALL, marks=pytest.mark.slow),
        pytest.param(shipped("strict"), marks=pytest.mark.slow),
    ],
    ids=["basic", "research", "all", "strict"],
)
def test_public_files_and_their_variants_come_out_the_same(recipe: Recipe) -> None:
    found = [read(path) for path in sorted(FILES.glob("*.dcm")) if path.stat().st_size < 60_000]
    series = [[(data, one[1]) for data in variants(*one, 1, 7)] for one in found if one is not None]
    both = Both(recipe, gate="scrub")
    for data, syntax in mixed(series, 7):
        both.clean(data, syntax, SCOPE)
    assert both.recognized > len(series)


def test_planted_identity_and_its_variants_come_out_the_same(tmp_path: Path) -> None:
    series = []
    for file in itertools.islice(synthetic(whole=False), 0, None, 48):
        path = tmp_path / "one"
        path.write_bytes(part10(file.tree, file.syntax, meta=file.meta, preamble=file.preamble) + file.tail)
        found = read(path)
        if found is not None:
            series.append([(data, found[1]) for data in variants(*found, 1, 11)])
    both = Both(BASIC, RESEARCH)
    for data, syntax in mixed(series, 11):
        both.clean(data, syntax, SCOPE)
    assert both.recognized > len(series)


@pytest.mark.parametrize(
    "syntax",
    [EXPLICIT_LE, *(pytest.param(one, marks=pytest.mark.slow) for one in (IMPLICIT_LE, EXPLICIT_BE))],
    ids=lambda one: one.uid,
)
def test_two_patients_with_the_same_layout_never_meet(syntax) -> None:
    """One value after the other becomes the other patient's, until all are."""
    both = Both(BASIC, RESEARCH, gate="report")
    anna = {"PatientName": "ALBRECHT^ANNA", "PatientID": "PID4711", "PatientBirthDate": "19500102"}
    emil = {"PatientName": "BERGHOLD^EMIL", "PatientID": "PID0815", "PatientBirthDate": "19640713"}
    more = {
        "StudyInstanceUID": "1.2.3.9",
        "SeriesInstanceUID": "1.2.3.10",
        "AccessionNumber": "A77",
        "StudyDate": "20010203",
        "SeriesDescription": "HEAD BERGHOLD",
        "InstitutionName": "CLINIC B",
        "StationName": "ST2",
        "ReferringPhysicianName": "X^Y",
        "AcquisitionTime": "111213",
        "PatientSex": "F",
        "PatientAge": "054Y",
        "StudyDescription": "ALBRECHT ABDOMEN",
    }
    changed: dict[str, object] = {}
    for number, (keyword, value) in enumerate([*emil.items(), *more.items()]):
        changed[keyword] = value
        if syntax is not EXPLICIT_LE and number % 4:
            continue
        both.clean(encode(slice_of(100 + number, **anna), syntax), syntax, SCOPE)
        both.clean(encode(slice_of(200 + number, **anna | changed), syntax), syntax, SCOPE)
    assert both.recognized > 2


def test_the_other_patients_pseudonym_uids_and_dates_are_their_own() -> None:
    memory = Memory()
    made = {}
    for number, (name, birth) in enumerate([("ANNA", "19500102"), ("EMIL", "19640713")] * 4):
        data = encode(slice_of(10 + number, PatientID=f"PID{name}", PatientName=name, PatientBirthDate=birth))
        dataset = memory.scan(data, 0, EXPLICIT_LE)
        made.setdefault(name, []).append(RESEARCH.apply(dataset, InstanceIdentities(SCOPE, NoMaps(), dataset), {}))
    for one, other in itertools.product(made["ANNA"], made["EMIL"]):
        assert one.text(0x00100020) != other.text(0x00100020)
        assert one.text(0x00080020) != other.text(0x00080020)
        assert b"ANNA" not in other.tobytes()
        assert b"EMIL" not in one.tobytes()


@pytest.mark.slow
def test_each_element_may_be_the_one_that_differs() -> None:
    first = encode(slice_of(1))
    elements = EncodedDataset.scan(first, 0, EXPLICIT_LE).elements
    both, chance = Both(BASIC, RESEARCH), random.Random(3)
    for _ in range(2):
        both.clean(first, EXPLICIT_LE, SCOPE)
    for _, start, value, _, end in chance.sample(elements, 8):
        if end > value:
            both.clean(first[: end - 1] + b"7" + first[end:], EXPLICIT_LE, SCOPE)
        both.clean(first[:start] + first[end:], EXPLICIT_LE, SCOPE)
        both.clean(first, EXPLICIT_LE, SCOPE)
    assert both.recognized > 2


@pytest.mark.parametrize("length", [0, 7, *slow(1, 16)])
def test_values_that_vary_move_what_stands_behind_them(length: int) -> None:
    both = Both(BASIC, RESEARCH)
    for number in range(5):
        for size in (length, 4, length + number):
            changes = {"ImageComments": "W" * size, "SliceLocation": f"{number}." + "5" * min(size, 9)}
            both.clean(encode(slice_of(number, **changes)), EXPLICIT_LE, SCOPE)
    assert both.recognized > 5


@pytest.mark.slow
def test_another_character_set_is_another_header() -> None:
    both = Both(BASIC, RESEARCH, ALL, gate="scrub")
    for number, term in enumerate(
        ["ISO_IR 100", "ISO_IR 192", "ISO_IR 192", "ISO_IR 144", "ISO_IR 144", "ISO_IR 144"] * 2
    ):
        name = "ИВАНОВ" if term == "ISO_IR 144" else "MÜLLER"
        source = slice_of(number, SpecificCharacterSet=term, PatientName=name, StudyDescription=f"{name} CT")
        both.clean(encode(source), EXPLICIT_LE, SCOPE)
    assert both.recognized > 3


@pytest.mark.slow
def test_another_private_creator_is_another_header() -> None:
    both = Both(BASIC, RESEARCH, ALL)
    for number, creator in enumerate(["GEMS_ACQU_01", "ACME_ACQU_01", "ACME_ACQU_01"] * 4):
        source = slice_of(number)
        source[0x0019, 0x0010].value = creator
        both.clean(encode(source), EXPLICIT_LE, SCOPE)
    assert both.recognized > 3


def test_signed_pixels_and_another_class_are_judged_by_their_own_rules() -> None:
    both = Both(BASIC)
    classes = ["1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.4", "1.2.840.10008.5.1.4.1.1.7"]
    for number, (signed, sop_class) in enumerate(list(itertools.product((0, 1), classes)) * 3):
        both.clean(encode(slice_of(number, PixelRepresentation=signed, SOPClassUID=sop_class)), EXPLICIT_LE, SCOPE)
    assert both.recognized > 5


CONDITIONS = """\
%values names
FIELD PatientName
SPLIT PatientName by="^";minlength=4
%fields dates
FIELD select:VR:TM
%header
REPLACE values:names NOBODY
BLANK fields:dates
REPLACE PatientID func:pseudonym
ADD PatientComments var:comment
"""


def test_lines_that_ask_for_other_elements_are_carried_out_each_time() -> None:
    lists = load_recipe([text(*CONDITIONS.splitlines())])
    ages = load_recipe([text("%header", "ADD PatientAge func:age", "REMOVE PatientSize")])
    both = Both(lists, ages, gate="report")
    for number in range(16):
        source = slice_of(number, PatientName=f"NAME{number % 3}^EVA", StudyDescription=f"NAME{number % 2} CT")
        source.PatientBirthDate, source.StudyDate = f"19{50 + number % 4}0102", f"20{10 + number % 5}0102"
        del source.PatientAge
        both.clean(encode(source), EXPLICIT_LE, SCOPE, comment=f"comment {number % 2}")
    assert both.recognized > 5


def test_variables_and_functions_of_the_site_are_asked_each_time() -> None:
    calls = []

    def count(item, value, field, dicom) -> str:
        calls.append(field.tag)
        return f"CALL{len(calls)}"

    lines = [
        "%header",
        "REPLACE StudyDescription func:count",
        "REPLACE PatientComments var:comment",
        "REMOVE PatientName",
    ]
    recipe = load_recipe([text(*lines)], functions=Functions({"count": count}, "x"))
    memory = Memory()
    for number in range(6):
        data = encode(slice_of(number, StudyDescription="ONE", PatientComments="TWO"))
        made = recipe.apply(memory.scan(data, 0, EXPLICIT_LE), None, {"comment": f"SAID {number}"})
        assert (made.text(0x00081030), made.text(0x00104000)) == (f"CALL{number + 1}", f"SAID {number}")


def test_a_map_that_changes_counts_from_the_next_instance_on() -> None:
    class Imported(NoMaps):
        uid: str | None = None

        def stored_uid(self, _project: str, _epoch: int, original: str) -> str | None:
            return self.uid if original.startswith("1.3.6.1.4.1.5962.1.2.1.") else None

    memory, maps, found = Memory(), Imported(), []
    for number in range(8):
        maps.uid = "2.25.7" if number > 5 else None
        dataset = memory.scan(encode(slice_of(number)), 0, EXPLICIT_LE)
        identities = InstanceIdentities(SCOPE, maps, dataset)
        found.append(BASIC.apply(dataset, identities, {}).text(0x0020000D))
        assert found[-1] == identities.uids[dataset.text(0x0020000D)]
    assert found[5] == found[0] != "2.25.7" == found[6] == found[7]


def test_projects_share_nothing() -> None:
    both = Both(BASIC, RESEARCH)
    results = [both.clean(encode(slice_of(5)), EXPLICIT_LE, (SCOPE, OTHER)[number % 2]) for number in range(8)]
    assert results[0] == results[6]
    assert results[1] == results[7]
    assert results[0][1] != results[1][1]
    assert both.recognized > 4


def test_what_is_remembered_is_bounded() -> None:
    memory = Memory()
    for number in range(120):
        source = patient(SOPInstanceUID=f"1.2.{number}", SeriesInstanceUID=f"1.9.{number}")
        source.add_new(0x00190010, "LO", "ACME")
        source.add_new(0x00191000 + number % 100, "LO", "X")
        for recipe in (BASIC, RESEARCH):
            dataset = memory.scan(encode(source), 0, EXPLICIT_LE)
            recipe.apply(dataset, InstanceIdentities(SCOPE, NoMaps(), dataset), {})
    sizes = memory.sizes()
    assert sizes == {"patterns": 16, "shapes": 64, "plans": sizes["plans"]}
    assert sizes["plans"] <= 32


def test_large_values_are_not_kept() -> None:
    memory = Memory()
    for number in range(4):
        found = memory.scan(encode(slice_of(number, ImageComments=f"SECRET{number}" * 2000)), 0, EXPLICIT_LE)
    assert found.learnt is not None
    assert all(b"SECRET" not in stretch.data for stretch in found.learnt.pattern.stretches)


def test_text_of_a_recipe_is_no_key() -> None:
    """Two recipes that differ in one word clean the same series in turn."""
    one, other = (load_recipe([RecipeText("r", f"FORMAT dicom\n%header\nREPLACE PatientName {name}")]) for name in "AB")
    both = Both(one, other, gate="report")
    for number in range(6):
        both.clean(encode(slice_of(number)), EXPLICIT_LE, SCOPE)
    assert both.recognized > 3
