"""TLS with DCMTK's programs on the other side: who is accepted, who is refused and why; nobody waits for it."""

from __future__ import annotations

import os
import re
import shutil
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from node.dicomnet import AcceptorLimits, RequestedAssociation, Timeouts, associate, echo
from node.dicomnet.dimse import encode_store_request
from node.errors import ConnectionFailed, HandshakeFailed, PeerTimeout
from node.part10 import read_file_meta
from node.tls import Files, Security, days_left, problems
from node.tls.security import LOOK_SECONDS

from .peers import (
    ABORT_TYPE,
    ACCEPT_TYPE,
    CT,
    EXPLICIT,
    LOCALHOST,
    PATIENCE,
    RELEASE_RQ,
    Acceptor,
    RawPeer,
    accepting,
    data_set_of,
    listen,
    make_file,
    p_data,
    pdv,
    run,
    storescp,
    until,
)
from .tls import Authority, Pair, Refusals, client_context, client_side, server_side, speak_tls

TIMEOUTS = Timeouts(10, 10, 30)


@pytest.fixture
def refusals() -> Refusals:
    return Refusals()


@pytest.fixture
def acceptor(authority: Authority, node_pair: Pair, refusals: Refusals) -> Iterator[Acceptor]:
    with accepting(tls=server_side(authority, node_pair, refusals)) as running:
        yield running


def with_tls(authority: Authority, pair: Pair) -> tuple[str, ...]:
    """The options by which DCMTK speaks TLS, and accepts only `authority`'s certificates."""
    return ("+tls", str(pair.key), str(pair.certificate), "+cf", str(authority.ca))


def echoscu(acceptor: Acceptor, *options: str) -> bool:
    done = run("echoscu", *options, LOCALHOST, str(acceptor.port))
    assert done.returncode in (0, 1, 60, 68), done.stderr
    return done.returncode == 0


def connect(port: int, tls: Security | None, timeouts: Timeouts = TIMEOUTS) -> RequestedAssociation:
    return associate(
        LOCALHOST,
        port,
        calling_ae_title="NODE",
        called_ae_title="SCP",
        contexts=[(CT, [EXPLICIT])],
        timeouts=timeouts,
        tls=tls,
    )


def store(association: RequestedAssociation, path: Path) -> int:
    file = os.open(path, os.O_RDONLY)
    try:
        meta, offset = read_file_meta(os.pread(file, 4096, 0))
        context_id = association.find(meta.sop_class_uid, meta.transfer_syntax_uid)
        assert context_id is not None
        length = os.fstat(file).st_size - offset
        return association.store(context_id, meta.sop_class_uid, meta.sop_instance_uid, file, [(offset, length)]).status
    finally:
        os.close(file)


# -- the node accepts ----------------------------------------------------------------------------------------------


def test_storescu_with_a_certificate_delivers_every_byte_and_its_names_are_known(
    tmp_path: Path, acceptor: Acceptor, authority: Authority, scanner: Pair
) -> None:
    sent = make_file(tmp_path / "a.dcm", 300_001)
    done = run("storescu", *with_tls(authority, scanner), LOCALHOST, str(acceptor.port), tmp_path / "a.dcm")
    assert done.returncode == 0, done.stderr
    assert acceptor.ended() == ["released"]
    (stored,) = acceptor.policy.stored
    assert bytes(sent.PixelData) in bytes(stored.data)
    assert stored.peer.certificate_names == ("scanner", "ct1.hospital.example")


def test_without_tls_a_peer_has_no_certificate_names(acceptor: Acceptor) -> None:
    with accepting() as plain:
        assert run("echoscu", LOCALHOST, str(plain.port)).returncode == 0
        assert plain.policy.admitted[0][0].certificate_names == ()


REFUSED = {
    "no certificate": "it showed no certificate",
    "unknown authority": "not issued by an authority that is trusted here",
    "expired": "its certificate has expired",
    "for servers only": "clientAuth",
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_client_whose_certificate_is_no_good_is_refused(
    case: str, acceptor: Acceptor, refusals: Refusals, authority: Authority, stranger: Authority
) -> None:
    pair = {
        "no certificate": None,
        "unknown authority": stranger.issue("scanner"),
        "expired": authority.issue("expired", days=-1),
        "for servers only": authority.issue("server", usage="serverAuth"),
    }[case]
    options = ("+tla", "+cf", str(authority.ca)) if pair is None else with_tls(authority, pair)
    assert not echoscu(acceptor, *options)
    assert until(lambda: bool(refusals.came))
    assert REFUSED[case] in refusals.came[0]
    assert acceptor.policy.admitted == []


def test_a_client_that_is_refused_is_told_so_by_an_alert(acceptor: Acceptor, authority: Authority) -> None:
    with RawPeer(acceptor.port) as raw:
        speak_tls(raw, authority)
        with pytest.raises(ssl.SSLError, match="CERTIFICATE_REQUIRED"):
            raw.receive()


@pytest.mark.parametrize(
    ("version", "ciphers"),
    [
        (ssl.TLSVersion.TLSv1, "ALL:@SECLEVEL=0"),
        (ssl.TLSVersion.TLSv1_1, "ALL:@SECLEVEL=0"),
        (ssl.TLSVersion.TLSv1_2, "ECDHE+AES+SHA256:ECDHE+AES+SHA384:!AESGCM"),
        (ssl.TLSVersion.TLSv1_2, "AES256-GCM-SHA384"),
    ],
    ids=["TLS 1.0", "TLS 1.1", "CBC", "no forward secrecy"],
)
@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
def test_old_versions_and_weak_suites_are_refused(
    version: ssl.TLSVersion,
    ciphers: str,
    acceptor: Acceptor,
    refusals: Refusals,
    authority: Authority,
    scanner: Pair,
) -> None:
    context = client_context(authority, scanner)
    context.minimum_version = context.maximum_version = version
    context.set_ciphers(ciphers)
    with RawPeer(acceptor.port) as raw, pytest.raises(ssl.SSLError):
        context.wrap_socket(raw.socket)
    assert until(lambda: bool(refusals.came))
    assert "no version" in refusals.came[0] or "no cipher suite" in refusals.came[0]


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_tls_1_2_and_1_3_have_forward_secrecy_and_authenticated_encryption(
    version: ssl.TLSVersion, acceptor: Acceptor, authority: Authority, scanner: Pair
) -> None:
    context = client_context(authority, scanner)
    context.minimum_version = context.maximum_version = version
    with RawPeer(acceptor.port) as raw:
        raw.socket = secured = context.wrap_socket(raw.socket)
        assert raw.associate()[0] == ACCEPT_TYPE
        cipher = secured.cipher()
        assert cipher is not None
        assert re.match(r"TLS_AES|TLS_CHACHA|ECDHE-.*(GCM|CHACHA20)", cipher[0])
        assert secured.compression() is None


def test_who_speaks_no_tls_is_refused(acceptor: Acceptor, refusals: Refusals) -> None:
    assert not echoscu(acceptor)
    with RawPeer(acceptor.port) as raw:
        raw.send(b"GET / HTTP/1.1\r\n\r\n")
        assert until(lambda: len(refusals.came) > 1)
    assert set(refusals.came) == {"TLS: it does not speak TLS"}


@pytest.mark.parametrize(("asked", "accepted"), [("optional", True), ("none", True), ("required", False)])
def test_a_listener_says_whether_it_wants_certificates(
    asked: str, accepted: bool, authority: Authority, node_pair: Pair, stranger: Authority
) -> None:
    with accepting(tls=server_side(authority, node_pair, client_certificate=asked)) as acceptor:
        assert echoscu(acceptor, "+tla", "+cf", str(authority.ca)) is accepted
        # One that is shown must be good where it is looked at.
        strange = with_tls(authority, stranger.issue("scanner"))
        assert echoscu(acceptor, *strange) is (asked == "none")


def test_silent_and_slow_handshakes_hold_up_nobody_and_end(
    authority: Authority, node_pair: Pair, scanner: Pair
) -> None:
    limits = AcceptorLimits(associate=PATIENCE)
    with accepting(limits=limits, tls=server_side(authority, node_pair)) as acceptor:
        silent = [RawPeer(acceptor.port) for _ in range(20)]
        for raw in silent[::2]:
            raw.send(b"\x16\x03\x01\x02\x00\x01")  # the beginning of a ClientHello
        assert echoscu(acceptor, *with_tls(authority, scanner))
        assert until(lambda: acceptor.server.connections() == 20)
        for raw in silent:
            raw.socket.close()
        assert until(lambda: acceptor.server.connections() == 0)


@pytest.mark.parametrize("far", [0, 6, 200])
def test_a_handshake_has_the_time_of_an_association_and_no_more(
    far: int, authority: Authority, node_pair: Pair
) -> None:
    inside, outside = ssl.MemoryBIO(), ssl.MemoryBIO()
    hello = client_context(authority).wrap_bio(inside, outside)
    with suppress(ssl.SSLWantReadError):
        hello.do_handshake()
    with accepting(limits=AcceptorLimits(associate=0.3), tls=server_side(authority, node_pair)) as acceptor:
        with RawPeer(acceptor.port) as raw:
            raw.send(outside.read()[:far])
            assert raw.at_end()  # without a word that is not TLS
        assert until(lambda: acceptor.server.connections() == 0)


def test_the_time_for_the_handshake_and_for_the_request_is_one(
    authority: Authority, node_pair: Pair, scanner: Pair
) -> None:
    with (
        accepting(limits=AcceptorLimits(associate=2), tls=server_side(authority, node_pair)) as acceptor,
        RawPeer(acceptor.port) as raw,
    ):
        speak_tls(raw, authority, scanner)
        assert raw.receive()[0] == ABORT_TYPE
        assert raw.at_end()


def test_the_end_is_said_in_order(acceptor: Acceptor, authority: Authority, scanner: Pair) -> None:
    with RawPeer(acceptor.port) as raw:
        speak_tls(raw, authority, scanner)
        assert isinstance(raw.socket, ssl.SSLSocket)
        raw.socket.suppress_ragged_eofs = False  # without close_notify the last read would raise
        raw.associate()
        raw.send(RELEASE_RQ)
        raw.receive()
        assert raw.socket.recv(1) == b""


def test_what_is_forged_inside_of_the_stream_ends_it_and_leaves_nothing(
    acceptor: Acceptor, authority: Authority, scanner: Pair
) -> None:
    command = encode_store_request(1, CT, "1.2.3")
    with RawPeer(acceptor.port) as raw:
        speak_tls(raw, authority, scanner)
        raw.associate()
        raw.send(p_data(pdv(command, command=True, last=True), pdv(bytes(100), command=False, last=False)))
        assert until(lambda: bool(acceptor.policy.stored))
        # A record with the right head; nobody without the keys can make its content.
        os.write(raw.socket.fileno(), b"\x17\x03\x03\x00\x40" + bytes(64))
        assert acceptor.ended() == ["lost"]
    assert [stored.state for stored in acceptor.policy.stored] == ["abandoned"]


def test_draining_ends_handshakes_too(authority: Authority, node_pair: Pair) -> None:
    with accepting(tls=server_side(authority, node_pair)) as acceptor, RawPeer(acceptor.port) as raw:
        assert until(lambda: acceptor.server.connections() == 1)
        acceptor.server.stop()
        acceptor.server.drain(0)
        assert raw.at_end()


# -- the node sends ------------------------------------------------------------------------------------------------


def test_storescp_gets_every_byte(tmp_path: Path, authority: Authority, node_pair: Pair, scanner: Pair) -> None:
    folder = tmp_path / "received"
    folder.mkdir()
    sizes = [0, 1, 65_000, 3_000_000]
    with storescp(folder, "+B", *with_tls(authority, scanner)) as port:
        # The archive is known by a name, not by its address.
        echo(LOCALHOST, port, "NODE", "SCP", tls=client_side(authority, node_pair, "ct1.hospital.example"))
        association = connect(port, client_side(authority, node_pair, "ct1.hospital.example"))
        for number, size in enumerate(sizes):
            make_file(tmp_path / f"{number}.dcm", size, number=number + 1)
            assert association.usable
            assert store(association, tmp_path / f"{number}.dcm") == 0
        association.release()
    for number in range(len(sizes)):
        (received,) = folder.glob(f"*.1.2.3.4.{number + 1}")
        assert data_set_of(received) == data_set_of(tmp_path / f"{number}.dcm")


NOT_SENT = {
    "another authority": "add the authority's certificate to tls.ca",
    "another name": "set tls.name",
    "another address": "set tls.name",
    "expired": "it must be renewed there",
    "no certificate of ours": "(tls.certificate, tls.key)",
    "ours is unknown": "it does not accept this node's certificate",
    "no TLS there": "perhaps it does not speak TLS",
}


@pytest.mark.parametrize("case", NOT_SENT)
def test_a_destination_that_is_not_the_right_one_is_refused_with_what_to_do(
    case: str, tmp_path: Path, authority: Authority, node_pair: Pair, stranger: Authority
) -> None:
    ours: Pair | None = node_pair
    theirs, trusted, name = node_pair, authority, "127.0.0.1"
    options: tuple[str, ...] = ()
    if case == "another authority":
        trusted = stranger
    elif case == "another name":
        name = "archive.example"
    elif case == "another address":
        name = "127.0.0.2"
    elif case == "expired":
        theirs = authority.issue("archive", days=-1)
    elif case == "no certificate of ours":
        ours = None
    elif case == "ours is unknown":
        ours = stranger.issue("node")
    if case != "no TLS there":
        options = with_tls(authority, theirs)
    with storescp(tmp_path, *options) as port, pytest.raises(ConnectionFailed) as caught:
        connect(port, client_side(trusted, ours, name), Timeouts(10, 3, 10)).release()
    assert NOT_SENT[case] in str(caught.value), caught.value


def test_a_name_counts_only_as_subject_alternative_name(tmp_path: Path, authority: Authority, node_pair: Pair) -> None:
    nameless = authority.issue("archive.example", alternatives="")
    with storescp(tmp_path, *with_tls(authority, nameless)) as port, pytest.raises(HandshakeFailed, match=r"tls\.name"):
        connect(port, client_side(authority, node_pair, "archive.example"))


def test_a_destination_that_never_answers_the_handshake_is_a_time_out(authority: Authority, node_pair: Pair) -> None:
    with listen() as silent, pytest.raises(PeerTimeout):
        connect(silent.getsockname()[1], client_side(authority, node_pair), Timeouts(5, 0.3, 5))


def test_an_idle_association_is_usable_until_the_peer_ends_it(authority: Authority, node_pair: Pair) -> None:
    """What TLS 1.3 sends by itself after the handshake (tickets) is no message of the peer's."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(node_pair.certificate, node_pair.key)
    with accepting() as behind, listen() as listener:
        context.num_tickets = 2
        relay = _Relay(listener, context, behind.port)
        association = connect(listener.getsockname()[1], client_side(authority, node_pair))
        assert [association.usable for _ in range(20)] == [True] * 20
        relay.close()
        assert until(lambda: not association.usable)


class _Relay:
    """Ends TLS in front of an acceptor, as a load balancer does."""

    def __init__(self, listener: socket.socket, context: ssl.SSLContext, port: int) -> None:
        self._sockets: list[socket.socket] = []
        threading.Thread(target=self._run, args=(listener, context, port), daemon=True).start()

    def _run(self, listener: socket.socket, context: ssl.SSLContext, port: int) -> None:
        front = context.wrap_socket(listener.accept()[0], server_side=True)
        back = socket.create_connection((LOCALHOST, port))
        self._sockets += [front, back]
        threading.Thread(target=self._pass_on, args=(back, front), daemon=True).start()
        self._pass_on(front, back)

    @staticmethod
    def _pass_on(source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                sink.sendall(data)

    def close(self) -> None:
        for one in self._sockets:
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)


def peak_memory() -> int:
    """Return the most memory that this process has held since the last call, in KiB, and start anew."""
    peak = re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())
    Path("/proc/self/clear_refs").write_text("5")
    assert peak is not None
    return int(peak[1])


def test_100_megabytes_go_both_ways_in_flat_memory(
    tmp_path: Path, acceptor: Acceptor, authority: Authority, node_pair: Pair
) -> None:
    """Both sides are in this process: what either would pile up is seen."""
    path = tmp_path / "big.dcm"
    make_file(path, 1000)
    with path.open("ab") as file:
        file.truncate(path.stat().st_size + (100 << 20))
    acceptor.policy.keep = False
    association = connect(acceptor.port, client_side(authority, node_pair))
    peak_memory()
    before = int(re.findall(r"VmRSS:\s+(\d+)", Path("/proc/self/status").read_text())[0])
    assert store(association, path) == 0
    assert peak_memory() - before < 8 << 10
    association.release()
    (stored,) = acceptor.policy.stored
    assert sum(stored.fragments) == len(data_set_of(path))


# -- certificates and their files ----------------------------------------------------------------------------------


def put(pair: Pair, folder: Path) -> Pair:
    """Install a pair, key first, as a renewal does."""
    installed = Pair(folder / "node.crt", folder / "node.key")
    for source, target in ((pair.key, installed.key), (pair.certificate, installed.certificate)):
        shutil.copy(source, folder / "new")
        (folder / "new").rename(target)
    return installed


def shown(port: int, authority: Authority, own: Pair) -> str:
    """The serial number of the certificate that an acceptor shows."""
    with RawPeer(port) as raw:
        speak_tls(raw, authority, own)
        assert isinstance(raw.socket, ssl.SSLSocket)
        certificate = raw.socket.getpeercert()
        assert certificate is not None
        return str(certificate["serialNumber"])


def test_a_renewed_certificate_is_taken_up_and_open_associations_stay(
    tmp_path: Path, authority: Authority, scanner: Pair, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "node.tls")
    installed = put(authority.issue("first"), tmp_path)
    with accepting(tls=server_side(authority, installed)) as acceptor, RawPeer(acceptor.port) as raw:
        first = shown(acceptor.port, authority, scanner)
        speak_tls(raw, authority, scanner).associate()
        put(authority.issue("second"), tmp_path)
        assert until(lambda: shown(acceptor.port, authority, scanner) != first)
        second = shown(acceptor.port, authority, scanner)
        assert "certificate-renewed" in caplog.messages
        # A file that is broken, and a key that belongs to another certificate, change nothing but the log.
        for broken in (b"", authority.issue("third").key.read_bytes()):
            installed.key.write_bytes(broken)
            caplog.clear()
            assert until(
                lambda: (
                    (shown(acceptor.port, authority, scanner) == second) and "certificate-not-taken" in caplog.messages
                )
            )
            assert shown(acceptor.port, authority, scanner) == second
        put(authority.issue("fourth"), tmp_path)
        assert until(lambda: shown(acceptor.port, authority, scanner) not in (first, second))
        raw.send(RELEASE_RQ)
        assert raw.receive()[0] == 6


def test_a_listener_whose_files_are_gone_refuses_until_they_are_there(
    tmp_path: Path, authority: Authority, scanner: Pair
) -> None:
    refusals = Refusals()
    files = Pair(tmp_path / "node.crt", tmp_path / "node.key")
    with accepting(tls=server_side(authority, files, refusals)) as acceptor:
        assert not echoscu(acceptor, *with_tls(authority, scanner))
        assert refusals.came == ["this node has no certificate that can be used"]
        put(authority.issue("late"), tmp_path)
        time.sleep(LOOK_SECONDS)
        assert echoscu(acceptor, *with_tls(authority, scanner))


def test_a_pair_in_order_has_no_problem_and_its_days_are_counted(authority: Authority) -> None:
    pair = authority.issue("good", days=45)
    assert list(problems(Files(pair.certificate, pair.key, authority.ca))) == []
    assert days_left(pair.certificate) in (44, 45)
    assert days_left(authority.ca) in (3649, 3650)
    bundle = pair.certificate.with_suffix(".pem")
    bundle.write_bytes(authority.issue("short", days=3).certificate.read_bytes() + authority.ca.read_bytes())
    assert days_left(bundle) in (2, 3)
    assert days_left(bundle, any_of=True) > 3000


def broken_pairs(authority: Authority, folder: Path) -> dict[str, tuple[Files, str, str]]:
    """Files that cannot be used: (files, the one that is to blame, what is said)."""
    good, other = authority.issue("one"), authority.issue("two")
    expired, rubbish = authority.issue("three", days=-1), folder / "rubbish"
    rubbish.write_text("-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n")
    rubbish.chmod(0o600)
    readable = folder / "readable.key"
    shutil.copy(good.key, readable)
    readable.chmod(0o640)
    locked = folder / "locked.key"
    locked.write_text("-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIIB\n-----END ENCRYPTED PRIVATE KEY-----\n")
    locked.chmod(0o600)
    none, ca = folder / "none", authority.ca
    return {
        "no certificate": (Files(none, good.key, ca), "certificate", "No such file"),
        "no key": (Files(good.certificate, none, ca), "key", "No such file"),
        "no authority": (Files(good.certificate, good.key, none), "ca", "No such file"),
        "a folder": (Files(folder, good.key, ca), "certificate", "Is a directory"),
        "key in place of certificate": (Files(good.key, good.key, ca), "certificate", "holds no certificate"),
        "certificate in place of key": (Files(good.certificate, rubbish, ca), "key", "cannot be used"),
        "rubbish": (Files(rubbish, good.key, ca), "certificate", "cannot be decoded"),
        "rubbish of an authority": (Files(good.certificate, good.key, rubbish), "ca", "cannot be decoded"),
        "another's key": (Files(good.certificate, other.key, ca), "key", "does not belong to"),
        "expired": (Files(expired.certificate, expired.key, ca), "certificate", "has expired"),
        "expired authority": (Files(good.certificate, good.key, expired.certificate), "ca", "has expired"),
        "key for all to read": (Files(good.certificate, readable, ca), "key", "chmod 600"),
        "locked key": (Files(good.certificate, locked, ca), "key", "password"),
    }


BROKEN = [
    *("no certificate", "no key", "no authority", "a folder", "key in place of certificate"),
    *("certificate in place of key", "rubbish", "rubbish of an authority", "another's key", "expired"),
    *("expired authority", "key for all to read", "locked key"),
]


@pytest.fixture(scope="module")
def broken(authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Files, str, str]]:
    return broken_pairs(authority, tmp_path_factory.mktemp("broken"))


@pytest.mark.parametrize("case", BROKEN)
def test_files_that_cannot_be_used_are_named_with_what_to_do(
    case: str, broken: dict[str, tuple[Files, str, str]]
) -> None:
    files, key, said = broken[case]
    (problem,) = problems(files)
    assert problem.key == key
    assert said in str(problem)
    assert problem.hint
