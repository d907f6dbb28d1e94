"""Rows P: filters."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydicom.dataset import Dataset

from tests.differential.peer import filtered_by_deid, filtered_by_ours, ours
from tests.differential.rows import (
    Case,
    Fails,
    FilterCase,
    Outcome,
    Refused,
    Rule,
    Special,
    encoded,
    plain,
    recipe_of,
    sample,
    with_,
)
from tests.recipe.support import dataset

EXIT, VALUE, UNBOUND = Fails("SystemExit"), Fails("ValueError"), Fails("UnboundLocalError")
NO_LINE = Refused("is no line of %filter")


def asks(
    name: str, says: str, criteria: str, deid: Outcome, ours: Outcome, rule: Rule | None = None, source: Any = sample
) -> Case:
    """One LABEL with some lines."""
    return FilterCase(name, says, f"%filter x\nLABEL a\n{criteria}", deid, ours, rule, source)


def both(name: str, says: str, criteria: str, outcome: Outcome, source: Any = sample) -> Case:
    return asks(name, says, criteria, outcome, outcome, None, source)


def region(name: str, says: str, line: str, deid: Outcome, ours: Outcome, rule: Rule | None = None) -> Case:
    """One LABEL with regions."""
    return asks(name, says, f"{line}\npresent Rows", deid, ours, rule)


def ultrasound(x: int) -> Dataset:
    corners = {
        "RegionLocationMinX0": x,
        "RegionLocationMinY0": 0,
        "RegionLocationMaxX1": x + 5,
        "RegionLocationMaxY1": 5,
    }
    return plain(SequenceOfUltrasoundRegions=[dataset(**corners)])


def _p4(folder: Path) -> None:
    recipe = ours(recipe_of("%filter x\nLABEL a\ncontains Modality CT\n|| contains Modality MR"))
    assert [(warning.line, warning.key) for warning in recipe.warnings] == [(5, "|| contains Modality MR")]


def _p20(folder: Path) -> None:
    from deid.config import DeidRecipe
    from deid.dicom.pixels.detect import has_burned_pixels
    from pydicom import dcmread

    text = recipe_of("%filter x\nLABEL a\npresent Rows\nkeepcoordinates from:SequenceOfUltrasoundRegions")
    (folder / "r.dicom").write_text(text)
    theirs, mine = DeidRecipe(str(folder / "r.dicom")), []
    found = []
    for number, x in enumerate((1, 20)):
        data = encoded(ultrasound(x))
        (folder / f"{number}.dcm").write_bytes(data)
        found.append(has_burned_pixels(dcmread(folder / f"{number}.dcm"), deid=theirs)["results"][0]["coordinates"])
        mine.append(filtered_by_ours(data, text)["results"][0]["coordinates"])  # type: ignore[index]
    assert found == [[[1, ["1,0,6,5"]]]] * 2
    assert mine == [[[1, ["1,0,6,5"]]], [[1, ["20,0,25,5"]]]]


def _p23(folder: Path) -> None:
    data, text = encoded(plain()), recipe_of("REMOVE PatientID")
    assert filtered_by_ours(data, text) == filtered_by_deid(data, text, folder) == {"flagged": False, "results": []}


P = [
    FilterCase(
        "P1", "a match flags, whatever the group is called", "%filter whitelist\nLABEL a\npresent Rows", True, True
    ),
    FilterCase(
        "P1-all",
        "every group and LABEL is judged",
        "%filter b\nLABEL a\npresent Rows\nLABEL c\nmissing Rows\n%filter d\nLABEL e\npresent Modality",
        [[], []],
        [[], []],
    ),
    FilterCase("P2", "LABEL in any case, with a comment", "%filter x\nlabel a # b\npresent Rows", True, True),
    FilterCase(
        "P2-two", "another LABEL ends the first", "%filter x\nLABEL a\nmissing Rows\nLABEL b\npresent Rows", [[]], [[]]
    ),
    both("P3", "one criterion", "contains Modality CT", True),
    both(
        "P3-or", "from left to right: (A or B) and C", "equals Modality CT || equals Modality MR + equals Rows 5", False
    ),
    both("P3-and", "from left to right: (A and B) or C", "equals Modality MR + equals Rows 5 || equals Rows 4", True),
    *(
        both(f"P4-{name}", "lines are joined by and", f"contains Modality CT\n{mark}contains Modality MR", False)
        for name, mark in (("none", ""), ("and", "+ "), ("or", "|| "))
    ),
    both("P4", "all of them met", "contains Modality CT\n|| contains Rows 4\n+ present PatientID", True),
    Special("P4-warning", "a line that begins with || is warned of", _p4),
    both("P5", "contains searches, in any case", "contains Manufacturer ac.e", True),
    both("P5-caret", "signs of patterns are signs", "contains PatientName Simpson^Homer", False),
    both("P5-list", "each of several values", "contains ImageType primary", True),
    both("P5-number", "numbers as text", "contains Rows ^4$", True),
    both("P5-absent", "what is absent contains nothing", "contains StudyID 1", False),
    both("P5-not", "and does not contain anything", "notcontains StudyID 1", True),
    both("P5-notcontains", "notcontains is the opposite", "notcontains Manufacturer acme", False),
    asks(
        "P5-case",
        "the case of an expression is a part of it",
        r"contains Manufacturer ^\S+$",
        False,
        True,
        Rule.EXPRESSION,
    ),
    asks(
        "P5-sequence",
        "a sequence as it is printed",
        "contains RequestAttributesSequence N123",
        True,
        Refused("has no text"),
        Rule.UNKNOWN,
    ),
    asks(
        "P5-error",
        "an expression that is none",
        "contains Modality (",
        Fails("error"),
        Refused("no regular expression"),
        Rule.CRASH,
    ),
    both("P5-several", "several values as Python lists them", "contains ImageType original', 'prim", True),
    both("P5-numbers", "several numbers too", "contains PixelSpacing ^.0.5, 1", True, with_(PixelSpacing=[0.5, 1.5])),
    asks("P5-each", "each of several values has a begin", "contains ImageType ^primary", False, True, Rule.EQUALS),
    both("P6", "equals compares the whole, in any case", "equals Modality ct", True),
    both("P6-part", "a part is not equal", "equals Manufacturer ACM", False),
    both("P6-absent", "what is absent is not equal", "notequals StudyID 1", True),
    both("P6-none", "nor does it equal anything", "equals StudyID 1", False),
    both("P6-list", "several values as Python lists them", "equals ImageType ['original', 'primary']", True),
    both("P6-numbers", "several numbers too", "equals PixelSpacing [0.5, 1.5]", True, with_(PixelSpacing=[0.5, 1.5])),
    both("P6-number", "numbers are compared as text", "equals Rows 4.0", False),
    asks("P6-either", "one of several", "equals Modality CT|MR", False, True, Rule.EQUALS),
    asks(
        "P6-several", "several values with a backslash", r"equals ImageType ORIGINAL\PRIMARY", False, True, Rule.EQUALS
    ),
    both("P7", "missing", "missing StudyID", True),
    both("P7-present", "present", "present StudyID", False),
    both("P7-number", "an empty number is missing", "missing SliceThickness", True, with_(SliceThickness=None)),
    both("P7-text", "an empty text is present", "present StudyID", True, with_(StudyID="")),
    both(
        "P7-sequence",
        "so is a sequence without items",
        "present RequestAttributesSequence",
        True,
        with_(RequestAttributesSequence=[]),
    ),
    both("P8", "empty", "empty StudyID", True, with_(StudyID="")),
    both("P8-absent", "what is absent is not empty", "empty StudyID", False),
    both("P8-zero", "zero is empty", "empty Rows", True, with_(Rows=0)),
    both(
        "P8-sequence",
        "a sequence without items is empty",
        "empty RequestAttributesSequence",
        True,
        with_(RequestAttributesSequence=[]),
    ),
    asks("P9", "a keyword in another case", "contains modality CT", False, True, Rule.CASE),
    asks("P9-unknown", "an unknown keyword", "missing Modalty", True, Refused("is no keyword"), Rule.UNKNOWN),
    both("P9-hex", "a tag", "contains 0x00080060 CT", True),
    asks("P9-equals", "a tag for equals", "equals 0x00080060 CT", False, True, Rule.DOCUMENTED),
    *(
        asks(f"P9-{name}", "other forms of a tag", f"contains {key} CT", False, True, Rule.DOCUMENTED)
        for name, key in (("parentheses", "(0008,0060)"), ("digits", "00080060"))
    ),
    both(
        "P9-nested",
        "the top level alone",
        "present PatientID",
        False,
        lambda: dataset(Rows=4, RequestAttributesSequence=[dataset(PatientID="N1")]),
    ),
    asks(
        "P9-meta",
        "no file meta information",
        "present SourceApplicationEntityTitle",
        False,
        Refused("is file meta information"),
        Rule.UNKNOWN,
    ),
    asks(
        "P10",
        "a test without a value leaves the next its own",
        "missing Modality || contains Rows 4",
        False,
        True,
        Rule.DOCUMENTED,
    ),
    both("P10-last", "it may stand behind one with a value", "contains Rows 5 || present Modality", True),
    both(
        "P11",
        "a + inside a value is a part of it",
        "contains ImageType DERIVED+SECONDARY",
        False,
        with_(ImageType=["DERIVED", "SECONDARY"]),
    ),
    both("P11-again", "as pattern: once or more", "contains Manufacturer AC+ME", True),
    asks("P12", "a comment behind a criterion", "contains Modality CT # note", False, True, Rule.COMMENT),
    both("P13", "a comment line", "# note\npresent Rows\n  # contains Modality MR", True),
    both("P13-plus", "also behind a +", "present Rows\n+ # contains Modality MR", True),
    asks("P14", "an unknown test", "present Rows\nstartswith Modality M", True, NO_LINE, Rule.UNKNOWN),
    asks("P14-alone", "an unknown test alone", "startswith Modality C", UNBOUND, NO_LINE, Rule.CRASH),
    asks("P14-glued", "a word that begins like a test", "containsX Modality C", EXIT, NO_LINE, Rule.CRASH),
    asks("P14-value", "a test without its value", "contains Modality", EXIT, Refused("needs a value"), Rule.CRASH),
    asks("P14-key", "a test without anything", "missing", VALUE, Refused("names no element"), Rule.CRASH),
    asks("P14-empty", "a LABEL without a line", "", UNBOUND, Refused("has no criterion"), Rule.CRASH),
    FilterCase(
        "P15",
        "a criterion before any LABEL",
        "%filter x\nmissing Rows\nLABEL a\npresent Rows",
        True,
        Refused("before any LABEL"),
        Rule.UNKNOWN,
    ),
    region("P16", "a rectangle to mask", "coordinates 0,0,10,20", [[[0, "0,0,10,20"]]], [[[0, "0,0,10,20"]]]),
    region(
        "P16-blanks",
        "blanks behind commas",
        "coordinates 0, 0, 10, 20",
        [[[0, "0, 0, 10, 20"]]],
        [[[0, "0,0,10,20"]]],
        Rule.DOCUMENTED,
    ),
    both(
        "P16-between",
        "before, between and behind criteria, in their order",
        "coordinates 1,1,2,2\npresent Rows\ncoordinates 2,2,3,3\npresent Modality\ncoordinates 3,3,4,4",
        [[[0, "1,1,2,2"], [0, "2,2,3,3"], [0, "3,3,4,4"]]],
    ),
    both("P16-unmet", "none where the criteria are not met", "coordinates 1,1,2,2\nmissing Rows", []),
    region("P17", "as CTP writes it", "ctpcoordinates 1,2,30,40", [[[0, "1,2,31,42"]]], [[[0, "1,2,31,42"]]]),
    region("P17-count", "three numbers", "ctpcoordinates 1,2,3", EXIT, Refused("x,y,width,height"), Rule.CRASH),
    region(
        "P17-from",
        "of the image",
        "ctpcoordinates from:SequenceOfUltrasoundRegions",
        VALUE,
        Refused("gives corners"),
        Rule.CRASH,
    ),
    region("P17-case", "in capitals", "CTPCOORDINATES 1,2,30,40", VALUE, [[[0, "1,2,31,42"]]], Rule.CASE),
    region(
        "P18",
        "what to keep",
        "coordinates all\nkeepcoordinates 1,1,2,2\nctpkeepcoordinates 3,3,2,2",
        *[[[[0, "all"], [1, "1,1,2,2"], [1, "3,3,5,5"]]]] * 2,
    ),
    region("P19", "the whole image", "coordinates all", *[[[[0, "all"]]]] * 2),
    region("P19-ctp", "the whole image, as CTP", "ctpcoordinates all", *[[[[0, "all"]]]] * 2),
    region("P19-case", "in capitals, as CTP", "ctpcoordinates ALL", VALUE, [[[0, "all"]]], Rule.CASE),
    both(
        "P20",
        "the regions that the image names",
        "present Rows\ncoordinates from:SequenceOfUltrasoundRegions",
        [[[0, ["1,0,6,5"]]]],
        lambda: ultrasound(1),
    ),
    both(
        "P20-absent",
        "none where it names none",
        "present Rows\ncoordinates from:SequenceOfUltrasoundRegions",
        [[[0, []]]],
        plain,
    ),
    Special("P20-next", "the next image has its own", _p20, Rule.STATELESS),
    *(
        region(f"P21-{n}", "coordinates that mask nothing", f"coordinates {text}", [[[0, text]]], refused, Rule.UNKNOWN)
        for n, (text, refused) in enumerate(
            [
                ("5,5,1,1", Refused("holds nothing")),
                ("-1,0,5,5", Refused("no coordinates")),
                ("1,2,3", Refused("no coordinates")),
                ("a,b,c,d", Refused("no coordinates")),
                ("1.5,2,3,4", Refused("no coordinates")),
            ]
        )
    ),
    region(
        "P21-comment",
        "a comment behind coordinates",
        "coordinates 1,1,2,2 # note",
        [[[0, "1,1,2,2 # note"]]],
        [[[0, "1,1,2,2"]]],
        Rule.COMMENT,
    ),
    asks("P22", "coordinates alone are always met", "coordinates 1,1,2,2", UNBOUND, [[[0, "1,1,2,2"]]], Rule.CRASH),
    FilterCase(
        "P22-second",
        "also behind another LABEL",
        "%filter x\nLABEL a\nmissing Rows\nlabel b\ncoordinates 1,1,2,2",
        [[[0, "1,1,2,2"]]],
        [[[0, "1,1,2,2"]]],
    ),
    FilterCase(
        "P22-reason",
        "then the reason is the name of the LABEL, without that word",
        "%filter x\nLABEL a\nmissing Rows\nLABEL b\ncoordinates 1,1,2,2",
        [[[0, "1,1,2,2"]]],
        [[[0, "1,1,2,2"]]],
        Rule.DOCUMENTED,
    ),
    Special("P23", "no filter flags nothing", _p23),
]
