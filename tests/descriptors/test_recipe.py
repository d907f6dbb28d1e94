"""C on a text: what the engine makes of descriptions, names and codes in a data set."""

from __future__ import annotations

import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from node.errors import HoldInstance, RecipeError
from node.gate import leaks
from node.recipe import EncodedDataset, Recipe, load_recipe, shipped_recipe
from node.syntaxes import EXPLICIT_LE, IMPLICIT_LE
from node.vocabulary import load_vocabulary
from tests.config.support import GOOD, faults, load
from tests.descriptors.support import series
from tests.profile.support import element, item, profile
from tests.recipe.support import CODINGS, Keys, apply, dataset, decode, encode, text

RTSTRUCT = "1.2.840.10008.5.1.4.1.1.481.3"
DESCRIPTORS = profile("clean-descriptors")


def items(*contents: dict[str, object]) -> Sequence:
    return Sequence([dataset(**content) for content in contents])


def rois(*names: str, **values: object) -> Dataset:
    numbered = ({"ROINumber": str(number), "ROIName": name} for number, name in enumerate(names, 11))
    return series(SOPClassUID=RTSTRUCT, StructureSetROISequence=items(*numbered), **values)


def names_of(result: Dataset) -> list[str]:
    return [one.ROIName for one in result.StructureSetROISequence]


def encoded(source: Dataset, *more: bytes) -> bytes:
    return encode(source) + b"".join(more)


def clean_bytes(data: bytes, recipe: Recipe = DESCRIPTORS) -> bytes:
    return recipe.apply(EncodedDataset.scan(data, 0, EXPLICIT_LE), Keys(), {}).tobytes()


@pytest.mark.parametrize("syntax", CODINGS, ids=lambda syntax: syntax.uid)
def test_a_roi_name_never_becomes_empty_or_that_of_another(syntax):
    source = rois("PTV_7000", "KOWALSKA", "PTV Smithers", "PTV Jonesy", "PTV", "Smithers", "ROI_12", "Zofia", "ptv_14")
    result = apply(DESCRIPTORS, source, syntax)
    names = names_of(result)
    assert names == ["PTV_7000", "ROI_12_2", "PTV_13", "ROI_14", "PTV", "ROI_16", "ROI_12", "ROI_18", "ptv_14"]
    assert len({name.casefold() for name in names}) == len(names)


def test_observation_and_segment_labels_stay_names_by_their_numbers():
    source = rois("PTV", "KOWALSKA")
    source.RTROIObservationsSequence = items(
        {"ObservationNumber": "1", "ReferencedROINumber": "11", "ROIObservationLabel": "Kowalska"},
        {"ObservationNumber": "2", "ReferencedROINumber": "12", "ROIObservationLabel": "Heart"},
    )
    source.SegmentSequence = items(
        {"SegmentNumber": 1, "SegmentLabel": "Liver"},
        {"SegmentNumber": 2, "SegmentLabel": "Zofia"},
        {"SegmentNumber": 3, "SegmentLabel": "Liver Zofia"},
    )
    result = apply(DESCRIPTORS, source)
    assert [one.ROIObservationLabel for one in result.RTROIObservationsSequence] == ["ROI_11", "Heart"]
    assert [one.SegmentLabel for one in result.SegmentSequence] == ["Liver", "SEGMENT_2", "Liver_3"]


def test_names_inside_of_nested_sequences_are_told_apart_among_their_own_siblings():
    def group(*labels: str) -> dict[str, object]:
        channels = items(*({"WaveformChannelNumber": n, "ChannelLabel": label} for n, label in enumerate(labels, 1)))
        return {"MultiplexGroupLabel": "Rumpelstilz", "ChannelDefinitionSequence": channels}

    source = series(WaveformSequence=items(group("Lead", "Zofia"), group("Zofia Lead", "Zofia", "Lead")))
    result = apply(DESCRIPTORS, source, IMPLICIT_LE)
    labels = [[c.ChannelLabel for c in one.ChannelDefinitionSequence] for one in result.WaveformSequence]
    assert labels == [["Lead", "CHANNEL_2"], ["Lead_1", "CHANNEL_2", "Lead"]]


def test_a_protocol_name_stays_one_and_two_never_become_equal():
    originals = ("Head Smithers", "Head Jonesy", "Smithers", "Jonesy", "Head", "Head " + "Rumpelstilz " * 4)
    results = [apply(DESCRIPTORS, series(ProtocolName=name)).ProtocolName for name in originals]
    assert len(set(results)) == len(results)
    assert results[4] == "Head"
    assert all(name.startswith(("Head_", "PROTOCOL_")) for name in results if name != "Head")
    assert apply(DESCRIPTORS, series(ProtocolName=originals[0], PatientID="OTHER-1")).ProtocolName == results[0]
    plan = apply(DESCRIPTORS, series(StructureSetLabel="Plan Kopf Hals Ab"[:12] + "Xyzz")).StructureSetLabel
    assert len(plan) <= 16
    assert plan.startswith("Plan Kopf")


@pytest.mark.parametrize(
    ("charset", "value"),
    [
        (b"", b"T1  tra "),
        (b"", b" Thorax\\\\ Head"),
        (b"", b"CT Thorax\0"),
        (b"ISO_IR 100", "Schädel nativ ".encode("latin-1")),
        (b"ISO_IR 192", "Schädel nativ".encode()),
        (b"\\ISO 2022 IR 100", b"CT \x1b-A" + "Schädel ".encode("latin-1")),
    ],
)
def test_a_text_of_which_nothing_goes_stays_byte_for_byte(charset, value):
    charset, value = (one + b" " * (len(one) & 1) for one in (charset, value))
    data = element(0x00080005, "CS", charset) + element(0x00080016, "UI", b"1.2.840.10008.5.1.4.1.1.2\0")
    assert element(0x0008103E, "LO", value) in clean_bytes(data + element(0x0008103E, "LO", value))


def test_what_is_left_is_written_in_the_character_set_of_its_item():
    inner = element(0x00080005, "CS", b"ISO_IR 192") + element(0x00321060, "LO", "Schädel Zzyx".encode() + b" ")
    data = element(0x00080005, "CS", b"ISO_IR 100") + element(0x00080016, "UI", b"1.2.840.10008.5.1.4.1.1.2\0")
    data += element(0x0008103E, "LO", "Schädel Zzyx".encode("latin-1"))
    data += element(0x00400275, "SQ", item(inner))
    result = clean_bytes(data)
    assert element(0x0008103E, "LO", "Schädel ".encode("latin-1")[:8].rstrip() + b" ") in result
    assert element(0x00321060, "LO", "Schädel".encode()) in result


def test_a_text_that_is_none_in_its_character_set_is_emptied_and_does_not_hold():
    data = element(0x00080005, "CS", b"ISO_IR 192") + element(0x0008103E, "LO", b"Head \xff\xfe ")
    assert not decode(clean_bytes(data)).SeriesDescription


def test_letters_that_the_character_set_does_not_have_go_and_do_not_hold():
    data = element(0x0008103E, "LO", "Schädel Xaver nativ ".encode("latin-1"))
    assert decode(clean_bytes(data)).SeriesDescription == "nativ"
    kept = element(0x0008103E, "LO", "Schädel nativ ".encode("latin-1"))
    assert kept in clean_bytes(kept)


def test_a_text_longer_than_its_vr_is_cut_at_what_the_vr_takes():
    result = apply(DESCRIPTORS, series(SeriesDescription="Xaver " + "thorax " * 20))
    assert 0 < len(result.SeriesDescription) <= 64


def test_of_codes_the_meaning_of_a_published_scheme_stays_and_that_of_a_local_one_is_cleaned():
    codes = items(
        {"CodeValue": "1", "CodingSchemeDesignator": "SCT", "CodeMeaning": "Wilms tumor"},
        {"CodeValue": "2", "CodingSchemeDesignator": "99LOCAL", "CodeMeaning": "Lung Dr. Wilmstedt"},
        {"CodeValue": "3", "CodingSchemeDesignator": "L", "CodeMeaning": "Wilmstedt 4711881 liver"},
        {"CodeValue": "4", "CodeMeaning": "Wilmstedt spleen"},
    )
    source = series(AdmittingDiagnosesCodeSequence=codes, ProcedureCodeSequence=codes)
    result = apply(DESCRIPTORS, source)
    for found in (result.AdmittingDiagnosesCodeSequence, result.ProcedureCodeSequence):
        assert [one.CodeMeaning for one in found] == ["Wilms tumor", "Lung", "liver", "spleen"]
        assert [one.CodeValue for one in found] == ["1", "2", "3", "4"]


def test_where_an_iod_asks_for_a_value_none_is_left_empty():
    codes = items({"CodeValue": "2", "CodingSchemeDesignator": "99LOCAL", "CodeMeaning": "Wilmstedt"})
    result = apply(DESCRIPTORS, series(ProcedureCodeSequence=codes, SeriesDescription="Wilmstedt"))
    assert result.ProcedureCodeSequence[0].CodeMeaning == "REMOVED"
    assert result.SeriesDescription == ""


def test_paragraphs_are_cleaned_line_by_line():
    result = apply(DESCRIPTORS, series(ImageComments="Thorax Zofia\r\nseen by Dr. Brachvogel\r\nno contrast"))
    assert result.ImageComments.splitlines() == ["Thorax", "by", "no contrast"]


def test_each_option_whose_table_says_c_cleans():
    source = series(Allergies="Penicillin, asked by Zofia", PatientState="stable")
    result = apply(profile("retain-patient-characteristics"), source)
    assert (result.Allergies, result.PatientState) == ("Penicillin by", "stable")


def test_the_instance_says_that_descriptors_were_cleaned():
    codes = [one.CodeValue for one in apply(DESCRIPTORS, series()).DeidentificationMethodCodeSequence]
    assert codes == ["113100", "113105"]


def test_the_gate_finds_nothing_in_what_was_cleaned():
    known = (
        "KOWALSKA",
        "Zofia",
        "zofia maria",
        "PID-77313",
        "77313",
        "88441199",
        "2024-03-01",
        "19530311",
        "Brachvogel",
    )
    for where in ("{} Head 5mm", "t1_{}_tra", "CT ({}) 1953", "Thorax\r\n{}\r\nnativ"):
        for token in known:
            told = where.format(token)
            source = series(ImageComments=told, SeriesDescription=told[:60], ProtocolName=told.splitlines()[0])
            source.StructureSetROISequence = items({"ROINumber": "1", "ROIName": told.splitlines()[0]})
            cleaned = DESCRIPTORS.apply(EncodedDataset.scan(encode(source), 0, EXPLICIT_LE), Keys(), {})
            assert leaks(cleaned, DESCRIPTORS) == [], told


def test_a_line_of_a_header_cleans_too():
    recipe = load_recipe([text("%header", "REPLACE SeriesDescription func:clean_text")])
    assert recipe.keyed is not None
    assert apply(recipe, series(SeriesDescription="Head Zofia 5mm")).SeriesDescription == "Head 5mm"


def test_a_line_of_a_header_holds_what_is_no_text():
    recipe = load_recipe([text("%header", "REPLACE SeriesDescription func:clean_text")])
    data = element(0x00080005, "CS", b"ISO_IR 192") + element(0x0008103E, "LO", b"Head \xff\xfe ")
    with pytest.raises(HoldInstance):
        clean_bytes(data, recipe)


def shipped(*names: str, **options: object) -> Recipe:
    return load_recipe([found for name in names if (found := shipped_recipe(name))], **options)


def test_the_site_has_words_of_its_own_and_the_hash_tells(tmp_path):
    file = tmp_path / "words.txt"
    file.write_text("# ours\nXYZZY, Gruezi\nrumpel stilz  # a phrase\n", encoding="utf-8")
    own = load_vocabulary([file])
    names = ("ps3.15-basic", "clean-descriptors")
    recipe = shipped(*names, vocabulary=own)
    source = series(SpecificCharacterSet="ISO_IR 192", SeriesDescription="xyzzy_grüezi_Gruezi_Rumpel-Stilz_Rumpel_T1")
    assert apply(recipe, source).SeriesDescription == "xyzzy_grüezi_Gruezi_Rumpel-Stilz_T1"
    assert recipe.hash != shipped(*names).hash
    assert shipped("ps3.15-basic", vocabulary=own).hash == shipped("ps3.15-basic").hash
    file.write_text("XYZZY\n")
    assert shipped(*names, vocabulary=load_vocabulary([file])).hash not in (recipe.hash, shipped(*names).hash)


def test_every_fault_of_a_vocabulary_is_named_with_its_line(tmp_path):
    file = tmp_path / "words.txt"
    file.write_text("lung\n---\nlung, ,head\n")
    with pytest.raises(RecipeError) as refused:
        load_vocabulary([file, tmp_path / "absent.txt"])
    assert [(fault.file, fault.line) for fault in refused.value.faults] == [
        (str(file), 2), (str(file), 3), (str(tmp_path / "absent.txt"), None),
    ]  # fmt: skip


def test_the_configuration_names_files_of_words_beside_it(tmp_path):
    from node.routing import compile_routes

    (tmp_path / "own").mkdir()
    (tmp_path / "words.txt").write_text("xyzzy\n")
    found = load(tmp_path, GOOD + "vocabulary: [words.txt]\n")
    assert found.vocabulary == (tmp_path / "words.txt",)
    assert set(compile_routes(found)) == {"research"}
    assert [fault.key for fault in faults(tmp_path, GOOD + "vocabulary: [1]\n")] == ["vocabulary.0"]
    with pytest.raises(RecipeError, match="absent"):
        compile_routes(load(tmp_path, GOOD + "vocabulary: [absent.txt]\n"))


@pytest.mark.parametrize("service", ["ED", "A4", "12", "CARDIOLOGY", "Emergency Medicine"])
def test_of_a_place_nothing_stays_so_that_the_gate_has_nothing_to_hold(service):
    found = shipped_recipe("research")
    assert found is not None
    research, data = load_recipe([found]), encode(series(RequestingService=service, AdmittingDiagnosesDescription="ED"))
    cleaned = research.apply(EncodedDataset.scan(data, 0, EXPLICIT_LE), Keys(), {})
    after = decode(cleaned.tobytes(), EXPLICIT_LE)
    assert not after.get("RequestingService")
    assert after.AdmittingDiagnosesDescription == "ED", "the same word as a text"
    assert not leaks(cleaned, research)


def test_the_meaning_of_a_code_stays_for_the_same_schemes_wherever_the_code_stands():
    code = {"CodeValue": "5.10.2", "CodeMeaning": "QRS Xyzzynol"}
    for scheme, stays in (("SCPECG", True), ("NCDR [2.0b]", True), ("99HOSP", False)):
        named = items({**code, "CodingSchemeDesignator": scheme})
        content = items({"ValueType": "CODE", "ConceptNameCodeSequence": named, "ConceptCodeSequence": named})
        after = apply_research(series(ProcedureCodeSequence=named, ContentSequence=content))
        codes = after.ProcedureCodeSequence[0], after.ContentSequence[0].ConceptCodeSequence[0]
        assert ["Xyzzynol" in code.CodeMeaning for code in codes] == [stays, stays], scheme


def apply_research(source: Dataset) -> Dataset:
    found = shipped_recipe("research")
    assert found is not None
    done = load_recipe([found]).apply(EncodedDataset.scan(encode(source), 0, EXPLICIT_LE), Keys(), {})
    return decode(done.tobytes(), EXPLICIT_LE)
