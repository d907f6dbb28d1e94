"""A recipe that changes in the middle of a study: from now on, or from the next study on."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pydicom
import pytest
from pydicom.uid import generate_uid

from tests.crash.support import Deadly, Sender, settled
from tests.process.test_reload import sighup
from tests.road.support import data_set_of, send
from tests.support import StoreSCP

RECIPE = """\
FORMAT dicom
%header
REPLACE PatientID func:pseudonym
REPLACE PatientName {mark}
REPLACE StudyInstanceUID func:generate_uid
REPLACE SOPInstanceUID func:generate_uid
"""
WITH_FUNCTION = RECIPE + "REPLACE StudyDescription func:describe\n"


def configure(node: Deadly, mark: str, change: str, text: str = RECIPE) -> None:
    """Let the node's route use a recipe that leaves a mark."""
    (node.folder / "mark.dicom").write_text(text.format(mark=mark))
    node.config["routes"][0] |= {"recipe": ["./mark.dicom"], "gate": "report", "recipe_change": change}
    node.write_config()


def function(node: Deadly, text: str) -> None:
    """Let the node know a function of the site's."""
    (node.folder / "site.py").write_text(f"def describe(item, value, field, dicom):\n    return {text!r}\n")
    node.config["functions"] = ["./site.py"]
    node.write_config()


def parts(folder: Path, source: Path, study: str, count: int) -> list[Path]:
    """Instances of one study."""
    folder.mkdir(exist_ok=True)
    found = []
    for number in range(count):
        dataset = pydicom.dcmread(source)
        dataset.StudyInstanceUID = f"1.2.826.0.1.3680043.9.7433.{study}"
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        dataset.PatientID = "MRN-0001"
        found.append(folder / f"{study}-{number}.dcm")
        dataset.save_as(found[-1])
    return found


@pytest.fixture
def source() -> Path:
    return Path(pydicom.__file__).parent / "data/test_files/CT_small.dcm"


def marks(scp: StoreSCP) -> Counter[str]:
    return Counter(str(dataset.PatientName) for dataset in scp.datasets())


def restart(node: Deadly) -> None:
    assert node.stop() == 0
    node.start()


@pytest.mark.parametrize("change", ["now", "next-study"])
def test_the_rest_of_a_study_goes_out_as_the_route_says(
    node: Deadly, scp: StoreSCP, source: Path, tmp_path: Path, change: str
) -> None:
    node.config["duplicates"] = {"same": "resend"}
    configure(node, "OLD", change)
    node.start()
    one, two = parts(tmp_path / "in", source, "1", 4), parts(tmp_path / "in", source, "2", 1)
    Sender(node.port).send(one[:1])
    node.wait_delivered(1)
    first = scp.files()[0]
    configure(node, "NEW", change)
    sighup(node, "reloaded")
    Sender(node.port).send([one[1], *two])
    node.wait_delivered(3)
    restart(node)
    Sender(node.port).send(one[2:3])
    node.wait_delivered(4)
    settled(node)
    assert marks(scp) == ({"OLD": 3, "NEW": 1} if change == "next-study" else {"OLD": 1, "NEW": 3})

    # Sent once more, the first instance is what it was to the byte, or what the new recipe makes of it.
    before = set(scp.files())
    Sender(node.port).send(one[:1])
    node.wait_delivered(5)
    settled(node)
    (again,) = set(scp.files()) - before
    assert (data_set_of(again) == data_set_of(first)) == (change == "next-study")

    found = json.loads(node.cli("recipe", "studies", "--json", check=True).stdout)
    assert node.status()["studies_with_two_recipes"] == len(found) == (change == "now")
    table = node.cli("recipe", "studies", check=True).stdout
    if change == "next-study":
        assert "No study" in table
        return
    (study,) = found
    old, new = study["recipes"]
    assert study["began"] == old["hash"] != new["hash"]
    assert (old["instances"], new["instances"]) == (1, 3)  # the first one twice
    assert study["project"] == "demo"
    went_out = {str(dataset.StudyInstanceUID) for dataset in scp.datasets()}
    assert study["study"] in went_out
    assert old["hash"][:12] in table
    assert new["hash"][:12] in table


def test_a_recipe_is_kept_before_it_is_needed_and_its_file_is_its_texts(
    node: Deadly, scp: StoreSCP, source: Path, tmp_path: Path
) -> None:
    configure(node, "OLD", "now")
    node.start()
    Sender(node.port).send(parts(tmp_path / "in", source, "1", 1))
    node.wait_delivered(1)
    route = node.config["routes"][0]["name"]
    (kept,) = (node.data / "recipes" / route).iterdir()
    assert kept.stem == node.cli("recipe", "show", str(node.folder / "mark.dicom"), check=True).stdout.split()[1]
    assert [text["text"] for text in json.loads(kept.read_text())["texts"]] == [RECIPE.format(mark="OLD")]
    assert "MRN-0001" not in kept.read_text()


@pytest.mark.slow
def test_a_study_whose_recipe_can_no_longer_be_applied_is_held(
    node: Deadly, scp: StoreSCP, source: Path, tmp_path: Path
) -> None:
    function(node, "first")
    configure(node, "OLD", "next-study", WITH_FUNCTION)
    node.start()
    files = parts(tmp_path / "in", source, "1", 3)
    Sender(node.port).send(files[:1])
    node.wait_delivered(1)

    configure(node, "NEW", "next-study", WITH_FUNCTION)
    function(node, "second")
    sighup(node, "reloaded")
    Sender(node.port).send(files[1:2])
    node.wait_status(lambda s: s["held"] == 1, "the function is another one")
    (held,) = node.held()
    assert held["reason"] == "recipe-changed"
    assert "recipe_change: now" in held["detail"]

    # Back to what it was: the release cleans it by the old recipe.
    function(node, "first")
    sighup(node, "reloaded")
    node.cli("held", "release", held["id"], check=True)
    node.wait_delivered(2)
    assert marks(scp) == {"OLD": 2}

    # Its file is gone.
    restart(node)
    for kept in (node.data / "recipes").rglob("*.json"):
        if "REPLACE PatientName OLD" in kept.read_text():
            kept.unlink()
    Sender(node.port).send(files[2:])
    node.wait_status(lambda s: s["held"] == 1, "the recipe is gone")
    (held,) = node.held()
    assert held["reason"] == "recipe-changed"
    configure(node, "NEW", "now", WITH_FUNCTION)
    sighup(node, "reloaded")
    node.cli("held", "release", held["id"], check=True)
    node.wait_delivered(3)
    assert marks(scp) == {"OLD": 2, "NEW": 1}
    assert '"died"' not in node.log()


def test_the_recipe_of_another_route_of_the_project_is_not_taken(
    node: Deadly, scp: StoreSCP, source: Path, tmp_path: Path
) -> None:
    configure(node, "OLD", "next-study")
    (route,) = node.config["routes"]
    (node.folder / "other.dicom").write_text(RECIPE.format(mark="OTHER"))
    other = {**route, "name": "other", "from": {"called_ae": ["OTHER"]}}
    node.config["routes"].append({**other, "recipe": ["./other.dicom"]})
    node.write_config()
    node.start()
    files = parts(tmp_path / "in", source, "1", 2)
    Sender(node.port).send(files[:1])
    node.wait_delivered(1)
    assert send(node.port, files[1], called="OTHER") == [0]
    node.wait_delivered(2)
    assert marks(scp) == {"OLD": 1, "OTHER": 1}


@pytest.mark.slow
def test_what_somebody_answers_for_goes_out_under_the_recipe_of_its_study(
    node: Deadly, scp: StoreSCP, source: Path, tmp_path: Path
) -> None:
    configure(node, "OLD", "next-study")
    node.config["routes"][0]["gate"] = "hold"
    node.write_config()
    node.start()
    for number, file in enumerate(parts(tmp_path / "in", source, "1", 2)):
        Sender(node.port).send([file])
        node.wait_status(lambda s: s["held"] == 1, "it shows whose it is")
        (held,) = node.held()
        assert held["reason"] == "leak"
        node.cli("held", "release", "--despite-leak", held["id"], check=True)
        node.wait_delivered(number + 1)
        configure(node, "NEW", "next-study")
        node.config["routes"][0]["gate"] = "hold"
        node.write_config()
        sighup(node, "reloaded")
    assert marks(scp) == {"OLD": 2}
