"""The clinical trial of a project: how it is written down, and what stands in group 0012 by it."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydicom.dataset import Dataset

from node.gate import leaks
from node.recipe import EncodedDataset, Recipe
from node.routing import compile_routes
from node.syntaxes import EXPLICIT_LE
from tests.config.support import GOOD, faults, load
from tests.recipe.support import Keys, dataset, decode, encode

BASIC = GOOD.replace("[own/careful.dicom]", "[ps3.15-basic]")
WHOLE = (
    "{sponsor: ACME Pharma, protocol_id: T-7, protocol_name: Knees, site_id: '12', site_name: Ward 3,"
    " coordinating_center: Center, ethics_committee: Committee, ethics_approval: A-1}"
)


def recipe(folder: Path, trial: str, text: str = BASIC) -> Recipe:
    return compile_routes(load(folder, f"{text}projects:\n  research:\n    trial: {trial}\n"))["research"]


def written(by: Recipe, **before: object) -> Dataset:
    """Group 0012 of a result in which the gate finds nothing."""
    source = dataset(SOPClassUID="1.2.840.10008.5.1.4.1.1.2", SOPInstanceUID="1.2.3.4", PatientID="MRN-1", **before)
    cleaned = by.apply(EncodedDataset.scan(encode(source), 0, EXPLICIT_LE), Keys(), {})
    assert leaks(cleaned, by) == []
    return decode(cleaned.tobytes()).group_dataset(0x0012)


def test_the_trial_is_written_over_what_an_original_says(tmp_path: Path) -> None:
    before = {
        "ClinicalTrialSubjectID": "TOKEN-SUBJECT",
        "ClinicalTrialSponsorName": "TOKEN",
        "ClinicalTrialSiteID": "TOKEN",
    }
    by = recipe(tmp_path, WHOLE)
    for original in ({}, before, {"InstitutionName": "Ward 3", "ClinicalTrialTimePointID": "TOKEN-V1"}):
        group = written(by, **original)
        assert (group.ClinicalTrialSponsorName, group.ClinicalTrialProtocolID) == ("ACME Pharma", "T-7")
        assert (group.ClinicalTrialProtocolName, group.ClinicalTrialSiteID, group.ClinicalTrialSiteName) == (
            "Knees", "12", "Ward 3",
        )  # fmt: skip
        assert group.ClinicalTrialCoordinatingCenterName == "Center"
        assert group.ClinicalTrialProtocolEthicsCommitteeName == "Committee"
        assert group.ClinicalTrialProtocolEthicsCommitteeApprovalNumber == "A-1"
        assert group.ClinicalTrialSubjectID == "PSEUDONYM1"
        assert "TOKEN" not in str(group)


def test_what_the_module_needs_is_there_and_nothing_else(tmp_path: Path) -> None:
    group = written(recipe(tmp_path, "{sponsor: S, protocol_id: P, subject: reading_id}"))
    found = {one.keyword: one.value for one in group if one.tag.elem < 0x60 or one.tag.elem > 0x64}
    assert found == {
        "ClinicalTrialSponsorName": "S",
        "ClinicalTrialProtocolID": "P",
        "ClinicalTrialProtocolName": "",
        "ClinicalTrialSiteID": "",
        "ClinicalTrialSiteName": "",
        "ClinicalTrialSubjectReadingID": "PSEUDONYM1",
    }


def test_it_is_a_part_of_the_recipe_and_only_beside_the_basic_profile(tmp_path: Path) -> None:
    one, other = (recipe(tmp_path, f"{{sponsor: {name}, protocol_id: P}}") for name in "AB")
    assert one.hash != other.hash
    plain = recipe(tmp_path, "{sponsor: A, protocol_id: P}", GOOD)
    assert plain.hash == compile_routes(load(tmp_path, GOOD))["research"].hash
    assert not any("Clinical" in rule.selector.text for rule in plain.rules)


@pytest.mark.parametrize(
    ("trial", "key"),
    [
        ("{sponsor: S}", "protocol_id"),
        ("{protocol_id: P}", "sponsor"),
        ("{sponsor: S, protocol_id: 7}", "protocol_id"),
        ("{sponsor: S, protocol_id: P, ethics_approval: A}", ""),
        ("{sponsor: S, protocol_id: P, subject: name}", "subject"),
        *(
            (f'{{sponsor: "{text}", protocol_id: P}}', "sponsor")
            for text in ("", "a\\\\b", "a #b", "# a", "func:pseudonym", "VAR:x", "x" * 65, "\u00dcni", "a\\nb")
        ),
    ],
)
def test_what_cannot_be_written_everywhere_is_a_fault(tmp_path: Path, trial: str, key: str) -> None:
    (fault,) = faults(tmp_path, f"{BASIC}projects:\n  research:\n    trial: {trial}\n")
    assert fault.key == f"projects.research.trial{'.' if key else ''}{key}"


def test_blanks_and_marks_inside_of_a_text_stay(tmp_path: Path) -> None:
    group = written(recipe(tmp_path, "{sponsor: ' A&B (Ltd.) No#1 ', protocol_id: '007'}"))
    assert (group.ClinicalTrialSponsorName, group.ClinicalTrialProtocolID) == ("A&B (Ltd.) No#1", "007")
