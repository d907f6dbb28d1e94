"""Every test of the protocol against raw peers once more, with TLS on: nothing of it may be different.

The tests are those of `test_acceptor_protocol` and `test_requestor`; only their raw peers, and what they connect to,
speak TLS here.
"""

from __future__ import annotations

import functools
import socket
from typing import Any

import pytest

from node.errors import HandshakeFailed

from . import test_acceptor_protocol as acceptors
from . import test_requestor as requestors
from .peers import RawPeer, accepting
from .test_acceptor_protocol import *  # noqa: F403 - its tests, with its fixtures
from .test_requestor import *  # noqa: F403
from .tls import Authority, Pair, answer_tls, client_side, server_side, speak_tls

pytestmark = pytest.mark.slow  # what TLS does of itself, `test_tls` says each time

# They connect to nobody, or leave the raw peer's socket in two hands, which TLS cannot.
del test_a_late_response_on_the_old_association_does_not_reach_the_new_one  # noqa: F821
del test_more_contexts_than_there_are_ids_are_a_mistake  # noqa: F821
del test_no_connection_is_connection_failed  # noqa: F821
del test_echo_raises_what_went_wrong  # noqa: F821
# Over TLS an end without a word has another meaning, below.
del test_a_failed_negotiation_has_its_error  # noqa: F821


@pytest.fixture(autouse=True)
def _over_tls(monkeypatch: pytest.MonkeyPatch, authority: Authority, node_pair: Pair, scanner: Pair) -> None:
    class Peer(RawPeer):
        def __init__(self, port: int) -> None:
            super().__init__(port)
            speak_tls(self, authority, scanner)

    class Scp(requestors.Scp):
        def __init__(self, connected: socket.socket) -> None:
            super().__init__(answer_tls(connected, authority, node_pair))

    def serving(*arguments: Any, **options: Any) -> Any:
        return accepting(*arguments, **options, tls=server_side(authority, node_pair))

    associate = functools.partial(requestors.associate, tls=client_side(authority, scanner))
    monkeypatch.setattr(acceptors, "RawPeer", Peer)
    monkeypatch.setattr(acceptors, "accepting", serving)
    monkeypatch.setattr(requestors, "Scp", Scp)
    monkeypatch.setattr(requestors, "accepting", serving)
    monkeypatch.setattr(requestors, "associate", associate)


def test_an_acceptor_that_ends_without_a_word_may_not_accept_our_certificate() -> None:
    with (
        requestors.scp(lambda peer: peer.receive()) as port,
        pytest.raises(HandshakeFailed, match="perhaps it does not"),
    ):
        requestors.connect(port)
