"""What a destination learns beside the data set: nothing of who sent the instance to the node."""

from collections.abc import Iterator
from typing import Any

import pydicom
import pytest
from pynetdicom import AE, evt
from pynetdicom.dimse_primitives import C_STORE

from tests.road.support import CT, EXPLICIT, prefer_shipped, shipped_file
from tests.support import RunningNode, free_port

SENDER, MOVER, SENDERS_ID = "SECRETSENDER", "SECRETMOVER", 4711
SENDERS_CLASS = "1.2.826.0.1.3680043.2.4711.1"


class Peer:
    """A destination that keeps everything a C-STORE and its association tell beside the data set."""

    def __init__(self) -> None:
        self.port = free_port()
        self.commands: list[C_STORE] = []
        self.stated: list[str] = []
        entity = AE("DEST")
        entity.add_supported_context(CT, EXPLICIT)
        handlers: list[Any] = [(evt.EVT_C_STORE, self._stored)]
        self.server = entity.start_server(("127.0.0.1", self.port), block=False, evt_handlers=handlers)

    def _stored(self, event: evt.Event) -> int:
        requestor = event.assoc.requestor
        self.commands.append(event.request)
        stated = (requestor.ae_title, requestor.implementation_class_uid, requestor.implementation_version_name)
        self.stated += [str(one) for one in (*stated, requestor.user_identity)]
        self.stated += [f"{element.tag} {element.value}" for element in event.file_meta]
        return 0


@pytest.fixture
def peer() -> Iterator[Peer]:
    made = Peer()
    yield made
    made.server.shutdown()


def test_the_command_that_leaves_carries_nothing_of_the_sender(tmp_path, peer):
    node = RunningNode(tmp_path, {"dest": peer.port})
    try:
        prefer_shipped(node)
        node.start()
        ds = pydicom.dcmread(shipped_file("CT_small.dcm"))
        sender = AE(SENDER)
        sender.implementation_version_name = "SECRETVERSION"
        sender.implementation_class_uid = SENDERS_CLASS
        sender.add_requested_context(CT, EXPLICIT)
        association = sender.associate("127.0.0.1", node.port, ae_title="DEIDNODE")
        assert association.is_established
        assert association.send_c_store(ds, originator_aet=MOVER, originator_id=SENDERS_ID).Status == 0
        association.release()
        node.wait_delivered(1)
    finally:
        node.close()
    (command,) = peer.commands
    assert command.MoveOriginatorApplicationEntityTitle is None
    assert command.MoveOriginatorMessageID is None
    assert command.MessageID != SENDERS_ID
    assert (command.AffectedSOPClassUID, command.Priority) == (CT, 0)
    assert command.AffectedSOPInstanceUID.startswith("2.25.")
    said = " ".join(peer.stated)
    assert not any(value in said for value in (SENDER, MOVER, "SECRETVERSION", SENDERS_CLASS, ds.SOPInstanceUID))
