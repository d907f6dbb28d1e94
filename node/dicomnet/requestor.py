"""The requestor's side: associate, C-ECHO, C-STORE from an open file, C-FIND, release (PS3.8 7, PS3.7 9);
and requests of the other services with a data set in memory, both ways.

Guarantees that a data set goes from the file to the socket without passing through this process's memory (what is
sealed: piece by piece), that no wait is unbounded, and that an association on which anything went wrong is aborted and
never used again: so a late response cannot be taken for that of another instance. Refuses to take any response but
the one to the request just sent.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from time import monotonic
from typing import Protocol

from node.dicomnet import dimse
from node.dicomnet.dul import AbortReceived, Connection
from node.dicomnet.messages import (
    MessageReader,
    Piece,
    ReleaseRequested,
    encode_command,
    fragment_header,
    in_fragments,
    largest_fragment,
)
from node.dicomnet.negotiation import VERIFICATION
from node.dicomnet.pdus import (
    ABORT,
    ACCEPTED,
    ASSOCIATE_AC,
    ASSOCIATE_RJ,
    NO_REASON,
    REASON_INVALID_PARAMETER,
    REASON_NOT_SPECIFIED,
    REASON_UNEXPECTED_PDU,
    RELEASE_RP,
    RELEASE_RQ,
    AssociateAccept,
    AssociateRequest,
    ProposedContext,
    Role,
    decode_accept,
    decode_reject,
    encode_abort,
    encode_release_request,
    encode_release_response,
    encode_request,
)
from node.errors import (
    AssociationRejected,
    CertificateError,
    ConnectionFailed,
    HandshakeFailed,
    NetworkError,
    NodeError,
    PeerAborted,
    PeerTimeout,
    ProtocolError,
)
from node.syntaxes import EXPLICIT_LE, IMPLICIT_LE
from node.tls import Security

MAX_CONTEXTS = 128  # the odd numbers of a byte (PS3.8 9.3.2.2)

_SERVICE_USER, _SERVICE_PROVIDER = 0, 2
_TOGETHER = 64 << 10  # bytes beside the file's that go out in one call
_LONGEST_IDENTIFIER = 64 << 10  # bytes of a match


class Ranges(Protocol):
    """What reads a file that is not sent as it lies on the disk."""

    def read(self, offset: int, length: int, /) -> bytes:
        """Return `length` bytes from `offset` on."""


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds: for the connection, for the answer to A-ASSOCIATE-RQ, for a response or a peer that takes nothing."""

    connect: float = 10
    associate: float = 30
    response: float = 60


@dataclass(frozen=True, slots=True)
class StoreResult:
    """Status and Error Comment of a C-STORE-RSP. The comment is the peer's text: it may hold values, never log it."""

    status: int
    comment: str = ""


def associate(  # noqa: PLR0913 - keywords of one request
    host: str,
    port: int,
    *,
    calling_ae_title: str,
    called_ae_title: str,
    contexts: Sequence[tuple[str, Sequence[str]]],
    timeouts: Timeouts,
    max_pdu: int = 131072,
    tls: Security | None = None,
    source: str = "",
    roles: Sequence[Role] = (),
) -> RequestedAssociation:
    """Open an association.

    Parameters
    ----------
    contexts
        (abstract syntax, transfer syntaxes): one presentation context each, at most 128.
    max_pdu
        Longest P-DATA-TF that the peer may send, in bytes.
    tls
        The TLS to be spoken, within the time for the association; None for none.
    source
        The address of this machine that the connection comes from; empty: the system's choice.
    roles
        Roles of this side that are to be negotiated (PS3.7 D.3.3.4); else it is SCU.

    Raises
    ------
    ConnectionFailed, HandshakeFailed, AssociationRejected, PeerAborted, PeerTimeout, ProtocolError
    """
    if not 1 <= len(contexts) <= MAX_CONTEXTS:
        raise ValueError(f"an association has 1 to {MAX_CONTEXTS} presentation contexts")
    proposed = tuple(ProposedContext(2 * i + 1, a, tuple(t)) for i, (a, t) in enumerate(contexts))
    request = encode_request(AssociateRequest(called_ae_title, calling_ae_title, proposed, max_pdu, tuple(roles)))
    try:
        address = (source, 0) if source else None
        connection = Connection(socket.create_connection((host, port), timeouts.connect, address), max_pdu)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise ConnectionFailed(f"no connection to {host}:{port}: {reason}") from None
    with _abort_on_failure(connection):
        if tls is not None:
            connection.secure(_context_of(tls), timeouts.associate, tls.name)
        connection.send(request, timeouts.associate)
        accept = _answer(connection, timeouts.associate)
        return RequestedAssociation(connection, proposed, accept, timeouts)


def _context_of(tls: Security) -> ssl.SSLContext:
    try:
        return tls.context()
    except CertificateError as error:
        raise HandshakeFailed(str(error)) from None


def _answer(connection: Connection, wait: float) -> AssociateAccept:
    kind, body = connection.read_pdu(wait)
    if kind == ASSOCIATE_AC:
        return decode_accept(bytes(body))
    if kind == ASSOCIATE_RJ:
        connection.close()
        raise AssociationRejected(*decode_reject(bytes(body)))
    if kind == ABORT:
        raise AbortReceived
    raise ProtocolError("a PDU that answers no A-ASSOCIATE-RQ", REASON_UNEXPECTED_PDU)


@contextmanager
def _abort_on_failure(connection: Connection) -> Iterator[None]:
    """Close the connection on any failure, with A-ABORT where the peer may still be there."""
    try:
        yield
    except (PeerAborted, HandshakeFailed):
        connection.close()
        raise
    except ProtocolError as broken:
        connection.finish(encode_abort(_SERVICE_PROVIDER, broken.reason))
        raise
    except BaseException:
        connection.finish(encode_abort(_SERVICE_USER, REASON_NOT_SPECIFIED))
        raise


class RequestedAssociation:
    """An established association; for one thread. Made by `associate`.

    Attributes
    ----------
    accepted
        Context id → (abstract syntax, transfer syntax).
    refused
        Context id → (abstract syntax, proposed transfer syntaxes, result as in PS3.8 Table 9-18).
    roles
        SOP class → the roles of this side that the peer has answered; not where it has answered none.
    sent_completely
        Whether the last `store` got its whole data set out, so that the peer may have stored it whatever happened then.
    """

    def __init__(
        self,
        connection: Connection,
        proposed: Sequence[ProposedContext],
        accept: AssociateAccept,
        timeouts: Timeouts,
    ) -> None:
        self._connection = connection
        self._timeouts = timeouts
        self._fragment = largest_fragment(accept.max_pdu)
        self._message_id = 0
        self.sent_completely = False
        self.accepted: dict[int, tuple[str, str]] = {}
        self.refused: dict[int, tuple[str, tuple[str, ...], int]] = {}
        self.roles = {role.sop_class_uid: role for role in accept.roles}
        answered = {context.context_id: context for context in accept.contexts}
        for context in proposed:
            answer = answered.get(context.context_id)
            result = NO_REASON if answer is None else answer.result
            if answer is not None and result == ACCEPTED:
                if answer.transfer_syntax not in context.transfer_syntaxes:
                    raise ProtocolError("the peer chose a syntax that was not proposed", REASON_INVALID_PARAMETER)
                self.accepted[context.context_id] = (context.abstract_syntax, answer.transfer_syntax)
            else:
                self.refused[context.context_id] = (context.abstract_syntax, context.transfer_syntaxes, result)
        self._reader = MessageReader(connection, self.accepted, timeouts.response, timeouts.response)

    def find(self, sop_class_uid: str, transfer_syntax_uid: str) -> int | None:
        """Return the id of an accepted context for this pair."""
        pair = (sop_class_uid, transfer_syntax_uid)
        return next((number for number, accepted in self.accepted.items() if accepted == pair), None)

    @property
    def over(self) -> bool:
        """Whether the association has ended, as far as this side knows."""
        return self._connection.closed

    @property
    def usable(self) -> bool:
        """Whether another request can be sent. What an idle peer has sent (release, abort, end) ends it here."""
        if not self._connection.closed and self._connection.pending():
            self._end_of_idle()
        return not self._connection.closed

    def _end_of_idle(self) -> None:
        """Answer what came while no response was due: whatever it was, the association is over."""
        try:
            kind, _ = self._connection.read_pdu(0.0, self._timeouts.response)
        except NetworkError:
            self._connection.close()
            return
        if kind == RELEASE_RQ:
            self._connection.finish(encode_release_response())
        elif kind == ABORT:
            self._connection.close()
        else:
            self._connection.finish(encode_abort(_SERVICE_PROVIDER, REASON_UNEXPECTED_PDU))

    def echo(self) -> int:
        """Send C-ECHO; return the status. Raises PeerAborted, PeerTimeout, ProtocolError."""
        context_id = next((n for n, (abstract, _) in self.accepted.items() if abstract == VERIFICATION), None)
        if context_id is None:
            raise ProtocolError("the peer did not accept Verification")
        message_id = self._next_message_id()
        with _abort_on_failure(self._connection):
            request = dimse.encode_echo_request(message_id, VERIFICATION)
            self._connection.send(encode_command(context_id, request, self._fragment), self._timeouts.response)
            return self._response(context_id, message_id, dimse.C_ECHO_RSP).status

    def store(
        self, context_id: int, sop_class_uid: str, sop_instance_uid: str, file: int | Ranges, segments: Sequence[Piece]
    ) -> StoreResult:
        """Send pieces of an open file, and bytes between them, as the data set of a C-STORE; return the peer's answer.

        Parameters
        ----------
        context_id
            An accepted context, whose transfer syntax is the file's.
        file
            Descriptor of the file, whose position is not used; or what reads ranges of one that is sealed, and whose
            errors are raised as they are: the association is aborted.
        segments
            The data set in order: literal bytes, or (offset, length) of the file.

        Raises
        ------
        PeerAborted, PeerTimeout, ProtocolError
            The association is over; `sent_completely` tells how far it came.
        SpoolError
            The file is shorter than a range, or cannot be read; the association is aborted.
        """
        self.sent_completely = False
        if context_id not in self.accepted:
            raise ValueError("the presentation context was not accepted")
        message_id = self._next_message_id()
        with _abort_on_failure(self._connection):
            request = dimse.encode_store_request(message_id, sop_class_uid, sop_instance_uid)
            self._send_data_set(context_id, encode_command(context_id, request, self._fragment), file, segments)
            self.sent_completely = True
            return self._response(context_id, message_id, dimse.C_STORE_RSP, sop_instance_uid)

    def query(self, context_id: int, sop_class_uid: str, identifier: bytes) -> Generator[tuple[int, bytes], None, None]:
        """Send C-FIND; yield status and identifier of each response, of which the last is not pending (PS3.7 9.1.2).

        Identifiers are data sets in the context's transfer syntax. Whoever stops in the middle aborts the association.
        Raises PeerAborted, PeerTimeout, ProtocolError.
        """
        if context_id not in self.accepted:
            raise ValueError("the presentation context was not accepted")
        message_id = self._next_message_id()
        with _abort_on_failure(self._connection):
            request = encode_command(context_id, dimse.encode_find_request(message_id, sop_class_uid), self._fragment)
            self._send_data_set(context_id, request, -1, [identifier])
            while (match := self._match(context_id, message_id))[0] in dimse.PENDING:
                yield match
        yield match

    def request(
        self, context_id: int, encode: Callable[[int], bytes], data: bytes, command_field: int, instance: str
    ) -> StoreResult:
        """Send a request with a data set, and return the peer's answer.

        Parameters
        ----------
        encode
            Makes the command set of a message id.
        data
            The data set, in the context's transfer syntax.
        command_field, instance
            What a response to it has as Command Field, and as Affected SOP Instance UID where it has that.

        Raises
        ------
        PeerAborted, PeerTimeout, ProtocolError
            The association is over.
        """
        if context_id not in self.accepted:
            raise ValueError("the presentation context was not accepted")
        message_id = self._next_message_id()
        with _abort_on_failure(self._connection):
            head = encode_command(context_id, encode(message_id), self._fragment)
            self._send_data_set(context_id, head, -1, [data])
            return self._response(context_id, message_id, command_field, instance)

    def incoming(self, wait: float, longest: int) -> tuple[int, dimse.Command, bytes] | None:
        """Return context id, command and data set of a request that the peer sends within `wait` seconds, else None.

        For SOP classes whose SCP sends requests too. What it has sent is to be answered by `respond`. Raises
        PeerAborted, and ProtocolError for a data set of more than `longest` bytes.
        """
        self._connection.expect_answer()
        try:
            context_id, command = self._reader.command(wait)
        except PeerTimeout:
            return None
        except ReleaseRequested:
            self._connection.finish(encode_release_response())
            return None
        with _abort_on_failure(self._connection):
            data = self._collected(context_id, longest) if command.has_data_set else b""
        return context_id, command, data

    def respond(self, context_id: int, command: dimse.Command, status: int) -> None:
        """Answer a request that `incoming` gave. Raises PeerAborted, PeerTimeout."""
        with _abort_on_failure(self._connection):
            response = dimse.encode_response(command, status)
            self._connection.send(encode_command(context_id, response, self._fragment), self._timeouts.response)

    def _match(self, context_id: int, message_id: int) -> tuple[int, bytes]:
        status, response = self._answered(context_id, message_id, dimse.C_FIND_RSP)
        return status, self._collected(context_id, _LONGEST_IDENTIFIER) if response.has_data_set else b""

    def _collected(self, context_id: int, longest: int) -> bytes:
        found = bytearray()
        for fragment in self._reader.fragments(context_id):
            found += fragment
            if len(found) > longest:
                raise ProtocolError("a data set is too long", REASON_INVALID_PARAMETER)
        return bytes(found)

    def _send_data_set(self, context_id: int, head: bytes, file: int | Ranges, segments: Sequence[Piece]) -> None:
        wait = self._timeouts.response
        for count, last, pieces in in_fragments(segments, self._fragment):
            head += fragment_header(context_id, count, command=False, last=last)
            for piece in pieces:
                if isinstance(piece, bytes):
                    head += piece
                    continue
                if not isinstance(file, int):
                    head += file.read(*piece)
                    continue
                if head:
                    self._connection.send(head, wait, more=True, listen=True)
                    head = b""
                self._connection.send_file(file, *piece, wait)
            # What is small enough goes with the next piece of the file, in one segment.
            if head and (last or len(head) > _TOGETHER):
                self._connection.send(head, wait, more=not last, listen=True)
                head = b""

    def _response(self, context_id: int, message_id: int, command_field: int, instance: str = "") -> StoreResult:
        status, response = self._answered(context_id, message_id, command_field, instance)
        if response.has_data_set:
            raise ProtocolError("a response with a data set that it cannot have", REASON_INVALID_PARAMETER)
        return StoreResult(status, response.error_comment)

    def _answered(
        self, context_id: int, message_id: int, command_field: int, instance: str = ""
    ) -> tuple[int, dimse.Command]:
        """Read the next response; return its status and its command. A data set that it has is still to be read."""
        self._connection.expect_answer()
        try:
            answered, response = self._reader.command()
        except ReleaseRequested:
            raise ProtocolError("an A-RELEASE-RQ in place of a response", REASON_UNEXPECTED_PDU) from None
        if (
            answered != context_id
            or response.command_field != command_field
            or response.message_id_responded_to != message_id
            # It may be absent (PS3.7 9.3.1.2); one that is there says which instance this is the answer for.
            or response.affected_sop_instance_uid not in ("", instance)
            or response.status is None
        ):
            raise ProtocolError("a response that does not belong to the request", REASON_INVALID_PARAMETER)
        return response.status, response

    def _next_message_id(self) -> int:
        if not self.usable:
            raise PeerAborted("the association is over")
        self._message_id = self._message_id % 0xFFFF + 1
        return self._message_id

    def release(self) -> None:
        """Release the association, wait for the peer's confirmation, close. Never raises NetworkError."""
        if self._connection.closed:
            return
        try:
            self._connection.send(encode_release_request(), self._timeouts.response)
            self._await_release()
        except NetworkError:
            self._connection.finish(encode_abort(_SERVICE_USER, REASON_NOT_SPECIFIED))
        self._connection.close()

    def _await_release(self) -> None:
        deadline = monotonic() + self._timeouts.response
        while True:
            kind, _ = self._connection.read_pdu(max(0.0, deadline - monotonic()))
            if kind in (RELEASE_RP, ABORT):
                return
            if kind == RELEASE_RQ:
                # Both asked at once: the requestor answers first (PS3.8 7.2.2.7).
                self._connection.send(encode_release_response(), self._timeouts.response)

    def abort(self) -> None:
        """Abort the association and close; never raises NetworkError."""
        self._connection.finish(encode_abort(_SERVICE_USER, REASON_NOT_SPECIFIED))


def echo(
    host: str,
    port: int,
    calling_ae_title: str,
    called_ae_title: str,
    timeout: float = 10,
    tls: Security | None = None,
) -> None:
    """Associate, C-ECHO, release; each step has `timeout` seconds. Raises NetworkError with the reason."""
    association = associate(
        host,
        port,
        calling_ae_title=calling_ae_title,
        called_ae_title=called_ae_title,
        contexts=[(VERIFICATION, (EXPLICIT_LE.uid, IMPLICIT_LE.uid))],
        timeouts=Timeouts(timeout, timeout, timeout),
        tls=tls,
    )
    try:
        status = association.echo()
    except NodeError:
        association.abort()
        raise
    association.release()
    if status != dimse.SUCCESS:
        raise ProtocolError(f"C-ECHO was answered {status:04X}H")
