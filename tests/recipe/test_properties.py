"""Generated data sets and recipes: fidelity, agreement with the reference engine, garbage."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset

from node.errors import DatasetError, HoldInstance
from node.recipe import EncodedDataset, load_recipe
from tests.recipe.reference import apply
from tests.recipe.support import CODINGS, Keys, dataset, decode, encode, recipe, text
from tests.thorough import share

UID = st.lists(st.integers(0, 99), min_size=2, max_size=5).map(lambda parts: "1." + ".".join(map(str, parts)))
TEXT = st.text("ABCxyz 019^", max_size=12).map(str.strip)
DATE = st.dates().map(lambda day: f"{day.year % 1000 + 1500:04d}{day.month:02d}{min(day.day, 28):02d}")
VALUES = {
    "SOPClassUID": st.just("1.2.840.10008.5.1.4.1.1.2") | UID,
    "SOPInstanceUID": UID,
    "StudyDate": DATE | st.just(""),
    "PatientBirthDate": DATE,
    "StudyTime": st.just("101112"),
    "AccessionNumber": TEXT,
    "Modality": st.sampled_from(["CT", "MR"]),
    "ReferringPhysicianName": TEXT,
    "PatientName": TEXT,
    "PatientID": TEXT,
    "PatientComments": TEXT,
    "FailedSOPInstanceUIDList": st.lists(UID, min_size=1, max_size=3),
    "Rows": st.integers(0, 65535),
    "SliceThickness": st.sampled_from(["1.5", "2", ""]),
}
SEQUENCES = ("ReferencedImageSequence", "RequestAttributesSequence", "ReferencedStudySequence")


@st.composite
def datasets(draw, depth: int = 3) -> Dataset:
    keywords = draw(st.lists(st.sampled_from(sorted(VALUES)), unique=True, max_size=8))
    result = dataset(**{keyword: draw(VALUES[keyword]) for keyword in keywords})
    if depth and draw(st.booleans()):
        keyword = draw(st.sampled_from(SEQUENCES))
        setattr(result, keyword, draw(st.lists(datasets(depth - 1), max_size=2)))
        result[keyword].is_undefined_length = draw(st.booleans())
    if draw(st.booleans()):
        result.add_new(0x00330010, "LO", "SYNTHETIC")
        result.add_new(0x00331001, "LO", draw(TEXT))
        if depth:
            result.add_new(0x00331002, "SQ", draw(st.lists(datasets(0), min_size=1, max_size=2)))
            # pydicom, and so the reference, cannot see an implicit private sequence of defined length,
            # nor one without items.
            result[0x00331002].is_undefined_length = True
    result.is_undefined_length_sequence_item = draw(st.booleans())
    return result


KEYWORDS = st.sampled_from([*sorted(VALUES), *SEQUENCES])
FIELDS = st.one_of(
    KEYWORDS,
    st.sampled_from(
        [
            "ALL",
            "select:VR:UI",
            "select:VR:PN",
            "select:VR:SQ",
            "select:group:0010",
            "contains:Patient",
            "contains:Referenced",
            "contains:10",
            "except:Patient",
            "(0010,0020)",
            "ReferencedImageSequence__PatientID",
            "RequestAttributesSequence__ReferencedImageSequence__PatientID",
            "(0008,1140)__0__(0010,0020)",
            "(0040,0275)__1__(0008,1140)__0__(0010,0010)",
        ]
    ),
)
LINES = st.one_of(
    st.tuples(st.sampled_from(["REMOVE", "BLANK", "KEEP"]), FIELDS).map(" ".join),
    st.sampled_from(
        [
            "REPLACE select:VR:UI func:generate_uid",
            "REPLACE PatientID Anon",
            "REPLACE (0010,0010) A^B",
            "REPLACE select:VR:LO x",
            "REPLACE select:VR:US 7",
            "REPLACE RequestAttributesSequence__PatientID nested",
            "JITTER StudyDate 5",
            "JITTER select:VR:DA -31",
            "ADD PatientID added",
            "ADD StudyDate 20000101",
            "ADD PatientIdentityRemoved YES",
        ]
    ),
)
BOUNDED = settings(max_examples=share(150), deadline=None, suppress_health_check=list(HealthCheck))
CODING = st.sampled_from(CODINGS)


@BOUNDED
@given(datasets(), CODING)
def test_an_empty_recipe_changes_no_byte(source, syntax):
    data = encode(source, syntax)
    result = recipe().apply(EncodedDataset.scan(data, 0, syntax), Keys(), {})
    assert result.tobytes() == data
    assert not result.changed


@pytest.mark.filterwarnings("ignore")
@settings(BOUNDED, max_examples=share(400))
@given(datasets(), CODING, st.lists(LINES, min_size=1, max_size=6))
def test_any_recipe_does_what_the_reference_does(source, syntax, lines):
    data = encode(source, syntax)
    result = recipe(*lines).apply(EncodedDataset.scan(data, 0, syntax), Keys(), {}).tobytes()
    # Read again, so that both sides have the VRs that the encoding allows.
    expected = encode(apply(decode(data, syntax), lines), syntax)
    assert result == expected


@BOUNDED
@given(datasets(), CODING, st.data())
def test_damaged_bytes_are_refused_or_cleaned_and_never_anything_else(source, syntax, data):
    encoded = bytearray(encode(source, syntax))
    if not encoded:
        return
    for _ in range(data.draw(st.integers(1, 4))):
        encoded[data.draw(st.integers(0, len(encoded) - 1))] = data.draw(st.integers(0, 255))
    cut = bytes(encoded[: data.draw(st.integers(0, len(encoded)))])
    check_garbage(cut, syntax)


@BOUNDED
@given(st.binary(max_size=300), CODING)
def test_garbage_is_refused_or_cleaned_and_never_anything_else(data, syntax):
    check_garbage(data, syntax)


ANY = recipe(
    "REPLACE select:VR:UI func:generate_uid", "REPLACE PatientID X", "REMOVE contains:Name", "BLANK select:VR:SQ"
)


LISTS = load_recipe(
    [
        text(
            "%fields f",
            "FIELD contains:Patient",
            "%values v",
            "FIELD select:VR:LO",
            "SPLIT PatientName by=^",
            "%header",
            "BLANK fields:f",
            "REMOVE values:v",
        )
    ]
)


def check_garbage(data: bytes, syntax) -> None:
    with contextlib.suppress(DatasetError, HoldInstance):
        source = EncodedDataset.scan(data, 0, syntax)
        EncodedDataset.scan(LISTS.apply(source, Keys(), {}).tobytes(), 0, syntax)
    try:
        source = EncodedDataset.scan(data, 0, syntax)
        recipe().apply(source, Keys(), {})
        result = ANY.apply(source, Keys(), {}).tobytes()
    except (DatasetError, HoldInstance):
        return
    EncodedDataset.scan(result, 0, syntax)
