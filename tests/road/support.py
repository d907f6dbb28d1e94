"""What the tests of the road share: verbatim senders, raw peers, encoded data sets taken apart by pydicom alone."""

from __future__ import annotations

import contextlib
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pydicom
from pydicom.data import get_testdata_file
from pydicom.dataelem import RawDataElement
from pynetdicom import AE, _config, evt
from pynetdicom.association import Association
from pynetdicom.presentation import build_context

from node.dicomnet.dimse import encode_store_request
from node.dicomnet.pdus import AssociateRequest, ProposedContext, encode_request
from node.part10 import FileMeta, encode_file_meta
from tests.dicomnet.peers import RawPeer, p_data, pdv
from tests.support import REPOSITORY, RunningNode

_config.STORE_SEND_CHUNKED_DATASET = True

CT = "1.2.840.10008.5.1.4.1.1.2"
EXPLICIT, IMPLICIT, DEFLATED = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2", "1.2.840.10008.1.2.1.99"
SUCCESS, OUT_OF_RESOURCES, CANNOT_UNDERSTAND = 0x0000, 0xA700, 0xC000
FRAGMENT = 16000

RECIPE = """\
FORMAT dicom
%header
REPLACE PatientName ANONYMOUS
REPLACE PatientID REMOVED
REPLACE StudyInstanceUID func:generate_uid
REPLACE SOPInstanceUID func:generate_uid
"""


def shipped_file(name: str) -> Path:
    """A file that comes with pydicom; nothing is ever downloaded."""
    path = get_testdata_file(name, download=False)
    assert isinstance(path, str), name
    return Path(path)


def prefer_shipped(node: RunningNode) -> None:
    """Let the node's routes use the shipped recipe where there is one, else a small one without the planted values."""
    if not (REPOSITORY / "recipes/research.dicom").exists():
        use_recipe(node, RECIPE + "REMOVE InstitutionName\nREMOVE ReferringPhysicianName\n")
        return
    for route in node.config["routes"]:
        route |= {"recipe": ["research"], "gate": "hold"}
    node.write_config()


def use_recipe(node: RunningNode, text: str = RECIPE, routes: slice = slice(None)) -> None:
    """Let the node's routes use the recipe `text`, which leaves identity: the gate has tests of its own."""
    path = node.folder / "road.dicom"
    path.write_text(text, encoding="utf-8")
    for route in node.config["routes"][routes]:
        route["recipe"] = [str(path)]
        route["gate"] = "report"
    node.write_config()


def write_instance(path: Path, dataset: bytes, sop_class: str, instance: str, syntax: str) -> Path:
    """Write encoded bytes as a file."""
    path.write_bytes(encode_file_meta(FileMeta(sop_class, instance, syntax)) + dataset)
    return path


def data_set_of(path: Path) -> bytes:
    """The encoded data set of a file, deflated ones inflated; found by (0002,0000) alone."""
    content = path.read_bytes()
    group, element, length = struct.unpack_from("<HH2xH", content, 132)
    assert (group, element, length) == (2, 0, 4)
    rest = content[144 + struct.unpack_from("<L", content, 140)[0] :]
    meta = pydicom.filereader.read_file_meta_info(path)
    return zlib.decompress(rest, wbits=-15) if meta.TransferSyntaxUID == DEFLATED else rest


def elements_of(path: Path) -> dict[int, bytes]:
    """Each top-level element of a file as it is encoded, by its tag, in the order of the file."""
    dataset = pydicom.dcmread(path)
    starts: list[tuple[int, int]] = []
    for tag in dict.keys(dataset._dict):
        item = dataset._dict[tag]
        told = item.value_tell if isinstance(item, RawDataElement) else item.file_tell
        assert told is not None
        starts.append((int(told) - _header(dataset, item), int(tag)))
    starts.sort()
    encoded = data_set_of(path)
    inflated = dataset.file_meta.TransferSyntaxUID == DEFLATED
    begin = 0 if inflated else path.stat().st_size - len(encoded)
    assert starts[0][0] == begin, "the first element stands at the beginning"
    ends = [start for start, _ in starts[1:]] + [begin + len(encoded)]
    return {tag: encoded[start - begin : end - begin] for (start, tag), end in zip(starts, ends, strict=True)}


def _header(dataset: pydicom.FileDataset, item: Any) -> int:
    long = item.VR in {"OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV"}
    return 12 if long and not dataset.is_implicit_VR else 8


def differences(sent: Path, arrived: Path) -> set[int]:
    """The tags whose encoding differs, or that only one of the files has; their order must be the same."""
    before, after = elements_of(sent), elements_of(arrived)
    assert list(before) == list(after), "the same elements in the same order"
    return {tag for tag in before if before[tag] != after[tag]}


@contextlib.contextmanager
def associated(
    port: int, *paths: Path, calling: str = "SENDER", called: str = "DEIDNODE", pdu: int = 0
) -> Iterator[Association]:
    """A pynetdicom association with just the contexts that `paths` need; released at the end."""
    pairs = {}
    for path in paths:
        meta = pydicom.filereader.read_file_meta_info(path)
        pairs[str(meta.MediaStorageSOPClassUID), str(meta.TransferSyntaxUID)] = None
    ae = AE(ae_title=calling)
    ae.acse_timeout = ae.dimse_timeout = ae.network_timeout = 60
    association = ae.associate(
        "127.0.0.1",
        port,
        [build_context(*pair) for pair in pairs],
        ae_title=called,
        max_pdu=pdu or 131072,
    )
    assert association.is_established
    try:
        yield association
    finally:
        if association.is_established:
            association.release()


def send(port: int, *paths: Path, calling: str = "SENDER", called: str = "DEIDNODE") -> list[int]:
    """Send files verbatim over one association; return the statuses that were answered."""
    with associated(port, *paths, calling=calling, called=called) as association:
        return [int(association.send_c_store(path).Status) for path in paths]


@contextlib.contextmanager
def verbatim_archive(port: int, *pairs: tuple[str, str]) -> Iterator[list[tuple[str, bytes]]]:
    """A pynetdicom SCP for the given SOP classes and transfer syntaxes; yield (syntax, data set) of what has come."""
    came: list[tuple[str, bytes]] = []

    def store(event: evt.Event) -> int:
        came.append((str(event.context.transfer_syntax), event.request.DataSet.getvalue()))
        return SUCCESS

    ae = AE(ae_title="DEST")
    for sop_class, syntax in pairs:
        ae.add_supported_context(sop_class, syntax)
    server = ae.start_server(("127.0.0.1", port), block=False, evt_handlers=[(evt.EVT_C_STORE, store)])
    try:
        yield came
    finally:
        server.shutdown()
        ae.shutdown()


class RawSender(RawPeer):
    """Sends commands and data sets that no toolkit would."""

    def open(self, *contexts: tuple[str, tuple[str, ...]], called: str = "DEIDNODE", calling: str = "RAW") -> int:
        """Propose contexts (CT, Explicit VR Little Endian by default); return the type of the answer's PDU."""
        offered = contexts or ((CT, (EXPLICIT,)),)
        proposed = tuple(ProposedContext(2 * i + 1, *context) for i, context in enumerate(offered))
        self.send(encode_request(AssociateRequest(called, calling, proposed, 16384)))
        self.answer = self.receive()
        return self.answer[0]

    def command(self, instance: str, sop_class: str = CT, context: int = 1) -> None:
        """Send a C-STORE-RQ without its data set."""
        self.send(p_data(pdv(encode_store_request(1, sop_class, instance), command=True, last=True, context=context)))

    def store(self, data: bytes, instance: str, sop_class: str = CT, context: int = 1) -> int:
        """Send an instance whatever it is; return the status of the answer."""
        self.command(instance, sop_class, context)
        self.part(data, last=True, context=context)
        return self.status()

    def part(self, data: bytes, *, last: bool, context: int = 1) -> None:
        """Send a part of a data set."""
        for offset in range(0, max(1, len(data)), FRAGMENT):
            end = last and offset + FRAGMENT >= len(data)
            self.send(p_data(pdv(data[offset : offset + FRAGMENT], command=False, last=end, context=context)))
