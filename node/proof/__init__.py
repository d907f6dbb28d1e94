"""The proof that nothing is missing: every row of the ledger and every file of the spool, held against each other.

Guarantees
    Each instance that was acknowledged is looked at: it is in one state only, what is to become of it can still become
    of it (its files are there, and as large as the ledger says), and what is done has an answer of each destination.
    The tallies that `status` shows are compared with a count of the rows. No file is unknown, none is left behind. A
    node that runs is not disturbed: what changes between two looks is looked at again, and only what stays wrong is
    told. Nothing is changed, and nothing tells a value of a data set: neither a fault nor a count.

Refuses nothing: what cannot be read is a fault of its own.
"""

from __future__ import annotations

from node.proof.looking import Proof
from node.proof.report import Acknowledged, Report
from node.proof.rules import Fault, Problem

__all__ = ["Acknowledged", "Fault", "Problem", "Proof", "Report"]
