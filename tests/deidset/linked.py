"""Objects that refer to one another: structure set, segmentation, dose, reports, key objects, presentation states."""

from __future__ import annotations

from collections.abc import Iterator

from tests.deidset.encoding import Tree
from tests.deidset.objects import PATIENTS, Study, _pixels, ct
from tests.deidset.planted import File
from tests.deidset.values import Values

CT, MR = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.4"
STRUCTURES = "1.2.840.10008.5.1.4.1.1.481.3"
SEGMENTATION = "1.2.840.10008.5.1.4.1.1.66.4"
REPORT, DOSE = "1.2.840.10008.5.1.4.1.1.88.33", "1.2.840.10008.5.1.4.1.1.88.67"
KEY_OBJECTS, STATE = "1.2.840.10008.5.1.4.1.1.88.59", "1.2.840.10008.5.1.4.1.1.11.1"


def series(values: Values) -> Iterator[File]:
    """For each patient a CT and an MR series over two studies, and what refers to them."""
    for patient in PATIENTS:
        images = {}
        for number, study in enumerate(patient.studies):
            for sop_class, name in ((CT, "ct"), (MR, "mr")):
                made = [_image(values, study, sop_class, n) for n in range(2)]
                images[number, sop_class] = made
                for n, tree in enumerate(made):
                    yield File(f"linked-{study.patient}-{number}-{name}-{n}", tree)
        study = patient.studies[-1]
        everything = [tree for some in images.values() for tree in some]
        last = len(patient.studies) - 1
        for name, tree in (
            ("rtstruct", structures(values, study, images[last, CT])),
            ("seg", segmentation(values, study, images[last, MR])),
            ("sr", report(values, study, everything)),
            ("dose", dose_report(values, study)),
            ("kos", key_objects(values, study, everything)),
            ("pr", state(values, study, everything)),
        ):
            yield File(f"linked-{study.patient}-{name}", tree)


def _image(values: Values, study: Study, sop_class: str, number: int) -> Tree:
    tree = ct(values, study, sop_class) | _pixels(number)
    tree[0x00080060] = ("CS", "CT" if sop_class == CT else "MR")
    tree[0x0020000E] = ("UI", f"{study.uid}.{7 if sop_class == CT else 8}")
    tree[0x00180050] = ("DS", "2.5")
    tree[0x00200032] = ("DS", f"0\\0\\{number * 2.5}")
    return tree


def to(image: Tree) -> Tree:
    """A reference to an image, as an item of a Referenced SOP Sequence or the like."""
    return {0x00081150: image[0x00080016], 0x00081155: image[0x00080018]}


def structures(values: Values, study: Study, images: list[Tree]) -> Tree:
    """An RT structure set over the images."""
    contour: Tree = {0x30060016: ("SQ", [to(images[0])]), 0x30060050: ("DS", "1.5\\2.5\\3.5")}
    in_series: Tree = {0x0020000E: images[0][0x0020000E], 0x30060016: ("SQ", [to(image) for image in images])}
    in_study: Tree = {
        0x00081150: ("UI", "1.2.840.10008.3.1.2.3.1"),
        0x00081155: ("UI", study.uid),
        0x30060014: ("SQ", [in_series]),
    }
    rois: list[Tree] = [
        {
            0x30060022: ("IS", str(number)),
            0x30060024: ("UI", study.frame),
            0x30060026: ("LO", values.token()),
            0x30060036: ("CS", "MANUAL"),
        }
        for number in (1, 2)
    ]
    return ct(values, study, STRUCTURES) | {
        0x00080060: ("CS", "RTSTRUCT"),
        0x30060002: ("SH", values.token()),
        0x30060008: ("DA", study.next_day),
        0x30060009: ("TM", "001000"),
        0x30060010: ("SQ", [{0x00200052: ("UI", study.frame), 0x30060012: ("SQ", [in_study])}]),
        0x30060020: ("SQ", rois),
        0x30060039: ("SQ", [{0x30060040: ("SQ", [contour]), 0x30060084: ("IS", "1")}]),
    }


def segmentation(values: Values, study: Study, images: list[Tree]) -> Tree:
    """A segmentation of the images."""
    source: Tree = {0x00082112: ("SQ", [to(image) for image in images])}
    segment: Tree = {
        0x00620004: ("US", (1,)),
        0x00620005: ("LO", values.token()),
        0x00620008: ("CS", "MANUAL"),
        0x0062000F: ("SQ", [_code("64033007", "SCT", "Kidney")]),
    }
    in_series: Tree = {0x0020000E: images[0][0x0020000E], 0x0008114A: ("SQ", [to(image) for image in images])}
    tree = ct(values, study, SEGMENTATION) | _pixels(9)
    return tree | {
        0x00080060: ("CS", "SEG"),
        0x00081115: ("SQ", [in_series]),
        0x00620002: ("SQ", [segment]),
        0x52009229: ("SQ", [{0x00289110: ("SQ", [{0x00280030: ("DS", "1.5\\1.5")}])}]),
        0x52009230: ("SQ", [{0x00089124: ("SQ", [source])}]),
    }


def report(values: Values, study: Study, images: list[Tree]) -> Tree:
    """A structured report: measurements with units, codes, images, and text and persons that must go."""
    name = _content("PNAME", "HAS OBS CONTEXT", ("99004", "99TEST", "Somebody"), {0x0040A123: ("PN", values.token())})
    text = _content("TEXT", "CONTAINS", ("99005", "99TEST", "Remark"), {0x0040A160: ("UT", values.token())})
    uid = _content("UIDREF", "CONTAINS", ("99006", "99TEST", "Something"), {0x0040A124: ("UI", values.uid())})
    found = [_content("IMAGE", "CONTAINS", None, {0x00081199: ("SQ", [to(image)])}) for image in images]
    group = _content("CONTAINER", "CONTAINS", ("99007", "99TEST", "Group"), {0x0040A050: ("CS", "SEPARATE")})
    group[0x0040A730] = ("SQ", [measured("12.5", "mm", ("121206", "DCM", "Distance")), text, *found])
    tree = ct(values, study, REPORT) | {
        0x00080060: ("CS", "SR"),
        0x0040A040: ("CS", "CONTAINER"),
        0x0040A043: ("SQ", [_code("99001", "99TEST", "Report")]),
        0x0040A050: ("CS", "SEPARATE"),
        0x0040A730: ("SQ", [name, uid, group]),
    }
    return tree | _evidence(images)


def dose_report(values: Values, study: Study) -> Tree:
    """A CT dose report: the total, and one acquisition."""
    accumulated = _content("CONTAINER", "CONTAINS", ("113811", "DCM", "CT Accumulated Dose Data"), {})
    accumulated[0x0040A730] = ("SQ", [measured("512.25", "mGy.cm", ("113813", "DCM", "CT Dose Length Product Total"))])
    scan = _content("CONTAINER", "CONTAINS", ("113819", "DCM", "CT Acquisition"), {})
    scan[0x0040A730] = (
        "SQ",
        [
            measured("10.75", "mGy", ("113830", "DCM", "Mean CTDIvol")),
            _content(
                "TEXT", "CONTAINS", ("125203", "DCM", "Acquisition Protocol"), {0x0040A160: ("UT", values.token())}
            ),
        ],
    )
    return ct(values, study, DOSE) | {
        0x00080060: ("CS", "SR"),
        0x0040A040: ("CS", "CONTAINER"),
        0x0040A043: ("SQ", [_code("113701", "DCM", "X-Ray Radiation Dose Report")]),
        0x0040A050: ("CS", "SEPARATE"),
        0x0040A730: ("SQ", [accumulated, scan]),
    }


def key_objects(values: Values, study: Study, images: list[Tree]) -> Tree:
    """A key object selection."""
    found = [_content("IMAGE", "CONTAINS", None, {0x00081199: ("SQ", [to(image)])}) for image in images]
    tree = ct(values, study, KEY_OBJECTS) | {
        0x00080060: ("CS", "KO"),
        0x0040A040: ("CS", "CONTAINER"),
        0x0040A043: ("SQ", [_code("113000", "DCM", "Of Interest")]),
        0x0040A730: ("SQ", found),
    }
    return tree | _evidence(images)


def state(values: Values, study: Study, images: list[Tree]) -> Tree:
    """A presentation state with a note on an image."""
    in_series: Tree = {0x0020000E: images[0][0x0020000E], 0x00081140: ("SQ", [to(images[0])])}
    note: Tree = {0x00700006: ("ST", values.token()), 0x00700014: ("FL", (1.0, 2.0)), 0x00700015: ("CS", "N")}
    annotation: Tree = {
        0x00081140: ("SQ", [to(images[0])]),
        0x00700002: ("CS", "LAYER1"),
        0x00700008: ("SQ", [note]),
    }
    return ct(values, study, STATE) | {
        0x00080060: ("CS", "PR"),
        0x00081115: ("SQ", [in_series]),
        0x00700001: ("SQ", [annotation]),
        0x00700080: ("CS", values.token()),
        0x00700082: ("DA", study.next_day),
        0x00700083: ("TM", "001100"),
    }


def measured(number: str, unit: str, concept: tuple[str, str, str]) -> Tree:
    """A content item of a number with its unit."""
    value: Tree = {0x0040A30A: ("DS", number), 0x004008EA: ("SQ", [_code(unit, "UCUM", unit)])}
    return _content("NUM", "CONTAINS", concept, {0x0040A300: ("SQ", [value])})


def _content(kind: str, relation: str, concept: tuple[str, str, str] | None, more: Tree) -> Tree:
    tree: Tree = {0x0040A010: ("CS", relation), 0x0040A040: ("CS", kind), **more}
    return tree | ({0x0040A043: ("SQ", [_code(*concept)])} if concept else {})


def _code(value: str, scheme: str, meaning: str) -> Tree:
    return {0x00080100: ("SH", value), 0x00080102: ("SH", scheme), 0x00080104: ("LO", meaning)}


def _evidence(images: list[Tree]) -> Tree:
    by_series: dict[tuple[str, str], list[Tree]] = {}
    for image in images:
        by_series.setdefault((str(image[0x0020000D][1]), str(image[0x0020000E][1])), []).append(to(image))
    studies = [
        {0x0020000D: ("UI", one), 0x00081115: ("SQ", [{0x0020000E: ("UI", other), 0x00081199: ("SQ", found)}])}
        for (one, other), found in by_series.items()
    ]
    return {0x0040A375: ("SQ", studies)}
