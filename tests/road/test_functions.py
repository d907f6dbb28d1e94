"""The site's own functions on the road: called for each instance, and when one fails the instance is held."""

import pydicom
import pytest

from tests.road.support import use_recipe
from tests.support import make_ct, storescu, wait_for

FUNCTIONS = """
def code(item, value, field, dicom):
    return field.lower() + "-" + str(len(dicom.PatientName))

def fails(item, value, field, dicom):
    raise ValueError("about " + str(dicom.PatientName))
"""
MENDED = """
def fails(item, value, field, dicom):
    return "mended"
"""
RECIPE = """\
FORMAT dicom
%header
REPLACE PatientName ANONYMOUS
REPLACE PatientID func:{function}
REPLACE StudyInstanceUID func:generate_uid
REPLACE SOPInstanceUID func:generate_uid
"""


@pytest.fixture
def made(road):
    archive = road.archive()
    node = road.node(archive)
    (node.folder / "my_functions.py").write_text(FUNCTIONS)
    node.config["functions"] = ["my_functions.py"]
    return node, archive


def test_a_function_of_the_site_is_called_for_each_instance(made, tmp_path):
    node, archive = made
    use_recipe(node, RECIPE.format(function="code"))
    node.start()
    storescu(node.port, *make_ct(tmp_path / "in", 3))
    node.wait_delivered(3)
    wait_for(lambda: len(archive.files()) == 3, "they arrive")
    assert {str(pydicom.dcmread(path).PatientID) for path in archive.files()} == {"patientid-12"}


def test_a_function_that_fails_holds_the_instance_and_no_value_is_in_the_log(made, tmp_path):
    node, archive = made
    use_recipe(node, RECIPE.format(function="fails"))
    node.start()
    storescu(node.port, *make_ct(tmp_path / "in", 1))
    node.wait_status(lambda status: status["held"] == 1, "it is held")
    assert [one["reason"] for one in node.held()] == ["function-failed"]
    assert not archive.files()
    shown = node.log() + str(node.held())
    assert "my_functions.py" in shown
    assert "PLANTED" not in shown


def test_a_function_that_does_not_exist_refuses_the_start_naming_the_line(made):
    node, _ = made
    use_recipe(node, RECIPE.format(function="cod"))
    done = node.cli("check")
    assert done.returncode == 1
    assert "road.dicom:4" in done.stdout + done.stderr
    assert "code" in done.stdout + done.stderr
    with pytest.raises(AssertionError, match="ended with 3"):
        node.start()


def test_a_held_instance_goes_on_when_its_function_is_mended(made, tmp_path):
    node, archive = made
    use_recipe(node, RECIPE.format(function="fails"))
    node.start()
    storescu(node.port, *make_ct(tmp_path / "in", 1))
    node.wait_status(lambda status: status["held"] == 1, "it is held")
    (node.folder / "my_functions.py").write_text(MENDED)
    assert node.cli("reload").returncode == 0
    assert node.cli("held", "release", "--all", "--reason", "function-failed").returncode == 0
    node.wait_delivered(1)
    assert {str(one.PatientID) for one in archive.datasets()} == {"mended"}
