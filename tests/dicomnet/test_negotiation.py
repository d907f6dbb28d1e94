"""Which presentation contexts are taken, and in which transfer syntax."""

import pytest
from pydicom.uid import UID
from pynetdicom.presentation import (
    QueryRetrievePresentationContexts,
    StoragePresentationContexts,
    UnifiedProcedurePresentationContexts,
)
from pynetdicom.sop_class import _STORAGE_CLASSES  # the standard's list

from node.dicomnet.negotiation import Choice, answer_roles, choose, is_taken
from node.dicomnet.pdus import Role

from .peers import CT, EXPLICIT, IMPLICIT, VERIFICATION

JPEG_LOSSLESS, RLE, J2K_LOSSLESS = "1.2.840.10008.1.2.4.70", "1.2.840.10008.1.2.5", "1.2.840.10008.1.2.4.90"
JPEG_BASELINE, J2K = "1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.91"
PRIVATE_SYNTAX = "1.2.3.4.5"


def test_each_storage_sop_class_of_the_standard_is_taken() -> None:
    assert len(_STORAGE_CLASSES) > 150
    assert [uid for uid in _STORAGE_CLASSES.values() if choose(uid, [IMPLICIT]) != Choice(0, IMPLICIT)] == []


@pytest.mark.parametrize(
    "uid",
    [
        VERIFICATION,
        "1.2.840.10008.5.1.4.1.1.3",  # Ultrasound Multi-frame, retired
        "1.2.840.10008.5.1.4.1.1.9",  # Standalone Curve, retired
        "1.2.840.10008.5.1.1.29",  # Hardcopy Grayscale, retired
        "1.2.840.10008.5.1.4.1.1.40",  # retired, without a name
        "1.2.840.10008.5.1.4.1.1.9999.1",  # yet to come
        "1.2.840.10008.5.1.4.34.7",  # RT Beams Delivery Instruction
        "1.2.840.113619.4.2",  # private
        "1.3.12.2.1107.5.9.1",
        "2.25.1",
    ],
)
def test_retired_future_and_private_classes_are_taken(uid: str) -> None:
    assert is_taken(uid)


@pytest.mark.parametrize(
    "uid",
    [
        *(str(c.abstract_syntax) for c in QueryRetrievePresentationContexts + UnifiedProcedurePresentationContexts),
        "1.2.840.10008.1.3.10",  # Media Storage Directory
        "1.2.840.10008.1.20.1",  # Storage Commitment
        "1.2.840.10008.3.1.2.3.3",  # MPPS
        "1.2.840.10008.5.1.4.31",  # worklist
        "1.2.840.10008.5.1.1.9",  # print
        "1.2.840.10008.5.1.4.1.1.200.4",  # a FIND among the storage classes
        "1.2.840.10008.5.1.4.1.1.201.5",
        "1.2.840.10008.1.2.1",  # a transfer syntax
        "1.2.840.10008.99",  # of the standard, unknown
        "",
    ],
)
def test_what_is_not_stored_is_refused_as_abstract_syntax(uid: str) -> None:
    assert choose(uid, [IMPLICIT]) == Choice(3)


@pytest.mark.parametrize(
    ("proposed", "chosen"),
    [
        ([JPEG_LOSSLESS, IMPLICIT, EXPLICIT], EXPLICIT),
        ([JPEG_BASELINE, JPEG_LOSSLESS, IMPLICIT], IMPLICIT),
        ([JPEG_BASELINE, PRIVATE_SYNTAX, RLE, JPEG_LOSSLESS], RLE),
        ([J2K, J2K_LOSSLESS, RLE], J2K_LOSSLESS),
        ([JPEG_BASELINE, PRIVATE_SYNTAX], PRIVATE_SYNTAX),
        ([J2K, JPEG_BASELINE], J2K),
        (["", IMPLICIT], IMPLICIT),
    ],
)
def test_lossless_comes_before_unknown_before_lossy(proposed: list[str], chosen: str) -> None:
    assert choose(CT, proposed) == Choice(0, chosen)


@pytest.mark.parametrize("proposed", [[], [""]])
def test_a_context_without_transfer_syntax_is_refused_for_that(proposed: list[str]) -> None:
    assert choose(CT, proposed) == Choice(4)


def test_the_list_of_pynetdicom_is_a_part_of_what_is_taken() -> None:
    assert all(is_taken(str(context.abstract_syntax)) for context in StoragePresentationContexts)
    assert UID(CT).name == "CT Image Storage"


def test_a_requestor_stays_scu() -> None:
    roles = [Role(CT, True, True), Role("1.2.3", True, False)]
    assert answer_roles(roles, frozenset({CT})) == [Role(CT, True, False)]


def test_storage_commitment_is_taken_where_it_is_offered_and_the_role_of_who_reports() -> None:
    uid = "1.2.840.10008.1.20.1"
    big_endian = "1.2.840.10008.1.2.2"
    assert choose(uid, [IMPLICIT, EXPLICIT]).result != 0
    assert choose(uid, [big_endian, IMPLICIT, EXPLICIT], commits=True) == Choice(0, EXPLICIT)
    assert choose(uid, [IMPLICIT], commits=True) == Choice(0, IMPLICIT)
    assert choose(uid, [big_endian], commits=True).result == 4
    assert choose(CT, [IMPLICIT], commits=True) == Choice(0, IMPLICIT)
    both, accepted = Role(uid, True, True), frozenset({uid, CT})
    assert answer_roles([both], accepted) == [Role(uid, True, False)]
    assert answer_roles([both], accepted, Role(uid, False, True)) == [Role(uid, False, True)]
    assert answer_roles([Role(CT, True, True)], accepted, Role(uid, True, True)) == [Role(CT, True, False)]
