"""The trail reaches its syslog receiver over TLS: everything, in order, and nobody else."""

from __future__ import annotations

from pathlib import Path

import pytest

from node.audit import kinds
from node.audit.syslog import Receiver, frame
from node.config import Config, Endpoint, certificate_faults, expiries, load_config, syslog_security
from node.errors import ConfigError, NetworkError
from node.ledger.audit import entries, next_to_send, note_sent
from node.ledger.database import Database
from tests.audit.support import BY, SyslogReceiver, config_in, event_of, new_trail
from tests.dicomnet.tls import Authority, Pair
from tests.ledger.support import new_database


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture(scope="module")
def certificates(authority: Authority) -> tuple[Pair, Pair]:
    """The receiver's and the node's."""
    return authority.issue("receiver"), authority.issue("node")


@pytest.fixture
def database(tmp_path: Path) -> Database:
    made = new_database(tmp_path)
    new_trail().record(made, *(kinds.accessed(BY, f"{number:032x}", "R") for number in range(300)))
    return made


def configured(folder: Path, authority: Authority, port: int, own: Pair | None) -> Config:
    tls = {"ca": str(authority.ca)}
    if own is not None:
        tls |= {"certificate": str(own.certificate), "key": str(own.key)}
    return config_in(folder, audit={"syslog": {"address": f"127.0.0.1:{port}", "tls": tls}})


def receiver_of(config: Config) -> Receiver:
    security = syslog_security(config)
    assert config.audit.syslog is not None
    assert security is not None
    return Receiver(config.audit.syslog.address, security)


def test_all_entries_arrive_in_order_with_the_header_that_the_standard_asks_for(
    tmp_path: Path, database: Database, authority: Authority, certificates: tuple[Pair, Pair]
) -> None:
    theirs, ours = certificates
    with SyslogReceiver(authority, theirs).running() as syslog:
        receiver = receiver_of(configured(tmp_path, authority, syslog.port, ours))
        while batch := next_to_send(database, 200):
            receiver.send(batch)
            note_sent(database, batch[-1].seq)
    assert [number for number, _ in syslog.came] == list(range(1, 301))
    assert {event_of(message)[0] for _, message in syslog.came} == {"DICOM Instances Accessed"}
    assert b"".join(syslog.raw) == b"".join(map(frame, entries(database)))


def test_what_is_lost_with_a_connection_is_an_error_and_sent_again(
    tmp_path: Path, database: Database, authority: Authority, certificates: tuple[Pair, Pair]
) -> None:
    theirs, ours = certificates
    batch = next_to_send(database, 300)
    syslog = SyslogReceiver(authority, theirs, cut_after=20_000)
    receiver = receiver_of(configured(tmp_path, authority, syslog.port, ours))
    with syslog.running():
        with pytest.raises(NetworkError):
            receiver.send(batch)
        syslog.cut_after = None
        receiver.send(batch)
    numbers = [number for number, _ in syslog.came]
    assert numbers[-300:] == list(range(1, 301))
    assert len(numbers) > 300, "some came twice, and say so by their number"


def test_a_receiver_of_another_authority_gets_nothing(
    tmp_path: Path, database: Database, authority: Authority, certificates: tuple[Pair, Pair]
) -> None:
    stranger = Authority(tmp_path / "other")
    with SyslogReceiver(stranger, stranger.issue("receiver"), client_certificate=False).running() as syslog:
        receiver = receiver_of(configured(tmp_path, authority, syslog.port, None))
        with pytest.raises(NetworkError, match="certificate is not accepted"):
            receiver.send(next_to_send(database, 5))
    assert syslog.raw == []


def test_a_node_that_the_receiver_does_not_accept_knows_that_nothing_arrived(
    tmp_path: Path, database: Database, authority: Authority, certificates: tuple[Pair, Pair]
) -> None:
    with SyslogReceiver(authority, certificates[0]).running() as syslog:
        receiver = receiver_of(configured(tmp_path, authority, syslog.port, None))
        with pytest.raises(NetworkError):
            receiver.send(next_to_send(database, 5))
    assert syslog.raw == []


def test_a_receiver_that_is_away_is_an_error_that_names_its_address(
    tmp_path: Path, database: Database, authority: Authority
) -> None:
    config = configured(tmp_path, authority, 1, None)
    with pytest.raises(NetworkError, match=r"127\.0\.0\.1:1"):
        receiver_of(config).send(next_to_send(database, 5))


def test_its_certificates_are_looked_at_like_all_others(
    tmp_path: Path, authority: Authority, certificates: tuple[Pair, Pair]
) -> None:
    config = configured(tmp_path, authority, 6514, certificates[1])
    assert certificate_faults(config) == []
    assert [one.used_by for one in expiries(config)] == ["audit.syslog"] * 2
    missing = configured(tmp_path, authority, 6514, Pair(tmp_path / "no.crt", certificates[1].key))
    (fault,) = certificate_faults(missing)
    assert fault.key == "audit.syslog.tls.certificate"


def test_syslog_without_tls_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"audit\.syslog\.tls"):
        config_in(tmp_path, audit={"syslog": {"address": "127.0.0.1:514"}})
    with pytest.raises(ConfigError, match=r"audit\.source"):
        config_in(tmp_path, audit={"source": "two\nlines"})
    config_in(tmp_path, audit={"source": "deid-1", "site": "Hospital"})
    assert load_config(tmp_path / "config.yaml").audit.source == "deid-1"


def test_the_receivers_name_is_asked_for(
    tmp_path: Path, database: Database, authority: Authority, certificates: tuple[Pair, Pair]
) -> None:
    named = authority.issue("named", alternatives="DNS:syslog.example")
    with SyslogReceiver(authority, named, client_certificate=False).running() as syslog:
        config = configured(tmp_path, authority, syslog.port, None)
        with pytest.raises(NetworkError, match="certificate is not accepted"):
            receiver_of(config).send(next_to_send(database, 5))
        assert config.audit.syslog is not None
        tls = {"ca": str(authority.ca), "name": "syslog.example"}
        config = config_in(tmp_path, audit={"syslog": {"address": f"127.0.0.1:{syslog.port}", "tls": tls}})
        assert config.audit.syslog is not None
        assert config.audit.syslog.address == Endpoint("127.0.0.1", syslog.port)
        receiver_of(config).send(next_to_send(database, 5))
    assert len(syslog.came) == 5
