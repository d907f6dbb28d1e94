"""Where an instance comes from and where it belongs, and the envelope that says so: fixed with the association.

Guarantees that of an association no more than one envelope is kept, however many kinds of instances come on it.
"""

from __future__ import annotations

import json

from node.dicomnet import Peer, StoreRequest
from node.log import clean_text
from node.part10 import FileMeta, MetaTemplate

_LONGEST_NAMES = 300


class Origin:
    """One association's sender and route; used by the association's thread alone.

    Parameters
    ----------
    listening
        The endpoint that the node listens on.
    route, project
        Their names.
    """

    def __init__(self, peer: Peer, listening: str, route: str, project: str) -> None:
        self.peer = peer
        self.route = route
        self.project = project
        self.certificate = certificate_of(peer) or None
        self.instances = 0  # begun so far
        self._sender = f"dicom://{_host(peer.address)}:{peer.port}"
        self._receiver = f"dicom://{listening}"
        self._project, self._route = json.dumps(project), json.dumps(route)
        self._kind: tuple[str, str] | None = None
        self._template: MetaTemplate

    def envelope(self, request: StoreRequest, received_at: float) -> bytes:
        """Return the head of the file for an instance that came at `received_at` (seconds since 1970, UTC).

        Raises DatasetError for a value that is not ASCII.
        """
        kind = (request.sop_class_uid, request.transfer_syntax_uid)
        if kind != self._kind:
            self._template = self._make_template(*kind)
            self._kind = kind
        # Written as `json.dumps` would.
        kept = f'{{"project": {self._project}, "received_at": {received_at!r}, "route": {self._route}}}'
        return self._template.encode(request.sop_instance_uid, kept.encode())

    def _make_template(self, sop_class_uid: str, transfer_syntax_uid: str) -> MetaTemplate:
        return MetaTemplate(
            FileMeta(
                sop_class_uid,
                "",
                transfer_syntax_uid,
                source_ae_title=self.peer.calling_ae_title,
                sending_ae_title=self.peer.calling_ae_title,
                receiving_ae_title=self.peer.called_ae_title,
                source_address=self._sender,
                sending_address=self._sender,
                receiving_address=self._receiver,
            )
        )


def certificate_of(peer: Peer) -> str:
    """The names in a peer's certificate as the ledger keeps them: on one line, bounded."""
    return clean_text(", ".join(peer.certificate_names), _LONGEST_NAMES)


def _host(address: str) -> str:
    return f"[{address}]" if ":" in address else address
