"""The sections `tls` of a listener and of a destination: which files, and what is asked of the other side.

Whether the files can be used is not looked at here (`node.config.security` does): a command that only reads the ledger
must work for a user who may not read a key, and on the day after a certificate has expired.
"""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import PlainValidator, model_validator

from node.config.paths import FilePath
from node.config.section import Section
from node.tls import Files

_HOST_NAME = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_.:-]{0,251}[A-Za-z0-9_])?\Z")


def _host_name(value: object) -> str:
    if not isinstance(value, str) or not _HOST_NAME.match(value):
        raise ValueError("expected a host name or an address, as the certificate has it.")
    return value


class ListenerTLS(Section):
    """The TLS of a listener; `client_certificate` says whether a sender must show one that comes from `ca`."""

    certificate: FilePath
    """PEM file with the node's certificate, then the intermediate ones (docs/tls.md)."""
    key: FilePath
    """PEM file with its private key: without password, readable for the node's user alone."""
    ca: FilePath | None = None
    """PEM file with the certificates of the authorities whose clients may connect."""
    client_certificate: Literal["required", "optional", "none"] = "required"
    """Whether a sender must show a certificate: `required`, `optional` (one that is shown must be good), or `none`
    (then `ca` is not needed).
    """

    @model_validator(mode="after")
    def _possible(self) -> ListenerTLS:
        if self.ca is None and self.client_certificate != "none":
            raise ValueError("add `ca`, the certificates of the authorities whose clients may connect.")
        return self

    @property
    def files(self) -> Files:
        """The files that it is made of."""
        return Files(self.certificate, self.key, None if self.client_certificate == "none" else self.ca)


class DestinationTLS(Section):
    """The TLS of a destination, whose certificate must come from `ca` and have `name` (by default its host)."""

    ca: FilePath
    """PEM file with the certificates of the authorities that the other side's certificate may come from (docs/tls.md).
    """
    certificate: FilePath | None = None
    """PEM file with the certificate that the node shows, where the other side asks for one."""
    key: FilePath | None = None
    """PEM file with its private key; it stands together with `certificate`."""
    name: Annotated[str, PlainValidator(_host_name)] | None = None
    """The host name or IP address that the other side's certificate must have as Subject Alternative Name.
    Default: the host of its address.
    """

    @model_validator(mode="after")
    def _possible(self) -> DestinationTLS:
        if (self.certificate is None) != (self.key is None):
            raise ValueError("`certificate` and `key` stand together: add the one that is missing.")
        return self

    @property
    def files(self) -> Files:
        """The files that it is made of."""
        return Files(self.certificate, self.key, self.ca)
