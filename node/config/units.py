"""Values with units, and the other small notations of the configuration, each with its parser.

Every parser takes the value as YAML gave it and raises `ValueError` with a sentence that says what is expected and does
not repeat the value (it may have come from an environment variable).
"""

from __future__ import annotations

import ipaddress
import math
import re
from dataclasses import dataclass
from typing import NamedTuple

DURATION_UNITS = {"ms": 0.001, "s": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
SIZE_UNITS = {"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40}
MAX_DURATION = 3650 * DURATION_UNITS["d"]
AE_TITLE_LENGTH = 16

_QUANTITY = re.compile(r"([0-9]+(?:\.[0-9]+)?) ?([A-Za-z]+|%)\Z")
_HOST = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,251}[A-Za-z0-9_.])?\Z")
IPNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network
IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address


class Endpoint(NamedTuple):
    """Where something listens: host (name or address, without brackets) and TCP port."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Size:
    """An amount of disk: a number of bytes, or a share of the whole file system."""

    bytes: int = 0
    percent: float | None = None

    def bytes_of(self, total: int) -> int:
        """Return the amount in bytes, for a file system of `total` bytes."""
        return self.bytes if self.percent is None else int(total * self.percent / 100)

    def __str__(self) -> str:
        if self.percent is not None:
            return f"{self.percent:g} %"
        for unit, factor in reversed(SIZE_UNITS.items()):
            if self.bytes and self.bytes % factor == 0:
                return f"{self.bytes // factor} {unit}"
        return f"{self.bytes} bytes"


def parse_duration(value: object) -> float:
    """Return seconds for `250 ms`, `30s`, `15min`, `1 h`, `7 d`."""
    problem = "expected a duration such as 30s (units: ms, s, min, h, d)."
    match = _QUANTITY.match(value) if isinstance(value, str) else None
    if match is None or match[2] not in DURATION_UNITS:
        raise ValueError(problem)
    seconds = float(match[1]) * DURATION_UNITS[match[2]]
    if not math.isfinite(seconds) or seconds > MAX_DURATION:
        raise ValueError("a duration of more than ten years.")
    return seconds


def parse_positive_duration(value: object) -> float:
    """Return seconds, as `parse_duration`, and refuse zero."""
    seconds = parse_duration(value)
    if seconds <= 0:
        raise ValueError("the duration must be more than zero.")
    return seconds


def parse_stay(value: object) -> float:
    """Return seconds, as `parse_duration`; `0` needs no unit."""
    if value == 0 and isinstance(value, int) and not isinstance(value, bool):
        return 0.0
    return parse_duration(value)


def parse_age(value: object) -> float | None:
    """Return seconds, as `parse_positive_duration`, or None for `forever`."""
    if value is None or value == "forever":
        return None
    try:
        return parse_positive_duration(value)
    except ValueError as error:
        raise ValueError(f"{str(error).rstrip('.')}; or forever.") from None


def parse_age_in_days(value: object) -> int | None:
    """Return whole days, at least one, or None for `forever`."""
    if value is None or value == "forever":
        return None
    days = parse_days(value)
    if days < 1:
        raise ValueError("expected at least 1d, or forever.")
    return days


def parse_days(value: object) -> int:
    """Return days for `30d` or `24 h`, and refuse what is not a whole number of them."""
    days, rest = divmod(parse_duration(value), DURATION_UNITS["d"])
    if rest:
        raise ValueError("expected whole days, such as 30d.")
    return int(days)


def parse_size(value: object) -> Size:
    """Return the size for `512 MiB`, `1 GiB` or `5 %`."""
    match = _QUANTITY.match(value) if isinstance(value, str) else None
    if match is None or (match[2] != "%" and match[2] not in SIZE_UNITS):
        raise ValueError("expected a size such as 1 GiB (units: KiB, MiB, GiB, TiB, or % of the disk).")
    number = float(match[1])
    if match[2] == "%":
        if number >= 100:
            raise ValueError("a share of the disk must be less than 100 %.")
        return Size(percent=number)
    if number * SIZE_UNITS[match[2]] >= 1 << 60:
        raise ValueError("a size beyond any disk.")
    return Size(bytes=int(number * SIZE_UNITS[match[2]]))


def parse_endpoint(value: object) -> Endpoint:
    """Return host and port for `host:port` or `[IPv6 address]:port`; port 0 is refused."""
    host, separator, port = value.rpartition(":") if isinstance(value, str) else ("", "", "")
    if not separator or not re.fullmatch(r"[0-9]{1,5}", port, re.ASCII):
        raise ValueError("expected host:port, such as 127.0.0.1:11112.")
    if not 1 <= int(port) <= 65535:
        raise ValueError("a port is a number from 1 to 65535.")
    return Endpoint(_host(host), int(port))


def _host(text: str) -> str:
    if text.startswith("[") and text.endswith("]"):
        try:
            return str(ipaddress.IPv6Address(text[1:-1]))
        except ValueError:
            raise ValueError("the text in brackets is no IPv6 address.") from None
    if ":" in text:
        raise ValueError("an IPv6 address stands in brackets, such as [::1]:11112.")
    if not _HOST.match(text):
        raise ValueError("expected a host name or an address before the colon.")
    if re.fullmatch(r"[0-9.]+", text):
        try:
            ipaddress.IPv4Address(text)
        except ValueError:
            raise ValueError("the text before the colon is no IPv4 address.") from None
    return text


def parse_network(value: object) -> IPNetwork:
    """Return the network for `10.1.0.0/16`, `192.168.1.7` or `::1`; an IPv6-mapped IPv4 network becomes IPv4."""
    if not isinstance(value, str):
        raise ValueError("expected an address or a network, such as 10.1.0.0/16.")
    try:
        network = ipaddress.ip_network(value.strip())
    except ValueError:
        if _has_host_bits(value.strip()):
            raise ValueError("the address has bits set beyond the length of its network.") from None
        raise ValueError("expected an address or a network, such as 10.1.0.0/16.") from None
    mapped = network.network_address.ipv4_mapped if isinstance(network, ipaddress.IPv6Network) else None
    if mapped is None or network.prefixlen < 96:
        return network
    return ipaddress.ip_network((mapped, network.prefixlen - 96))


def _has_host_bits(text: str) -> bool:
    try:
        ipaddress.ip_network(text, strict=False)
    except ValueError:
        return False
    return True


def parse_ae_title(value: object) -> str:
    """Return an AE title without its padding (PS3.5 6.2: at most 16 characters, no backslash, no control character)."""
    title = _ae_text(value)
    if "*" in title:
        raise ValueError("an AE title with * is only possible in a route's `from`.")
    if len(title) > AE_TITLE_LENGTH:
        raise ValueError("an AE title has at most 16 characters.")
    return title


def parse_ae_pattern(value: object) -> str:
    """Return an AE title in which `*` stands for any characters."""
    pattern = _ae_text(value)
    if len(pattern.replace("*", "")) > AE_TITLE_LENGTH:
        raise ValueError("an AE title has at most 16 characters.")
    return re.sub(r"\*+", "*", pattern)


def _ae_text(value: object) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        raise ValueError("expected an AE title; one made of digits stands in quotes.")
    if not isinstance(value, str):
        raise ValueError("expected an AE title.")
    title = value.strip(" ")
    if not title:
        raise ValueError("an AE title has at least one character.")
    if "\\" in title or not all(" " <= character <= "~" for character in title):
        raise ValueError("an AE title has no backslash, no control character and only ASCII.")
    return title
