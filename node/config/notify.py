"""The section `notify`: who is told by mail or webhook of what somebody has to look at. By default nobody is.

A password and the headers of a webhook are kept out of every text that is made of the configuration.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from difflib import get_close_matches
from typing import TYPE_CHECKING, Annotated, Literal, NamedTuple, get_args
from urllib.parse import urlsplit

from pydantic import Field, PlainValidator, model_validator

from node.config.audit import Label
from node.config.paths import FilePath
from node.config.section import Filled, Section
from node.config.units import Endpoint, parse_endpoint, parse_positive_duration

if TYPE_CHECKING:
    from node.config.model import Config
    from node.config.yaml12 import KeyPath

HOUR, DAY = 3600.0, 86400.0
Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
DAYS: tuple[Day, ...] = get_args(Day)

_MAILBOX = re.compile(r"[!-?A-~]{1,64}@[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?\Z")
_WINDOW = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])-([01][0-9]|2[0-3]|24):([0-5][0-9])\Z")
_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+\Z")


class Window(NamedTuple):
    """A part of the day, in minutes since midnight by this machine's clock; it may pass over midnight."""

    begin: int
    end: int


WHOLE_DAY = Window(0, 24 * 60)


def _mailbox(value: object) -> str:
    if not isinstance(value, str) or not _MAILBOX.match(value) or ".." in value:
        raise ValueError("expected a mail address such as dicom-team@hospital.example.")
    return value


def _url(value: object) -> str:
    problem = "expected an address such as https://chat.hospital.example/hook."
    if not isinstance(value, str) or not value.isascii() or not value.isprintable() or " " in value:
        raise ValueError(problem)
    try:
        parts = urlsplit(value)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        raise ValueError(problem) from None
    if not usable or parts.username is not None:
        raise ValueError(problem)
    return value


def _headers(value: object) -> dict[str, str]:
    if not isinstance(value, dict):
        raise ValueError("expected a section of headers, such as { Authorization: ... }.")
    for name, text in value.items():
        if not isinstance(name, str) or not _HEADER_NAME.match(name):
            raise ValueError("the name of a header has letters, digits and dashes.")
        if not isinstance(text, str) or not text.isascii() or not text.isprintable():
            raise ValueError("the value of a header is text of one line, in ASCII.")
    return value


def _period(value: object) -> float | None:
    if value == "never":
        return None
    try:
        return parse_positive_duration(value)
    except ValueError as error:
        raise ValueError(f"{str(error).rstrip('.')}; or never.") from None


def _window(value: object) -> Window:
    match = _WINDOW.match(value) if isinstance(value, str) else None
    numbers = [int(part) for part in match.groups()] if match else []
    if not numbers or (numbers[2] == 24 and numbers[3]) or numbers[:2] == numbers[2:]:
        raise ValueError("expected a part of the day in quotes, such as '07:00-19:00'.")
    return Window(numbers[0] * 60 + numbers[1], numbers[2] * 60 + numbers[3])


Mailbox = Annotated[str, PlainValidator(_mailbox)]
Period = Annotated[float | None, PlainValidator(_period)]


class Mail(Section):
    """A mail server that takes messages: STARTTLS by default, and never a password without TLS."""

    to: Annotated[tuple[Mailbox, ...], Filled]
    """The addresses that get messages."""
    from_: Mailbox = Field(alias="from")
    """The address that they come from."""
    server: Annotated[Endpoint, PlainValidator(parse_endpoint)]
    """`host:port` of the mail server."""
    tls: Literal["starttls", "tls", "none"] = "starttls"
    """`starttls`; `tls`: from the first byte (port 465); `none`: without, and then without password."""
    ca: FilePath | None = None
    """PEM file with the certificates of the authorities that the server's certificate may come from. Default:
    the system's.
    """
    user: str | None = None
    """The user at the mail server; it stands together with `password`."""
    password: str | None = Field(default=None, repr=False)
    """The password, from the environment: `${NAME}`."""

    @model_validator(mode="after")
    def _possible(self) -> Mail:
        if (self.user is None) != (self.password is None):
            raise ValueError("`user` and `password` stand together: add the one that is missing.")
        if self.tls == "none" and self.password is not None:
            raise ValueError("a password is never sent without TLS: `tls: starttls` or `tls: tls`.")
        return self


class Webhook(Section):
    """Where messages are posted to as JSON, with headers of its own."""

    url: Annotated[str, PlainValidator(_url)] = Field(repr=False)
    """Where messages are posted to, as JSON; redirections are not followed."""
    header: Annotated[dict[str, str], PlainValidator(_headers)] = Field(default={}, repr=False)
    """A section of HTTP headers that are sent along, their secrets from the environment."""
    ca: FilePath | None = None
    """PEM file with the authorities that the certificate of the other side may come from. Default: the system's."""


class Quiet(Section):
    """A route that should not be silent for as long as `after` (seconds) in a part of the day, on some days."""

    route: str
    """A route that should not be silent."""
    after: Annotated[float, PlainValidator(parse_positive_duration)]
    """For how long it may be silent."""
    between: Annotated[Window, PlainValidator(_window)] = WHOLE_DAY
    """The part of the day that counts, by this machine's local time, in quotes; it may pass over midnight."""
    days: Annotated[tuple[Day, ...], Filled] = DAYS
    """The days that count. Default: all."""


class On(Section):
    """What is told: `held` and `refused_contexts` at most once in so many seconds, `destination_down` after so many.

    None is never. `disk` and `alerts` are those of `status`.
    """

    held: Period = HOUR
    """What was held is told together, at most once in so long; or `never`."""
    destination_down: Period = 600.0
    """A destination that could not be reached for so long; or `never`."""
    refused_contexts: Period = DAY
    """Presentation contexts that were refused, by sender, at most once in so long; or `never`."""
    disk: bool = True
    """The disk's states but `ok` (docs/operation.md#the-disk)."""
    alerts: bool = True
    """The other `alerts` of `status` (docs/operation.md#what-status-says)."""
    nothing_received: tuple[Quiet, ...] = ()
    """Routes that should not be silent."""


class Notify(Section):
    """Who is told, of what, and how often: at most `at_most` messages an hour by each way; what lasts, each `again`.

    `name` is what messages call the node; None is its AE title.
    """

    name: Label | None = None
    """What messages call the node. Default: its AE title."""
    mail: Mail | None = None
    """A mail server that takes messages."""
    webhook: Webhook | None = None
    """Where messages are posted to, as JSON."""
    at_most: Annotated[int, Field(ge=1, le=1000)] = 12
    """How many messages go out in an hour, by each of both ways; what is more waits, and is told together."""
    again: Annotated[float, PlainValidator(parse_positive_duration)] = DAY
    """After so long what lasts is told again."""
    on: On = On()
    """What is told."""

    @property
    def wanted(self) -> bool:
        """Whether anybody is told at all."""
        return self.mail is not None or self.webhook is not None


def faults(config: Config) -> Iterator[tuple[KeyPath, str, str]]:
    """Find routes to be listened for that are none."""
    known = [route.name for route in config.routes]
    for index, quiet in enumerate(config.notify.on.nothing_received):
        if quiet.route not in known:
            near = get_close_matches(quiet.route, known, 1, 0.5)
            hint = f"Did you mean '{near[0]}'?" if near else f"Known: {', '.join(known)}."
            yield ("notify", "on", "nothing_received", index, "route"), f"there is no route '{quiet.route}'.", hint
