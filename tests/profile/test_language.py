"""The section %profile: its lines, its faults, what several say together."""

from __future__ import annotations

import pytest

from node.deid import DeidRecipe
from node.errors import RecipeError
from node.recipe import load_recipe, shipped_recipe
from tests.recipe.support import apply, dataset, text

CT = "1.2.840.10008.5.1.4.1.1.2"


def faults(*texts):
    with pytest.raises(RecipeError) as refused:
        load_recipe(list(texts))
    return [(one.file, one.line, f"{one.problem} {one.hint}".strip()) for one in refused.value.faults]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("Y (0010,0010)", "Y is no action code. Known:"),
        ("XZ (0010,0010)", "XZ is no action code. Did you mean X/Z"),
        ("X", "X names no attribute."),
        ("X (0010,0010) (0010,0020)", "X takes one attribute."),
        ("X contains:Name", "is no attribute of %profile"),
        ("X PatientName", "is no attribute of %profile"),
        ("X (0010,00)", "is no"),
        ("U (0010,0010)", "(0010,0010) has VR PN: U is for UIDs."),
        ("X/Z/U* (0010,0010)", "X/Z/U* is for sequences."),
        ("X (7FE0,0010)", "is protected"),
        ("X (0002,0016)", "file meta information"),
        ("X (0010,0000)", "group length"),
        ("X select:VR:QQ", "QQ is no VR"),
        ("X select:nothing:1", "select:nothing is no selector"),
        ("REMOVE (0010,0010)", "REMOVE is no line of %profile. Write %header before it."),
        ('X (0010,"A",01)', "Group 0010 is not private."),
    ],
)
def test_a_line_that_cannot_be_meant_is_a_fault_with_its_place(line, said):
    (found,) = faults(text("%profile basic", line))
    assert found[:2] == ("r.dicom", 3)
    assert said in found[2]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("%profile", "%profile has no name."),
        ("%profile two words", "has a blank"),
        ("%profile retain-uid", "retain-uid is no profile or option of PS3.15. Did you mean retain-uids?"),
        ("%profile basik", "Did you mean basic?"),
        ("%profile a\\b", "is one word"),
        ("%profil basic", "%profil is no section. Did you mean %profile?"),
    ],
)
def test_a_section_that_cannot_be_meant_is_one_fault(line, said):
    (found,) = faults(text(line, "X (0010,0010)"))
    assert said in found[2]


def shipped(*names):
    return [one for one in map(shipped_recipe, names) if one is not None]


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (("retain-full-dates", "retain-modified-dates"), "contradict each other: dates either stay or move"),
        (("retain-modified-dates", "retain-full-dates"), "contradict each other"),
        (("retain-uids", "retain-modified-dates"), "contradict each other: vendors write dates"),
        (("retain-modified-dates", "retain-uids"), "contradict each other"),
    ],
)
def test_options_that_contradict_each_other_do_not_load(names, said):
    (found,) = faults(*shipped("ps3.15-basic", *names))
    assert found[0] == names[1]
    assert said in found[2]


def test_an_option_without_the_profile_or_in_front_of_it_does_not_load():
    assert "Name ps3.15-basic in front of it." in faults(*shipped("retain-uids"))[0][2]
    assert "Name ps3.15-basic in front of it." in faults(*shipped("retain-uids", "ps3.15-basic"))[0][2]


def test_faults_of_lines_and_of_the_combination_are_named_at_once():
    assert len(faults(text("%profile retain-uids", "Y (0010,0010)", "%header", "REMOVE Foo"))) == 3


def test_a_later_line_overrides_an_earlier_one_of_the_same_attribute_alone():
    first = text("%profile one", "X (0010,0010)", "X (0010,0040)", "X (0010,1010)")
    second = text("%profile two", "K (0010,0010)", "z (0010,0040)", name="s.dicom")
    source = dataset(SOPClassUID=CT, PatientName="A", PatientSex="F", PatientAge="001Y")
    again = apply(load_recipe([first, second]), source)
    assert (again.PatientName, again.PatientSex, "PatientAge" in again) == ("A", "", False)
    again = apply(load_recipe([second, first]), source)
    # Name and sex are Type 2 in every IOD.
    assert (again.PatientName, again.PatientSex, "PatientAge" in again) == ("", "", False)


def test_what_nothing_can_clean_falls_back_on_the_code_below():
    under = text("%profile one", "Z (0008,1048)", "X (0008,1050)", "K (0008,0055)")
    clean = text("%profile two", "C (0008,1048)", "C (0008,1050)", "C (0008,0055)", "C (0008,1060)", name="s.dicom")
    source = dataset(SOPClassUID=CT, PhysiciansOfRecord="A", PerformingPhysicianName="A", StationAETitle="A")
    source.NameOfPhysiciansReadingStudy = "A"
    again = apply(load_recipe([under, clean]), source)
    assert [(e.keyword, e.value) for e in again] == [("SOPClassUID", CT), ("PhysiciansOfRecord", "")]


def test_an_attribute_is_named_more_closely_by_its_tag_than_by_its_kind():
    recipe = load_recipe(
        [text("%profile one", "K (6000,0010)", "X (60xx,xxxx)", "K (60xx,1500)", "X select:VR:SH", "K (0008,1010)")]
    )
    source = dataset(SOPClassUID=CT, StationName="A", PerformedStationName="B")
    for tag in (0x60000010, 0x60000011, 0x60001500, 0x60021500, 0x60020010):
        source.add_new(tag, "LO", "A")
    kept = {int(element.tag) for element in apply(recipe, source)}
    assert kept == {0x00080016, 0x00081010, 0x60000010, 0x60001500, 0x60021500}


def test_the_hash_and_the_need_of_a_secret_follow_from_the_profile():
    one, other = (load_recipe([text("%profile x", line)]) for line in ("X (0010,0010)", "Z (0010,0010)"))
    assert one.hash != other.hash
    assert one.keyed is not None
    assert one.keyed.where == "r.dicom:2"


def test_a_recipe_that_was_changed_in_python_keeps_its_profile():
    recipe = DeidRecipe(["ps3.15-basic", "retain-uids"])
    recipe.deid["header"].append({"action": "BLANK", "field": "Modality"})
    assert recipe.compiled.profile is not None
    assert recipe.compiled.profile.names == ("basic", "retain-uids")
    before = load_recipe(shipped("ps3.15-basic", "retain-uids"), in_node=False).profile
    assert before is not None
    assert {key: line.code for key, line in recipe.compiled.profile.lines.items()} == {
        key: line.code for key, line in before.lines.items()
    }
