"""The configuration: one file, read once, checked as a whole.

Guarantees that a `Config` is complete and consistent: every key is known, every value has its unit, every name that
one section uses is defined in another, paths are absolute. Refuses (with every fault at once, by file, line and key)
what it does not know, and what is settled for a later version: nothing is ignored silently.
"""

from node.config.audit import AuditSettings, Syslog
from node.config.backup import Backups
from node.config.canary import Canary
from node.config.commitment import Commitment, ReportPeer
from node.config.completeness import Completeness
from node.config.encryption import Encryption
from node.config.limits import Limit
from node.config.load import existing_recipes, load_config, read_document
from node.config.model import (
    Config,
    Destination,
    Listener,
    LogSettings,
    NodeSettings,
    Query,
    Retry,
    Route,
    Sender,
    Timeout,
    TrialDestination,
)
from node.config.projects import Project
from node.config.retention import Retention
from node.config.security import (
    Expiry,
    certificate_faults,
    certificates,
    columns_of,
    destination_security,
    expiries,
    listener_security,
    peer_security,
    syslog_security,
)
from node.config.senders import Caller, Network, Who
from node.config.units import Endpoint, Size
from node.config.web import Web, users_path

__all__ = [
    "AuditSettings",
    "Backups",
    "Caller",
    "Canary",
    "Commitment",
    "Completeness",
    "Config",
    "Destination",
    "Encryption",
    "Endpoint",
    "Expiry",
    "Limit",
    "Listener",
    "LogSettings",
    "Network",
    "NodeSettings",
    "Project",
    "Query",
    "ReportPeer",
    "Retention",
    "Retry",
    "Route",
    "Sender",
    "Size",
    "Syslog",
    "Timeout",
    "TrialDestination",
    "Web",
    "Who",
    "certificate_faults",
    "certificates",
    "columns_of",
    "destination_security",
    "existing_recipes",
    "expiries",
    "listener_security",
    "load_config",
    "peer_security",
    "read_document",
    "syslog_security",
    "users_path",
]
