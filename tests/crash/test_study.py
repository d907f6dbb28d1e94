"""A study stays a study, through restarts and on another node; for another project it is another one."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pydicom
import pytest

from tests.crash.study import dangling, elements, make_study
from tests.crash.support import Deadly, Sender, settled
from tests.support import StoreSCP

NODE_MADE = {"SOPClassUID", "ReferencedSOPClassUID"}


def shape(datasets: list[pydicom.FileDataset]) -> tuple[int, int, int]:
    """How many studies, series and instances."""
    return tuple(  # type: ignore[return-value]
        len({str(getattr(ds, keyword)) for ds in datasets})
        for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")
    )


def by_place(datasets: list[pydicom.FileDataset]) -> dict[tuple[str, int], bytes]:
    """What differs between two nodes with one secret, if anything: the data set by modality and number."""
    return {(ds.Modality, int(ds.InstanceNumber)): ds.to_json().encode() for ds in datasets}


@pytest.mark.parametrize("how", ["SIGTERM", "SIGKILL"])
def test_a_study_sent_half_before_and_half_after_a_restart_stays_one_study_with_its_references(
    node: Deadly, scp: StoreSCP, tmp_path: Path, how: str
) -> None:
    files = make_study(tmp_path / "in")
    sent = [pydicom.dcmread(path) for path in files]
    assert shape(sent) == (1, 3, 8)
    assert not dangling(sent), "the study is whole before"
    # Half of the images first: what points at them comes before the other half does.
    first, second = [*files[:3], *files[6:]], files[3:6]
    sender = Sender(node.port)
    node.start()
    sender.send(first)
    if how == "SIGTERM":
        assert node.stop() == 0
    else:
        node.kill()
    node.start()
    sender.send(second)
    node.wait_delivered(len(files))
    datasets = scp.datasets()
    assert shape(datasets) == (1, 3, 8)
    assert not dangling(datasets)
    names = [uid for ds in sent for keyword, uid in elements(ds) if keyword not in NODE_MADE]
    left = {uid for ds in datasets for _, uid in elements(ds)}
    assert not left & set(names), "no original UID is left"


@pytest.mark.slow
def test_another_project_gets_other_uids_and_the_same_secret_on_another_node_the_same(
    make_node: Callable[..., Deadly], tmp_path: Path
) -> None:
    files = make_study(tmp_path / "in")
    found = {}
    secret: Path | None = None
    for name, project in (("one", "demo"), ("two", "demo"), ("other", "another")):
        scp = StoreSCP(tmp_path / f"sink-{name}").start()
        try:
            node = make_node({"dest": scp.port}, name)
            node.config["routes"][0]["project"] = project
            node.write_config()
            if secret is not None:
                node.data.mkdir(mode=0o700)
                shutil.copy2(secret, node.data / "secret.key")
            node.start()
            Sender(node.port).send(files)
            settled(node)
            assert node.stop() == 0
            found[name] = scp.datasets()
        finally:
            scp.stop()
        secret = node.data / "secret.key"
        assert not dangling(found[name])
    assert by_place(found["one"]) == by_place(found["two"])
    # The Implementation Class UID is of no patient, nor are classes.
    ours, others = ({uid for ds in found[name] for k, uid in elements(ds)} for name in ("one", "other"))
    assert not {uid for uid in ours & others if not uid.startswith("1.2.840.10008.")}
    assert {ds.PatientID for ds in found["one"]}.isdisjoint({ds.PatientID for ds in found["other"]})


def test_two_projects_on_one_node_share_nothing(
    make_node: Callable[..., Deadly], scp: StoreSCP, tmp_path: Path
) -> None:
    node = make_node({"dest": scp.port})
    route = node.config["routes"][0]
    node.config["routes"] = [
        route | {"name": name, "project": name, "from": {"calling_ae": [name.upper()]}} for name in ("one", "two")
    ]
    node.write_config()
    node.start()
    files = make_study(tmp_path / "in")
    for title in ("ONE", "TWO"):
        Sender(node.port, title).send(files)
    node.wait_delivered(2 * len(files))
    datasets = scp.datasets()
    assert shape(datasets) == (2, 6, 16)
    studies = {str(ds.StudyInstanceUID) for ds in datasets}
    halves = [[ds for ds in datasets if ds.StudyInstanceUID == study] for study in studies]
    one, two = (
        {uid for ds in half for _, uid in elements(ds) if not uid.startswith("1.2.840.10008.")} for half in halves
    )
    assert not one & two
    assert all(not dangling(half) for half in halves)
    assert len({ds.PatientID for ds in datasets}) == 2
