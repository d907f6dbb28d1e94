"""Clean Structured Content: each concept of Table E.3.4-1, whole documents, every encoding."""

from __future__ import annotations

import csv
import subprocess
from functools import cache

import pytest
from pydicom.dataset import Dataset
from pydicom.filewriter import dcmwrite
from pydicom.sr._snomed_dict import mapping

from node.gate import leaks
from node.recipe import EncodedDataset
from node.recipe.trace import What, trace
from node.standard import concepts, is_standard, writings
from node.syntaxes import EXPLICIT_LE, IMPLICIT_LE
from tests.profile.reports import (
    CLEANED,
    DAY,
    DOCUMENTS,
    ITEM_UID,
    RESEARCH,
    SECRET,
    coded,
    concept,
    content,
    every_item,
    number,
    options,
    report,
    text,
    valued,
)
from tests.profile.support import DATA, element, item, shifted, sop_class
from tests.recipe.support import CODINGS, Keys, apply, dataset, decode, encode

COLUMNS = {
    "retain-uids": "Rtn. UIDs Opt.",
    "retain-device-identity": "Rtn. Dev. Id. Opt.",
    "retain-institution-identity": "Rtn. Inst. Id. Opt.",
    "retain-patient-characteristics": "Rtn. Pat. Chars. Opt.",
    "retain-full-dates": "Rtn. Long. Full Dates Opt.",
    "retain-modified-dates": "Rtn. Long. Modif. Dates Opt.",
    "clean-descriptors": "Clean Desc. Opt.",
}
with (DATA / "e3.4-1.csv").open(encoding="utf-8") as file:
    ROWS = list(csv.DictReader(file))
REFERENCES = ("IMAGE", "WAVEFORM", "COMPOSITE")
OWN = ("1", "99ME", "own words")
ATTRIBUTES = {"TEXT": "TextValue", "PNAME": "PersonName", "DATE": "Date", "TIME": "Time", "DATETIME": "DateTime"}


def key(row: dict[str, str]) -> tuple[str, str, str]:
    return row["Code Value"], row["Coding Scheme Designator"], row["Value Type"]


@cache
def table_cleaned(option: str | None) -> dict[tuple[str, str, str], Dataset]:
    """One item for each row, cleaned together; those that went are missing."""
    items = [
        valued(row["Value Type"], (row["Code Value"], row["Coding Scheme Designator"], row["Code Meaning"]))
        for row in ROWS
    ]
    after = apply(options(*CLEANED, *([option] if option else [])), report(*items))
    return {(*concept(found), found.ValueType): found for found in after.ContentSequence}


def wanted(row: dict[str, str], option: str | None) -> str:
    """What the table asks for a row: gone, kept, dummy, uid, moved or cleaned."""
    code = (row[COLUMNS[option]] if option else "") or row["Basic Prof."]
    kind = row["Value Type"]
    if kind in REFERENCES or kind == "UIDREF":
        return "kept" if code == "K" else "uid"  # a replaced UID is both gone and a dummy
    if code == "C":
        return {"TEXT": "cleaned", "TIME": "kept"}.get(kind, "moved")
    return {"X": "gone", "D": "dummy", "X/D": "dummy", "K": "kept"}[code]


def became(found: Dataset | None, kind: str) -> str:
    if found is None:
        return "gone"
    if kind in REFERENCES or kind == "UIDREF":
        now = found.UID if kind == "UIDREF" else found.ReferencedSOPSequence[0].ReferencedSOPInstanceUID
        then = ITEM_UID if kind == "UIDREF" else "1.2.3.9.1"
        return {then: "kept", Keys().uid(then): "uid"}[now]
    if kind in ATTRIBUTES:
        now, then = (str(value[ATTRIBUTES[kind]].value) for value in (found, valued(kind, OWN)))
        moved = shifted(then) if kind in ("DATE", "DATETIME") else ""
        return {then: "kept", moved: "moved", "": "empty"}.get(now, "dummy")
    return "kept" if str(found[0x0040A010:]).replace(str(found.ConceptNameCodeSequence), "") else "?"


@pytest.mark.parametrize("row", ROWS, ids=lambda row: "-".join(key(row)).replace(" ", ""))
def test_each_concept_of_the_table_becomes_what_its_row_says(row):
    for option in (None, *COLUMNS):
        now = became(table_cleaned(option).get(key(row)), row["Value Type"])
        expected = wanted(row, option)
        assert now == ("dummy" if expected == "cleaned" else expected), option


def test_the_table_is_whole_and_the_codes_are_found_in_each_form():
    assert len(ROWS) == len(concepts()) == 214
    assert len({key(row) for row in ROWS}) == 214
    for row in concepts():
        older = mapping["SCT"].get(row.value) if row.scheme == "SCT" else None
        forms = {(older, scheme) for scheme in ("SRT", "SNM3", "99SDM")} if older else set()
        assert forms <= set(writings(row.value, row.scheme))
        assert is_standard(row.scheme)


@pytest.mark.parametrize("scheme", ["SRT", "SNM3", "99SDM"])
def test_a_concept_by_its_older_code_is_the_same_concept(scheme):
    kept = number(OWN, "1")
    after = apply(options(*CLEANED), report(text(("F-02455", scheme, "Social History")), kept))
    assert [found.ValueType for found in after.ContentSequence] == ["NUM"]


# What is not in the table.


def test_what_no_row_names_stays_but_for_texts_and_names():
    items = [valued(kind, OWN) for kind in ("CODE", "NUM", "IMAGE", "TEXT", "PNAME", "UIDREF", "CONTAINER", "DATE")]
    point = content("SCOORD", OWN)
    point.GraphicType, point.GraphicData, point.PixelOriginInterpretation = "POINT", [1.5, 2.5], "FRAME"
    time = content("TCOORD", OWN)
    time.TemporalRangeType, time.ReferencedTimeOffsets = "POINT", ["1.25"]
    template = content("CONTAINER", None)
    template.ContentTemplateSequence = [dataset(MappingResource="DCMR", TemplateIdentifier="1500")]
    after = apply(options(*RESEARCH), report(*items, point, time, template))
    found = {one.ValueType: one for one in after.ContentSequence if "ContentTemplateSequence" not in one}
    assert list(found) == [one.ValueType for one in (*items, point, time)]
    assert found["CODE"].ConceptCodeSequence[0].CodeMeaning == "Male"
    measured = found["NUM"].MeasuredValueSequence[0]
    assert (measured.NumericValue.original_string, measured.MeasurementUnitsCodeSequence[0].CodeValue) == (
        "17.25",
        "mm",
    )
    assert found["IMAGE"].ReferencedSOPSequence[0].ReferencedSOPInstanceUID == Keys().uid("1.2.3.9.1")
    assert str(found["UIDREF"].UID) == Keys().uid(ITEM_UID)
    assert (found["TEXT"].TextValue, str(found["PNAME"].PersonName)) == ("REMOVED", "REMOVED")
    assert found["DATE"].Date == shifted(DAY)
    assert (found["SCOORD"].GraphicData, found["SCOORD"].PixelOriginInterpretation) == ([1.5, 2.5], "FRAME")
    assert found["TCOORD"].ReferencedTimeOffsets == 1.25
    assert after.ContentSequence[-1].ContentTemplateSequence[0].TemplateIdentifier == "1500"
    assert SECRET not in str(after)


def test_meanings_of_somebodys_own_codes_are_cleaned_and_the_standards_stay():
    items = []
    for scheme in ("DCM", "SCT", "SRT", "LN", "UCUM", "99LOCAL", "L", "HOSPITAL", ""):
        made = content("CODE", ("121071", "DCM", "Finding"))
        made.ConceptCodeSequence = [coded("4711", scheme, SECRET)]
        items.append(made)
    after = apply(options(*CLEANED), report(*items))
    codes = [found.ConceptCodeSequence[0] for found in after.ContentSequence]
    assert {code.CodeValue for code in codes} == {"4711"}
    assert [code.CodeMeaning == SECRET for code in codes] == [True] * 5 + [False] * 4


@pytest.mark.parametrize("kind", ["TABLE", "NOTE", "text"])
def test_of_an_item_of_an_unknown_type_no_value_stays(kind):
    odd = content(kind, ("1", "99ME", SECRET), text(OWN))
    odd.TextValue, odd.NumericValue = SECRET, "17.25"
    after = apply(options(*CLEANED), report(odd, number(OWN, "2.5")))
    assert SECRET not in str(after)
    assert "17.25" not in str(after)
    assert after.ContentSequence[1].MeasuredValueSequence[0].NumericValue == 2.5


def test_an_item_that_contradicts_itself_keeps_no_value():
    odd = number(("121206", "DCM", "Distance"), "17.25")
    odd.PersonName, odd.Date = f"{SECRET}^A", DAY
    twice = content("NUM", None)
    twice.MeasuredValueSequence = odd.MeasuredValueSequence
    twice.ConceptNameCodeSequence = [coded("121206", "DCM", "Distance"), coded("121030", "DCM", SECRET)]
    after = apply(options(*CLEANED, "retain-full-dates"), report(odd, twice))
    for word in (SECRET, "17.25"):
        assert word not in str(after.ContentSequence)
    assert after.ContentSequence[0].Date == "19000101"


def test_an_item_whose_attributes_do_not_ascend_keeps_no_value():
    name = element(0x0040A123, "PN", SECRET.encode())
    number_ = element(0x0040A040, "CS", b"NUM ") + element(0x0040A30A, "DS", b"17.25 ")
    encoded = sop_class("1.2.840.10008.5.1.4.1.1.88.33") + element(0x0040A730, "SQ", item(number_ + name))
    again = apply_bytes(options(*CLEANED), encoded)
    assert SECRET.encode() not in again
    assert b"17.25" not in again


def apply_bytes(recipe, encoded: bytes) -> bytes:
    return recipe.apply(EncodedDataset.scan(encoded, 0, EXPLICIT_LE), Keys(), {}).tobytes()


def test_attributes_that_belong_into_no_content_item_keep_no_value():
    odd = number(OWN, "17.25")
    odd.StationName = odd.SeriesDescription = odd.PatientComments = odd.CodeMeaning = SECRET
    odd.StudyDescription, odd.PatientSex = SECRET, "F"
    odd.RequestAttributesSequence = [dataset(ScheduledProcedureStepDescription=SECRET)]
    odd.ReferencedSeriesSequence = [dataset(Manufacturer=SECRET, SeriesInstanceUID="1.2.3.4")]
    after = apply(options(*CLEANED, "retain-device-identity", "retain-patient-characteristics"), report(odd))
    assert SECRET not in str(after.ContentSequence)
    assert after.ContentSequence[0].MeasuredValueSequence[0].NumericValue == 17.25
    assert after.ContentSequence[0].ReferencedSeriesSequence[0].SeriesInstanceUID == Keys().uid("1.2.3.4")


@pytest.mark.parametrize(
    ("concept_name", "kind"),
    [
        (("121031", "DCM", "Subject Birth Date"), "DATETIME"),
        (("121031", "DCM", "Subject Birth Date"), "TEXT"),
        (("121030", "DCM", "Subject ID"), "CODE"),
        (("121022", "DCM", "Accession Number"), "NUM"),
        (("121033", "DCM", "Subject Age"), "TEXT"),
        (("111060", "DCM", "Study Date"), "TEXT"),
        (("121029", "DCM", "Subject Name"), "TEXT"),
    ],
    ids=lambda value: value if isinstance(value, str) else value[0],
)
def test_what_identifies_does_so_under_another_type_of_value(concept_name, kind):
    before = valued(kind, concept_name)
    after = apply(options(*CLEANED, "retain-full-dates", "clean-descriptors"), report(before, number(OWN, "1")))
    shown = "".join(str(found) for found in after.ContentSequence[:-1])
    for word in (SECRET, DAY, "17.25", "Male"):
        assert word not in shown


@pytest.mark.parametrize(
    ("option", "expected"), [("retain-full-dates", DAY), ("retain-modified-dates", shifted(DAY)), (None, "19000101")]
)
def test_dates_follow_the_option_and_birth_dates_go(option, expected):
    born = [valued("DATE", name) for name in (("21112-8", "LN", "Birth date"), ("184099003", "SCT", "Date of birth"))]
    unnamed = valued("DATE", OWN)
    del unnamed.ConceptNameCodeSequence
    document = report(valued("DATE", OWN), valued("DATETIME", OWN), valued("TIME", OWN), unnamed, *born)
    after = apply(options(*CLEANED, *([option] if option else [])), document).ContentSequence
    assert [one.ValueType for one in after] == ["DATE", "DATETIME", "TIME", "DATE"]
    assert (after[0].Date, after[1].DateTime[:8], after[3].Date) == (expected, expected, "19000101")
    assert after[2].Time == ("101112" if option else "000000")


# Items that go.


def test_an_item_goes_with_all_that_hangs_below_it_and_its_siblings_stay():
    comment = text(("121106", "DCM", "Comment"))
    comment.ContentSequence = [number(OWN, "99.5"), text(OWN)]
    inner = content("CONTAINER", OWN, number(OWN, "1"), comment, number(OWN, "2"))
    after = apply(options(*CLEANED), report(comment, inner, comment))
    assert [found.ValueType for found in every_item(after)] == ["CONTAINER", "NUM", "NUM"]
    assert "99.5" not in str(after)


def test_of_a_content_sequence_from_which_all_goes_nothing_is_left():
    comment = text(("121106", "DCM", "Comment"))
    for kind in CODINGS:
        after = apply(options(*CLEANED), report(content("CONTAINER", OWN, comment, comment), number(OWN, "1")), kind)
        assert "ContentSequence" not in after.ContentSequence[0]
        assert len(after.ContentSequence) == 2
        assert "ContentSequence" not in apply(options(*CLEANED), report(comment), kind)


def test_where_items_refer_to_others_by_their_place_none_moves():
    comment = text(("121106", "DCM", f"Comment {SECRET}"))
    comment.ContentSequence = [text(OWN)]
    there = dataset(RelationshipType="INFERRED FROM", ReferencedContentItemIdentifier=[1, 2])
    measured = number(OWN, "17.25", "mm")
    measured.ContentSequence = [there]
    for kind in CODINGS:
        after = apply(options(*CLEANED), report(comment, number(OWN, "2.5"), measured), kind)
        assert SECRET not in str(after)
        target = after.ContentSequence[1]
        assert target.MeasuredValueSequence[0].NumericValue == 2.5
        assert after.ContentSequence[2].ContentSequence[0].ReferencedContentItemIdentifier == [1, 2]
        assert after.ContentSequence[0].TextValue == "REMOVED"


# Ages.


@pytest.mark.parametrize(
    ("value", "unit", "expected"),
    [
        ("89", "a", "89"),
        ("90", "a", "90"),
        ("89.5", "a", "90"),
        ("101", "a", "90"),
        ("1.2E2", "a", "90"),
        ("42.5", "a", "42.5"),
        ("1068", "mo", "1068"),
        ("1200", "mo", "1080"),
        ("5000", "wk", "4696"),
        ("36000", "d", "32873"),
        ("36", "d", "36"),
        ("95", "a_j", "90"),
        ("95", "years", "90"),
    ],
)
def test_who_is_older_than_89_is_90_in_any_unit(value, unit, expected):
    made = number(("121033", "DCM", "Subject Age"), value, unit)
    made.MeasuredValueSequence[0].FloatingPointValue = 93.5
    after = apply(options(*CLEANED, "retain-patient-characteristics"), report(made))
    measured = after.ContentSequence[0].MeasuredValueSequence[0]
    assert measured.NumericValue.original_string == expected
    assert ("FloatingPointValue" in measured) == (expected == value and value != "90")


def test_an_age_that_is_no_number_is_90():
    made = number(("121033", "DCM", "Subject Age"), "17", "a")
    recipe = options(*CLEANED, "retain-patient-characteristics")
    encoded = encode(report(made)).replace(b"DS\x02\x0017", b"DS\x02\x00xx")
    assert b"DS\x02\x0090" in apply_bytes(recipe, encoded)


def test_other_ages_and_years_are_capped_too_and_other_numbers_are_not():
    items = [
        number(("424144002", "SCT", "Current chronological age"), "1100", "mo"),
        number(("1", "99ME", "age"), "95", "a"),
        number(("128430", "DCM", "Model Maximum Age"), "110", "a"),
        number(("121206", "DCM", "Distance"), "95", "mm"),
        number(("1", "99ME", "half-life"), "36000", "d"),
    ]
    after = apply(options(*CLEANED), report(*items))
    values = [str(found.MeasuredValueSequence[0].NumericValue) for found in after.ContentSequence]
    assert values == ["1080", "90", "110", "95", "36000"]


# Other places, other encodings.


def test_acquisition_context_and_specimen_preparation_hold_content_items():
    age = dataset(ValueType="NUM", NumericValue="93", ConceptNameCodeSequence=[coded("121033", "DCM", "Subject Age")])
    age.MeasurementUnitsCodeSequence = [coded("a", "UCUM", "year")]
    words = dataset(ValueType="TEXT", TextValue=SECRET, ConceptNameCodeSequence=[coded(*OWN)])
    gone = dataset(ValueType="TEXT", TextValue=SECRET, ConceptNameCodeSequence=[coded("121106", "DCM", "Comment")])
    untyped = dataset(PersonName=SECRET, ConceptNameCodeSequence=[coded(*OWN)])
    step = dataset(SpecimenPreparationStepContentItemSequence=[gone, words, age])
    specimen = dataset(SpecimenIdentifier=SECRET, SpecimenUID="1.2.3.4", SpecimenPreparationSequence=[step])
    source = dataset(
        SOPClassUID="1.2.840.10008.5.1.4.1.1.77.1.6", AcquisitionContextSequence=[gone, words, age, untyped]
    )
    source.SpecimenDescriptionSequence = [specimen]
    for kind in CODINGS:
        after = apply(options(*CLEANED, "retain-patient-characteristics"), source, kind)
        assert SECRET not in str(after)
        first, second, third = after.AcquisitionContextSequence
        assert (first.TextValue, second.NumericValue, str(third.PersonName)) == ("REMOVED", 90, "REMOVED")
        inside = after.SpecimenDescriptionSequence[0].SpecimenPreparationSequence[0]
        items = inside.SpecimenPreparationStepContentItemSequence
        assert [found.ValueType for found in items[:2]] == ["TEXT", "TEXT"]  # none goes from a step
        assert items[2].NumericValue == 90


def test_waveform_annotations_keep_their_measurements_and_no_words():
    words = dataset(UnformattedTextValue=SECRET, ReferencedWaveformChannels=[1, 1], AnnotationGroupNumber=1)
    rate = dataset(NumericValue="61.5", ConceptNameCodeSequence=[coded("8867-4", "LN", "Heart rate")])
    rate.MeasurementUnitsCodeSequence = [coded("/min", "UCUM", "bpm")]
    rate.TemporalRangeType, rate.ReferencedSamplePositions = "POINT", [100]
    listed = dataset(UnformattedTextValue=SECRET, ConceptNameCodeSequence=[coded("121106", "DCM", "Comment")])
    source = dataset(SOPClassUID="1.2.840.10008.5.1.4.1.1.9.1.1", WaveformAnnotationSequence=[words, rate, listed])
    after = apply(options(*CLEANED), source)
    assert SECRET not in str(after)
    first, second, third = after.WaveformAnnotationSequence
    assert (first.UnformattedTextValue, first.AnnotationGroupNumber) == ("REMOVED", 1)
    assert (second.NumericValue, second.ReferencedSamplePositions) == (61.5, 100)
    assert third.UnformattedTextValue == "REMOVED"


def undefined(found: Dataset) -> Dataset:
    """The same data set with undefined lengths throughout."""
    for one in found:
        if one.VR == "SQ":
            one.is_undefined_length = True
            for inner in one.value:
                inner.is_undefined_length_sequence_item = True
                undefined(inner)
    return found


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_encoding_of_a_document_gives_the_same(name):
    recipe = options(*RESEARCH)
    first = apply(recipe, DOCUMENTS[name]())
    for kind in CODINGS:
        assert apply(recipe, DOCUMENTS[name](), kind) == first
        assert apply(recipe, undefined(DOCUMENTS[name]()), kind) == first


def test_content_that_comes_as_un_is_treated_as_what_it_is():
    inside = encode(
        dataset(ContentSequence=[text(("121106", "DCM", "Comment")), text(OWN), number(OWN, "2.5")]), IMPLICIT_LE
    )
    encoded = sop_class("1.2.840.10008.5.1.4.1.1.88.33") + element(0x0040A730, "UN", inside[8:])
    again = apply_bytes(options(*CLEANED), encoded)
    assert SECRET.encode() not in again
    assert b"2.5" in again
    assert again.count(b"\x40\x00\x43\xa0") == 2  # concept names


# Whole documents.


def numbers(document: Dataset) -> list[str]:
    found = [one.MeasuredValueSequence[0] for one in every_item(document) if "MeasuredValueSequence" in one]
    return [
        str(one.NumericValue) for one in found if one.MeasurementUnitsCodeSequence[0].CodeValue not in ("a", "REMOVED")
    ]


EVIDENCE, REFERENCED = "CurrentRequestedProcedureEvidenceSequence", "ReferencedSOPInstanceUID"


def referenced(document: Dataset, attribute: str) -> list[str]:
    return [str(found.value) for found in document.iterall() if found.keyword == attribute]


@pytest.mark.parametrize("name", DOCUMENTS)
def test_a_document_keeps_its_numbers_and_references_and_no_word_of_a_person(name):
    before = DOCUMENTS[name]()
    after = apply(options(*RESEARCH), before)
    assert SECRET not in str(after)
    assert "19310405" not in str(after)
    assert [value for value in numbers(after) if value != "0"] == numbers(before)
    for attribute in (REFERENCED, "ReferencedFrameOfReferenceUID", "UID"):
        then = [Keys().uid(uid) for uid in referenced(before, attribute)]
        assert referenced(after, attribute) == then
    listed = referenced(dataset(CurrentRequestedProcedureEvidenceSequence=after.get(EVIDENCE, [])), REFERENCED)
    assert not listed or set(listed) == {uid for one in every_item(after) for uid in referenced(one, REFERENCED)}
    assert after.ContentDate == shifted(DAY)
    assert codes_of(after) == ["113100", "113104", "113107"]


def codes_of(document: Dataset) -> list[str]:
    return [code.CodeValue for code in document.DeidentificationMethodCodeSequence]


@pytest.mark.parametrize("name", DOCUMENTS)
@pytest.mark.parametrize(
    "chosen", [RESEARCH, CLEANED, (*RESEARCH, "retain-device-identity")], ids=["research", "alone", "device"]
)
def test_the_leak_gate_finds_nothing_in_a_cleaned_document(name, chosen):
    source = EncodedDataset.scan(encode(DOCUMENTS[name]()), 0, EXPLICIT_LE)
    recipe = options(*chosen)
    assert leaks(recipe.apply(source, Keys(), {}), recipe) == []


@pytest.mark.parametrize("name", DOCUMENTS)
def test_another_reader_reads_a_cleaned_document(name, tmp_path):
    after = apply(options(*RESEARCH), DOCUMENTS[name]())
    path = tmp_path / "after.dcm"
    dcmwrite(path, after, implicit_vr=False, little_endian=True, force_encoding=True)
    done = subprocess.run(["dsrdump", "-Er", path], capture_output=True, check=False)
    shown = done.stdout.decode("latin-1")
    assert done.returncode == 0, done.stderr.decode("latin-1")
    assert SECRET not in shown
    assert "NUM" in shown or name in ("key-objects", "prose")


def test_the_leak_gate_finds_a_date_that_stayed_behind_an_item_that_went():
    day = content("DATE", OWN)
    day.Date = DAY
    source = EncodedDataset.scan(encode(report(text(("121106", "DCM", "Comment")), day)), 0, EXPLICIT_LE)
    recipe = options(*CLEANED, "retain-full-dates")
    cleaned = recipe.apply(source, Keys(), {})
    assert decode(cleaned.tobytes()).ContentSequence[0].Date == DAY
    assert leaks(cleaned, recipe) == []  # kept by name: on purpose
    found = leaks(cleaned, options(*RESEARCH))
    assert "(0040,A730)__0__(0040,A121)" in {finding.path for finding in found}


def test_a_trace_tells_of_items_that_went():
    document = report(text(("121106", "DCM", "Comment")), number(OWN, "2.5"))
    source = EncodedDataset.scan(encode(document), 0, EXPLICIT_LE)
    told = trace(options(*CLEANED), source, Keys(), {}).elements
    first = [one for one in told if one.path.startswith("(0040,A730)__0__")]
    assert {one.what for one in first} == {What.REMOVED}
    assert first[0].rules[0].where.startswith("clean-structured-content:")
    assert {What.KEPT, What.CHANGED} == {one.what for one in told if one.path.startswith("(0040,A730)__1__")}


def test_without_the_option_content_is_what_the_basic_profile_makes_of_it():
    after = apply(options("retain-modified-dates"), DOCUMENTS["dose"]())
    assert len(list(every_item(after))) == len(list(every_item(DOCUMENTS["dose"]())))
    assert {concept(found) for found in every_item(after)} == {("REMOVED", "REMOVED")}


# Clean Graphics.


def test_graphics_stay_and_their_texts_do_not():
    words = dataset(UnformattedTextValue=SECRET, AnchorPoint=[1.5, 2.5], AnchorPointVisibility="Y")
    words.TextStyleSequence = [dataset(FontName="Arial", Bold="N", CSSFontName=SECRET)]
    line = dataset(GraphicType="POLYLINE", NumberOfGraphicPoints=2, GraphicData=[1.0, 2.0, 3.0, 4.0], GraphicFilled="N")
    ticks = dataset(TickLabel=SECRET, TickPosition=0.5)
    shape = dataset(CompoundGraphicType="RULER", GraphicData=[1.0, 2.0], MajorTicksSequence=[ticks])
    image = dataset(ReferencedSOPClassUID="1.2.840.10008.5.1.4.1.1.2", ReferencedSOPInstanceUID="1.2.3")
    note = dataset(GraphicLayer="LAYER1", TextObjectSequence=[words], GraphicObjectSequence=[line])
    note.CompoundGraphicSequence, note.ReferencedImageSequence = [shape], [image]
    note.PatientComments = note.StationName = SECRET
    layer = dataset(GraphicLayer="LAYER1", GraphicLayerOrder=1, GraphicLayerDescription=SECRET)
    group = dataset(GraphicGroupID=1, GraphicGroupLabel=SECRET, GraphicGroupDescription=SECRET)
    state = dataset(SOPClassUID="1.2.840.10008.5.1.4.1.1.11.1", GraphicAnnotationSequence=[note])
    state.GraphicLayerSequence, state.GraphicGroupSequence = [layer], [group]
    state.add_new(0x60003000, "OW", b"bits")
    state.add_new(0x60000022, "LO", SECRET)
    state.add_new(0x50003000, "OW", b"bits")
    for kind in CODINGS:
        after = apply(options("clean-graphics"), state, kind)
        assert SECRET not in str(after)
        found = after.GraphicAnnotationSequence[0]
        assert found.GraphicLayer == after.GraphicLayerSequence[0].GraphicLayer == "LAYER1"
        assert (found.TextObjectSequence[0].UnformattedTextValue, found.TextObjectSequence[0].AnchorPoint) == (
            "REMOVED",
            [1.5, 2.5],
        )
        assert found.GraphicObjectSequence[0].GraphicData == [1.0, 2.0, 3.0, 4.0]
        assert found.CompoundGraphicSequence[0].MajorTicksSequence[0].TickPosition == 0.5
        assert found.ReferencedImageSequence[0].ReferencedSOPInstanceUID == Keys().uid("1.2.3")
        assert after.GraphicLayerSequence[0].GraphicLayerDescription == "REMOVED"
        assert after.GraphicGroupSequence[0].GraphicGroupLabel == "REMOVED"
        assert codes_of(after) == ["113100", "113103"]
        assert not [one for one in after if one.tag.group >> 8 in (0x50, 0x60)]
