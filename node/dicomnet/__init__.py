"""The node's DICOM network: the upper layer without a thread of its own, C-STORE's transfer both ways.

PDUs, sockets, loops and DIMSE messages are here; of the standard's other services C-ECHO, storage commitment
(what it means is decided above), and C-FIND as a requestor.
"""

from node.dicomnet.acceptor import AssociationServer
from node.dicomnet.negotiation import STORAGE_COMMITMENT, VERIFICATION
from node.dicomnet.policy import (
    AcceptorLimits,
    AcceptorPolicy,
    AcceptorTLS,
    CommitmentPolicy,
    CommitmentRequest,
    InstanceWriter,
    Peer,
    Rejection,
    StoreAnswer,
    StoreRequest,
)
from node.dicomnet.requestor import RequestedAssociation, StoreResult, Timeouts, associate, echo

__all__ = [
    "STORAGE_COMMITMENT",
    "VERIFICATION",
    "AcceptorLimits",
    "AcceptorPolicy",
    "AcceptorTLS",
    "AssociationServer",
    "CommitmentPolicy",
    "CommitmentRequest",
    "InstanceWriter",
    "Peer",
    "Rejection",
    "RequestedAssociation",
    "StoreAnswer",
    "StoreRequest",
    "StoreResult",
    "Timeouts",
    "associate",
    "echo",
]
