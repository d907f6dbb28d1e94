"""What loads, and what does not (language page 1.3 to 1.6, section 7)."""

from __future__ import annotations

import pytest

from node.errors import RecipeError
from node.recipe import RecipeText, load_recipe, read_recipe, shipped_names, shipped_recipe
from tests.recipe.support import cleaned, dataset, recipe


def faults(*lines: str) -> list[str]:
    with pytest.raises(RecipeError) as refused:
        recipe(*lines)
    return [str(fault) for fault in refused.value.faults]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("REMOVED PatientName", ["REMOVED", "REMOVE"]),
        ("DELETE PatientName", ["DELETE is no action"]),
        ("REMOVE PatientsName", ["Did you mean PatientName?"]),
        ("REMOVE allexcept:Patient", ["allexcept", "except"]),
        ("REMOVE select:VX:DA", ["select:vx"]),
        ("REMOVE select:VR:XX", ["XX is no VR"]),
        ("REMOVE select:group:zz", ["zz is no group"]),
        ("REMOVE select:group:0002", ["file meta"]),
        ("REPLACE MediaStorageSOPInstanceUID 1.2", ["file meta"]),
        ("ADD 00020016 X", ["file meta"]),
        ("REMOVE (0010, 0020)", ["blank"]),
        ("REMOVE 0010,0020", ["no tag"]),
        ("REMOVE 0x00100020", ["no tag"]),
        ("REMOVE (0010,0000)", ["group length"]),
        ("REMOVE contains:(", ["regular expression"]),
        ("REMOVE values:names", ["There is no list %values names"]),
        ("REMOVE fields:names", ["There is no list %fields names"]),
        ("REMOVE values:", ["names no list"]),
        ("KEEP values:names", ["KEEP has no condition"]),
        ("ADD fields:names X", ["ADD names one"]),
        ("REMOVE PatientName contains:X", ["REMOVE has no condition"]),
        ("REMOVE SeqA__PatientName", ["SeqA"]),
        ("REMOVE PatientName__PatientID", ["no sequence"]),
        ("REMOVE RequestAttributesSequence__0__PatientID", ["0 is no keyword"]),
        ('REMOVE (0010,"X",10)', ["not private"]),
        ("REMOVE PixelData", ["protected"]),
        ("REPLACE PatientID", ["needs a value"]),
        ("REPLACE PatientID # nothing", ["needs a value"]),
        ("REPLACE PatientID func:generate_uuid", ["generate_uid"]),
        ("REPLACE PatientID deid_func:jitter", ["VR LO", "jitter moves DA and DT"]),
        ("REPLACE PatientID deid_func:hash", ["hash is no function of deid_func", "Known: basic_uuid"]),
        ("REPLACE PatientID deid_func:basic_uid", ["Did you mean basic_uuid?"]),
        ("REPLACE PatientID deid_func:basic_uuid x=1", ["x is no parameter", "has no parameters"]),
        ("REPLACE PatientID deid_func:dicom_uuid root=1.2", ["root is no parameter", "org_root"]),
        ("REPLACE PatientID deid_func:dicom_uuid org_root", ["org_root is no parameter"]),
        ("REPLACE PatientID deid_func:dicom_uuid org_root=me", ["no root of UIDs"]),
        ("REPLACE StudyDate deid_func:jitter days=var:x", ["days is a whole number"]),
        ("REPLACE StudyDate deid_func:jitter days=1.5", ["days is a whole number"]),
        ("ADD StudyDate deid_func:jitter days=1", ["Write REPLACE"]),
        ("JITTER StudyDate deid_func:jitter days=1", ["gives no number of days"]),
        ("REPLACE StudyInstanceUID deid_func:pydicom_uuid prefix=1.2", ["no prefix of a UID", "dot"]),
        ("REPLACE StudyInstanceUID deid_func:pydicom_uuid stable_remapping=no", ["true or false"]),
        ("REPLACE PatientID deid_func:", ["names nothing"]),
        ("REPLACE PatientID VAR:id", ["lower case"]),
        ("REPLACE PatientBirthDate ANON", ["VR DA"]),
        ("REPLACE Rows ANON", ["VR US"]),
        ("REPLACE SOPInstanceUID foo", ["VR UI"]),
        ("REPLACE PatientSex anon", ["VR CS"]),
        ("REPLACE select:VR:DA soon", ["VR DA"]),
        ("REPLACE RequestAttributesSequence X", ["sequence"]),
        ("REPLACE StudyTime func:shift_date", ["TM"]),
        ("JITTER StudyTime 1", ["TM"]),
        ("JITTER StudyDate 1.5", ["whole days"]),
        ("JITTER StudyDate func:pseudonym", ["gives no number of days"]),
        ("KEEP PatientID REMOVE PatientName", ["takes no value"]),
        ("ADD ALL X", ["ADD names one"]),
        ("ADD (0010,0020) X", ["ADD names one"]),
        ("ADD OverlayData X", ["many groups"]),
        ("ADD RequestAttributesSequence X", ["sequence"]),
        ("REMOVE", ["names no field"]),
        ("REMOVE # note", ["names no field"]),
        ('REMOVE (0033,"X,10)', ["quote"]),
    ],
)
def test_a_line_that_cannot_be_meant_is_a_fault_with_file_line_and_remedy(line, words):
    (fault,) = faults("KEEP Modality", line)
    assert fault.startswith("r.dicom:4")
    for word in words:
        assert word in fault


def test_all_faults_are_named_at_once():
    assert len(faults("REMOVE Foo", "KEEP PatientID", "remoove PatientID", "REPLACE PatientID func:x")) == 3


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "FORMAT"),
        ("%header\nREMOVE PatientID", "FORMAT"),
        ("FORMAT nifti\n%header", "format"),
        ("FORMAT dicom\nREMOVE PatientID", "before any section"),
        ("FORMAT dicom\n% header", "no section"),
        ("FORMAT dicom\n%headers", "no section"),
        ("FORMAT dicom\n%header x", "no name"),
    ],
)
def test_a_text_that_is_no_recipe_is_refused(text, problem):
    with pytest.raises(RecipeError, match=problem):
        load_recipe([RecipeText("r", text)])


def test_no_recipe_at_all_is_refused():
    with pytest.raises(RecipeError):
        load_recipe([])


@pytest.mark.parametrize(
    "line",
    [
        "REMOVE PatientID # note",
        "remove PatientID",
        "Remove\tpatientid",
        "  REMOVE (0010,0020)   # note",
        "REMOVE 00100020",
        "REMOVE contains:patientid",
        "REMOVE startswith:0010",
        "REMOVE endswith:ID$",
        "REMOVE select:VR:LO",
        "REMOVE select:VR:LOng",
        "REMOVE select:group:0x10",
        "REMOVE except:Modality",
        "REMOVE all",
        "REMOVE contains:Nothing|PatientI",
    ],
)
def test_every_way_to_name_an_element_reaches_it(line):
    source = dataset(Modality="CT", PatientID="1")
    assert "PatientID" not in cleaned(source, line)


def test_a_comment_behind_a_value_is_a_comment_and_a_number_sign_inside_is_not():
    assert cleaned(dataset(PatientID="1"), "REPLACE PatientID Anon # note").PatientID == "Anon"
    assert cleaned(dataset(PatientID="1"), "REPLACE PatientID a#b").PatientID == "a#b"
    assert cleaned(dataset(PatientID="1"), "REPLACE PatientID var:id # note", id="x").PatientID == "x"


def test_blanks_in_a_value_collapse_and_a_backslash_separates_values():
    again = cleaned(dataset(PatientID="1", ImageType="A"), "REPLACE PatientID a   b", r"REPLACE ImageType A\B")
    assert again.PatientID == "a b"
    assert list(again.ImageType) == ["A", "B"]


def test_a_regular_expression_is_used_as_written_without_regard_to_case():
    source = dataset(PatientID="1", StudyID="2")
    again = cleaned(source, r"REMOVE contains:^PATIENT\Sd$")
    assert "PatientID" not in again
    assert "StudyID" in again


def test_a_repeating_group_is_meant_by_its_keyword():
    source = dataset(PatientID="1")
    source.add_new(0x60003000, "OW", b"\0\0")
    source.add_new(0x60023000, "OW", b"\0\0")
    source.add_new(0x60024000, "LT", "x")
    again = cleaned(source, "REMOVE OverlayData")
    assert [e.tag for e in again] == [0x00100020, 0x60024000]


def test_private_elements_are_found_by_creator_whatever_their_block():
    source = dataset(PatientID="1")
    source.add_new(0x00330012, "LO", "OTHER 1.0")
    source.add_new(0x00330013, "LO", "MITRA: OBJECT 1.0")
    source.add_new(0x0033121E, "LO", "stays")
    source.add_new(0x0033131E, "LO", "goes")
    for line in (
        'REMOVE (0033,"MITRA: OBJECT 1.0",1E)',
        'REMOVE 0033,"mitra: object 1.0",1e',
        "REMOVE (0033,131E)",
    ):
        again = cleaned(source, line)
        assert 0x0033121E in again, line
        assert 0x0033131E not in again, line
    assert [e.tag for e in cleaned(source, "REMOVE select:private")] == [0x00100020]
    assert 0x00100020 not in cleaned(source, "REMOVE select:standard:LO")
    assert 0x0033131E in cleaned(source, "REMOVE select:standard:LO")


def test_the_children_of_a_private_sequence_have_a_path():
    source = dataset(PatientID="1")
    source.add_new(0x00330010, "LO", "X")
    source.add_new(0x00331001, "SQ", [dataset(PatientID="2")])
    again = cleaned(source, "REMOVE __PatientID")
    assert again.PatientID == "1"
    assert "PatientID" not in again[0x00331001].value[0]


def test_later_recipes_come_after_earlier_ones_and_order_changes_the_hash():
    a = RecipeText("a", "FORMAT dicom\n%header\nREPLACE PatientID A")
    b = RecipeText("b", "FORMAT dicom\n%header\nREPLACE PatientID B")
    assert load_recipe([a, b]).hash != load_recipe([b, a]).hash
    assert load_recipe([a, b]).hash == load_recipe([a, b]).hash


def test_variables_are_listed():
    assert recipe("REPLACE PatientID var:id", "JITTER StudyDate var:days").variables == {"id", "days"}


def test_shipped_recipes_load(tmp_path):
    assert "research" in shipped_names()
    basic = shipped_recipe("ps3.15-basic")
    assert basic is not None
    for name in shipped_names():
        text = shipped_recipe(name)
        assert text is not None
        option = f"%profile {name}\n" in text.text
        load_recipe([basic, text] if option else [text])
    assert shipped_recipe("../research") is None
    with pytest.raises(RecipeError, match="cannot be read"):
        read_recipe(tmp_path / "none.dicom")
    (tmp_path / "latin.dicom").write_bytes(b"FORMAT dicom\n# \xe4")
    with pytest.raises(RecipeError, match="UTF-8"):
        read_recipe(tmp_path / "latin.dicom")
