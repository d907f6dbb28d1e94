"""Every row of the language, by its number: what it does in pydicom/deid and in ours.

A row is equal, then both sides give what stands in the table; or it is a difference, then the table says what each side
gives, and which rule makes ours another.
"""

from __future__ import annotations

from collections import Counter

import pytest

from tests.differential.rows import Case, Special, row
from tests.differential.rows_actions import CELL_ROWS, A
from tests.differential.rows_fields import F
from tests.differential.rows_filters import P
from tests.differential.rows_functions import FUNCTIONS
from tests.differential.rows_lists import G
from tests.differential.rows_text import L, S
from tests.differential.rows_values import V
from tests.recipe.support import LINES

pytest.importorskip("deid")

CASES: list[Case | Special] = [*L, *S, *F, *V, *FUNCTIONS, *A, *CELL_ROWS, *G, *P]
NUMBERED = {"L": 15, "S": 7, "F": 24, "V": 12, "A": 20, "G": 10, "P": 23}
NAMED = {"basic_uuid", "pydicom_uuid", "suffix_uuid", "dicom_uuid", "jitter"}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
@pytest.mark.filterwarnings("ignore")
def test_row(case, tmp_path):
    case.check(tmp_path)


def test_no_row_is_left_out():
    numbered = {f"{letter}{number}" for letter, last in NUMBERED.items() for number in range(1, last + 1)}
    cells = {f"{first}-{second}" for first in LINES for second in LINES}
    assert len(cells) == 36
    assert {row(case.id) for case in CASES} == numbered | NAMED | cells


def test_every_case_has_an_id_of_its_own():
    assert [name for name, count in Counter(case.id for case in CASES).items() if count > 1] == []
