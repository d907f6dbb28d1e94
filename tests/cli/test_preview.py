"""`deid-node preview` and `deid-node recipe show`."""

from __future__ import annotations

import json

import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from node.recipe import load_recipe, read_recipe, shipped_recipe
from tests.cli.files import KEYED, PLAIN, public, recipe, secret, small
from tests.support import make_ct

WHITE = "%filter whitelist\nLABEL fine\npresent Modality\n"
NESTED = """\
FORMAT dicom
%header
BLANK select:VR:PN
REPLACE PatientName NOBODY   # the last word
REMOVE InstitutionName
REMOVE RequestAttributesSequence__RequestedProcedureDescription
KEEP Modality
ADD PatientIdentityRemoved YES
REMOVE select:private
"""


@pytest.fixture
def scan(tmp_path):
    inside = Dataset()
    inside.RequestedProcedureDescription, inside.RequestedProcedureID = "PLANTED INSIDE", "PLANTED-7"
    path = small(tmp_path / "in.dcm", RequestAttributesSequence=Sequence([inside]))
    dataset = pydicom.dcmread(path)
    dataset.private_block(0x0009, "PLANTED CREATOR", create=True).add_new(1, "LO", "PLANTED PRIVATE")
    dataset.save_as(path)
    return path


def elements(done):
    return {one["path"]: one for one in json.loads(done.out)["elements"]}


def test_each_change_is_shown_with_the_line_that_made_it(deid, tmp_path, scan):
    path = recipe(tmp_path, NESTED)
    done = deid("preview", "--recipe", path, scan, "--json")
    assert done.code == 0, done.err
    found = elements(done)
    name = found["(0010,0010)"]
    assert (name["before"], name["after"], name["what"]) == ("PLANTED^NAME", "NOBODY", "changed")
    assert name["lines"] == [{"where": f"{path}:4", "text": "REPLACE PatientName NOBODY   # the last word"}]
    gone = found["(0040,0275)__0__(0032,1060)"]
    assert (gone["name"], gone["before"], gone["after"], gone["what"]) == (
        "RequestedProcedureDescription", "PLANTED INSIDE", None, "removed",
    )  # fmt: skip
    private = found["(0009,1001)"]
    assert (private["name"], private["what"]) == ('(0009,"PLANTED CREATOR",01)', "removed")
    added = found["(0012,0062)"]
    assert (added["before"], added["after"], added["what"]) == (None, "YES", "added")
    assert "(0008,0060)" not in found, "it stays"


def test_elements_that_stay_are_shown_on_request_with_the_line_that_keeps_them(deid, tmp_path, scan):
    path = recipe(tmp_path, NESTED)
    found = elements(deid("preview", "--recipe", path, scan, "--json", "--all"))
    assert found["(0008,0060)"]["lines"] == [{"where": f"{path}:7", "text": "KEEP Modality"}]
    assert found["(0040,0275)__0__(0040,1001)"]["after"] == "PLANTED-7"
    assert found["(0040,0275)"]["before"] == "1 item"
    assert found["(7FE0,0010)"]["before"] == "2 bytes"
    tags = {f"({element.tag.group:04X},{element.tag.element:04X})" for element in pydicom.dcmread(scan)}
    assert tags <= set(found), "every element is there"


@pytest.mark.parametrize("form", [(), ("--json",), ("--all", "--json"), ("--all",)])
def test_masked_nothing_of_a_value_is_shown(deid, tmp_path, scan, form):
    path = recipe(tmp_path, NESTED + "ADD StudyID SECRET-AFTER\n")
    done = deid("preview", "--recipe", path, scan, "--mask", *form)
    assert done.code == 0
    assert "***" in done.out
    for value in ("PLANTED^NAME", "PLANTED INSIDE", "PLANTED-7", "PLANTED PRIVATE", "PLANTED CREATOR", "1.2.3", "MRN"):
        assert value not in done.out + done.err
    lines = [line for line in done.out.splitlines() if "text" not in line and "ADD StudyID" not in line]
    assert "SECRET-AFTER" not in "\n".join(lines)


@pytest.mark.parametrize(
    "name", ["CT_small.dcm", "MR_small_implicit.dcm", "test-SR.dcm", "MR_small_bigendian.dcm", "image_dfl.dcm"]
)
def test_what_is_shown_is_what_clean_writes(deid, tmp_path, name):
    source = tmp_path / name
    dataset = pydicom.dcmread(public(name))
    dataset.PatientID = dataset.get("PatientID") or "P1"  # dates move by the patient's days
    dataset.save_as(source)
    path = recipe(tmp_path, shipped_recipe("research").text.replace("func:pseudonym", "SOMEBODY"))
    common = ("--recipe", path, "--secret", secret(tmp_path), "--project", "p", "--pixel-risk", "pass", source)
    shown = elements(deid("preview", *common, "--all", "--json"))
    assert deid("clean", *common, "--out", "out", "--layout", "input").code == 0
    after = {path: one for path, one in shown.items() if one["after"] is not None and path != "(0009,0000)"}
    written = dict(values(pydicom.dcmread(tmp_path / "out" / name)))
    # The codes of the method that were added are told as a number.
    written = {path: value for path, value in written.items() if not path.startswith("(0012,0064)__")}
    assert set(written) == set(after)
    empty = {"SQ": "0 items"}  # an emptied sequence is told as an empty value
    texts = {path: one["after"] or empty.get(one["vr"], "") for path, one in after.items() if one["vr"] in TEXTS}
    assert texts == {path: written[path] for path in texts}


TEXTS = ("AE", "AS", "CS", "DA", "DT", "LO", "LT", "PN", "SH", "ST", "TM", "UI", "UT", "SQ")


def values(dataset, prefix=""):
    """Tag path and text of every element, but for group lengths."""
    for element in dataset:
        if not element.tag.element:
            continue
        path = f"{prefix}({element.tag.group:04X},{element.tag.element:04X})"
        if element.VR == "SQ":
            count = len(element.value)
            yield path, f"{count} item{'s' * (count != 1)}"
            for number, item in enumerate(element.value):
                yield from values(item, f"{path}__{number}__")
        else:
            several = element.VM > 1
            yield (
                path,
                "\\".join(map(str, element.value)) if several else str("" if element.value is None else element.value),
            )


def test_without_a_secret_the_results_are_called_examples(deid, tmp_path, scan):
    path = recipe(tmp_path, KEYED)
    done = deid("preview", "--recipe", path, scan)
    assert done.code == 0
    assert done.out.startswith("Without a secret: pseudonyms, UIDs and shifted dates are examples.")
    own = deid("preview", "--recipe", path, scan, "--secret", secret(tmp_path), "--project", "p", "--json")
    assert json.loads(own.out)["note"] == ""
    example = deid("preview", "--recipe", path, scan, "--json")
    assert elements(own)["(0010,0020)"]["after"] != elements(example)["(0010,0020)"]["after"]


@pytest.mark.parametrize(
    ("lines", "reason", "where", "text"),
    [
        ("REPLACE PatientID X\nJITTER PatientBirthDate 3\n", "action-failed", 4, "JITTER PatientBirthDate 3"),
        ("REPLACE StudyID func:mine\n", "", 0, ""),
        ("%filter risky\nLABEL text\nequals Modality CT\n", "pixel-risk", 4, "LABEL text"),
        (WHITE + "%filter b\nLABEL b\npresent Modality\n", "pixel-risk", 7, "LABEL b"),
    ],
)
def test_a_file_that_would_be_held_says_why_and_by_which_line(deid, tmp_path, lines, reason, where, text):
    path = recipe(tmp_path, f"FORMAT dicom\n%header\n{lines}")
    scan = small(tmp_path / "in.dcm", PatientBirthDate="1960")
    done = deid("preview", "--recipe", path, scan)
    assert done.code == 1
    if not reason:
        assert f"{path}:3 [" in done.err, "a function that nobody has is a fault of the recipe"
        return
    assert done.out.startswith(f"held: {reason}: ")
    assert f"by {path}:{where}: {text}\n" in done.out
    held = json.loads(deid("preview", "--recipe", path, scan, "--json").out)["held"]
    assert (held["reason"], held["where"], held["text"]) == (reason, f"{path}:{where}", text)


def test_a_file_that_is_no_dicom_file_is_one_sentence(deid, tmp_path):
    (tmp_path / "note.txt").write_text("a note")
    done = deid("preview", "--recipe", recipe(tmp_path), "note.txt")
    assert (done.code, done.err) == (1, "deid-node: note.txt is no DICOM file: it has no DICM prefix.\n")


def test_the_difference_of_two_recipes_is_what_they_do_differently(deid, tmp_path, scan):
    first, second = recipe(tmp_path, NESTED, "1.dicom"), recipe(tmp_path, PLAIN, "2.dicom")
    done = deid("preview", "--recipe", first, scan, "--against", second, "--json")
    pairs = {(one["recipe"] or one["against"])["path"]: one for one in json.loads(done.out)["differences"]}
    assert set(pairs) == {
        "(0009,0010)", "(0009,1001)", "(0010,0010)", "(0012,0062)", "(0040,0275)__0__(0032,1060)",
    }  # fmt: skip
    assert pairs["(0010,0010)"]["against"]["after"] is None
    assert pairs["(0010,0010)"]["against"]["lines"][0]["where"] == f"{second}:3"
    shown = deid("preview", "--recipe", first, scan, "--against", second).out
    assert "against: after" in shown
    assert "NOBODY" in shown
    hidden = deid("preview", "--recipe", first, scan, "--against", second, "--mask").out
    assert "NOBODY" not in hidden.replace("REPLACE PatientName NOBODY", "")
    assert "PLANTED" not in hidden
    assert deid("preview", "--recipe", first, scan, "--against", first).out.endswith("No difference.\n")


def test_colors_tell_what_happens(deid, tmp_path, scan, monkeypatch):
    path = recipe(tmp_path, NESTED)
    assert "\x1b[" not in deid("preview", "--recipe", path, scan).out
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm-256color")
    shown = deid("preview", "--recipe", path, scan).out
    assert "\x1b[31m" in shown, "red for what goes"
    assert "\x1b[32m" in shown, "green for what comes"


def test_a_show_of_recipes_has_every_line_in_its_order_and_from_where(deid, tmp_path):
    first = recipe(
        tmp_path,
        "FORMAT dicom\n%values names\nSPLIT PatientName by=\"^\"\n%header\nREMOVE values:names\n"
        "%filter f\nLABEL l\nequals Modality US\n|| present Rows\n",
        "1.dicom",
    )  # fmt: skip
    lines = "%labels\nADD Project x\n%header\nREPLACE StudyID var:site # note\nBLANK PatientID\n"
    second = recipe(tmp_path, f"FORMAT dicom\n{lines}", "2.dicom")
    done = deid("recipe", "show", first, second, "--json")
    assert done.code == 0, done.err
    found = json.loads(done.out)
    assert [(one["action"], one["field"], one["value"], one["where"]) for one in found["header"]] == [
        ("REMOVE", "values:names", None, f"{first}:5"),
        ("REPLACE", "StudyID", "var:site", f"{second}:5"),
        ("BLANK", "PatientID", None, f"{second}:6"),
    ]
    assert found["lists"][0]["lines"] == [{"text": 'SPLIT PatientName by="^"', "where": f"{first}:3"}]
    (label,) = found["filters"][0]["labels"]
    assert (label["label"], label["where"], len(label["criteria"])) == ("l", f"{first}:7", 2)
    assert "Modality equals US" in label["criteria"][0]
    assert found["labels"] == [{"action": "ADD", "field": "Project", "value": "x", "where": f"{second}:3"}]
    assert (found["variables"], found["needs_secret"]) == (["site"], False)
    assert len(found["warnings"]) == 1
    assert found["hash"] == load_recipe([read_recipe(first), read_recipe(second)]).hash
    shown = deid("recipe", "show", first, second).out
    for word in (
        "%values names",
        "%filter f",
        "%labels",
        "%header",
        "values:names",
        f"{second}:6",
        "warning: ",
        "site",
    ):
        assert word in shown


def test_a_shipped_recipe_is_shown_by_its_name(deid):
    found = json.loads(deid("recipe", "show", "research", "--json").out)
    assert found["needs_secret"]
    assert found["header"][0]["where"].startswith("research:")
    done = deid("recipe", "show", "reserch")
    assert done.code == 1
    assert "research" in done.err


def test_profiles_are_shown_as_they_were_combined(deid):
    found = json.loads(deid("recipe", "show", "ps3.15-basic", "retain-uids", "--json").out)
    assert found["needs_secret"]
    assert found["profile"]["names"] == ["basic", "retain-uids"]
    lines = {line["attribute"]: line for line in found["profile"]["lines"]}
    assert (lines["(0010,0010)"]["code"], lines["(0020,000D)"]["code"]) == ("Z", "K")
    assert lines["(0020,000D)"]["where"].startswith("retain-uids:")
    assert "%profile basic, retain-uids" in deid("recipe", "show", "ps3.15-basic", "retain-uids").out


@pytest.mark.parametrize("earlier", [0, 1])
def test_a_preview_names_the_lines_of_a_profile_and_the_codes_that_it_adds(deid, tmp_path, earlier):
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = "113111", "DCM", "earlier"
    given = {"DeidentificationMethodCodeSequence": Sequence([code])} if earlier else {}
    scan = small(tmp_path / "scan.dcm", StationName="CT1", **given)
    found = elements(deid("preview", "--recipe", "ps3.15-basic", scan, "--json"))
    station = found["(0008,1010)"]
    assert (station["before"], station["after"], station["what"]) == ("CT1", None, "removed")
    assert station["lines"][0]["where"].startswith("ps3.15-basic:")
    assert station["lines"][0]["text"].startswith("X/Z/D  (0008,1010)")
    codes = found["(0012,0064)"]
    assert (codes["before"], codes["after"]) == ((None, "1 item"), ("1 item", "2 items"))[earlier]
    assert codes["lines"][0]["text"] == "%profile basic"


def test_a_recipe_with_faults_is_not_shown(deid, tmp_path):
    done = deid("recipe", "show", recipe(tmp_path, PLAIN + "REMOVE PatentName\n"))
    assert (done.code, done.out) == (1, "")
    assert "Did you mean PatientName?" in done.err


MASKS = """\
FORMAT dicom
%filter text
LABEL burned in
equals Modality CT
coordinates 0,0,8,2
%header
REPLACE PatientName NOBODY
"""


def test_what_of_the_pixels_is_masked_is_shown(deid, tmp_path):
    (path,) = make_ct(tmp_path / "in", 1, rows=16)
    for form, expected in (((), "pixels masked: 0,0,8,2"), (("--json",), "masked: 0,0,8,2")):
        done = deid("preview", "--recipe", recipe(tmp_path, MASKS), path, *form)
        assert done.code == 0, done.err
        assert expected in done.out
    assert json.loads(done.out)["pixels"] == ["masked: 0,0,8,2"]
