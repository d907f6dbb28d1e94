"""What changed in an instance is told when its original is gone, as it was told before, and names nobody."""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from node.cleaner.cleaning import Cleaning
from node.config import load_config
from node.effects import MOST_CHANGES, Done, noted, pack, unpack
from node.errors import DatasetError, HoldInstance
from node.ledger.cleaning import CleaningLedger
from node.part10 import read_file_meta
from node.recipe import EncodedDataset, Recipe, RecipeText, Region, load_recipe, shipped_recipe
from node.story.explain import explain
from node.story.recleaning import Recleaner
from node.syntaxes import lookup
from tests.copies.support import RECIPE, SECRET, Desk, instance
from tests.deidset.build import synthetic
from tests.deidset.cleaning import EVERYTHING
from tests.deidset.encoding import part10
from tests.deidset.values import PLANTED_UID, TOKEN
from tests.ledger.support import clean, receive
from tests.recipe.support import Keys
from tests.support import RunningNode, StoreSCP, free_port, make_ct, storescu, wait_for

TOLD = ("changes", "pixels")
WHOLE = RECIPE + "REPLACE SeriesInstanceUID func:generate_uid\n"


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    made = Desk(tmp_path, WHOLE)
    made.config.node.secret_file.touch(mode=0o600)
    made.config.node.secret_file.write_text(SECRET.hex() + "\n")
    yield made
    made.database.close()


def story(desk: Desk, name: str) -> dict[str, Any]:
    found = explain(desk.config, desk.database, name)
    assert found is not None
    return found


def told(desk: Desk, name: str, source: str) -> list[Any]:
    found = story(desk, name)
    assert found["changes_from"]["source"] == source, found["changes_unknown"]
    return [found[key] for key in TOLD]


def lose(desk: Desk, *names: str) -> None:
    for name in names:
        desk.spool.original(name).unlink()


def larger(uid: str, **more: Any) -> Dataset:
    """An instance that is mostly pixels, so that its original stays until it is delivered."""
    ds = instance(uid, said="ACC-PLANTED")
    ds.Rows = ds.Columns = 64
    ds.BitsAllocated, ds.SamplesPerPixel = 16, 1
    ds.PixelData = bytes(64 * 64 * 2)
    ds["PixelData"].VR = "OW"
    for keyword, value in more.items():
        setattr(ds, keyword, value)
    return ds


class Life:
    """Three instances that a node delivers, the last one not like the others: their stories before and after that."""

    def __init__(self, folder: Path, port: int) -> None:
        (folder / "node").mkdir()
        self.node = RunningNode(folder / "node", {"archive": port})
        self.scp = StoreSCP(folder / "out", port)
        self.files = make_ct(folder / "in", 3, rows=256, patient="MRN-PLANTED")
        self.odd = pydicom.dcmread(self.files[2])
        self.odd.RequestAttributesSequence = Sequence([Dataset(), Dataset()])
        for one in self.odd.RequestAttributesSequence:
            one.RequestedProcedureDescription = "PLANTED PROCEDURE"
        self.odd.add_new(0x00090010, "LO", "PLANTED CREATOR")
        self.odd.add_new(0x00091001, "LO", "PLANTED PRIVATE")
        self.odd.save_as(self.files[2])

    def pass_by(self) -> Life:
        self.node.start()
        assert storescu(self.node.port, *self.files).returncode == 0
        cleaned = "SELECT id FROM instances WHERE state = 'cleaned' ORDER BY seq"
        wait_for(lambda: len(self.rows(cleaned)) == len(self.files), "all are cleaned, and none can be sent")
        self.ids = [one for (one,) in self.rows(cleaned)]
        self.before = self.stories()
        self.scp.start()
        self.node.wait_delivered(len(self.files))
        wait_for(lambda: not list(self.node.spool.glob("*/*/*.dcm")), "nothing of them is left")
        self.after = self.stories()
        self.kept = [zlib.decompress(content) for (content,) in self.rows("SELECT content FROM traces")]
        return self

    def rows(self, statement: str) -> list[Any]:
        with self.node.ledger() as ledger, ledger.database.read() as connection:
            return list(connection.driver.execute(statement))

    def stories(self) -> list[dict[str, Any]]:
        config = load_config(self.node.config_path)
        with self.node.ledger() as ledger:
            found = [explain(config, ledger.database, one) for one in self.ids]
        return [one for one in found if one is not None]


@pytest.fixture(scope="module")
def life(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Life]:
    made = Life(tmp_path_factory.mktemp("life"), free_port())
    try:
        yield made.pass_by()
    finally:
        made.node.close()
        made.scp.stop()


def test_a_node_tells_what_changed_after_delivery_as_it_did_before(life: Life) -> None:
    assert [one["changes_from"]["source"] for one in life.before] == ["original"] * 3
    for was, now in zip(life.before, life.after, strict=True):
        assert [was[key] for key in TOLD] == [now[key] for key in TOLD]
        assert "original is gone" in now["changes_from"]["because"]
    first, second, odd = life.after
    assert len(odd["changes"]) > len(first["changes"]) == len(second["changes"])
    assert [one["changes_from"]["source"] for one in (first, odd)] == ["trace"] * 2
    assert len(life.kept) == 2, "the second one is like the first"
    text = shipped_recipe("research")
    assert text is not None
    (name,) = [one for one in first["changes"] if one["path"] == "(0010,0010)"]
    rule = name["rules"][-1]
    recipe, _, number = rule["where"].rpartition(":")
    assert (name["what"], recipe, rule["text"]) == ("changed", "research", text.text.splitlines()[int(number) - 1])
    shown = life.node.cli("explain", life.ids[0])
    assert (shown.returncode, "noted when it was cleaned" in shown.stdout) == (0, True)
    assert f"{rule['where']}: {rule['text']}" in re.sub(r"\s+", " ", shown.stdout)


def test_what_is_kept_of_a_delivered_instance_names_nobody(life: Life) -> None:
    odd, kept = life.odd, b"".join(life.kept)
    originals = [str(odd[keyword].value) for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")]
    replaced = [str(one.PatientID) for one in life.scp.datasets()] + life.scp.uids()
    for value in ("PLANTED", "MRN", "19600314", str(odd.StationName), *originals, *replaced):
        assert value.encode() not in kept
    assert b"PLANTED" not in json.dumps(life.after).encode()


def test_alike_instances_of_a_series_share_what_was_noted_and_it_is_said(desk: Desk) -> None:
    first, second = desk.come(larger("1.2.9")), desk.come(larger("1.2.10"))
    odd = desk.come(larger("1.2.11", StudyID="PLANTED"))
    elsewhere = desk.come(larger("1.2.12", SeriesInstanceUID="1.2.7.2"))
    names = first, second, odd, elsewhere
    before = [told(desk, name, "original") for name in names]
    lose(desk, *names)
    sources = ("trace", "trace-of-another", "trace", "trace")
    assert [told(desk, name, source) for name, source in zip(names, sources, strict=True)] == before
    assert story(desk, second)["changes_from"]["instance"] == first
    assert desk.sql("SELECT count(*) FROM traces") == [(1,)], "what is the same is kept once"
    # Another process finds it out for itself.
    desk.cleaner = desk.make_cleaner("cleaner1")
    third = desk.come(larger("1.2.13"))
    lose(desk, third)
    assert told(desk, third, "trace") == before[0]


def test_what_is_cleaned_again_with_another_recipe_is_told_by_that_one(desk: Desk) -> None:
    for route in desk.settings["routes"]:
        route["gate"] = "hold"
    desk.configure()
    stays = desk.come(larger("1.2.9"))
    held = desk.come(larger("1.2.10", StudyDescription="of PLANTED NAME"))
    assert desk.row(held)[2] == "leak"
    other = desk.folder / "other.dicom"
    other.write_text(WHOLE + "REMOVE StudyDescription\n")
    assert Recleaner(desk.config, desk.ledger, [str(other)]).release(held)
    desk.clean()
    before = told(desk, held, "original")
    lose(desk, held, stays)
    assert told(desk, held, "trace") == before
    (gone,) = [one for one in before[0] if one["path"] == "(0008,1030)"]
    assert (gone["what"], gone["rules"][0]["where"]) == ("removed", f"{other}:9")
    assert not [one for one in told(desk, stays, "trace")[0] if one["rules"][0]["where"].startswith(str(other))]
    hashes = desk.sql("SELECT i.recipe_hash = t.recipe_hash FROM instances i JOIN traces t ON t.seq = i.trace")
    assert hashes == [(1,), (1,)]
    desk.sql("UPDATE instances SET recipe_hash = 'another' WHERE id = ?", held)
    assert story(desk, held)["changes"] is None, "a note of another recipe is none of its own"


def test_what_the_gate_takes_out_is_noted(desk: Desk) -> None:
    for route in desk.settings["routes"]:
        route["gate"] = "scrub"
    desk.configure()
    name = desk.come(larger("1.2.9", StudyDescription="of PLANTED NAME", SeriesDescription="chest"))
    before = told(desk, name, "original")
    lose(desk, name)
    assert told(desk, name, "trace") == before
    (scrubbed,) = [one for one in before[0] if one["path"] == "(0008,1030)"]
    assert scrubbed["rules"][-1] == {"where": "gate", "text": "scrub"}


def test_what_cannot_be_followed_is_cleaned_all_the_same_and_told_as_not_known(desk: Desk) -> None:
    functions = desk.folder / "mine.py"
    functions.write_text(
        "calls = []\n\n\ndef once(item, value, field, dicom):\n"
        "    calls.append(1)\n    assert len(calls) < 2\n    return 'SAID'\n"
    )
    (desk.folder / "r.dicom").write_text(WHOLE + "REPLACE Modality func:once\n")
    desk.settings["functions"] = [str(functions)]
    desk.configure()
    name = desk.come(larger("1.2.9"))
    assert desk.row(name)[0] == "cleaned"
    lose(desk, name)
    found = story(desk, name)
    assert found["changes"] is None
    assert "nothing was noted" in found["changes_unknown"]


def test_what_an_earlier_version_cleaned_is_told_as_not_known(desk: Desk) -> None:
    database = desk.database
    name = receive(database)
    cleaning = CleaningLedger(database, "cleaner")
    assert cleaning.settle([clean(one, ("a",)) for one in cleaning.claim(1)])
    assert desk.sql("SELECT trace, trace_of FROM instances") == [(None, None)]
    found = story(desk, name)
    assert found["changes"] is None
    assert "nothing was noted" in found["changes_unknown"]
    assert found["changes_from"] is None


def test_what_a_new_ledger_finds_already_cleaned_is_told_as_not_known(desk: Desk) -> None:
    cleaner = desk.cleaner
    cleaner.cleaning = Cleaning(desk.spool, cleaner.ledger, cleaner.cleaning._plans, "DEIDNODE", derives=False)
    name = desk.come(instance("1.2.9", said="ACC-PLANTED"))
    desk.spool.finish_removals()  # of originals that nothing is sent from
    assert told(desk, name, "trace")[0]
    # As a rebuild leaves it: received again, though only the cleaned file is there.
    desk.sql("DELETE FROM deliveries")
    desk.sql("UPDATE instances SET state = 'received', outcome = 'in_flight', due_at = 0")
    assert story(desk, name)["changes_unknown"] == "it was not cleaned"
    desk.clean()
    assert desk.row(name)[0] == "cleaned"
    assert desk.sql("SELECT trace, trace_of FROM instances") == [(None, None)]
    assert "the ledger was made anew" in story(desk, name)["changes_unknown"]


def in_recipe(*lines: str) -> Recipe:
    return load_recipe([RecipeText("r.dicom", "\n".join(lines))])


def test_a_note_is_bounded_and_says_how_much_it_leaves_out() -> None:
    rule = {"where": "r.dicom:2", "text": "REMOVE ALL"}
    one = {"name": "", "vr": "UI", "what": "removed", "rules": [rule]}
    paths = (f"(0008,1140)__{number}__(0008,1155)" for number in range(MOST_CHANGES + 7))
    changes: list[dict[str, Any]] = [{"path": path, **one} for path in paths]
    note = pack(in_recipe("FORMAT dicom", "%header", "REMOVE StudyID"), changes, ())
    assert unpack(note.content) == (changes[:MOST_CHANGES], [], 7)
    assert len(note.content) < 20_000


def test_where_the_image_itself_says_what_is_masked_the_place_is_not_noted() -> None:
    recipe = in_recipe("FORMAT dicom", "%filter graylist", "LABEL one", "contains Modality US", "coordinates 0,0,10,20")
    regions = Region(False, (0, 0, 10, 20)), Region(False, None), Region(True, (17, 4711, 18, 4712))
    pixels = unpack(pack(recipe, [], regions).content)[1]
    assert pixels == ["masked: 0,0,10,20", "masked: all", "kept: as the image says"]


@pytest.mark.parametrize("step", [9, pytest.param(1, marks=pytest.mark.slow)])
def test_no_note_has_a_value_of_what_it_is_about(step: int) -> None:
    text = shipped_recipe("ps3.15-basic")
    assert text is not None
    recipe, found = load_recipe([text]), 0
    for file in list(synthetic(whole=False))[::step]:
        data = part10(file.tree, file.syntax, meta=file.meta, preamble=file.preamble)
        try:
            meta, start = read_file_meta(data)
            syntax = lookup(meta.transfer_syntax_uid)
            if syntax is None or syntax.deflated:
                continue
            verdict = EVERYTHING.judge(recipe, EncodedDataset.scan(data, start, syntax))
            cleaned = recipe.apply(verdict.dataset, Keys(), {}, masks=verdict.judgement)
        except (HoldInstance, DatasetError):
            continue
        note = noted(recipe, Keys(), {}, Done(verdict, cleaned, {}))
        assert note is not None, file.name
        written = zlib.decompress(note.content)
        assert not TOKEN.search(written), file.name
        assert not PLANTED_UID.search(written), file.name
        found += 1
    assert found > 200 // step
