"""Nothing that identifies a person is seen outside spool and ledger, whatever becomes of an instance."""

from __future__ import annotations

import base64
import json
from functools import cache
from pathlib import Path

from pydicom.dataset import Dataset
from pydicom.uid import generate_uid
from pynetdicom import AE, evt

from node.ledger.operation import Ledger
from tests.audit.support import SyslogReceiver
from tests.deidset.encoding import part10
from tests.deidset.objects import ct
from tests.deidset.planted import OTHER, STUDY, File
from tests.dicomnet.tls import Authority
from tests.road.outside import Planted, Search, encoded, everything, image, of_files, of_pixels
from tests.road.support import CANNOT_UNDERSTAND, CT, EXPLICIT, SUCCESS, RawSender
from tests.support import RunningNode, free_port, wait_for

SEED = 20260102
RECIPES = {
    # Fails in every way that the original language knows: on what is no date, no text, no UID.
    "strict": """\
REPLACE PatientName func:pseudonym
REPLACE StudyDate func:shift_date
JITTER PatientBirthDate 30
REPLACE SOPInstanceUID func:generate_uid
""",
    "function": "REPLACE PatientID func:fails\n",
    "crash": "REPLACE PatientID func:crashes\n",
    "leaky": "REPLACE PatientID func:pseudonym\nREPLACE SOPInstanceUID func:generate_uid\n",
    "masked": "REPLACE SOPInstanceUID func:generate_uid\n"
    "%filter graylist\nLABEL all\npresent Rows\ncoordinates 0,0,2,2\n",
}
FUNCTIONS = '''
import logging
import threading
import warnings


class _Unraisable:
    def __init__(self, value):
        self.value = value

    def __del__(self):
        raise RuntimeError(self.value)


def _about(dicom):
    return f"{dicom.PatientName} {dicom.PatientID} {dicom.SOPInstanceUID}"


def fails(item, value, field, dicom):
    """Let out what it can in every way that Python prints by itself, and fail."""
    text = _about(dicom)
    warnings.warn(text)
    logging.getLogger("site").error("seen %s", text)
    logging.getLogger("pydicom").warning(text)
    _Unraisable(text)
    thread = threading.Thread(target=lambda: int(text), name=text)
    thread.start()
    thread.join()
    try:
        {}[text]
    except KeyError as error:
        raise ValueError(text) from error


def crashes(item, value, field, dicom):
    raise KeyboardInterrupt(_about(dicom))
'''

# What the log says where the functions above, or a peer, tried to be heard.
WAYS = (
    b"uncaught exception in a thread",
    b"exception that could not be raised",
    b"site: ERROR",
    b"pydicom: WARNING",
    b"category",
    b"KeyboardInterrupt",
    b"ValueError",
    b"poison",
    b"rejected",
)


@cache
def made() -> tuple[Planted, list[File]]:
    """What is planted, and where; later on more is planted by the tests."""
    values = Planted(SEED)
    return values, list(everything(values))


def test_no_token_is_seen_outside_spool_and_ledger(road):
    values, files = made()
    archive, refusing = road.archive(), free_port()
    node = road.node(archive)
    syslog = configured(node, road.folder, refusing)
    road.stack.callback(destination_that_tells(refusing, values).shutdown)
    with syslog.running():
        node.start()
        for file in files:
            sent(node, file, "DEIDNODE")
        count = len(files) + held_ones(node, values)
        refused_ones(node, values)
        wait_for(lambda: waiting(node, count) == 0, "all is settled, but what is for nobody")
        seen = said(node, files, road.folder)
        assert node.stop() == 0
        seen["log"] = node.log_path.read_bytes()
        seen["human log"] = human_log(node, values)
    for name, ways in (("log", WAYS), ("human log", WAYS[:-2])):
        assert [way for way in ways if way not in seen[name]] == [], "what could tell was there to tell"
    seen["syslog"] = b"\n".join(syslog.raw)
    assert b"Application Stop" in seen["syslog"]
    seen |= of_files(node.data, but=(node.spool / "originals", node.spool / "cleaned"))
    seen = {where: text for where, text in seen.items() if "/ledger.db" not in where}
    seen["names"] = "\n".join(str(path.relative_to(road.folder)) for path in road.folder.rglob("*")).encode()
    search = Search.of(values)
    assert {where: found for where, text in seen.items() if (found := search.found(text))} == {}


def human_log(node: RunningNode, values: Planted) -> bytes:
    """Let the node do what tells most once more, and write its other log of it."""
    before = node.log_path.stat().st_size
    node.config["node"]["log"]["format"] = "human"
    for name in ("strict", "function", "crash"):
        (node.folder / f"{name}.dicom").write_text("FORMAT dicom\n%header\n" + RECIPES[name])
    node.write_config()
    node.start()
    with node.ledger() as ledger:
        count = ledger.status()["received"]
    for name in ("function", "crash"):
        sent(node, File(name, image(values)), name.upper())
    wait_for(lambda: waiting(node, count + 2) == 0, "all is settled")
    assert node.stop() == 0
    return node.log_path.read_bytes()[before:]


def test_what_is_planted_is_found_in_every_disguise():
    values, files = made()
    search = Search.of(values)
    assert len(search.tokens) > 5000
    assert len(search.numbers) > 1000
    unseen = [
        file.name for file in files if not search.found(encoded(file) if not file.syntax.deflated else b"TKPAT1AAAA")
    ]
    assert unseen == []
    token, number = values.token(), values.of("DS")
    search = Search.of(values)
    for text in (token, f"it was {token.lower()}!", f"x={number}", f'"{number}"'):
        plain = text.encode()
        disguises = [plain, plain.hex().encode(), b"a" + plain.hex().upper().encode()]
        disguises += [text.encode(charset) for charset in ("utf-16-le", "utf-16-be", "utf-32-le")]
        disguises += [base64.b64encode(b"xyz"[:shift] + plain) for shift in range(3)]
        disguises.append(text.encode("utf-16-be").hex().encode())
        assert [one for one in disguises if not search.found(b"before " + one + b" after")] == []
    assert not search.found(f"{number}1 TKNOTPLANT {token[:-1]}".encode())


def configured(node: RunningNode, folder: Path, refusing: int) -> SyslogReceiver:
    """Routes for every way to be held, destinations that fail, functions that tell, a syslog receiver, all logs."""
    config = node.config
    (node.folder / "functions.py").write_text(FUNCTIONS)
    config["functions"] = ["functions.py"]
    (route,) = config["routes"]
    own = []
    for name, lines in RECIPES.items():
        (node.folder / f"{name}.dicom").write_text("FORMAT dicom\n%header\n" + lines)
        part = {"name": name, "recipe": [f"./{name}.dicom"], "from": {"called_ae": [name.upper()]}, "project": name}
        own.append(route | part | {"gate": "report" if name == "masked" else "hold"})
    config["destinations"]["refuses"] = config["destinations"]["dest"] | {"address": f"127.0.0.1:{refusing}"}
    config["destinations"]["away"] = config["destinations"]["dest"] | {"address": f"127.0.0.1:{free_port()}"}
    main = {"from": {"called_ae": ["DEIDNODE"]}, "recipe": ["research"], "gate": "hold"}
    config["routes"] = [route | main | {"to": ["dest", "refuses", "away"]}, *own]
    config["node"]["log"] = {"format": "json", "level": "debug"}
    authority = Authority(folder / "ca")
    syslog = SyslogReceiver(authority, authority.issue("receiver"), client_certificate=False)
    config["audit"] = {"syslog": {"address": f"127.0.0.1:{syslog.port}", "tls": {"ca": str(authority.ca)}}}
    node.write_config()
    return syslog


def destination_that_tells(port: int, values: Planted):
    """An archive that refuses every instance, and names a person in its answer."""

    def refuse(_event: evt.Event) -> Dataset:
        answer = Dataset()
        answer.Status, answer.ErrorComment = 0xC123, f"not for {values.token()}"
        answer.OffendingElement = 0x00100010
        return answer

    ae = AE(ae_title="DEST")
    ae.add_supported_context(CT, EXPLICIT)
    return ae.start_server(("127.0.0.1", port), block=False, evt_handlers=[(evt.EVT_C_STORE, refuse)])


def sent(
    node: RunningNode, file: File, called: str, *, data: bytes | None = None, uid: str = "", syntax: str = ""
) -> None:
    """Send a file, which the node has to take, whatever it is."""
    sop_class, own = (str(file.tree[tag][1]) for tag in (0x00080016, 0x00080018))
    with RawSender(node.port) as peer:
        assert peer.open((sop_class, (syntax or file.syntax.uid,)), called=called) == 2
        assert peer.store(encoded(file) if data is None else data, uid or own, sop_class) == SUCCESS


def held_ones(node: RunningNode, values: Planted) -> int:
    """Send what is held for the reasons that `everything` does not give; return how many."""
    made = {name: File(name, image(values)) for name in RECIPES}
    made["strict"].tree[0x00080020] = ("DA", values.token())
    for name, file in made.items():
        sent(node, file, name.upper())
    pixels = list(of_pixels(values))
    for file in pixels:
        sent(node, file, "MASKED")
    document = ct(values, OTHER, "1.2.840.10008.5.1.4.1.1.104.1")
    document |= {0x00420011: ("OB", f"%PDF-1.4 {values.token()}".encode()), 0x00420012: ("LO", "application/pdf")}
    nobody = image(values) | {0x00100020: ("LO", "UNKNOWN")}
    other = ct(values, STUDY) | {0x00100020: ("LO", values.token())}
    risky = image(values) | {0x00080016: ("UI", "1.2.840.10008.5.1.4.1.1.7"), 0x00080060: ("CS", "OT")}
    rest = [File("", tree) for tree in (document, nobody, other, risky)]
    for file in rest:
        sent(node, file, "DEIDNODE")
    whole = File("", image(values))
    data = encoded(whole)
    sent(node, whole, "DEIDNODE", data=data[: len(data) // 2 + 3])
    sent(node, whole, "DEIDNODE", data=f"{values.token()} is a person ".encode() * 9)
    sent(node, whole, "DEIDNODE", data=b"")
    sent(node, whole, "DEIDNODE", uid=values.uid())
    sent(node, whole, "DEIDNODE", syntax="1.2.999.1")
    sent(node, whole, "DEIDNODE", data=data.replace(b"ISO_IR 100", values.token().encode()))
    return len(made) + len(pixels) + len(rest) + 6


def refused_ones(node: RunningNode, values: Planted) -> None:
    """Associations and instances that do not come as far as a row in the ledger."""
    data = encoded(File("", image(values)))
    with RawSender(node.port) as peer:
        peer.open()
        for uid in (values.token(), f"../{values.token()}", f"{values.uid()}.{'1' * 60}"):
            assert peer.store(data, uid) == CANNOT_UNDERSTAND
        assert peer.store(data, generate_uid(), values.token()) == CANNOT_UNDERSTAND
    with RawSender(node.port) as peer:
        peer.open()
        peer.command(values.uid())
        peer.part(data[:200], last=False)
        peer.send(bytes.fromhex("07000000000400000000"))
    with RawSender(node.port) as peer:
        peer.open()
        peer.command(values.uid())
        peer.send(f"{values.token()} is no PDU".encode())
    with RawSender(node.port) as peer:
        assert peer.open(called="NOBODY") == 3
    wait_for(lambda: node.spool_files()["incoming"] == 0, "nothing is being written")


def waiting(node: RunningNode, count: int) -> int:
    """How many of `count` instances are yet to be cleaned, and deliveries wait for a destination that answers."""
    with node.ledger() as ledger, ledger.database.read() as connection:
        ask = connection.driver.execute
        (received, uncleaned) = ask("SELECT count(*), sum(state = 'received') FROM instances").fetchone()
        (due,) = ask("SELECT count(*) FROM deliveries WHERE state = 'due' AND destination <> 'away'").fetchone()
    return count - received + uncleaned + due


REASONS = {
    "action-failed", "document", "empty", "function-failed", "leak", "mask-failed", "no-patient-id",
    "pixel-risk", "poison", "refused", "study-of-two-patients", "uid-mismatch", "unknown-sop-class", "unknown-syntax",
    "unparsable",
}  # fmt: skip


def said(node: RunningNode, files: list[File], folder: Path) -> dict[str, bytes]:
    """All that the node says to people: by its commands, and by what the system shows of its processes."""
    held = node.held()
    by_reason = {one["reason"]: one["id"] for one in held}
    assert set(by_reason) >= REASONS, REASONS - set(by_reason)
    (folder / "in").mkdir()
    for number, file in enumerate(files[::9]):
        data = part10(file.tree, file.syntax, meta=file.meta, preamble=file.preamble) + file.tail
        (folder / "in" / f"{number}.dcm").write_bytes(data)
    commands = [
        *(
            ["status"],
            ["status", "--json"],
            ["held", "list"],
            ["held", "list", "--json"],
            ["check", "--strict"],
        ),
        *(["held", "show", by_reason[reason]] for reason in ("leak", "refused")),  # `details` has them all
        *(["held", "release", by_reason["function-failed"]], ["held", "release", by_reason["leak"]]),
        *(["held", "discard", by_reason["unparsable"], "--yes"], ["recipe", "studies", "--json"], ["audit", "list"]),
        *(["audit", "list", "--json"], ["audit", "verify"]),
        ["clean", str(folder / "in"), "--out", str(folder / "out"), "--route", "research", "--json"],
    ]
    seen = {}
    for command in commands:
        done = node.cli(*command)
        assert "Traceback" not in done.stderr, command
        seen[" ".join(command[:2])] = seen.get(" ".join(command[:2]), b"") + (done.stdout + done.stderr).encode()
    with node.ledger() as ledger:
        seen["details"] = details(ledger, held)
    assert node.process is not None
    for pid in processes(node.process.pid):
        for name in ("cmdline", "comm", "environ"):
            seen[f"{name} of {pid}"] = Path(f"/proc/{pid}/{name}").read_bytes()
    (node.folder / "strict.dicom").write_text("FORMAT dicom\n%header\nREPLCE PatientID X\n")
    refused = node.cli("reload")
    assert refused.returncode == 1
    return seen | {"reload": (refused.stdout + refused.stderr).encode()}


def details(ledger: Ledger, held: list[dict]) -> bytes:
    return json.dumps([ledger.held_detail(one["id"]) for one in held]).encode()


def processes(pid: int) -> list[int]:
    found, waiting = [], [pid]
    while waiting:
        found.append(waiting.pop())
        for task in Path(f"/proc/{found[-1]}/task").iterdir():
            waiting += map(int, (task / "children").read_text().split())
    return found
