"""Asking a peer what it has (C-FIND, PS3.4 C): plain and synchronous, on an association of its own.

Guarantees that nothing counts as found but what was asked for, whatever the peer answers, and that no wait and no
answer is unbounded. Nothing of an answer is logged.
"""

from node.query.finding import Found, find_instances, has_instances
from node.query.peer import QueryPeer, peer_of

__all__ = ["Found", "QueryPeer", "find_instances", "has_instances", "peer_of"]
