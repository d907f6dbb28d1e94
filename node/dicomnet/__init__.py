"""What the node adds to pynetdicom: the upper layer without a thread, and C-STORE's data transfer in both directions.

pynetdicom encodes and decodes the PDUs that open and close an association; sockets, loops and DIMSE messages are here.
"""

from node.dicomnet.acceptor import AssociationServer
from node.dicomnet.negotiation import VERIFICATION
from node.dicomnet.policy import (
    AcceptorLimits,
    AcceptorPolicy,
    AcceptorTLS,
    InstanceWriter,
    Peer,
    Rejection,
    StoreAnswer,
    StoreRequest,
)
from node.dicomnet.requestor import RequestedAssociation, StoreResult, Timeouts, associate, echo

__all__ = [
    "VERIFICATION",
    "AcceptorLimits",
    "AcceptorPolicy",
    "AcceptorTLS",
    "AssociationServer",
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
