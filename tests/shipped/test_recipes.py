"""What the shipped recipes keep and give up, on synthetic objects."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import pydicom
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset

from node.recipe import EncodedDataset, Recipe, load_recipe, shipped_recipe
from node.recipe.functions import BUILT_IN
from node.standard import tcia_private
from node.syntaxes import EXPLICIT_LE, IMPLICIT_LE
from scripts.shipped import RECIPES
from tests.recipe.support import Keys, apply, dataset, encode
from tests.shipped.csa import IMAGE, header, read

MR = "1.2.840.10008.5.1.4.1.1.4"
PUBLIC = Path(pydicom.__file__).parent / "data" / "test_files"
LINE = re.compile(r'([KU]) +\((\w{4}),"([^"]+)",(\w\w)\)  # (.+)')
VALUES = {"UI": "1.2.3", "DS": "1.5", "IS": "7", "CS": "TERM", "SH": "a", "LO": "b", "SQ": None}


@cache
def loaded(*names: str) -> Recipe:
    return load_recipe([text for name in names if (text := shipped_recipe(name)) is not None])


def lines(name: str) -> list[tuple[str, int, str, int]]:
    text = shipped_recipe(name)
    assert text is not None
    found = [LINE.match(line) for line in text.text.splitlines()]
    return [(one[1], int(one[2], 16), one[3], int(one[4], 16)) for one in found if one]


def scan(**values: object) -> Dataset:
    return dataset(
        **{
            "SOPClassUID": MR,
            "SOPInstanceUID": "1.2.3.1",
            "StudyInstanceUID": "1.2.3.2",
            "SeriesInstanceUID": "1.2.3.3",
            "PatientID": "TOKEN1",
            "PatientName": "TOKEN^NAME",
            "StudyDate": "20200111",
            "StudyTime": "101112",
            "Modality": "MR",
            "Manufacturer": "ACME",
        }
        | values
    )


MR_LINES = lines("mr-research")
CSA = {("SIEMENS CSA HEADER", 0x10), ("SIEMENS CSA HEADER", 0x20), ("SIEMENS MR SDS 01", 0x19)}


def test_the_mr_lines_are_those_of_every_vendor():
    assert len(MR_LINES) > 150
    creators = {creator for _, _, creator, _ in MR_LINES}
    assert {"SIEMENS MR HEADER", "SIEMENS MR SDI 02", "GEMS_PARM_01", "Philips MR Imaging DD 001"} <= creators


@pytest.mark.parametrize("line", MR_LINES, ids=lambda line: f"{line[1]:04X}-{line[2]}-{line[3]:02X}")
def test_each_private_element_of_mr_stays_with_its_creator_and_its_neighbour_goes(line):
    """At the top and in a sequence; another creator's element of the same number goes."""
    _, group, creator, low = line
    source = scan(PerFrameFunctionalGroupsSequence=[Dataset()])
    for place in (source, source.PerFrameFunctionalGroupsSequence[0]):
        block = place.private_block(group, creator, create=True)
        block.add_new(low, "OB", header(IMAGE) if (creator, low) in CSA else b"12")
        block.add_new(0xF5, "LO", "TOKEN")
        other = place.private_block(group, "SOMEONE ELSE", create=True)
        other.add_new(low, "LO", "TOKEN")
    result = apply(loaded("ps3.15-basic", "mr-research"), source, EXPLICIT_LE)
    for place in (result, result.PerFrameFunctionalGroupsSequence[0]):
        private = [element for element in place if element.tag.is_private]
        assert [element.tag.element & 0xFF for element in private] == [0x10, low]
        assert private[0].value == creator
        if (creator, low) in CSA:
            assert read(private[1].value.removesuffix(b"\0" * (len(private[1].value) % 4)))
            assert b"SECRET" not in private[1].value
        else:
            assert private[1].value == b"12"


@pytest.mark.parametrize("name", RECIPES)
def test_no_csa_header_passes_whole(name):
    source = scan()
    for group, creator, low in ((0x29, "SIEMENS CSA HEADER", 0x10), (0x29, "SIEMENS CSA HEADER", 0x20)):
        source.private_block(group, creator, create=True).add_new(low, "OB", header(IMAGE))
    source.private_block(0x21, "SIEMENS MR SDS 01", create=True).add_new(0x19, "OB", b"SECRET")
    for syntax in (EXPLICIT_LE, IMPLICIT_LE):
        data = encode(source, syntax)
        result = loaded(name).apply(EncodedDataset.scan(data, 0, syntax), Keys(), {}).tobytes()
        assert b"SECRET" not in result


TCIA_ROWS = [row for row in tcia_private() if row.group % 2 and "\\" not in row.creator]


@pytest.mark.parametrize("creator", sorted({row.creator for row in TCIA_ROWS}))
def test_what_tcia_deletes_or_judged_two_ways_goes_and_what_it_keeps_stays(creator):
    for row in TCIA_ROWS:
        if row.creator != creator:
            continue
        vr = next((vr for vr in ("SH", "LO", "CS", "IS", "DS", "UI") if vr in row.vrs), "OB")
        value = VALUES.get(vr, b"12")
        source = scan()
        source.private_block(row.group, creator, create=True).add_new(row.low, vr, value)
        result = apply(loaded("tcia"), source)
        found = result.get((row.group, 0x1000 | row.low))
        if "d" in row.dispositions or row.vrs & {"LT", "ST", "UT", "PN"}:
            assert found is None, row
        elif row.dispositions == {"k"} and not row.vrs & {"UI", "SQ", "DA", "DT", "TM"}:
            assert found is not None, row
            assert found.value == value, row
        elif row.dispositions == {"h"} and vr == "UI":
            assert found is not None, row
            assert found.value == Keys().uid("1.2.3"), row


def test_tcia_moves_private_dates_and_keeps_the_device():
    source = scan(StationName="ST1", DeviceSerialNumber="S9", SmokingStatus="NO")
    source.private_block(0x0009, "GEMS_PETD_01", create=True).add_new(0x0D, "DT", "20200111101112")
    result = apply(loaded("tcia"), source)
    assert result[0x0009100D].value == "20200101101112"
    assert (result.StationName, result.DeviceSerialNumber, result.SmokingStatus) == ("ST1", "S9", "NO")


def test_xnat_finds_project_subject_and_a_session_of_each_study():
    def comments(study: str) -> str:
        return str(apply(loaded("xnat"), scan(StudyInstanceUID=study, PatientComments="TOKEN")).PatientComments)

    one, other = comments("1.2.3.2"), comments("1.2.3.9")
    form = r"Project:demo Subject:PSEUDONYM1 Session:PSEUDONYM1_\w{8}\Z"
    assert re.match(form, one)
    assert re.match(form, other)
    assert one != other
    assert one == comments("1.2.3.2")
    assert "xnat_session" in BUILT_IN


def pet() -> Dataset:
    isotope = dataset(
        RadiopharmaceuticalStartTime="093000",
        RadiopharmaceuticalStartDateTime="20200111093000",
        RadionuclideTotalDose="370000000",
        RadionuclideHalfLife="6586.2",
        Radiopharmaceutical="TOKEN",
    )
    return scan(
        SOPClassUID="1.2.840.10008.5.1.4.1.1.128",
        Modality="PT",
        SeriesDate="20200111",
        SeriesTime="101500",
        AcquisitionDate="20200112",
        AcquisitionTime="000110",
        PatientWeight="81.5",
        PatientSize="1.80",
        PatientSex="F",
        Units="BQML",
        DecayCorrection="START",
        CorrectedImage=["DECY", "ATTN"],
        RescaleSlope="0.5",
        RescaleIntercept="0",
        RadiopharmaceuticalInformationSequence=[isotope],
    )


@pytest.mark.parametrize("name", RECIPES)
def test_uptake_values_can_still_be_computed(name):
    source = pet()
    result = apply(loaded(name), source)
    assert (result.PatientWeight, result.PatientSize, result.PatientSex) == (81.5, 1.8, "F")
    assert (result.SeriesDate, result.AcquisitionDate) == ("20200101", "20200102")
    assert (result.SeriesTime, result.AcquisitionTime) == ("101500", "000110")
    same = ("Units", "DecayCorrection", "CorrectedImage", "RescaleSlope", "RescaleIntercept", "Manufacturer")
    assert [result[keyword].value for keyword in same] == [source[keyword].value for keyword in same]
    isotope = result.RadiopharmaceuticalInformationSequence[0]
    assert isotope.RadiopharmaceuticalStartTime == "093000"
    assert isotope.RadiopharmaceuticalStartDateTime == "20200101093000"
    assert (isotope.RadionuclideTotalDose, isotope.RadionuclideHalfLife) == (370000000, 6586.2)


@pytest.mark.parametrize("name", RECIPES)
def test_references_stay_together(name):
    source = scan(
        ReferencedImageSequence=[dataset(ReferencedSOPClassUID=MR, ReferencedSOPInstanceUID="1.2.3.1")],
        SourceImageSequence=[dataset(ReferencedSOPClassUID=MR, ReferencedSOPInstanceUID="1.2.3.7")],
        FrameOfReferenceUID="1.2.3.4",
    )
    result = apply(loaded(name), source)
    assert result.ReferencedImageSequence[0].ReferencedSOPInstanceUID == result.SOPInstanceUID
    assert result.ReferencedImageSequence[0].ReferencedSOPClassUID == MR
    assert result.SourceImageSequence[0].ReferencedSOPInstanceUID == Keys().uid("1.2.3.7")
    assert result.FrameOfReferenceUID == Keys().uid("1.2.3.4")


@pytest.mark.parametrize("name", [*RECIPES])
def test_the_very_old_are_not_told_apart(name):
    age = apply(loaded(name), scan(PatientAge="093Y")).get("PatientAge")
    assert age == (None if name == "strict" else "090Y")


# strict


def test_strict_lets_no_text_pass_that_it_does_not_name():
    """Every text attribute of the dictionary, at the top and inside of a sequence that stays."""
    from pydicom._dicom_dict import DicomDictionary

    said = {"TOKEN": ["LO", "LT", "SH", "ST", "UC", "UT", "PN"], "urn:TOKEN": ["UR"]}
    kept = {0x00080070, 0x00080201, 0x00081090, 0x00180024, 0x00181210}
    codes = {0x00080100, 0x00080102, 0x00080103, 0x00080104, 0x00080119}
    written = {0x00100010, 0x00100020, 0x00120062, 0x00120063, 0x00280303}
    source, inner = scan(), Dataset()
    for tag, (vr, *_) in DicomDictionary.items():
        for value, vrs in said.items():
            if vr in vrs and tag >> 16 not in (0, 2, 4) and tag not in kept | codes | written:
                source.add_new(tag, vr, value)
                inner.add_new(tag, vr, value)
    source.PerFrameFunctionalGroupsSequence = [inner]
    assert len(inner) > 700
    result = loaded("strict").apply(EncodedDataset.scan(encode(source), 0, EXPLICIT_LE), Keys(), {}).tobytes()
    assert b"TOKEN" not in result


def test_strict_keeps_numbers_geometry_and_codes_wherever_they_stand():
    frame = dataset(
        PlanePositionSequence=[dataset(ImagePositionPatient=[1, 2, 3])],
        PixelValueTransformationSequence=[dataset(RescaleSlope="2", RescaleIntercept="-1")],
        MRDiffusionSequence=[dataset(DiffusionBValue=1000.0)],
    )
    source = scan(
        PerFrameFunctionalGroupsSequence=[frame],
        ImageOrientationPatient=[1, 0, 0, 0, 1, 0],
        AnatomicRegionSequence=[dataset(CodeValue="T-A0100", CodingSchemeDesignator="SRT", CodeMeaning="Brain")],
        Rows=2,
        PixelSpacing=["1", "1"],
        ConvolutionKernel="B30f",
        SeriesDescription="TOKEN",
        Allergies="TOKEN",
        InstanceCreationDate="20200111",
        PixelData=b"1234",
    )
    source["PixelData"].VR = "OW"
    result = apply(loaded("strict"), source)
    kept = result.PerFrameFunctionalGroupsSequence[0]
    assert kept == frame
    same = ("ImageOrientationPatient", "AnatomicRegionSequence", "Rows", "PixelSpacing", "PixelData", "Manufacturer")
    assert [result[keyword].value for keyword in same] == [source[keyword].value for keyword in same]
    assert "SeriesDescription" not in result
    assert "InstanceCreationDate" not in result
    assert [item.CodeValue for item in result.DeidentificationMethodCodeSequence] == [
        "113100",
        "113105",
        "113107",
        "113108",
    ]


def test_strict_keeps_what_an_earlier_method_said():
    earlier = dataset(CodeValue="113100", CodingSchemeDesignator="DCM", CodeMeaning="Basic")
    result = apply(loaded("strict"), scan(DeidentificationMethodCodeSequence=[earlier]))
    assert result.DeidentificationMethodCodeSequence[0] == earlier
    assert len(result.DeidentificationMethodCodeSequence) == 5


def test_strict_keeps_contours_and_doses():
    contour = dataset(ContourGeometricType="CLOSED_PLANAR", NumberOfContourPoints=1, ContourData=["1", "2", "3"])
    source = scan(
        SOPClassUID="1.2.840.10008.5.1.4.1.1.481.3",
        ROIContourSequence=[dataset(ReferencedROINumber=3, ContourSequence=[contour])],
        StructureSetROISequence=[dataset(ROINumber=3, ROIName="TOKEN", ReferencedFrameOfReferenceUID="1.2.3.4")],
        DoseGridScaling="0.001",
    )
    result = apply(loaded("strict"), source)
    assert result.ROIContourSequence[0].ContourSequence[0] == contour
    assert result.StructureSetROISequence[0].ROINumber == 3
    assert "TOKEN" not in str(result)
    assert result.DoseGridScaling == 0.001


def test_everything_is_the_weakest_of_all_selectors():
    from tests.recipe.support import text

    recipe = load_recipe([text("%profile p", "K select:VR:DS", "K (0008,0060)", "X select:all", "K select:group:0028")])
    source = dataset(Modality="MR", PatientWeight="80", PatientID="1", Rows=2, SOPClassUID=MR)
    source.private_block(0x0009, "A", create=True).add_new(1, "DS", "1")
    result = apply(recipe, source)
    assert [element.keyword for element in result] == ["SOPClassUID", "Modality", "PatientID", "PatientWeight", "Rows"]
    assert result.PatientID == "", "the IOD requires it"


@pytest.mark.parametrize("name", RECIPES)
@pytest.mark.parametrize("file", ["CT_small.dcm", "MR_small.dcm", "rtplan.dcm", "rtstruct.dcm", "rtdose.dcm"])
def test_public_files_keep_their_pixels_and_their_numbers(name, file):
    source = dcmread(PUBLIC / file, force=True)
    source.PatientID = source.get("PatientID") or "1"
    source.remove_private_tags()
    result = apply(loaded(name), Dataset(source))
    if "PixelData" in source:
        assert result.PixelData == source.PixelData
    for keyword in ("Rows", "PixelSpacing", "ImageOrientationPatient", "RescaleSlope", "KVP", "DoseGridScaling"):
        assert result.get(keyword) == source.get(keyword)


@pytest.mark.parametrize("name", RECIPES)
def test_each_recipe_says_what_it_is_for_and_what_it_gives_up(name):
    text = shipped_recipe(name)
    assert text is not None
    head = text.text.partition("FORMAT")[0]
    assert all(words in head for words in ("What it is for:", "gives up"))
    page = Path(__file__).parents[2] / "docs" / f"recipe-{name}.md"
    assert "should not use it" in page.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["research", "xnat"])
def test_specimens_of_slides_are_still_told_apart_and_found_again(name):
    def slide(block: str, *specimens: str) -> Dataset:
        described = [dataset(SpecimenIdentifier=one, SpecimenUID=f"1.2.3.9.{n}") for n, one in enumerate(specimens)]
        source = scan(SOPClassUID="1.2.840.10008.5.1.4.1.1.77.1.6", Modality="SM", ContainerIdentifier=block)
        source.SpecimenDescriptionSequence = described
        return apply(loaded(name), source, masks=True)

    one, again, other = slide("S-12-A1", "S-12-A1-1", "S-12-A1-2"), slide("S-12-A1", "S-12-A1-2"), slide("S-12-B1")
    assert one.ContainerIdentifier == again.ContainerIdentifier != other.ContainerIdentifier
    first, second = (item.SpecimenIdentifier for item in one.SpecimenDescriptionSequence)
    assert first != second == again.SpecimenDescriptionSequence[0].SpecimenIdentifier
    assert not [value for value in (one.ContainerIdentifier, first, second) if "S-12" in value or value == "REMOVED"]
