"""What an acceptor asks its owner: whom to admit, where an instance goes, what to answer.

The acceptor speaks DICOM and knows nothing of routes, spool or ledger; an AcceptorPolicy knows those and no PDU.
Methods are called from the thread of the association, for several associations at once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from node.dicomnet.pdus import Role
from node.tls import Security

LONGEST_COMMITMENT = 4 << 20  # bytes of a data set of Storage Commitment


@dataclass(frozen=True, slots=True)
class Peer:
    """The requestor of an association; AE titles are trimmed, `association` is the node's own id for the log.

    `certificate_names` are the names in its verified certificate: common name first, then the alternative names; empty
    without TLS, and where no certificate was asked for. `reports` says that nothing but Storage Commitment (and
    Verification) was proposed: so an SCP of it comes that brings a report.
    """

    calling_ae_title: str
    called_ae_title: str
    address: str
    port: int
    association: str
    certificate_names: tuple[str, ...] = ()
    reports: bool = False


class Rejecting(Protocol):
    """Result, source and reason of an A-ASSOCIATE-RJ (PS3.8 Table 9-21)."""

    @property
    def result(self) -> int:
        """1 permanent, 2 transient."""

    @property
    def source(self) -> int:
        """1 service user, 2 and 3 service provider."""

    @property
    def reason(self) -> int:
        """The reason, by source."""


@dataclass(frozen=True, slots=True)
class Rejection:
    """A Rejecting of the acceptor's own; `text` is for the log."""

    result: int
    source: int
    reason: int
    text: str = ""


class StoreRequest(NamedTuple):
    """A C-STORE-RQ. The UIDs are those of the command, as they came but for padding: not checked, maybe empty."""

    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str
    message_id: int
    context_id: int


@dataclass(frozen=True, slots=True)
class StoreAnswer:
    """The status of a C-STORE-RSP; `comment` becomes Error Comment (0000,0902): ASCII, at most 64 characters."""

    status: int
    comment: str = ""


class InstanceWriter(Protocol):
    """Takes the data set of one C-STORE-RQ; ends with either `finish` or `abandon`."""

    def write(self, fragment: memoryview) -> None:
        """Take the next fragment, which is valid during the call only.

        A failure to write (no room, a broken disk) is remembered, not raised: `finish` answers it.
        """

    def finish(self) -> StoreAnswer:
        """Conclude after the last fragment. A status of 0000H says that the instance is on stable storage."""

    def abandon(self) -> None:
        """Leave no trace: the association ended in the middle of the instance."""


class AcceptorPolicy(Protocol):
    """The owner's decisions."""

    def admit(self, peer: Peer, verification_only: bool) -> Rejecting | None:
        """Admit the peer (None), or say how its association is rejected.

        `verification_only`: nothing but Verification was proposed. Each admitted association `ended` once.
        """

    def begin(self, peer: Peer, request: StoreRequest) -> InstanceWriter | StoreAnswer:
        """Give the writer for an instance; or an answer, given once the data set has been read and thrown away."""

    def refused_contexts(self, peer: Peer, refused: list[tuple[str, list[str]]]) -> None:
        """Take note of what was proposed in vain: (abstract syntax, transfer syntaxes). After `admit`."""

    def ended(self, peer: Peer, how: str) -> None:
        """Take note of the end of an admitted association.

        `how` is one of `released`, `aborted` (by the peer), `lost`, `timeout`, `protocol` (the peer broke it; aborted),
        `stopped` (by this side: aborted), `failed` (a fault of the node: aborted).
        """


class CommitmentRequest(NamedTuple):
    """An N-ACTION-RQ, or else an N-EVENT-REPORT-RQ, of Storage Commitment (PS3.7 10.1.1, 10.1.4), as it came.

    `data` is its data set in `transfer_syntax_uid`; None where there is none, or one longer than `LONGEST_COMMITMENT`.
    """

    is_action: bool
    sop_class_uid: str
    sop_instance_uid: str
    type_id: int | None
    transfer_syntax_uid: str
    data: bytes | None
    too_long: bool = False


class CommitmentPolicy(Protocol):
    """The owner's decisions about Storage Commitment; an acceptor without one refuses it."""

    def roles(self, peer: Peer) -> Role:
        """What an admitted requestor may be of Storage Commitment: SCU (it asks), SCP (it reports), both or neither."""

    def serve(self, peer: Peer, request: CommitmentRequest) -> StoreAnswer:
        """Answer a request; 0000H says that it is on stable storage."""


@dataclass(frozen=True, slots=True)
class AcceptorLimits:
    """Bounds of an acceptor.

    Parameters
    ----------
    max_pdu
        Longest P-DATA-TF that a peer may send, in bytes.
    associate
        Seconds from the connection until A-ASSOCIATE-RQ is complete.
    idle
        Seconds between two messages.
    transfer
        Seconds for each 16 KiB of a message and for the rest of it, for a PDU that has begun, and for a peer to take an
        answer. A peer that has vanished is noticed after about twice that.
    unassociated
        Connections of this process that may be without association; beyond that the oldest of the address that has most
        of them is closed.
    """

    max_pdu: int = 131072
    associate: float = 30
    idle: float = 600
    transfer: float = 60
    unassociated: int = 100


@dataclass(frozen=True, slots=True)
class AcceptorTLS:
    """The TLS of a listener; `refused` is told the address of a peer with which the handshake failed, and why."""

    security: Security
    refused: Callable[[str, str], None]
