"""Values that a profile leaves as they are where they have the form of their VR: dates, times, and the time zone.

Guarantees that what stays is a date, a time or an offset and nothing else that somebody typed into the field, and that
it stays as it came. What has no such form becomes empty. Never refuses.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from node.errors import HoldInstance

if TYPE_CHECKING:
    from node.recipe.functions import Call

IN_FORM = "in_form"  # what a statement calls it
_TIME = r"(?:[01][0-9]|2[0-3])(?::?[0-5][0-9](?::?(?:[0-5][0-9]|60)(?:\.[0-9]{0,6})?)?)?"  # colons: before DICOM
_DATE = r"[0-9]{4}(?:(?:0[1-9]|1[0-2])(?:0[1-9]|[12][0-9]|3[01])?)?"
_ZONE = r"[+-](?:0[0-9]|1[0-4])[0-5][0-9]"
_FORMS = {
    "DA": re.compile(rf"{_DATE}|[0-9]{{4}}\.[0-9]{{2}}\.[0-9]{{2}}"),
    "DT": re.compile(rf"{_DATE}(?:(?<=[0-9]{{8}}){_TIME})?(?:{_ZONE})?"),
    "TM": re.compile(_TIME),
}
_OFFSET = re.compile(_ZONE)  # Timezone Offset From UTC (PS3.3 C.12.1.1.1): a text by its VR
FORMS = frozenset(_FORMS)
"""VRs whose values have a form."""


def in_form(call: Call) -> str:
    """Return the values where each of them has the form of the VR, of SH that of an offset from UTC; else nothing."""
    try:
        value = call.value
    except HoldInstance:  # bytes that are no text
        return ""
    form = _FORMS.get(call.vr, _OFFSET)
    parts = (part.strip("\0 ") for part in value.split("\\"))
    return value if all(not part or form.fullmatch(part) for part in parts) else ""
