"""The protocol text of Siemens MR ("ASCCONV"), down to numbers of known keys.

Guarantees that what is returned holds nothing but lines `key = number` whose key is on the list below, between the
marks that readers look for: no text value, no name of a person, protocol or institution, no UID, no comment. Never
refuses: a text without such lines gives nothing.
"""

from __future__ import annotations

import re

_BEGIN = "### ASCCONV BEGIN"
_END = "### ASCCONV END"
_LINE = re.compile(
    r"(?P<key>[A-Za-z][A-Za-z0-9_.\[\]]{0,95})\s*=\s*(?P<value>0x[0-9A-Fa-f]{1,8}|[+-]?[0-9]{1,12}(?:\.[0-9]{0,20})?"
    r"(?:[eE][+-]?[0-9]{1,3})?)\s*(?:#.*)?\Z"
)

# Slices and their order, contrast, timing, acceleration, diffusion, spin labelling, and sequences' own numbers.
_TREES = (
    "sSliceArray.",
    "sGroupArray.",
    "sKSpace.",
    "sPat.",
    "sSliceAcceleration.",
    "sFastImaging.",
    "sDiffusion.",
    "sAsl.",
    "sPrepPulses.",
    "sWipMemBlock.alFree[",
    "sWipMemBlock.adFree[",
    "sWiPMemBlock.alFree[",
    "sWiPMemBlock.adFree[",
    "sRXSPEC.alDwellTime[",
    "sAngio.sFlowArray.",
    "sTXSPEC.asNucleusInfo[0].lFrequency",
    "sProtConsistencyInfo.flNominalB0",
    "adFlipAngleDegree[",
    "alTD[",
    "alTE[",
    "alTI[",
    "alTR[",
)
_KEYS = frozenset(
    (
        "dAveragesDouble",
        "lAverages",
        "lCombinedEchoes",
        "lContrasts",
        "lDelayTimeInTR",
        "lParadigmPeriodicity",
        "lRepetitions",
        "lScanTimeSec",
        "lTotalScanTimeSec",
        "ucMultiSliceMode",
        "ucReadOutMode",
        "ulVersion",
    )
)


def is_protocol(text: str) -> bool:
    """Tell whether a text holds a protocol of this form."""
    return _BEGIN in text and _END in text


def allowed(text: str) -> str:
    """Return the numbers of known keys, each on a line of its own between the marks; "" where there are none."""
    _, _, behind = text.partition(_BEGIN)
    inside, end, _ = behind.partition(_END)
    if not end:
        return ""
    found = [_LINE.match(line.strip()) for line in inside.splitlines()[1:]]
    lines = [f"{one['key']}\t = \t{one['value']}" for one in found if one is not None and _is_allowed(one["key"])]
    return "\n".join([f"{_BEGIN} ###", *lines, f"{_END} ###", ""]) if lines else ""


def _is_allowed(key: str) -> bool:
    return key in _KEYS or key.startswith(_TREES)
