import pytest
from hypothesis import given, strategies

from node.config import units


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("250ms", 0.25), ("30s", 30), ("15min", 900), ("1 h", 3600), ("7d", 604800), ("1.5s", 1.5), ("0s", 0)],
)
def test_a_duration_is_seconds(text, seconds):
    assert units.parse_duration(text) == seconds


@pytest.mark.parametrize("value", [5, "5", "5 m", "5 S", "-5s", "", None, "1e3s", "99999d", "5s ", "٣s", True])
def test_a_duration_without_a_known_unit_is_refused(value):
    with pytest.raises(ValueError, match="duration"):
        units.parse_duration(value)


def test_a_size_is_bytes_or_a_share_of_the_disk():
    assert units.parse_size("1 GiB").bytes_of(0) == 1 << 30
    assert units.parse_size("0.5KiB").bytes == 512
    assert units.parse_size("5 %").bytes_of(1000) == 50


@pytest.mark.parametrize("value", ["1 GB", "1", 1, "100 %", "-1 GiB", "GiB", "9999999 TiB"])
def test_a_size_without_a_known_unit_is_refused(value):
    with pytest.raises(ValueError, match=r"size|share"):
        units.parse_size(value)


@pytest.mark.parametrize(
    ("text", "endpoint"),
    [
        ("127.0.0.1:104", ("127.0.0.1", 104)),
        ("pacs.example.org:11112", ("pacs.example.org", 11112)),
        ("[::1]:11112", ("::1", 11112)),
    ],
)
def test_an_endpoint_is_host_and_port_and_writes_itself_as_it_came(text, endpoint):
    assert units.parse_endpoint(text) == endpoint
    assert str(units.parse_endpoint(text)) == text


@pytest.mark.parametrize("value", ["::1:104", "host", "host:", ":104", "host:0", "host:65536", "a b:1", "1.2.3:4", 104])
def test_a_broken_endpoint_is_refused(value):
    with pytest.raises(ValueError, match=r"host|port|IPv|Endpoint|brackets"):
        units.parse_endpoint(value)


@pytest.mark.parametrize("value", ["", " ", "A" * 17, "A\\B", "A\nB", "Ä", "A*", 1234, None])
def test_what_is_no_ae_title_is_refused(value):
    with pytest.raises(ValueError, match="AE title"):
        units.parse_ae_title(value)


def test_an_ae_title_is_trimmed():
    assert units.parse_ae_title("  CT 1 ") == "CT 1"


def test_a_mapped_network_is_ipv4():
    assert str(units.parse_network("::ffff:10.0.0.0/104")) == "10.0.0.0/8"


def test_a_network_with_host_bits_is_refused_as_such():
    with pytest.raises(ValueError, match="bits"):
        units.parse_network("10.0.0.1/8")


@given(strategies.text() | strategies.integers() | strategies.none() | strategies.booleans() | strategies.floats())
def test_no_value_makes_a_parser_raise_anything_else(value):
    parsers = (
        units.parse_duration,
        units.parse_size,
        units.parse_endpoint,
        units.parse_network,
        units.parse_ae_title,
        units.parse_ae_pattern,
    )
    for parser in parsers:
        try:
            parser(value)
        except ValueError:
            continue
