"""One association as its acceptor sees it, from A-ASSOCIATE-RQ to the last byte (PS3.8 7, PS3.7 9).

Guarantees that nothing is answered before the policy has concluded, that a writer which was begun is finished or
abandoned, and that an admitted association is reported as ended once, before the peer can learn of its end (so that a
peer which comes back at once finds its place free). Whatever the peer does wrong ends this association only.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from time import monotonic
from typing import NoReturn

from node.dicomnet import dimse
from node.dicomnet.dul import AbortReceived, Connection, Stopped
from node.dicomnet.messages import MessageReader, ReleaseRequested, encode_command, largest_fragment
from node.dicomnet.negotiation import STORAGE_COMMITMENT, VERIFICATION, answer_roles, negotiate
from node.dicomnet.pdus import (
    ABORT,
    ASSOCIATE_RQ,
    DICOM_APPLICATION_CONTEXT,
    REASON_INVALID_PARAMETER,
    REASON_NOT_SPECIFIED,
    REASON_UNEXPECTED_PDU,
    AssociateRequest,
    Role,
    decode_request,
    encode_abort,
    encode_accept,
    encode_reject,
    encode_release_response,
)
from node.dicomnet.policy import (
    LONGEST_COMMITMENT,
    AcceptorLimits,
    AcceptorPolicy,
    AcceptorTLS,
    CommitmentPolicy,
    CommitmentRequest,
    InstanceWriter,
    Peer,
    Rejecting,
    Rejection,
    StoreAnswer,
    StoreRequest,
)
from node.errors import CertificateError, HandshakeFailed, PeerAborted, PeerTimeout, ProtocolError
from node.log import describe_exception, event, trace_of

logger = logging.getLogger(__name__)

_SERVICE_USER, _SERVICE_PROVIDER = 0, 2  # sources of an A-ABORT
_ONLY_REPORTS = frozenset({STORAGE_COMMITMENT, VERIFICATION})
_OF_COMMITMENT = frozenset({dimse.N_ACTION_RQ, dimse.N_EVENT_REPORT_RQ})
_NO_ROLE = Role(STORAGE_COMMITMENT, False, False)
_WRONG_CONTEXT = Rejection(1, 1, 2, "application context name not supported")
_WRONG_VERSION = Rejection(1, 2, 2, "protocol version not supported")


class AcceptedAssociation:
    """Serves one connection; `run` returns when it is closed.

    Parameters
    ----------
    connection
        The connection just accepted.
    address
        Address and port of the peer.
    identifier
        The node's own id of this association.
    on_associated
        Called when A-ASSOCIATE-RQ has come.
    tls
        The listener's TLS; None where it has none.
    commitment
        Decides about Storage Commitment; None where it is refused.
    """

    def __init__(  # noqa: PLR0913 - what one association has
        self,
        connection: Connection,
        policy: AcceptorPolicy,
        limits: AcceptorLimits,
        address: tuple[str, int],
        identifier: str,
        on_associated: Callable[[], None],
        *,
        tls: AcceptorTLS | None = None,
        commitment: CommitmentPolicy | None = None,
    ) -> None:
        self._connection = connection
        self._policy = policy
        self._limits = limits
        self._address = address
        self._identifier = identifier
        self._on_associated = on_associated
        self._tls = tls
        self._commitment = commitment
        self._names: tuple[str, ...] = ()
        self._peer: Peer | None = None
        self._contexts: Mapping[int, tuple[str, str]] = {}
        self._fragment = 0

    @property
    def admitted(self) -> bool:
        """Whether the policy has admitted this association and it has not ended."""
        return self._peer is not None

    def run(self) -> None:
        """Negotiate, serve messages until the end, close. Raises nothing."""
        try:
            last = self._serve()
        # Boundary: the top of the association's thread. The node lives on.
        except Exception as error:  # noqa: BLE001
            self._fault("in an association", error)
            last = self._end("failed", encode_abort(_SERVICE_USER, REASON_NOT_SPECIFIED))
        if last is None:
            self._connection.close()
        else:
            self._connection.finish(last)

    def _serve(self) -> bytes | None:
        """Return the PDU that is to be the last one, None where the peer is gone."""
        try:
            rejection = self._negotiate()
            if rejection is not None:
                return encode_reject(rejection.result, rejection.source, rejection.reason)
            self._messages()
        except ReleaseRequested:
            return self._end("released", encode_release_response())
        except (PeerAborted, HandshakeFailed, CertificateError) as lost:
            return self._end(self._how(lost), None)
        except PeerTimeout:
            return self._end("timeout", encode_abort(_SERVICE_PROVIDER, REASON_NOT_SPECIFIED))
        except ProtocolError as broken:
            event(
                logger,
                "protocol error",
                logging.WARNING,
                association=self._identifier,
                address=self._address[0],
                error=str(broken),
            )
            return self._end("protocol", encode_abort(_SERVICE_PROVIDER, broken.reason))
        except Stopped:
            return self._end("stopped", encode_abort(_SERVICE_USER, REASON_NOT_SPECIFIED))

    def _end(self, how: str, last: bytes | None) -> bytes | None:
        peer, self._peer = self._peer, None
        if peer is not None:
            try:
                self._policy.ended(peer, how)
            # Boundary: a fault in the owner's bookkeeping must not keep the peer waiting for its answer.
            except Exception as error:  # noqa: BLE001
                self._fault("at the end of an association", error)
        return last

    def _how(self, lost: PeerAborted | HandshakeFailed | CertificateError) -> str:
        """Name the end of a connection on which nothing can be said any more."""
        if isinstance(lost, PeerAborted):
            return "aborted" if isinstance(lost, AbortReceived) else "lost"
        # Why this node has no certificate has been logged where it was found, once and not for each connection.
        why = str(lost) if isinstance(lost, HandshakeFailed) else "this node has no certificate that can be used"
        event(
            logger,
            "tls-refused",
            logging.WARNING,
            association=self._identifier,
            address=self._address[0],
            error=why,
        )
        if self._tls is not None:
            self._tls.refused(self._address[0], why)
        return "failed"

    def _secure(self, within: float) -> None:
        if self._tls is not None:
            self._names = self._connection.secure(self._tls.security.context(), within)

    def _negotiate(self) -> Rejecting | None:
        deadline = monotonic() + self._limits.associate
        self._secure(self._limits.associate)
        kind, body = self._connection.read_pdu(deadline - monotonic())
        if kind == ABORT:
            raise AbortReceived
        if kind != ASSOCIATE_RQ:
            raise ProtocolError("a PDU before A-ASSOCIATE-RQ", REASON_UNEXPECTED_PDU)
        self._on_associated()
        request = decode_request(bytes(body))
        if not request.protocol_version & 1:
            return _WRONG_VERSION
        if request.application_context != DICOM_APPLICATION_CONTEXT:
            return _WRONG_CONTEXT
        if not request.contexts or len({c.context_id for c in request.contexts}) < len(request.contexts):
            raise ProtocolError("no presentation context, or one id twice", REASON_INVALID_PARAMETER)
        return self._admit(request)

    def _admit(self, request: AssociateRequest) -> Rejecting | None:
        self._fragment = largest_fragment(request.max_pdu)
        kinds = {c.abstract_syntax for c in request.contexts}
        peer = Peer(
            request.calling_ae_title,
            request.called_ae_title,
            *self._address,
            self._identifier,
            self._names,
            STORAGE_COMMITMENT in kinds and kinds <= _ONLY_REPORTS,
        )
        rejection = self._policy.admit(peer, kinds == {VERIFICATION})
        if rejection is not None:
            return rejection
        self._peer = peer
        role = _NO_ROLE
        if self._commitment is not None and STORAGE_COMMITMENT in kinds:
            role = self._commitment.roles(peer)
        answers, self._contexts, refused = negotiate(request.contexts, role.scu or role.scp)
        if refused:
            self._policy.refused_contexts(peer, [(c.abstract_syntax, list(c.transfer_syntaxes)) for c in refused])
        accepted = frozenset(abstract for abstract, _ in self._contexts.values()) if request.roles else frozenset()
        roles = answer_roles(request.roles, accepted, role)
        self._connection.send(encode_accept(request, answers, self._limits.max_pdu, roles), self._limits.transfer)
        return None

    def _messages(self) -> NoReturn:
        reader = MessageReader(self._connection, self._contexts, self._limits.idle, self._limits.transfer)
        while True:
            context_id, command = reader.command()
            if command.command_field is None or command.data_set_type is None:
                raise ProtocolError("a command without Command Field or Data Set Type", REASON_INVALID_PARAMETER)
            serve = self._store if command.command_field == dimse.C_STORE_RQ else self._other
            given = serve(reader, context_id, command)
            if given is not None:
                self._respond(context_id, command, given)

    def _respond(self, context_id: int, command: dimse.Command, given: StoreAnswer) -> None:
        if command.message_id is None:
            raise ProtocolError("a request without Message ID", REASON_INVALID_PARAMETER)
        response = dimse.encode_response(command, given.status, given.comment)
        self._connection.send(encode_command(context_id, response, self._fragment), self._limits.transfer)

    def _other(self, reader: MessageReader, context_id: int, command: dimse.Command) -> StoreAnswer | None:
        field = command.command_field or 0
        if field & dimse.RESPONSE:
            raise ProtocolError("a response to no request", REASON_UNEXPECTED_PDU)
        is_commitment = self._contexts[context_id][0] == STORAGE_COMMITMENT
        if self._commitment is not None and is_commitment and field in _OF_COMMITMENT:
            return self._commit(self._commitment, reader, context_id, command)
        if command.has_data_set:
            for _ in reader.fragments(context_id):
                pass
        if field == dimse.C_CANCEL_RQ:
            return None
        return StoreAnswer(dimse.SUCCESS if field == dimse.C_ECHO_RQ else dimse.UNRECOGNIZED_OPERATION)

    def _commit(
        self, commitment: CommitmentPolicy, reader: MessageReader, context_id: int, command: dimse.Command
    ) -> StoreAnswer:
        collected, length = bytearray(), 0
        for fragment in reader.fragments(context_id) if command.has_data_set else ():
            length += len(fragment)
            if length <= LONGEST_COMMITMENT:
                collected += fragment
        is_action = command.command_field == dimse.N_ACTION_RQ
        request = CommitmentRequest(
            is_action,
            command.requested_sop_class_uid if is_action else command.affected_sop_class_uid,
            command.requested_sop_instance_uid if is_action else command.affected_sop_instance_uid,
            command.action_type if is_action else command.event_type,
            self._contexts[context_id][1],
            bytes(collected) if 0 < length <= LONGEST_COMMITMENT else None,
            length > LONGEST_COMMITMENT,
        )
        assert self._peer is not None
        try:
            return commitment.serve(self._peer, request)
        # Boundary: one request. Whether it was taken is unknown: the peer asks, or reports, again.
        except Exception as error:  # noqa: BLE001
            self._fault("in storage commitment", error)
            return StoreAnswer(dimse.PROCESSING_FAILURE)

    def _store(self, reader: MessageReader, context_id: int, command: dimse.Command) -> StoreAnswer:
        writer = self._begin(context_id, command)
        if not command.has_data_set:
            return writer if isinstance(writer, StoreAnswer) else self._refuse_empty(writer)
        if isinstance(writer, StoreAnswer):
            for _ in reader.fragments(context_id):
                pass
            return writer
        return self._receive(reader, context_id, writer)

    def _refuse_empty(self, writer: InstanceWriter) -> StoreAnswer:
        self._abandon(writer)
        return StoreAnswer(dimse.CANNOT_UNDERSTAND, "C-STORE-RQ without a data set")

    def _begin(self, context_id: int, command: dimse.Command) -> InstanceWriter | StoreAnswer:
        if command.message_id is None:
            raise ProtocolError("a C-STORE-RQ without Message ID", REASON_INVALID_PARAMETER)
        abstract_syntax, transfer_syntax = self._contexts[context_id]
        if abstract_syntax in _ONLY_REPORTS:
            # Who was admitted for something else must not store through its context (PS3.7 C.5.6).
            return StoreAnswer(dimse.SOP_CLASS_NOT_SUPPORTED)
        request = StoreRequest(
            command.affected_sop_class_uid,
            command.affected_sop_instance_uid,
            transfer_syntax,
            command.message_id,
            context_id,
        )
        assert self._peer is not None
        try:
            return self._policy.begin(self._peer, request)
        # Boundary: C-STORE. A fault of the node is its own lack of resources: the sender tries again.
        except Exception as error:  # noqa: BLE001
            self._fault("at the beginning of an instance", error)
            return StoreAnswer(dimse.OUT_OF_RESOURCES)

    def _receive(self, reader: MessageReader, context_id: int, writer: InstanceWriter) -> StoreAnswer:
        fragments = reader.fragments(context_id)
        try:
            fault = False
            for fragment in fragments:
                if not fault:
                    fault = not self._write(writer, fragment)
        except BaseException:
            self._abandon(writer)
            raise
        if fault:
            self._abandon(writer)
            return StoreAnswer(dimse.OUT_OF_RESOURCES)
        try:
            return writer.finish()
        # Boundary: C-STORE. Whether the instance is stored is unknown: no abandon, and the sender tries again.
        except Exception as error:  # noqa: BLE001
            self._fault("at the end of an instance", error)
            return StoreAnswer(dimse.OUT_OF_RESOURCES)

    def _write(self, writer: InstanceWriter, fragment: memoryview) -> bool:
        try:
            writer.write(fragment)
        # Boundary: C-STORE. The rest of the data set is read and the sender told, by A700H.
        except Exception as error:  # noqa: BLE001
            self._fault("while writing an instance", error)
            return False
        return True

    def _fault(self, what: str, error: Exception) -> None:
        """Log a fault of the node: types and places, no texts, which may hold values."""
        where = trace_of(error)
        event(
            logger,
            f"fault {what}",
            logging.ERROR,
            association=self._identifier,
            error=describe_exception(error),
            trace=where,
        )

    def _abandon(self, writer: InstanceWriter) -> None:
        try:
            writer.abandon()
        # Boundary: C-STORE. What is left in `incoming/` is swept later.
        except Exception as error:  # noqa: BLE001
            self._fault("while abandoning an instance", error)
