"""Instances made to break the node: each is cleaned right or held with its reason, and the next one goes on."""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from node.deflated import inflate
from node.errors import DatasetError
from node.recipe import EncodedDataset, RecipeText, load_recipe
from node.syntaxes import EXPLICIT_LE
from tests.recipe.support import Keys
from tests.road.support import CT, DEFLATED, EXPLICIT, IMPLICIT, SUCCESS, RawSender, send, use_recipe
from tests.support import free_port, make_ct, wait_for

MIB = 1 << 20
MOST = 200 * MIB  # bytes of memory that a worker may have of its own
UNDEFINED = 0xFFFFFFFF
LONG = {b"SQ", b"UN", b"OB", b"OW", b"UT", b"ZZ"}
ITEM, ITEM_END = b"\xfe\xff\x00\xe0", b"\xfe\xff\x0d\xe0\0\0\0\0"
SEQUENCE_END = b"\xfe\xff\xdd\xe0\0\0\0\0"
NAME = b"ROTFUCHS"
# The Study and Series Instance UIDs stay, so that what a sender makes up gets as far as the paths of the archive.
RECIPE = """\
FORMAT dicom
%header
REPLACE PatientName ANONYMOUS
REPLACE PatientID REMOVED
REMOVE PatientComments
"""


def element(tag: int, vr: bytes, value: bytes, length: int | None = None) -> bytes:
    """Explicit VR Little Endian; `length` is what it says, true or not."""
    said = len(value) if length is None else length
    head = struct.pack("<HH", tag >> 16, tag & 0xFFFF) + vr
    return head + (struct.pack("<HL", 0, said) if vr in LONG else struct.pack("<H", said)) + value


def instance(uid: str, *more: bytes, study: bytes = b"1.2.56", series: bytes = b"1.2.57") -> bytes:
    """A data set with `more`, which has to have the tags in order."""
    own = uid.encode() + b"\0" * (len(uid) % 2)
    elements = [
        element(0x00080016, b"UI", CT.encode() + b"\0"),
        element(0x00080018, b"UI", own),
        element(0x00100010, b"PN", NAME),
        element(0x0020000D, b"UI", study + b"\0" * (len(study) % 2)),
        element(0x0020000E, b"UI", series + b"\0" * (len(series) % 2)),
        *more,
    ]
    return b"".join(sorted(elements, key=lambda one: struct.unpack_from("<HH", one)))


def nested(depth: int, *, undefined: bool) -> bytes:
    """A sequence in a sequence in a sequence."""
    tag = 0x00400275
    if undefined:
        head = element(tag, b"SQ", b"", UNDEFINED) + ITEM + struct.pack("<L", UNDEFINED)
        return head * depth + (ITEM_END + SEQUENCE_END) * depth
    sizes = range(20 * (depth - 1), -1, -20)
    return b"".join(element(tag, b"SQ", b"", size + 8) + ITEM + struct.pack("<L", size) for size in sizes)


def fragments(*lengths: int) -> bytes:
    items = b"".join(ITEM + struct.pack("<L", length) for length in lengths)
    return element(0x7FE00010, b"OB", b"", UNDEFINED) + items


def sequence(*items: bytes) -> bytes:
    return element(0x00400275, b"SQ", b"".join(items))


def many_elements(uid: str) -> bytes:
    tiny = b"".join(
        struct.pack("<HH2sH", 0x1001 + 2 * (n >> 15), 0x1000 + (n & 0x7FFF), b"LO", 0) for n in range(1_000_000)
    )
    return instance(uid) + tiny


def many_items(uid: str) -> bytes:
    item = ITEM + struct.pack("<L", 16) + element(0x00400007, b"LO", b"ABCDEFGH")
    return instance(uid, element(0x00400275, b"SQ", b"", UNDEFINED) + item * 50_000 + SEQUENCE_END)


Make = Callable[[str], bytes]
HELD: dict[str, tuple[Make, str]] = {
    "10 000 levels of undefined length": (lambda uid: instance(uid, nested(10_000, undefined=True)), "unparsable"),
    "10 000 levels of defined length": (lambda uid: instance(uid, nested(10_000, undefined=False)), "unparsable"),
    "a value of 4 GiB": (lambda uid: instance(uid, element(0x00204000, b"UT", b"x", 0xFFFFFFFE)), "unparsable"),
    "a value longer than the data set": (lambda uid: instance(uid, element(0x00204000, b"LT", b"x", 99)), "unparsable"),
    "a sequence of 4 GiB": (lambda uid: instance(uid, element(0x00400275, b"SQ", b"", 0xFFFFFFFE)), "unparsable"),
    "an item of 4 GiB": (lambda uid: instance(uid, sequence(ITEM + b"\xfe\xff\xff\xff")), "unparsable"),
    "an item longer than its sequence": (lambda uid: instance(uid, sequence(ITEM + b"\x08\0\0\0")), "unparsable"),
    "a fragment of 4 GiB": (lambda uid: instance(uid, fragments(0, 0xFFFFFFFE)), "unparsable"),
    "fragments without an end": (lambda uid: instance(uid, fragments(0, 0, 0)), "unparsable"),
    "an undefined length of text": (
        lambda uid: instance(uid, element(0x00204000, b"UT", b"", UNDEFINED)),
        "unparsable",
    ),
    "a million elements": (many_elements, "unparsable"),
    "no VR": (lambda uid: instance(uid, element(0x00204000, b"\0\0", b"xx")), "unparsable"),
    "an escape in a value": (
        lambda uid: instance(
            uid,
            element(0x00080005, b"CS", b"\\ISO 2022 IR 87 "),
            element(0x00204000, b"LT", b"\x1b$B\x1b(B\xff\xff\x1b$"),
        ),
        "action-failed or delivered",
    ),
    "a character set that is not the one": (
        lambda uid: instance(
            uid, element(0x00080005, b"CS", b"ISO_IR 192"), element(0x00204000, b"LT", b"R\xd6TFUCHS\xff ")
        ),
        "action-failed or delivered",
    ),
    "an unknown character set": (
        lambda uid: instance(uid, element(0x00080005, b"CS", b"KLINGON "), element(0x00204000, b"LT", b"\x1b%G\xff.")),
        "action-failed or delivered",
    ),
    "a VR of nobody": (lambda uid: instance(uid, element(0x00204000, b"ZZ", b"xx")), "delivered"),
    "50 000 items": (many_items, "delivered"),
    "a Study UID that is a path": (
        lambda uid: instance(uid, study=b"../../../../tmp/x"),
        "refused",
    ),
    "a Series UID with NUL": (lambda uid: instance(uid, series=b"1.2\x00/../3"), "refused"),
    "a Study UID of 300 digits": (lambda uid: instance(uid, study=b"1." + b"2" * 298), "refused"),
    "a SOP Instance UID that is a path": (lambda _: instance("../../../x"), "uid-mismatch"),
    "a SOP Instance UID with NUL": (lambda uid: instance(uid + "\0/../1"), "uid-mismatch"),
    "a SOP Instance UID of 300 digits": (lambda uid: instance(uid + "1" * 300), "uid-mismatch"),
}


@pytest.fixture(scope="module")
def node(module_road):
    """A node whose destination is its own archive, which makes paths of UIDs."""
    made = module_road.node(None)
    made.config["node"]["workers"] = 1
    port = free_port()
    made.config["destinations"] = {
        "archive": {
            "ae_title": "ARCHIVE",
            "address": f"127.0.0.1:{port}",
            "retry": {"first": "50ms", "factor": 1, "cap": "50ms", "refused_tries": 1},
        }
    }
    archive = {"enabled": True, "ae_title": "ARCHIVE", "listen": f"127.0.0.1:{port}", "folder": "archive"}
    made.config["trial_destination"] = archive
    made.config["routes"][0]["to"] = ["archive"]
    use_recipe(made, RECIPE)
    return made.start()


def cleaners(node) -> list[psutil.Process]:
    children = psutil.Process(node.process.pid).children()
    return [one for one in children if "cleaner" in Path(f"/proc/{one.pid}/comm").read_text()]


def test_what_is_made_to_break_it_is_held_or_cleaned_and_the_next_goes_on(node, tmp_path):
    workers = wait_for(lambda: cleaners(node), "a cleaner works")
    uids = {what: f"1.2.3.{number}" for number, what in enumerate(HELD, 100)}
    with RawSender(node.port) as peer:
        peer.open()
        for what, (make, _) in HELD.items():
            assert peer.store(make(uids[what]), uids[what]) == SUCCESS, what
    (good,) = make_ct(tmp_path, 1)
    assert send(node.port, good) == [SUCCESS]
    node.wait_status(lambda status: status["received"] == len(HELD) + 1 and not status["in_flight"], "all is settled")
    held = dict.fromkeys(uids.values(), "delivered") | reasons(node)
    for what, (_, expected) in HELD.items():
        assert held[uids[what]] in expected.split(" or "), what
    assert cleaners(node) == workers, "no worker died"
    assert max(one.memory_full_info().uss for one in workers) < MOST
    archive = node.folder / "archive"
    arrived = [path for path in archive.rglob("*") if path.is_file()]
    assert len(arrived) == sum(reason == "delivered" for reason in held.values()) + 1
    assert all(NAME not in path.read_bytes() for path in arrived)
    assert not [path for path in node.folder.rglob("*") if path.name.startswith("x")], "no path is made of a value"
    log = node.log()
    assert '"fault' not in log
    assert "clean-failed" not in log
    assert not any(value in log for value in (NAME.decode(), "../", "TFUCHS", "KLINGON"))


def reasons(node) -> dict[str, str]:
    """Why each instance is held, by the UID of its command."""
    with node.ledger() as ledger:
        found = {one["id"]: one["reason"] for one in ledger.held()}
        with ledger.database.read() as connection:
            rows = connection.driver.execute("SELECT id, sop_instance_uid FROM instances").fetchall()
    return {uid: found[name] for name, uid in rows if name in found}


@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT])
def test_lengths_of_4_gib_on_the_wire_end_the_association_and_nothing_else(node, syntax):
    received = node.status()["received"]
    for length in (0xFFFFFFFF, 0xFFFFFFFE, 0x7FFFFFFF):
        for pdu in (
            struct.pack(">BxLLBB", 4, 0x106, length, 1, 2) + bytes(0x100),  # of the PDV
            struct.pack(">BxLLBB", 4, length, 0x102, 1, 2) + bytes(0x100),  # of the PDU
        ):
            with RawSender(node.port) as peer:
                peer.open((CT, (syntax,)))
                peer.command("1.2.3.4")
                peer.send(pdu)
                assert peer.receive()[0] == 7, "A-ABORT"
    assert node.status()["received"] == received
    wait_for(lambda: node.spool_files()["incoming"] == 0, "nothing of it stays")


def test_items_without_end_are_refused(monkeypatch):
    recipe = load_recipe([RecipeText("r", RECIPE + "REPLACE ScheduledProcedureStepDescription x")])
    dataset = EncodedDataset.scan(many_items("1.2.3"), 0, EXPLICIT_LE)
    recipe.apply(dataset, Keys(), {})
    monkeypatch.setattr("node.recipe.elements.MAX_ITEMS", 49_999)
    with pytest.raises(DatasetError, match="more than"):
        recipe.apply(dataset, Keys(), {})


def bomb(size: int) -> bytes:
    """A deflated stream of `size` bytes, a thousandth as long: an instance with a large value of zeros."""
    deflate = zlib.compressobj(6, wbits=-15)
    parts = [deflate.compress(instance("1.2.3.99") + element(0x7FE00010, b"OB", b"", size))]
    parts += [deflate.compress(bytes(MIB)) for _ in range(size // MIB)]
    return b"".join((*parts, deflate.flush()))


def test_a_stream_that_inflates_without_end_is_refused_where_it_is_more_than_it_could_hold(tmp_path, monkeypatch):
    monkeypatch.setattr("node.deflated._ALWAYS", 8 * MIB)
    (tmp_path / "bomb").write_bytes(bomb(64 * MIB))
    source = os.open(tmp_path / "bomb", os.O_RDONLY)
    target = os.open(tmp_path / "inflated", os.O_RDWR | os.O_CREAT)
    try:
        with pytest.raises(DatasetError, match="far more than it could hold"):
            inflate(source, 0, target, lambda _: None)
        assert os.fstat(target).st_size <= 8 * MIB
    finally:
        os.close(source)
        os.close(target)


@pytest.mark.slow
def test_a_bomb_of_more_than_a_gigabyte_is_held_and_leaves_nothing(node):
    before = len(node.held())
    with RawSender(node.port) as peer:
        peer.open((CT, (DEFLATED,)))
        assert peer.store(bomb(1536 * MIB), "1.2.3.99") == SUCCESS
    wait_for(lambda: len(node.held()) == before + 1, "it is held")
    assert node.held()[-1]["reason"] == "unparsable"
    assert node.spool_files()["incoming"] == 0
    assert max(one.memory_full_info().uss for one in cleaners(node)) < MOST
