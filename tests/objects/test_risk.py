"""Which images may show who the patient is: one test for each row, and images that must not be taken for such."""

from __future__ import annotations

import pytest

from node.errors import HoldReason
from node.objects.risk import RISKS
from tests.objects.support import BASIC, CT, HEADER_ONLY, MR, ROOT, SC, US, XA, held, image, judge

SECONDARY = ["DERIVED", "SECONDARY"]
ROWS = {
    "Burned In Annotation (0028,0301) is YES": image(BurnedInAnnotation="YES"),
    "Specimen Label in Image (0048,0010) is YES": image(ROOT + "77.1.6", "SM", SpecimenLabelInImage="YES"),
    "Secondary Capture": image(SC, "CT"),
    "ultrasound": image(US, "US"),
    "X-ray angiography or fluoroscopy that was captured": image(XA, "XA", ImageType=SECONDARY),
    "Image Type (0008,0008) or Series Description (0008,103E) of a screen, report or dose page": image(
        ImageType=[*SECONDARY, "SCREEN SAVE"]
    ),
    "a modality of scanned documents and photographs": image(modality="OT"),
    "a photograph": image(ROOT + "77.1.4", "XC"),
    "a photograph of an eye": image(ROOT + "77.1.5.1", "OP"),
    "label or overview of a slide": image(ROOT + "77.1.6", "SM", ImageType=["ORIGINAL", "PRIMARY", "LABEL", "NONE"]),
}


def test_every_risk_has_a_row():
    assert set(ROWS) == set(RISKS)


@pytest.mark.parametrize("risk", ROWS)
def test_an_image_of_a_risk_is_held_with_its_words(risk):
    reason, detail = held(ROWS[risk])
    assert reason is HoldReason.PIXEL_RISK
    assert risk in detail.split("; ")
    assert not judge(ROWS[risk], pixel_risk="pass").accepted


@pytest.mark.parametrize(
    "source",
    [
        *(image(ROOT + last, "SC") for last in ("7.1", "7.2", "7.3", "7.4")),
        image(ROOT + "3.1", "US"),
        image(ROOT + "6.2", "US"),
        image(XA, "XA", ConversionType="WSD"),
        image(ROOT + "12.2", "RF", ImageType=["ORIGINAL", "OTHER"]),
        image(SeriesDescription="Dose Report"),
        image(SeriesDescription="Screen Save"),
        image(SeriesDescription="PATIENT PROTOCOL"),
        image(SeriesDescription="Radiology_Report"),
        image(ImageType=["ORIGINAL", "SECONDARY", "DOSE_INFO"]),
        *(image(modality=modality) for modality in ("DOC", "ES", "XC")),
        *(image(ROOT + last, "XC") for last in ("77.1.1", "77.1.4.1", "77.1.7")),
        image(ROOT + "77.1.5.2", "OP"),
        image(ROOT + "77.1.6", "SM", ImageType=["ORIGINAL", "PRIMARY", "OVERVIEW", "NONE"]),
        image(BurnedInAnnotation="yes "),
    ],
)
def test_others_of_the_same_kind_are_held_too(source):
    assert held(source)[0] is HoldReason.PIXEL_RISK


@pytest.mark.parametrize(
    "source",
    [
        image(),
        image(MR, "MR", ImageType=["ORIGINAL", "PRIMARY", "M", "ND"]),
        image(SeriesDescription="LOW DOSE LUNG SCREENING 1.0 B50f"),
        image(SeriesDescription="Lung screen LDCT"),
        image(SeriesDescription="CARE Dose4D thorax", ImageType=["DERIVED", "SECONDARY", "REFORMATTED"]),
        image(XA, "XA", ImageType=["ORIGINAL", "PRIMARY", "SINGLE PLANE"]),
        image(ROOT + "1", "CR", BurnedInAnnotation="NO"),
        image(ROOT + "481.2", "RTDOSE", SeriesDescription="Dose", ImageType=["ORIGINAL", "PRIMARY", "DOSE"]),
        image(ROOT + "77.1.6", "SM", ImageType=["ORIGINAL", "PRIMARY", "VOLUME", "NONE"]),
        image(ROOT + "77.1.5.4", "OPT"),
        image(SC, "OT", PixelData=None, BurnedInAnnotation="YES"),
    ],
    ids=lambda source: f"{source.Modality} {source.get('SeriesDescription', '')}",
)
def test_an_image_without_a_risk_passes(source):
    assert judge(source).accepted == ""


def test_without_a_profile_only_what_the_image_says_itself_counts_unless_the_route_asks_for_all():
    assert judge(image(SC, "OT"), HEADER_ONLY).excluded == ""
    assert held(image(BurnedInAnnotation="YES"), HEADER_ONLY) == (HoldReason.PIXEL_RISK, next(iter(RISKS)))
    assert held(image(SC, "CT"), HEADER_ONLY, pixel_risk="hold") == (HoldReason.PIXEL_RISK, "Secondary Capture")
    assert judge(image(BurnedInAnnotation="YES"), HEADER_ONLY, pixel_risk="pass").excluded == ""


def test_a_person_answers_for_the_very_risks_that_were_found():
    source = image(SC, "OT")
    _, detail = held(source)
    assert judge(source, BASIC, detail).accepted == detail
    source.BurnedInAnnotation = "YES"
    assert held(source)[1] != detail
    assert judge(image(CT), BASIC, detail).accepted == ""
