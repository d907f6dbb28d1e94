"""Coded concepts: Table E.3.4-1 of PS3.15, and the coding schemes that the standard names (PS3.16 8).

Guarantees that a concept is found under each way in which its code is written: SNOMED CT identifiers also as the older
SNOMED codes with the designators SRT, SNM3 and 99SDM (PS3.16 8.1).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from node.standard.tables import rows

Code = tuple[str, str]
"""A code value and its coding scheme designator."""

OLDER_SNOMED = ("SRT", "SNM3", "99SDM")
# The codes that the concepts of the table had before SNOMED CT identifiers took their place (PS3.16 Annex O).
_OLDER = {
    "116224001": "DD-60002",
    "160476009": "F-02455",
    "271921002": "F-00033",
    "363698007": "G-C0E3",
    "371524004": "R-42B89",
    "397898000": "G-D320",
    "398164008": "DF-0070B",
    "398201009": "G-D321",
    "398325003": "DF-0068E",
    "440252007": "PA-30029",
}

# Schemes whose meanings a dictionary gives: PS3.16 Table 8-1, retired ones too, and other names that they go by. All
# others are somebody's own.
_SCHEMES = """
    99SDM ACR ARRTRC ASTM-SIGPURPOSE ATC BARI BI BI-RADS C4 C5 CADSR CD2 CD8 CDT CHEBI CPTM CST CTCAE CVX DC DCM
    DCMUID DOCLE E E5 E6 E7 ENZC FDDC FDDX FDK FMA GDC HB HCPCS HGNC HI HIBCC HL7V2 HL7V3 HPC I10 I10C I10P I11 I9
    I9C IBSI IBT IC2 ICD10 ICD10CM ICD10PCS ICD9 ICDO ICDO3 ICS IEEE11073 IETF4646 ISO3166_1 ISO3166_2 ISO5218_1
    ISO639_1 ISO639_2 ISO_OID ISO_OLYMPICS ITIS_TSN IUPC IUPP JC10 JC8 JJ1017 LB LN LOINC MA MAYOASRG MDC MDDX MEDR
    MGI MIM MSH MVX NCBI NCDR NCIT NCMM NDA NDC NEU NICIP NIST NPI NYUMCCG OHP OMIM PHPID PUBCHEM_CID RADELEMENT
    RADLEX RFC1766 RFC3066 RO RXNORM SCPECG SCT SDM SNM SNM3 SRT TG263 UB04FL14 UB04FL15 UBERON UC UCUM UMD UMLS
    UNIPARC UNIPROT UNS UPC W1 W2 W4 WC X12.DE1270 ZFA
"""
STANDARD_SCHEMES = frozenset(_SCHEMES.split())


@dataclass(frozen=True, slots=True)
class Concept:
    """A row of Table E.3.4-1: what is done with a content item of this concept name and Value Type.

    Parameters
    ----------
    meaning
        The concept's name.
    value, scheme
        Its code.
    value_type
        As Value Type (0040,A040) has it.
    basic
        The action code of the Basic Profile.
    options
        By the option's name, the action code where there is one.
    """

    meaning: str
    value: str
    scheme: str
    value_type: str
    basic: str
    options: Mapping[str, str]


_OPTIONS = {
    "retain-uids": "Rtn. UIDs Opt.",
    "retain-device-identity": "Rtn. Dev. Id. Opt.",
    "retain-institution-identity": "Rtn. Inst. Id. Opt.",
    "retain-patient-characteristics": "Rtn. Pat. Chars. Opt.",
    "retain-full-dates": "Rtn. Long. Full Dates Opt.",
    "retain-modified-dates": "Rtn. Long. Modif. Dates Opt.",
    "clean-descriptors": "Clean Desc. Opt.",
}


@cache
def concepts() -> tuple[Concept, ...]:
    """Return Table E.3.4-1, Application Level Confidentiality Profile Content Item Concept Codes."""
    return tuple(
        Concept(
            row["Code Meaning"],
            row["Code Value"],
            row["Coding Scheme Designator"],
            row["Value Type"],
            row["Basic Prof."],
            {option: row[column] for option, column in _OPTIONS.items() if row[column]},
        )
        for row in rows("e3.4-1.csv")
    )


def writings(value: str, scheme: str) -> tuple[Code, ...]:
    """Return each way in which the code of a concept of the table is written."""
    if scheme == "SCT" and value in _OLDER:
        return ((value, scheme), *((_OLDER[value], older) for older in OLDER_SNOMED))
    designator = scheme.partition(" ")[0]  # NCDR [2.0b]: the version may stand in an attribute of its own
    return ((value, scheme), (value, designator)) if designator != scheme else ((value, scheme),)


def is_standard(scheme: str) -> bool:
    """Tell whether a coding scheme designator is one of the standard's, whatever version stands behind it."""
    return scheme.partition(" ")[0].upper() in STANDARD_SCHEMES
